"""A constant rate made of source frames that last unequally long: which source frames each output lies between.

Output n is shown from n / rate seconds on, whatever the source does. Knows numbers only; it answers what `FrameTiming`
does. docs/timeline.md has the rules.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import accumulate, chain
from math import ceil, lcm

from vsrife.errors import ArgumentError
from vsrife.plugin.timing import MAX_FRAMES, MAX_INT64, InterpolationPoint, fit_duration

__all__ = ["ConstantRate"]

_HAIR = Fraction(5, 8000)
"""Seconds by which a source frame may be early or late: containers that count in milliseconds round by half of one."""

_HAIR_OF_FRAME = Fraction(1, 16)
"""The same as a part of the source frame's duration, which bounds it."""

_GRID = 10**12
"""Ticks per second where the durations have no common time base below it."""

_MOST = 2**62
"""Ticks of a whole clip; a start is kept in 64 bits."""


class ConstantRate:
    """The arithmetic of one call; a source frame takes 8 bytes. The methods are those of `FrameTiming`."""

    streaming = False
    ratio = None
    """None: no single one."""

    def __init__(self, rate: Fraction, durations: Sequence[Fraction], *, fps: Fraction | None, cause: str) -> None:
        """``rate``: output frames per second. ``durations``: of each source frame, in seconds, above 0. ``fps``: the
        clip's own rate. ``cause``: the argument that set the rate.

        Raises ArgumentError where that makes too many frames.
        """
        self.fps = fps
        self._rate = rate
        self._frames = len(durations)
        self._ticks, self._starts = _starts_of(durations)
        self.length = ceil(self._seconds * rate)
        if self.length > MAX_FRAMES or max(rate.as_integer_ratio()) > MAX_INT64:
            raise ArgumentError(
                f"{cause} must make at most {MAX_FRAMES} frames of {float(self._seconds):.3f} seconds, not "
                f"{self.length}; trim the clip or pass a lower rate"
            )

    @property
    def output_fps(self) -> tuple[int, int]:
        """Output frames per second, as the reduced pair VapourSynth wants."""
        return self._rate.as_integer_ratio()

    def at(self, n: int) -> InterpolationPoint:
        """What output frame ``n`` shows. After the end of the clip, t goes on in the last source frame's durations."""
        time = n * self._ticks / self._rate
        left = min(bisect_right(self._starts, int(time)) - 1, self._frames - 1)
        own = self._starts[left + 1] - self._starts[left]
        since = time - self._starts[left]
        hair = min(_HAIR * self._ticks, own * _HAIR_OF_FRAME)
        if since <= hair:
            return InterpolationPoint(left, None, Fraction(0))
        if left + 1 == self._frames:
            return InterpolationPoint(left, None, since / own)
        if own - since <= hair:
            return InterpolationPoint(left + 1, None, Fraction(0))
        return InterpolationPoint(left, left + 1, since / own)

    def needs(self, n: int, *, scenes: bool) -> range:
        """Source frames that output ``n`` must have, see `FrameTiming.needs`."""
        point = self.at(n)
        first, last = point.left, point.left if point.right is None else point.right
        if scenes:
            first = min(first, self.at(max(n - 1, 0)).left)
            if n + 1 < self.length:
                last = max(last, self.at(n + 1).left)
        return range(first, last + 1)

    def arrivals(self, n: int) -> range:
        """Pairs whose boundary lies before output ``n`` and not before n - 1."""
        return range(self.at(n - 1).left, self.at(n).left) if n > 0 else range(0)

    def departures(self, n: int) -> range:
        """The arrivals of n + 1, none for the last output."""
        return self.arrivals(n + 1) if n + 1 < self.length else range(0)

    def duration(self, n: int, length_of: Callable[[int], Fraction | None]) -> Fraction:  # noqa: ARG002 - as FrameTiming's
        """Seconds that output ``n`` is shown: one over the rate, as far as 32 bits hold that."""
        return fit_duration(1 / self._rate)

    @property
    def _seconds(self) -> Fraction:
        return Fraction(self._starts[-1], self._ticks)


def _starts_of(durations: Sequence[Fraction]) -> tuple[int, array[int]]:
    """Ticks per second; and when each source frame begins, and the last one ends, in ticks."""
    total = float(sum(map(float, durations)))
    ticks = 1
    for denominator in {duration.denominator for duration in durations}:
        ticks = lcm(ticks, denominator)
        if ticks > _GRID:
            break
    ticks = min(ticks, _GRID)
    while total * ticks >= _MOST:
        ticks = max(ticks // 10, 1)
    ends = accumulate(max(round(duration * ticks), 1) for duration in durations)
    return ticks, array("q", chain([0], ends))
