"""Drawings that are held for a few frames each: where such a run begins and ends, and how far on the motion is in it.

An animation "on twos" shows each drawing for two frames. `retime` lets it move evenly from one drawing to the next.
Its input is numbers only: how much each pair of neighbouring source frames differs (`duplicates.worst_block`).
docs/retiming.md has the rule and what it was measured on. Pair k is source frames k and k + 1.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import inf
from typing import NamedTuple

__all__ = ["Run", "longest_run", "progress", "run_at", "window"]

_LONGEST = Fraction(1, 6)
"""Seconds for which a drawing may be held; longer is a pause."""

_LEAST, _MOST = 4, 10
"""Frames that the longest run has at least and at most."""

_CLEAR = 4
"""How many times as much as the pairs inside a run those at its ends differ, at least: coding noise against motion."""

_BALANCE = 128
"""How many times as much as the other end of a run one may differ. Ripples of noise beside motion are no end of one."""

_NOISE = 400 / 255**2
"""More than this no pair inside a run differs: 20 of 255 in the worst block. At crf 28 noise reaches it at times."""

_MOTION = 30 / 255**2
"""Less than this is no motion at the end of a run."""


class Run(NamedTuple):
    """Source frames ``first`` to ``after`` - 1 show one drawing, ``after`` shows the next."""

    first: int
    after: int


def longest_run(fps: Fraction | None) -> int:
    """Frames of the longest run, of a clip of ``fps`` frames per second; None: not known."""
    return _LEAST if fps is None else min(max(int(fps * _LONGEST), _LEAST), _MOST)


def window(frame: int, longest: int, source_frames: int) -> range:
    """The pairs whose differences decide on ``frame``: those that its run and both runs beside it may take."""
    return range(max(frame - 2 * longest, 0), min(frame + 2 * longest, source_frames - 1))


def run_at(frame: int, longest: int, source_frames: int, differences: Mapping[int, float]) -> Run | None:
    """The run of 2 to ``longest`` frames that ``frame`` is in; None where it is in none, or one that is not retimed.

    Such is a run that stands alone, neither the frames before nor those after it being one: a film on ones has some,
    where it stops for a moment or repeats a frame. And the last run of a clip, which moves nowhere.
    ``differences``: of all pairs of `window`, as shares of the largest possible.
    """

    def largest(of: int) -> Run | None:
        return _largest_run(of, longest, source_frames, differences)

    run = largest(frame)
    if run is None or run.after == source_frames:
        return None
    beside = (run.first > 0 and largest(run.first - 1), largest(run.after))
    return run if any(beside) else None


def progress(run: Run, left: int, t: Fraction, length_of: Callable[[int], Fraction | None]) -> Fraction:
    """How far the motion of ``run`` is ``t`` of the way through its frame ``left``, by the frames' own lengths.

    ``length_of(i)``: seconds of source frame i; where one is not known, all count alike.
    """
    lengths = [length_of(index) for index in range(*run)]
    known = [length for length in lengths if length is not None]
    if len(known) < len(lengths):
        known = [Fraction(1)] * len(lengths)
    place = left - run.first
    return (sum(known[:place], Fraction(0)) + t * known[place]) / sum(known)


def _largest_run(frame: int, longest: int, source_frames: int, differences: Mapping[int, float]) -> Run | None:
    # Two runs never cross: an end of each would be a pair inside the other. So all frames in the largest agree on it.
    for size in range(min(longest, source_frames), 1, -1):
        for first in range(max(frame - size + 1, 0), min(frame, source_frames - size) + 1):
            if _is_run(first, first + size, source_frames, differences):
                return Run(first, first + size)
    return None


def _is_run(first: int, after: int, source_frames: int, differences: Mapping[int, float]) -> bool:
    inside = max(differences[pair] for pair in range(first, after - 1))
    if inside > _NOISE:
        return False
    ends = [differences[first - 1]] if first > 0 else []
    ends += [differences[after - 1]] if after < source_frames else []
    least = min(ends, default=inf)
    return least >= _MOTION and least >= _CLEAR * inside and least * _BALANCE >= max(ends, default=0)
