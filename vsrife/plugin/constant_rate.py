"""Output frames at a constant rate from source frames of varying durations: between which source frames each one lies.

Output n is shown from n / rate seconds on. `ConstantRateTiming` has the methods of `vsrife.plugin.timing.FrameTiming`.
docs/timeline.md has the rules.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import accumulate, chain
from math import ceil, lcm

from vsrife.errors import ArgumentError
from vsrife.plugin.durations import fit_duration
from vsrife.plugin.timing import MAX_FRAMES, MAX_INT64, InterpolationPoint

__all__ = ["ConstantRateTiming"]

_TOLERANCE = Fraction(5, 8000)
"""Seconds by which an output may miss a source frame and still copy it: containers round times to milliseconds."""

_TOLERANCE_OF_FRAME = Fraction(1, 16)
"""The same as a share of the source frame's duration. The smaller of the two counts."""

_GRID = 10**12
"""Ticks per second where the durations have no common time base below this."""

_MOST = 2**62
"""Limit for the ticks of a whole clip, because times are stored in 64 bits."""


class ConstantRateTiming:
    """The times of all output frames of one clip. Takes 8 bytes of memory for each source frame."""

    streaming = False
    ratio = None
    """Output frames per source frame: not constant."""

    def __init__(self, rate: Fraction, durations: Sequence[Fraction], *, fps: Fraction | None, cause: str) -> None:
        """``rate``: output frames per second. ``durations``: of each source frame, in seconds, above 0. ``fps``: the
        clip's own rate. ``cause``: the argument that set the rate, with its value, for errors.

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
        """Output frames per second as a reduced pair."""
        return self._rate.as_integer_ratio()

    def at(self, n: int) -> InterpolationPoint:
        """Where output frame ``n`` lies. After the last source frame, t grows by 1 in each of its durations."""
        time = n * self._ticks / self._rate
        left = min(bisect_right(self._starts, int(time)) - 1, self._frames - 1)
        own = self._starts[left + 1] - self._starts[left]
        since = time - self._starts[left]
        tolerance = min(_TOLERANCE * self._ticks, own * _TOLERANCE_OF_FRAME)
        if since <= tolerance:
            return InterpolationPoint(left, None, Fraction(0))
        if left + 1 == self._frames:
            return InterpolationPoint(left, None, since / own)
        if own - since <= tolerance:
            return InterpolationPoint(left + 1, None, Fraction(0))
        return InterpolationPoint(left, left + 1, since / own)

    def needs(self, n: int, *, scenes: bool) -> range:
        """Source frames that are requested for output ``n``, see `FrameTiming.needs`."""
        point = self.at(n)
        first, last = point.left, point.left if point.right is None else point.right
        if scenes:
            first = min(first, self.at(max(n - 1, 0)).left)
            if n + 1 < self.length:
                last = max(last, self.at(n + 1).left)
        return range(first, last + 1)

    def boundaries_before(self, n: int) -> range:
        """See `FrameTiming.boundaries_before`."""
        return range(self.at(n - 1).left, self.at(n).left) if n > 0 else range(0)

    def boundaries_after(self, n: int) -> range:
        """See `FrameTiming.boundaries_after`."""
        return self.boundaries_before(n + 1) if n + 1 < self.length else range(0)

    def duration(
        self,
        n: int,  # noqa: ARG002 - the same arguments as in FrameTiming
        duration_of: Callable[[int], Fraction | None],  # noqa: ARG002
    ) -> Fraction:
        """Seconds that output ``n`` is shown: 1 / rate, or the nearest fraction of 32-bit integers."""
        return fit_duration(1 / self._rate)

    @property
    def _seconds(self) -> Fraction:
        return Fraction(self._starts[-1], self._ticks)


def _starts_of(durations: Sequence[Fraction]) -> tuple[int, array[int]]:
    """Ticks per second; the start of each source frame and the end of the last one, in ticks."""
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
