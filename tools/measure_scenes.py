"""Make cases for scene detectors, measure detectors on them, and print the tables of docs/scenes.md.

    python tools/measure_scenes.py make FOLDER PAIRS
    python tools/measure_scenes.py measure PAIRS --detectors NAME ... [--model MODEL]
    python tools/measure_scenes.py tables PAIRS [--detectors NAME ...]

FOLDER holds ``clips_eval``, ``clips_train``, ``photos``, ``textures`` and ``sprites``; PAIRS is the folder that cases
are written to, as PAIRS/HALF/ROW.npz, and verdicts, as PAIRS/results/HALF-DETECTOR.json. All verbs take ``--half`` and
``--rows``. Needs vapoursynth-bestsource, pillow and the DejaVu fonts.
"""

import argparse
import time
from pathlib import Path

from scenes.case import Row, load, save
from scenes.detectors import DETECTORS
from scenes.material import HALVES, Material
from scenes.results import Kept, best, side_by_side
from scenes.rows import ROWS, cases_of


def make(options: argparse.Namespace) -> None:
    """Write the cases of each row asked for."""
    wanted = _rows(options)
    for half in options.half or HALVES:
        material = Material(options.folder, half, options.pairs / "cache")
        for row in wanted:
            start = time.perf_counter()
            cases = cases_of(row, material, options.seed)
            path = save(options.pairs / half, row, cases)
            cuts = sum(case.cut for case in cases)
            seconds = time.perf_counter() - start
            shape = "x".join(map(str, cases[0].frames.shape))
            print(f"{path}: {cuts} cuts, {len(cases) - cuts} not, {shape}, {seconds:.1f} s", flush=True)


def measure(options: argparse.Namespace) -> None:
    """Ask detectors about every case and keep what they say in PAIRS/results."""
    for half in options.half or HALVES:
        for detector in (d for d in DETECTORS if d.name in options.detectors):
            kept = Kept(options.pairs / "results" / f"{half}-{options.label or detector.name}.json")
            for row in _rows(options):
                path = options.pairs / half / f"{row.name}.npz"
                if not path.exists() or (row.name in kept.rows and not options.again):
                    continue
                start = time.perf_counter()
                shard = load(path)
                counts = kept.add(shard, detector.judge(shard, options.model))
                seconds = time.perf_counter() - start
                print(f"{half} {kept.path.stem} {row.name}: {counts.text()}, {seconds:.1f} s", flush=True)


def tables(options: argparse.Namespace) -> None:
    """Print what is kept: rows side by side, rows counted apart, and each detector's best threshold."""
    names = options.detectors or [d.name for d in DETECTORS]
    for half in options.half or HALVES:
        kept = {name: Kept(options.pairs / "results" / f"{half}-{name}.json") for name in names}
        kept = {name: each for name, each in kept.items() if each.rows}
        rows = [row.name for row in _rows(options)]
        print(f"## {half}\n", *side_by_side(kept, rows, apart=False), sep="\n")
        print("\nCounted apart:\n", *side_by_side(kept, rows, apart=True), sep="\n")
        print("\n| detector | threshold of the best F1 | recall · false · F1 |\n|---|---:|---|")
        for name, each in kept.items():
            found = best(each)
            if found is not None:
                print(f"| {name} | {found[0]:.3f} | {found[1].text()} |")
        print()


def _rows(options: argparse.Namespace) -> list[Row]:
    return [row for row in ROWS if not options.rows or row.name in options.rows]


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    making = verbs.add_parser("make", help="write the cases")
    making.add_argument("folder", type=Path, help="clips, photos, textures and cut-outs")
    making.add_argument("--seed", type=int, default=7, help="default: %(default)s")
    making.set_defaults(work=make)
    measuring = verbs.add_parser("measure", help="ask detectors about the cases")
    measuring.add_argument("--model", default="4.0", help="of core.rife.RIFE: a name or a file; default: %(default)s")
    measuring.add_argument("--again", action="store_true", help="also rows whose verdicts are kept already")
    measuring.add_argument("--label", help="what the verdicts are kept as; default: the detector's name")
    measuring.set_defaults(work=measure)
    telling = verbs.add_parser("tables", help="print the tables")
    telling.set_defaults(work=tables)
    for verb in (making, measuring, telling):
        verb.add_argument("pairs", type=Path, help="folder of the cases")
        verb.add_argument("--half", choices=HALVES, action="append", help="default: both")
        verb.add_argument("--rows", nargs="+", default=[], help="default: all")
    names = [detector.name for detector in DETECTORS]
    measuring.add_argument("--detectors", nargs="+", choices=names, default=names, help="default: all")
    telling.add_argument("--detectors", nargs="+", help="those whose verdicts are kept, or labels; default: all")
    options = parser.parse_args()
    options.work(options)


if __name__ == "__main__":
    main()
