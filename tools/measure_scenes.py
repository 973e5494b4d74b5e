"""Make cases for scene detectors, measure detectors on them, and print the tables of docs/scenes.md.

    python tools/measure_scenes.py make FOLDER PAIRS
    python tools/measure_scenes.py measure PAIRS --detectors NAME ... [--model MODEL]
    python tools/measure_scenes.py tables PAIRS [--detectors NAME ...]
    python tools/measure_scenes.py clips FOLDER PAIRS [--model MODEL]
    python tools/measure_scenes.py cost
    python tools/measure_scenes.py films FOLDER [--model MODEL]

FOLDER holds ``clips_eval``, ``clips_train``, ``photos``, ``textures`` and ``sprites``; PAIRS is the folder that cases
are written to, as PAIRS/HALF/ROW.npz, and verdicts, as PAIRS/results/HALF-DETECTOR.json. All verbs take ``--half`` and
``--rows``. Needs vapoursynth-bestsource, pillow and the DejaVu fonts.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from scenes.case import Row, load, save
from scenes.cost import timings
from scenes.detectors import DETECTORS
from scenes.films import film_table
from scenes.material import HALVES, Material
from scenes.results import Kept, best, score_table, side_by_side
from scenes.rows import ROWS, cases_of
from scenes.whole import clip_tables

SHARED: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "folder": (("folder",), {"type": Path, "help": "clips, photos, textures and cut-outs"}),
    "pairs": (("pairs",), {"type": Path, "help": "folder of the cases"}),
    "half": (("--half",), {"choices": HALVES, "action": "append", "help": "default: both"}),
    "rows": (("--rows",), {"nargs": "+", "default": [], "help": "default: all"}),
    "model": (("--model",), {"default": "4.0", "help": "of core.rife.RIFE: a name or a file; default: %(default)s"}),
}


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
        if options.scores:
            print(f"Scores of {options.scores}:\n", *score_table(kept[options.scores], rows), "", sep="\n")


def clips(options: argparse.Namespace) -> None:
    """Print the scores of every pair of the labelled clips."""
    for half in options.half or HALVES:
        print(f"## {half}\n")
        for line in clip_tables(Material(options.folder, half, options.pairs / "cache"), options.model):
            print(line, flush=True)


def cost(_: argparse.Namespace) -> None:
    """Print what it costs to look for cuts."""
    torch.set_num_threads(1)
    for line in timings():
        print(line, flush=True)


def films(options: argparse.Namespace) -> None:
    """Print what looking for cuts costs over the clips, beside the frames' own work."""
    torch.set_num_threads(1)
    paths = [path for part in ("clips_eval", "clips_train") for path in sorted((options.folder / part).iterdir())]
    for line in film_table(paths, options.model):
        print(line, flush=True)


def _rows(options: argparse.Namespace) -> list[Row]:
    return [row for row in ROWS if not options.rows or row.name in options.rows]


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)

    def verb(work: Callable[[argparse.Namespace], None], *wanted: str) -> argparse.ArgumentParser:
        """A verb with those of the arguments that verbs share."""
        added = verbs.add_parser(work.__name__, help=str(work.__doc__))
        for name in wanted:
            flags, settings = SHARED[name]
            added.add_argument(*flags, **settings)
        added.set_defaults(work=work)
        return added

    making = verb(make, "folder", "pairs", "half", "rows")
    making.add_argument("--seed", type=int, default=7, help="default: %(default)s")
    names = [detector.name for detector in DETECTORS]
    measuring = verb(measure, "pairs", "half", "rows", "model")
    measuring.add_argument("--detectors", nargs="+", choices=names, default=names, help="default: all")
    measuring.add_argument("--again", action="store_true", help="also rows whose verdicts are kept already")
    measuring.add_argument("--label", help="what the verdicts are kept as; default: the detector's name")
    telling = verb(tables, "pairs", "half", "rows")
    telling.add_argument("--detectors", nargs="+", help="names or labels of those that are kept; default: all")
    telling.add_argument("--scores", help="also print the scores of this one of them")
    verb(clips, "folder", "pairs", "half", "model")
    verb(cost)
    verb(films, "folder", "model")
    options = parser.parse_args()
    options.work(options)


if __name__ == "__main__":
    main()
