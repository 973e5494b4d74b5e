"""The parity fixtures of the paper's networks: what the upstream code answers on seeded weights, see tests/data."""

import functools
import json

import numpy as np
import torch

from tests.data.make_paper import FLOWS, PICTURES, TARGET
from tests.network.seeded import seeded_state
from vsrife.network.legacy.architecture import PaperArchitecture
from vsrife.network.legacy.paper import PaperNet

EVERY = {"picture": 3 * PICTURES, "flow": 4 * FLOWS}
"""Which pixels of the canvas an answer has."""


@functools.cache
def arrays():
    with np.load(TARGET) as data:
        return {key: data[key] for key in data}


@functools.cache
def table(name):
    """`cases` or `checkpoints`, the keys and shapes of each network's official checkpoint."""
    return json.loads(arrays()[name].tobytes())


def keys(kind):
    """The answers there are of a network: NAME|t=T|scale=S, with |tta or |flow behind it."""
    return [key for key in arrays() if key.startswith(f"{kind}|")]


def frame(name):
    """`frame0`, `frame1` or `middle`, as a network takes it."""
    return torch.from_numpy(arrays()[name]).permute(2, 0, 1)[None].float() / 255


def architecture(kind):
    return PaperArchitecture(timed=kind == "rife_m", large=kind == "rife_large_2r")


def seeded_network(kind):
    net = PaperNet(architecture(kind), teacher=True)
    state = seeded_state(table("checkpoints")[kind], table("cases")["seed"])
    net.load_state_dict({key.removeprefix("module."): value for key, value in state.items()}, strict=True)
    return net


def error(key, picture, flow):
    """How far an answer is from upstream's anywhere, of white or in pixels."""
    expected = arrays()[key].astype(np.float64)
    if key.endswith("|flow"):
        got = flow[0, :, :: EVERY["flow"], :: EVERY["flow"]]
    else:
        got, expected = picture[0, :, :: EVERY["picture"], :: EVERY["picture"]], (expected - 5000) / 50000
    assert got.shape == expected.shape
    return np.abs(got.double().numpy() - expected).max()
