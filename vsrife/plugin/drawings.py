"""Held drawings of one clip: the runs that `retiming` finds, by the differences of its pairs, each measured once.

The rule stands in retiming.py; vsrife.video.still defines the measure.
"""

from collections.abc import Mapping
from fractions import Fraction

from vsrife.plugin.measures import HostMeasures
from vsrife.plugin.pictures import Planes, Reader
from vsrife.plugin.retiming import Run, longest_run, run_at, window
from vsrife.plugin.vsapi import Frame
from vsrife.video import still
from vsrife.video.formats import Family, PixelFormat
from vsrife.video.host import HostPlanes

__all__ = ["Drawings"]

REMEMBERED = 1 << 16
"""Pairs whose difference is kept, some 100 bytes each."""


class Drawings:
    """Any number of threads may ask. What is found of a frame depends on the frames of its window alone."""

    def __init__(self, reader: Reader, source_frames: int, fps: Fraction | None) -> None:
        self._reader = reader
        self._source_frames = source_frames
        self._longest = longest_run(fps)
        self._known: dict[int, float] = {}

    def at(self, frame: int) -> tuple[frozenset[int], Run | None]:
        """The source frames to `measure` before anything can be told of ``frame``; where there are none, the run to be
        retimed that it is in.
        """
        known = self._known
        pairs = window(frame, self._longest, self._source_frames)
        if unknown := [pair for pair in pairs if pair not in known]:
            return frozenset([*unknown, *(pair + 1 for pair in unknown)]), None
        return frozenset(), run_at(frame, self._longest, self._source_frames, {pair: known[pair] for pair in pairs})

    def measure(self, frames: Mapping[int, Frame]) -> None:
        """Take note of each pair of neighbours among ``frames``."""
        if len(self._known) > REMEMBERED:
            self._known = {}  # not cleared: another thread may be reading it
        known = self._known
        for pair, left in frames.items():
            if pair not in known and pair + 1 in frames:
                known[pair] = self._difference(left, frames[pair + 1])

    def _difference(self, left: Frame, right: Frame) -> float:
        with self._reader.looking_at(left, right) as (a, b):
            return _worst_block(a, b, self._reader.format)


def _worst_block(left: Planes, right: Planes, fmt: PixelFormat) -> float:
    """Of all planes of RGB, of luma else."""
    if isinstance(left, HostPlanes) and isinstance(right, HostPlanes):
        return HostMeasures().worst_block(left, right)
    count = 3 if fmt.family is Family.RGB else 1
    return still.worst_block(left[:count], right[:count], fmt.bits)
