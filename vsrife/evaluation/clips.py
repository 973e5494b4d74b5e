"""Skip-frame protocols: frames of a clip are removed and interpolated. Any folder of clips, and the HD benchmark."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import vapoursynth as vs

from vsrife.datasets.clips import find_clips, open_clip
from vsrife.errors import ArgumentError
from vsrife.evaluation.metrics import Picture
from vsrife.evaluation.samples import Sample, SampleSet, clip_from_planes, pictures

__all__ = ["CUT", "SAMPLES", "hd", "moving_pairs", "skip_frame"]

CUT: Final = 0.12
"""Mean absolute difference of two frames, of 1, above which they count as a cut."""

SAMPLES: Final = 16
"""Pairs of each clip without a limit."""

HD_LAST: Final = 100
"""The last frame of an HD sequence that is used."""

HD_SEQUENCES: Final = {
    "HD544p_GT": (
        *("Sintel_Alley2_1280x544", "Sintel_Market5_1280x544", "Sintel_Temple1_1280x544", "Sintel_Temple2_1280x544"),
    ),
    "HD720p_GT": ("parkrun_1280x720_50", "shields_1280x720_60", "stockholm_1280x720_60"),
    "HD1080p_GT": ("BlueSky", "Kimono1_1920x1080_24", "ParkScene_1920x1080_24", "sunflower_1080p25"),
}
HD_SIZES: Final = {"HD544p_GT": (1280, 544), "HD720p_GT": (1280, 720), "HD1080p_GT": (1920, 1080)}


def moving_pairs(clip: vs.VideoNode, span: int, limit: int) -> Iterator[int]:
    """First frames n of the pairs n, n + span that count: n = 0, 2 span, 4 span, ..., at most `limit`.

    Left out: pairs that differ by more than `CUT` (a cut) or not at all (a duplicate).
    """
    found = 0
    firsts = range(0, len(clip) - span, 2 * span)
    frames = pictures(clip, (number for n in firsts for number in (n, n + span)))
    for n, left, right in zip(firsts, frames, frames, strict=True):
        if found == limit:
            return
        if 0 < float(np.mean(np.abs(left.astype(np.int16) - right))) <= CUT * 255:
            found += 1
            yield n


def skip_frame(folder: Path, limit: int | None, multi: int) -> Iterator[SampleSet]:
    """The clips of a folder, each with `limit` pairs of frames that are `multi` apart. Clips without any are left out.

    Raises ArgumentError for a folder without clips, a clip that cannot be read, and where no pair of any clip counts.
    """
    opened = [(path.name, open_clip(path)) for path in find_clips(folder)]
    found = False
    for name, clip in opened:
        firsts = list(moving_pairs(clip, multi, SAMPLES if limit is None else limit))
        if firsts:
            found = True
            yield _taken_away(clip, multi, name, "", firsts)
    if not found:
        raise ArgumentError(f"folder ({folder}) must have clips of {multi + 1} frames or more that move")


def _taken_away(clip: vs.VideoNode, multi: int, row: str, group: str, firsts: list[int]) -> SampleSet:
    members = tuple(
        Sample(row=row, group=group, name=str(n), left=n // multi, truths=tuple(range(n + 1, n + multi)))
        for n in firsts
    )
    return SampleSet(given=clip[::multi], truth=clip, multi=multi, members=members)


def hd(folder: Path, limit: int | None, multi: int) -> Iterator[SampleSet]:
    """The eleven files of the HD benchmark, `HD544p_GT/Sintel_Alley2_1280x544.yuv` and so on: bare frames of YUV420P8.

    Pairs n, n + multi for n = 0, multi, ... up to frame 100. The planes are read as full-range BT.601, which is what
    the published script does to luma. Raises ArgumentError for a file that is missing or too short.
    """
    if (folder / "HD_dataset").is_dir():
        folder = folder / "HD_dataset"
    opened = [
        (group, name, _raw(folder, Path(group, f"{name}.yuv"), HD_SIZES[group], multi))
        for group, names in HD_SEQUENCES.items()
        for name in names
    ]
    for group, name, clip in opened:
        firsts = list(range(0, min(HD_LAST, len(clip) - multi), multi))[:limit]
        yield _taken_away(clip, multi, name, group.removeprefix("HD").removesuffix("_GT"), firsts)


def _raw(folder: Path, file: Path, size: tuple[int, int], multi: int) -> vs.VideoNode:
    """A file of YUV420P8 planes as RGB24."""
    width, height = size
    path = folder / file
    if not path.is_file():
        raise ArgumentError(f"folder ({folder}) must be the HD benchmark; {file} is missing")
    whole, rest = divmod(path.stat().st_size, width * height * 3 // 2)
    if rest or whole < multi + 1:
        raise ArgumentError(f"file ({path}) must hold {multi + 1} or more whole frames of {width}x{height} YUV420P8")
    frames = np.memmap(path, np.uint8, "r", shape=(whole, width * height * 3 // 2))

    def planes(number: int) -> Iterator[Picture]:
        luma = width * height
        for begin, end, shrink in ((0, luma, 1), (luma, luma * 5 // 4, 2), (luma * 5 // 4, luma * 3 // 2, 2)):
            yield frames[number, begin:end].reshape(height // shrink, width // shrink)

    clip = clip_from_planes(width, height, vs.YUV420P8, whole, planes)
    marked = clip.std.SetFrameProps(_Matrix=vs.MATRIX_ST170_M, _Range=vs.RANGE_FULL, _ChromaLocation=vs.CHROMA_CENTER)
    return marked.resize.Bicubic(format=vs.RGB24)
