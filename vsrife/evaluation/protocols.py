"""The protocols by name: where their frames come from, what is measured, and what the paper reports."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from vsrife.evaluation.clips import hd, skip_frame
from vsrife.evaluation.samples import SampleSet
from vsrife.evaluation.sets import middlebury, snu_film, ucf101, vimeo90k

__all__ = ["PROTOCOLS", "Protocol"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """title: of its tables. measures: keys of MEASURES, its own first; that decides which pictures are the worst.

    open: what is in a folder, at most so many samples of each clip or list (None: all, or what the protocol says).
    Raises ArgumentError where the folder is not what it must be.
    """

    title: str
    open: Callable[[Path, int | None], Iterator[SampleSet]]
    measures: tuple[str, ...]


PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "clips-2x": Protocol(
        title="skip-frame 2x",
        open=partial(skip_frame, multi=2),
        measures=("psnr", "ssim", "vmaf"),
    ),
    "clips-4x": Protocol(
        title="skip-frame 4x (t = 0.25, 0.5, 0.75)",
        open=partial(skip_frame, multi=4),
        measures=("psnr", "ssim", "vmaf"),
    ),
    "vimeo90k": Protocol(title="Vimeo90K, test list", open=vimeo90k, measures=("psnr", "ssim")),
    "ucf101": Protocol(title="UCF101", open=ucf101, measures=("psnr", "ssim")),
    "middlebury": Protocol(title="Middlebury OTHER", open=middlebury, measures=("ie", "psnr", "ssim")),
    "hd-2x": Protocol(title="HD 2x", open=partial(hd, multi=2), measures=("psnr_y", "ssim", "vmaf")),
    "hd-4x": Protocol(title="HD 4x", open=partial(hd, multi=4), measures=("psnr_y", "ssim", "vmaf")),
    "snu-film": Protocol(title="SNU-FILM", open=snu_film, measures=("psnr", "ssim")),
}
