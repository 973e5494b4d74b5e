"""Samples of a protocol: pairs of input frames, and the true frames between them."""

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import vapoursynth as vs

from vsrife.evaluation.metrics import Picture

__all__ = ["Sample", "SampleSet", "clip_from_planes", "pictures"]

AHEAD: Final = 4
"""Frames that are requested ahead, so that decoding, the network and measuring overlap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Two input frames and the true frames between them.

    row: the row of the tables that it belongs to: a clip or a triplet. group: of rows with a mean of their own, or "".
    name: of the pair within the row, or "". left: frame number in `given`; the right frame is the next one.
    truths: frame numbers in `truth`.
    """

    row: str
    group: str
    name: str
    left: int
    truths: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SampleSet:
    """Samples of one frame size. given, truth: RGB24 clips; only the first one is input of the filter.
    multi: one more than the number of true frames of a sample.
    """

    given: vs.VideoNode
    truth: vs.VideoNode
    multi: int
    members: tuple[Sample, ...]

    @property
    def times(self) -> tuple[Fraction, ...]:
        """The times of the true frames of a sample."""
        return tuple(Fraction(step, self.multi) for step in range(1, self.multi))


def pictures(clip: vs.VideoNode, numbers: Iterable[int]) -> Generator[Picture]:
    """Frames of an RGB24 clip in the given order; `AHEAD` frames are requested ahead."""
    begun: deque[Future[vs.VideoFrame]] = deque()
    try:
        for number in numbers:
            begun.append(clip.get_frame_async(number))
            if len(begun) > AHEAD:
                yield _copied(begun.popleft())
        while begun:
            yield _copied(begun.popleft())
    finally:
        for future in begun:
            with contextlib.suppress(vs.Error):
                future.result().close()


def _copied(future: "Future[vs.VideoFrame]") -> Picture:
    with future.result() as frame:
        return np.stack([np.asarray(frame[plane]) for plane in range(3)])


def clip_from_planes(
    width: int, height: int, pixels: vs.PresetVideoFormat, length: int, planes: Callable[[int], Iterable[Picture]]
) -> vs.VideoNode:
    """A clip whose frame n has the planes `planes(n)`."""
    blank = vs.core.std.BlankClip(width=width, height=height, format=pixels, length=length, keep=True)

    def fill(n: int, f: Any) -> vs.VideoFrame:
        made: vs.VideoFrame = f.copy()
        for index, plane in enumerate(planes(n)):
            np.copyto(np.asarray(made[index]), plane)
        return made

    return blank.std.ModifyFrame(blank, fill)
