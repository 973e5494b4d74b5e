"""Held drawings of one clip: the runs that `retiming` finds, by the differences of its pairs, each measured once."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final

from vsrife.scene.retiming import Run, longest_run, run_at, window

__all__ = ["HeldDrawings"]

_KEPT: Final = 1 << 16
"""Source frames of which the run, and pairs of which the difference is kept; each takes some 100 bytes."""


class HeldDrawings[Frame]:
    """Any number of threads may use it at once. What is found of a frame depends on the frames of its window alone."""

    def __init__(self, difference: Callable[[Frame, Frame], float], source_frames: int, fps: Fraction | None) -> None:
        """difference: of two neighbouring frames, see `duplicates.worst_block`. fps: the clip's rate, or None."""
        self._difference_of = difference
        self._source_frames = source_frames
        self._longest = longest_run(fps)
        self._differences: dict[int, float] = {}
        self._runs: dict[int, Run | None] = {}

    def at(self, frame: int, sources: Mapping[int, Frame]) -> tuple[frozenset[int], Run | None]:
        """The source frames that are missing from ``sources`` before anything is known about ``frame``; where there are
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
            difference = self._difference_of(sources[pair], sources[pair + 1])
            self._differences = _with_room(known)
            self._differences[pair] = difference
        return difference


def _with_room[Value](known: dict[int, Value]) -> dict[int, Value]:
    """``known``, or where it is full an empty one in its place: another thread may still be reading it."""
    return known if len(known) < _KEPT else {}
