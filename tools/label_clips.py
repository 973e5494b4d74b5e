"""Work out the flows of a pack's clips once, by networks that were trained elsewhere, for data.labels of a training.

    python tools/label_clips.py PACK OUT [--model 4.0 --model 3.1@0.5] [--seconds 1500]

The windows that change most come first, those of all shots in turn. It can be stopped at any time; the same command
goes on with what is missing. Models are names or files as in core.rife.RIFE(model=...), with @ and a scale after them.
"""

import argparse
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from vsrife.datasets.labelling import RULES, Network, Wanted, label_shot, rounds, wanted_labels
from vsrife.datasets.labels import Label, LabelFolder, Place
from vsrife.datasets.packing import Pack, open_pack
from vsrife.errors import ArgumentError, RifeError
from vsrife.models.checkpoint import files_of, load
from vsrife.models.store import locate

MODELS = ("4.0", "3.1@0.5")
PART = 8
"""Labels of a shot that are made before those of the next one."""
FUTILE = 0.1
"""Of a part, mean trust below which the rest of the shot waits until the others are done."""
KEPT = 60.0
"""Seconds after which what was made is written."""


def main() -> int:
    """Make labels until all are there or the time is over, and print how many there are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path, help="folder from tools/pack_data.py")
    parser.add_argument("out", type=Path, help="folder of labels, new, or to go on with")
    parser.add_argument("--model", action="append", help=f"at least two, each with its scale (default: {MODELS})")
    parser.add_argument("--distances", default="1,2", help="frames to either side (default: %(default)s)")
    parser.add_argument("--every", type=int, default=3, help="of so many frames one is labelled (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0, help="of processor time; 0 for no end (default: 0)")
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        return _run(options)
    except RifeError as error:
        print(f"label_clips: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    try:
        distances = [int(each) for each in options.distances.split(",")]
    except ValueError:
        raise ArgumentError(
            f"distances ({options.distances}) must be whole numbers with commas between them, as 1,2"
        ) from None
    if options.every < 1 or min(distances) < 1:
        raise ArgumentError(f"every ({options.every}) and distances ({distances}) must be 1 or more")
    networks, made_of = _networks(options.model or MODELS)
    pack = open_pack(options.pack)
    folder = LabelFolder(options.out, pack)
    there = folder.begin(made_of)
    wanted = _wanted(pack, distances, options.every)
    total = sum(map(len, wanted))
    print(f"{len(there)} labels are there, {total} are wanted", flush=True)
    missing = [[each for each in of_shot if each.place not in there] for of_shot in wanted]
    made: dict[Place, Label] = {}
    written, ends = time.monotonic(), time.process_time() + (options.seconds or float("inf"))
    for place, label in _labels(pack, missing, networks):
        made[place] = label
        over = time.process_time() > ends
        if over or time.monotonic() - written > KEPT:
            there |= _write(folder, made)
            written = time.monotonic()
            print(f"{len(there)} of {total} labels, {time.process_time():.0f} s of the processor", flush=True)
        if over:
            break
    there |= _write(folder, made)
    print(f"{len(there)} labels in {options.out}")
    return 0


def _networks(models: Sequence[str]) -> tuple[list[Network], dict[str, Any]]:
    if len(models) < 2:
        raise ArgumentError(f"model ({models[0]}) must be given twice at least: a flow is believed where two agree")
    networks: list[Network] = []
    told = []
    for name, scale in [_scaled(model) for model in models]:
        path = locate(name)
        networks.append((load(path), scale))
        sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files_of(path)]
        told.append({"file": path.name, "sha256": sums, "scale": scale})
    return networks, {"networks": told, "rules": RULES}


def _scaled(model: str) -> tuple[str, float]:
    """Name or file, and the scale behind it, 1 without."""
    name, at, text = model.rpartition("@")
    if not at:
        return model, 1.0
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale < float("inf"):
        raise ArgumentError(f"model ({model}) must be a name or file, @ and a scale above 0, as 3.1@0.5")
    return name, scale


def _wanted(pack: Pack, distances: Sequence[int], every: int) -> list[list[Wanted]]:
    return [wanted_labels(shot, pack.shot(name), distances, every) for shot, name in enumerate(pack.shot_names())]


def _labels(
    pack: Pack, wanted: Sequence[Sequence[Wanted]], networks: Sequence[Network]
) -> Iterator[tuple[Place, Label]]:
    names = pack.shot_names()
    futile: set[int] = set()
    waiting: list[list[Place]] = []

    def made(part: list[Place]) -> Iterator[tuple[Place, Label]]:
        believed = []
        for place, label in label_shot(pack.shot(names[part[0].shot]), part, networks):
            believed.append(label.trust.float().mean().item() / 255)
            yield place, label
        if sum(believed) / len(believed) < FUTILE:
            futile.add(part[0].shot)

    for part in rounds(wanted, PART):
        if part[0].shot in futile:
            waiting.append(part)
        else:
            yield from made(part)
    for part in waiting:
        yield from made(part)


def _write(folder: LabelFolder, made: dict[Place, Label]) -> set[Place]:
    places = set(made)
    if made:
        folder.add(made)
        made.clear()
    return places


if __name__ == "__main__":
    sys.exit(main())
