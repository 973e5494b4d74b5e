"""Makes networks.npz, which the tests of the networks read, from a folder with the full parity fixtures:

    python tests/data/make_networks.py FOLDER

FOLDER holds ``checkpoints.json``, ``cases.json`` and ``parity.npz``. networks.npz holds, as JSON in arrays of bytes,
every official checkpoint's keys and shapes and the list of parity cases; and the answers of the upstream networks for
all cases, at every fifteenth pixel both ways.
"""

import json
import sys
from pathlib import Path

import numpy as np

EVERY = 5  # of the answers, which have every third pixel


def as_bytes(value):
    return np.frombuffer(json.dumps(value, separators=(",", ":")).encode(), np.uint8)


def main(source):
    checkpoints = json.loads((source / "checkpoints.json").read_text())
    cases = json.loads((source / "cases.json").read_text())
    with np.load(source / "parity.npz") as full:
        arrays = {case["key"]: full[case["key"]][:, ::EVERY, ::EVERY] for case in cases["cases"]}
    target = Path(__file__).with_name("networks.npz")
    np.savez_compressed(target, checkpoints=as_bytes(checkpoints), cases=as_bytes(cases), every=EVERY, **arrays)
    print(target, target.stat().st_size, "bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
