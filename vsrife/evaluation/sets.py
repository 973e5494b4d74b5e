"""The published sets of triplets in their official layouts. Missing files are reported before anything is measured."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import vapoursynth as vs

from vsrife.datasets.pictures import picture_size, read_picture
from vsrife.errors import ArgumentError
from vsrife.evaluation.metrics import Picture
from vsrife.evaluation.samples import Sample, SampleSet, clip_from_planes

__all__ = ["middlebury", "snu_film", "ucf101", "vimeo90k"]

MIDDLEBURY: Final = (
    *("Beanbags", "Dimetrodon", "DogDance", "Grove2", "Grove3", "Hydrangea"),
    *("MiniCooper", "RubberWhale", "Urban2", "Urban3", "Venus", "Walking"),
)

SNU_MODES: Final = ("easy", "medium", "hard", "extreme")

_TEST_FOLDER: Final = re.compile(r"(?:^|/)test/")


@dataclass(frozen=True, kw_only=True, slots=True)
class Triplet:
    """Three picture files, the middle one being the true frame. row, group: as in Sample."""

    row: str
    group: str = ""
    left: Path
    truth: Path
    right: Path


def vimeo90k(folder: Path, limit: int | None) -> Iterator[SampleSet]:
    """`tri_testlist.txt`, and `sequences/00001/0001/im1.png` (the set) or `target/...` (the test set alone)."""
    listing = folder / "tri_testlist.txt"
    places = [folder / name for name in ("sequences", "target") if (folder / name).is_dir()]
    if not listing.is_file() or not places:
        raise ArgumentError(
            f"folder ({folder}) must be Vimeo90K: tri_testlist.txt and sequences/ (or target/) with 00001/0001/im1.png"
        )
    return _samples_by_size(
        [
            Triplet(row=name, left=at / "im1.png", truth=at / "im2.png", right=at / "im3.png")
            for name in _lines(listing, limit)
            for at in [places[0] / name]
        ]
    )


def ucf101(folder: Path, limit: int | None) -> Iterator[SampleSet]:
    """The triplets `ucf101_interp_ours/1/frame_00.png`, `frame_01_gt.png`, `frame_02.png`, or that folder itself."""
    inner = folder / "ucf101_interp_ours"
    found = [path.parent for path in (inner if inner.is_dir() else folder).glob("*/frame_01_gt.png")]
    if not found:
        raise ArgumentError(
            f"folder ({folder}) must be UCF101's triplets: ucf101_interp_ours/1/ with frame_00.png, frame_01_gt.png "
            "and frame_02.png, and so on"
        )
    found.sort(key=lambda path: (len(path.name), path.name))
    return _samples_by_size(
        [
            Triplet(row=at.name, left=at / "frame_00.png", truth=at / "frame_01_gt.png", right=at / "frame_02.png")
            for at in found[:limit]
        ]
    )


def middlebury(folder: Path, limit: int | None) -> Iterator[SampleSet]:
    """The pairs of OTHER: `other-data/Venus/frame10.png`, `frame11.png`; `other-gt-interp/Venus/frame10i11.png`."""
    data, truth = folder / "other-data", folder / "other-gt-interp"
    if not (data.is_dir() and truth.is_dir()):
        raise ArgumentError(
            f"folder ({folder}) must be Middlebury's OTHER: other-data/Venus/frame10.png and frame11.png, "
            "other-gt-interp/Venus/frame10i11.png, and so on"
        )
    return _samples_by_size(
        [
            Triplet(
                row=name,
                left=data / name / "frame10.png",
                truth=truth / name / "frame10i11.png",
                right=data / name / "frame11.png",
            )
            for name in MIDDLEBURY[:limit]
        ]
    )


def snu_film(folder: Path, limit: int | None) -> Iterator[SampleSet]:
    """`test-easy.txt` to `test-extreme.txt`, in the folder or in `eval_modes`, and the `test` folder that they name.

    A line names three files, as `data/SNU-FILM/test/...`; what comes before `test/` is the folder. limit: of each list.
    """
    triplets = []
    for mode in SNU_MODES:
        places = (folder / f"test-{mode}.txt", folder / "eval_modes" / f"test-{mode}.txt")
        listing = next((path for path in places if path.is_file()), None)
        if listing is None or not (folder / "test").is_dir():
            raise ArgumentError(
                f"folder ({folder}) must be SNU-FILM: test-easy.txt, -medium, -hard and -extreme (or in eval_modes/), "
                "and test/ with the pictures"
            )
        for line in _lines(listing, limit):
            files = [folder / "test" / _TEST_FOLDER.split(name, 1)[-1] for name in line.split()]
            if len(files) != 3:
                raise ArgumentError(f"list ({listing}) must name three files a line, not: {line[:80]}")
            left, truth, right = files
            row = str(truth.relative_to(folder / "test").with_suffix(""))
            triplets.append(Triplet(row=row, group=mode, left=left, truth=truth, right=right))
    return _samples_by_size(triplets)


def _lines(listing: Path, limit: int | None) -> list[str]:
    lines = [line.strip() for line in listing.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if line][:limit]
    if not lines:
        raise ArgumentError(f"list ({listing}) must name a triplet a line; it is empty")
    return lines


def _samples_by_size(triplets: list[Triplet]) -> Iterator[SampleSet]:
    """The triplets grouped by size. Raises ArgumentError before the first one if a file is missing."""
    by_size: dict[tuple[int, int], list[Triplet]] = {}
    for triplet in triplets:
        files = (triplet.left, triplet.truth, triplet.right)
        for path in files:
            if not path.is_file():
                raise ArgumentError(f"picture ({path}) must exist: the set is incomplete")
        sizes = {picture_size(path) for path in files}
        if len(sizes) != 1:
            raise ArgumentError(f"picture ({triplet.truth}) must have the size of its neighbours")
        by_size.setdefault(sizes.pop(), []).append(triplet)
    return (_samples(size, members) for size, members in by_size.items())


def _samples(size: tuple[int, int], triplets: list[Triplet]) -> SampleSet:
    given = [path for triplet in triplets for path in (triplet.left, triplet.right)]
    return SampleSet(
        given=_clip_of(size, given),
        truth=_clip_of(size, [triplet.truth for triplet in triplets]),
        multi=2,
        members=tuple(
            Sample(row=triplet.row, group=triplet.group, name="", left=2 * index, truths=(index,))
            for index, triplet in enumerate(triplets)
        ),
    )


def _clip_of(size: tuple[int, int], files: list[Path]) -> vs.VideoNode:
    """An RGB24 clip whose frames are picture files, read on request."""

    def planes(number: int) -> Picture:
        read: Picture = read_picture(files[number]).numpy()
        return read

    return clip_from_planes(*size, vs.RGB24, len(files), planes)
