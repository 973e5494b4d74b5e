"""The parity fixtures: tests/data has the answers of every case at every fifteenth pixel.

Where a folder ../shared with the full fixtures stands beside the checkout, the answers are read from there, at every
third pixel.
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parent.parent
SMALL = TESTS / "data" / "networks.npz"
FULL = TESTS.parent.parent / "shared" / "parity" / "parity.npz"
PIXELS = 3  # an answer has every third pixel both ways


@functools.cache
def _json(name):
    with np.load(SMALL) as data:
        return json.loads(data[name].tobytes())


def checkpoints():
    """Keys and shapes of every official 4.x checkpoint: {version: {key: shape}}."""
    return _json("checkpoints")


def setup():
    """Seed, height and width of the parity cases."""
    table = _json("cases")
    return table["seed"], table["height"], table["width"]


def cases(version):
    return [case for case in _json("cases")["cases"] if case["version"] == version]


@dataclass(frozen=True)
class Answer:
    values: np.ndarray  # float64 [3, h, w] in 0..1
    step: int  # every which pixel of the canvas they are


def answer(key):
    """What the upstream network gave for the case `key`."""
    source = FULL if FULL.is_file() else SMALL
    with np.load(source) as data:
        step = PIXELS if source is FULL else PIXELS * int(data["every"])
        return Answer((data[key].astype(np.float64) - 5000) / 50000, step)
