"""Held drawings of one clip: the runs that `retiming` finds, by the differences of its pairs, each measured once.

The rule stands in retiming.py; vsrife.scene.duplicates defines the measure.
"""

from collections.abc import Mapping
from fractions import Fraction

from vsrife.engine.transfer.host import HostPlanes
from vsrife.formats.pixel_format import Family, PixelFormat
from vsrife.plugin.frames import PlaneViews, Reader
from vsrife.plugin.native_measures import HostMeasures
from vsrife.plugin.vsapi import Frame
from vsrife.scene import duplicates
from vsrife.scene.retiming import Run, longest_run, run_at, window

__all__ = ["Drawings"]

REMEMBERED = 1 << 16
"""Source frames of which the run, and pairs of which the difference is kept; each takes some 100 bytes."""


class Drawings:
    """Any number of threads may ask. What is found of a frame depends on the frames of its window alone."""

    def __init__(self, reader: Reader, source_frames: int, fps: Fraction | None) -> None:
        self._reader = reader
        self._source_frames = source_frames
        self._longest = longest_run(fps)
        self._differences: dict[int, float] = {}
        self._runs: dict[int, Run | None] = {}

    def at(self, frame: int, sources: Mapping[int, Frame]) -> tuple[frozenset[int], Run | None]:
        """The source frames that are missing from ``sources`` before anything can be told of ``frame``; where there are
        none, the run to be retimed that it is in.
        """
        runs = self._runs
        if frame in runs:
            return frozenset(), runs[frame]
        found = {pair: self._difference(pair, sources) for pair in window(frame, self._longest, self._source_frames)}
        if missing := [pair for pair, difference in found.items() if difference is None]:
            return frozenset([*missing, *(pair + 1 for pair in missing)]), None
        known = {pair: difference for pair, difference in found.items() if difference is not None}
        run = run_at(frame, self._longest, self._source_frames, known)
        self._runs = _with_room(runs)
        self._runs[frame] = run
        return frozenset(), run

    def _difference(self, pair: int, sources: Mapping[int, Frame]) -> float | None:
        """How much a pair differs; None where that is not known and its frames are not at hand."""
        known = self._differences
        difference = known.get(pair)
        if difference is None and pair in sources and pair + 1 in sources:
            difference = self._measured(sources[pair], sources[pair + 1])
            self._differences = _with_room(known)
            self._differences[pair] = difference
        return difference

    def _measured(self, left: Frame, right: Frame) -> float:
        """Of the pictures or of their alphas, whichever differ more."""
        with self._reader.map_planes(left, right) as (a, b):
            difference = _worst_block(a, b, self._reader.format)
        with self._reader.map_alpha_planes(left, right) as found:
            if found is None:
                return difference
            (a, b), fmt = found
            return max(difference, _worst_block(a, b, fmt))


def _with_room[Value](known: dict[int, Value]) -> dict[int, Value]:
    """``known``, or where it is full an empty one in its place: another thread may still be reading it."""
    return known if len(known) < REMEMBERED else {}


def _worst_block(left: PlaneViews, right: PlaneViews, fmt: PixelFormat) -> float:
    """Of all planes of RGB, of luma else."""
    if isinstance(left, HostPlanes) and isinstance(right, HostPlanes):
        return HostMeasures().worst_block(left, right)
    count = 3 if fmt.family is Family.RGB else 1
    return duplicates.worst_block(left[:count], right[:count], fmt.bits)
