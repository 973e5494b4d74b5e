"""Makes paper.npz, which the tests of the paper's networks read, from a folder with the full parity fixtures:

    python tests/data/make_paper.py FOLDER

FOLDER holds ``paper_checkpoints.json``, ``paper_cases.json`` and ``paper.npz``. The result holds both tables, as JSON
in arrays of bytes, the frames, and of what the upstream networks answered every fifth pixel (of flows every fourth).
"""

import json
import sys
from pathlib import Path

import numpy as np

TARGET = Path(__file__).with_name("paper.npz")
PICTURES, FLOWS = 5, 4  # of the answers, which have every third pixel and every fourth


def as_bytes(table):
    return np.frombuffer(json.dumps(table, separators=(",", ":")).encode(), np.uint8)


def main(source):
    tables = {
        name: as_bytes(json.loads((source / f"paper_{name}.json").read_text())) for name in ("checkpoints", "cases")
    }
    with np.load(source / "paper.npz") as full:
        arrays = {key: full[key] for key in full}
    for key in arrays:
        if "|" in key:
            every = FLOWS if key.endswith("|flow") else PICTURES
            arrays[key] = arrays[key][:, ::every, ::every]
    np.savez_compressed(TARGET, **tables, **arrays)
    print(TARGET, TARGET.stat().st_size, "bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
