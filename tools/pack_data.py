"""Pack the pictures and clips of a folder for training on a machine that has nothing else.

    python tools/pack_data.py DATA OUT [--pictures 60] [--clips 75] [--most 33000000]

DATA holds photos, textures, sprites, clips_train, SOURCES.tsv and README.md; clips_eval, which measures, is kept out.
What OUT then holds is told in vsrife/datasets/packing.py, the choice of formats in docs/data.md.
"""

import argparse
import sys
from pathlib import Path

from vsrife.datasets.packing import PackSettings, write_pack
from vsrife.errors import RifeError


def main() -> int:
    """Write the pack and print a line for each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of pictures and clips")
    parser.add_argument("out", type=Path, help="folder to write, new or empty")
    parser.add_argument("--pictures", type=int, default=60, help="quality of still pictures (default: %(default)s)")
    parser.add_argument("--clips", type=int, default=75, help="quality of clips (default: %(default)s)")
    parser.add_argument(
        "--most", type=int, default=PackSettings().most, help="bytes in all, at most (default: %(default)s)"
    )
    options = parser.parse_args()
    settings = PackSettings(pictures=options.pictures, clips=options.clips, most=options.most)
    try:
        pack = write_pack(options.data, options.out, settings, print)
    except RifeError as error:
        print(f"pack_data: {error}", file=sys.stderr)
        return 2
    print(f"in all: {sum(path.stat().st_size for path in pack.folder.iterdir())} bytes in {pack.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
