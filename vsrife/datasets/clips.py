"""Clips as shots: read by VapourSynth, split at cuts and at repeated frames."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from vsrife.datasets.thumbnails import CELLS, CUT, cut_score
from vsrife.errors import ArgumentError
from vsrife.scene.duplicates import is_still
from vsrife.scene.signature import signature

if TYPE_CHECKING:
    import vapoursynth as vs

__all__ = ["CLIP_KINDS", "REPEAT_THRESHOLD", "find_clips", "open_clip", "read_clip", "split_shots"]

CLIP_KINDS: Final = frozenset((".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".y4m"))

REPEAT_THRESHOLD: Final = 40.0
"""PSNR in dB of the worst block from which on a frame counts as a repetition of the previous one. Lower than the
filter's threshold for duplicates, because encoders change repeated frames slightly."""

_LEAST: Final = 3  # frames of a shot


def find_clips(folder: Path) -> list[Path]:
    """The clips in a folder, sorted by name. Raises ArgumentError, which names the folder, if there are none."""
    if not folder.is_dir():
        raise ArgumentError(f"clips ({folder}) must be a folder of video files; it does not exist or is not a folder")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in CLIP_KINDS)
    if not found:
        kinds = " ".join(sorted(CLIP_KINDS))
        raise ArgumentError(f"clips ({folder}) must be a folder with video files ({kinds}); it holds none")
    return found


def open_clip(path: Path, pixels: "vs.PresetVideoFormat | None" = None) -> "vs.VideoNode":
    """A clip as RGB24 or in another RGB format, decoded by vapoursynth-bestsource.

    A clip without a matrix is BT.709 from 720p up and BT.601 below. Raises ArgumentError, which names the file, if it
    cannot be read.
    """
    import vapoursynth as vs

    try:
        clip = vs.core.bs.VideoSource(str(path), cachemode=0, showprogress=False)
        matrix = clip.get_frame(0).props.get("_Matrix", vs.MATRIX_UNSPECIFIED)
    except (AttributeError, vs.Error) as error:
        reason = str(error).splitlines()[0]
        raise ArgumentError(f"clip ({path}) must be a video that vapoursynth-bestsource reads: {reason}") from None
    if clip.format.color_family != vs.RGB and matrix == vs.MATRIX_UNSPECIFIED:
        is_hd = clip.height > 576 or clip.width >= 1280
        clip = clip.std.SetFrameProps(_Matrix=vs.MATRIX_BT709 if is_hd else vs.MATRIX_ST170_M)
    return clip.resize.Bicubic(format=vs.RGB24 if pixels is None else pixels)


def read_clip(path: Path) -> Iterator[Tensor]:
    """Every frame of a clip, by `open_clip`: uint8 [3, h, w], R, G, B, in host memory."""
    for frame in open_clip(path).frames(close=True):
        yield torch.from_numpy(np.stack([np.asarray(frame[plane]) for plane in range(3)]))


def split_shots(frames: Iterable[Tensor], longest: int = 256) -> Iterator[list[Tensor]]:
    """Runs of at least three frames, each different from the one before and not across a cut.

    frames: uint8 [3, h, w] of one size. A run that would be longer than `longest` is split.
    """
    run: list[Tensor] = []
    last_signature = None
    for frame in frames:
        now = signature(list(frame), 8, cells=CELLS)
        if run:
            cut = last_signature is not None and cut_score(last_signature, now) >= CUT
            if cut or len(run) == longest or is_still(list(run[-1]), list(frame), 8, REPEAT_THRESHOLD):
                if len(run) >= _LEAST:
                    yield run
                run = []
        run.append(frame)
        last_signature = now
    if len(run) >= _LEAST:
        yield run
