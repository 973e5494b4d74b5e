"""Makes networks.npz from the full parity fixtures: python tests/data/make_networks.py ../shared/parity

It holds, as JSON in arrays of bytes, every official checkpoint's keys and shapes and the list of parity cases; and the
answers of the upstream networks for one version of every group, at every fifteenth pixel both ways.
"""

import json
import sys
from pathlib import Path

import numpy as np

EVERY = 5  # of the answers, which have every third pixel
VERSIONS = (
    *("4.0", "4.2", "4.5", "4.6", "4.7", "4.10", "4.12.lite", "4.13", "4.14.lite", "4.15.lite", "4.20", "4.21"),
    *("4.22.lite", "4.25.lite", "4.25.heavy", "4.26", "4.26.heavy"),
)


def as_bytes(value):
    return np.frombuffer(json.dumps(value, separators=(",", ":")).encode(), np.uint8)


def main(source):
    checkpoints = json.loads((source / "checkpoints.json").read_text())
    cases = json.loads((source / "cases.json").read_text())
    full = np.load(source / "parity.npz")
    arrays = {
        case["key"]: full[case["key"]][:, ::EVERY, ::EVERY] for case in cases["cases"] if case["version"] in VERSIONS
    }
    target = Path(__file__).with_name("networks.npz")
    np.savez_compressed(target, checkpoints=as_bytes(checkpoints), cases=as_bytes(cases), every=EVERY, **arrays)
    print(target, target.stat().st_size, "bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
