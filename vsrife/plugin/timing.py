"""Which source frames an output frame is made of, and how long it is shown.

Knows numbers only: no frame, no property, no VapourSynth. Everything is an int or a Fraction, so nothing drifts.

Time is counted in source frames: source frame i is shown during [i, i + 1), a clip of N frames fills [0, N). Output
frame n begins at x(n) = n / ratio and lasts until x(n + 1), the last one until N. A ratio of rounded rates, such as
2.0000001, is replaced by the simple one that it stands for (`simple_ratio`). docs/timeline.md has examples.
"""

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import NamedTuple

from vsrife.errors import ArgumentError

__all__ = [
    "ENDLESS_FRAMES",
    "MAX_FRAMES",
    "MAX_INT32",
    "MAX_INT64",
    "FrameTiming",
    "InterpolationPoint",
    "MissingDurations",
    "Span",
    "fit_duration",
    "simple_ratio",
]

MAX_INT32 = 2**31 - 1
"""Largest numerator and denominator of a duration that is written."""

MAX_INT64 = 2**63 - 1
"""Largest numerator and denominator of a frame rate: VapourSynth's are int64."""

MAX_FRAMES = MAX_INT32
"""VapourSynth counts frames in a C int."""

ENDLESS_FRAMES = 2**24
"""From this length on (a week at 25 fps) a clip is a player's stream whose true length nobody knows. mpv's has 2^27 - 1
frames; the bound is lower because a script may trim or decimate that clip before it gets here."""

_LONGEST_STREAM = 2**27
"""A longer clip that has a rate is a script's own, whose length is meant."""

_TICKS = 4_000_000
"""Cut points that must be rounded fall on this grid per second. 2^8 * 5^6: its least common multiple with every usual
time base (1/90000, 1/1000, 1001/24000, 1/44100, 1/27000000, a microsecond, a nanosecond, ...) still fits in 31 bits."""

_USUAL, _MICRO, _NANO = 720_000, 1_000_000, 1_000_000_000
"""Time bases that durations come from. The first is a multiple of 1000, 24000, 30000, 48000, 60000, 90000, 120000."""

_LARGEST_USUAL = 90_000
"""Up to here a denominator that is in none of these bases is a container's own (12800, 15360, 44100, ...)."""


_MEANT = 100_000
"""A ratio whose terms are below this is meant as it is. That of 165 Hz to 24000/1001 is 11011/1600."""

_SIMPLE = ((100, Fraction(1, 10**5)), (1001, Fraction(2, 10**7)))
"""The largest term of a simple ratio, and by how much of itself another may miss it. 59.94 is a millionth off
60000/1001, and a rate that went through a float of 32 bits 6 in 10^8."""

_DRIFT = 1
"""Output frames that the two may be apart at the end of a clip."""

_MANY = 3
"""From so many frames without a duration on, the log is told. The last one often has none, as each that was last in its
file in a clip joined of a few."""


class InterpolationPoint(NamedTuple):
    """What output frame shows: source frame ``left``, moved ``t`` of the way towards ``right``.

    ``t``: exact, 0 <= t < 1. ``right``: ``left + 1``, or None where nothing is blended: at t = 0 and after the last
    source frame.
    """

    left: int
    right: int | None
    t: Fraction

    @property
    def held(self) -> bool:
        """Whether the moment lies after the last source frame, which is shown on."""
        return self.right is None and self.t > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """The part [start, stop) of source frame ``frame``'s time, in units of its duration: 0 <= start < stop <= 1."""

    frame: int
    start: Fraction
    stop: Fraction

    @property
    def share(self) -> Fraction:
        """How much of the source frame's duration this is: 0 < share <= 1."""
        return self.stop - self.start


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameTiming:
    """The arithmetic of one call. Every method is O(1) for ratios of 1 and above, O(1 / ratio) below.

    ``ratio``: output frames per source frame, above 0. ``source_frames``: N, at least 1. ``fps``: the source's rate in
    frames per second, None where unknown. ``streaming``: the clip is a player's stream: it refuses frames of the past
    and its end comes as an error. ``cause``: the argument that made the ratio, as errors name it. ``asked``: the ratio
    that was asked for, where ``ratio`` is the simple one that it stands for (`simple_ratio`).

    Raises ArgumentError where the output would have more than 2^31 - 1 frames, or a rate that does not fit in two
    int64.
    """

    ratio: Fraction
    source_frames: int
    fps: Fraction | None = None
    streaming: bool = False
    cause: str = field(default="multi", compare=False)
    asked: Fraction | None = None

    def __post_init__(self) -> None:
        if self.ratio <= 0:
            raise ArgumentError(f"{self.cause} must be above 0, not {self.ratio}; 2 doubles the frame rate")
        if self.source_frames < 1:
            raise ArgumentError(f"clip must have at least 1 frame, not {self.source_frames}")
        if self._exact_length > MAX_FRAMES and not self._length_is_invented:
            raise ArgumentError(
                f"{self.cause} and clip ({self.source_frames} frames) must make at most {MAX_FRAMES} frames, not "
                f"{self._exact_length}; trim the clip or pass multi={MAX_FRAMES // self.source_frames} or less"
            )
        if max(self.output_fps) > MAX_INT64:
            raise ArgumentError(
                f"{self.cause} must make a frame rate of two 64-bit integers, not "
                f"{'/'.join(map(str, self.output_fps))}; pass a shorter fraction, such as multi=1001/400"
            )

    @property
    def _exact_length(self) -> int:
        return -(-self.source_frames * self.ratio.numerator // self.ratio.denominator)

    @property
    def _length_is_invented(self) -> bool:
        return self.streaming and (self.fps is None or self.source_frames <= _LONGEST_STREAM)

    @property
    def length(self) -> int:
        """Output frames: ceil(N * ratio). Of a player's stream at most 2^31 - 1, since its N means nothing."""
        return min(self._exact_length, MAX_FRAMES) if self._length_is_invented else self._exact_length

    @property
    def output_fps(self) -> tuple[int, int]:
        """Output frames per second, fps * ratio as asked, as the reduced pair VapourSynth wants; (0, 1) without fps."""
        return (0, 1) if self.fps is None else (self.fps * (self.asked or self.ratio)).as_integer_ratio()

    def position(self, n: int) -> Fraction:
        """x(n), where output frame ``n`` begins, in source frames."""
        return n / self.ratio

    def at(self, n: int) -> InterpolationPoint:
        """What output frame ``n`` shows, 0 <= n < length."""
        left, rest = divmod(n * self.ratio.denominator, self.ratio.numerator)
        return InterpolationPoint(left=left, right=self._right(left, rest), t=_fraction(rest, self.ratio.numerator))

    def spans(self, n: int) -> tuple[Span, ...]:
        """The source time that output frame ``n`` covers, in order; never empty.

        Over all outputs the shares of each source frame add up to 1. For ratios of 1 and above there are at most two,
        of the frames ``left`` and ``left + 1``, and at t = 0 only that of ``left``.
        """
        unit = self.ratio.numerator
        return tuple(
            Span(frame=frame, start=Fraction(start, unit), stop=Fraction(stop, unit))
            for frame, start, stop in self._covered(n)
        )

    def _covered(self, n: int) -> list[tuple[int, int, int]]:
        """`spans`, their ends counted in parts of a source frame, of which it has as many as the ratio's numerator."""
        unit = self.ratio.numerator
        start = n * self.ratio.denominator
        stop = min(start + self.ratio.denominator, self.source_frames * unit)
        return [
            (frame, max(start - frame * unit, 0), min(stop - frame * unit, unit))
            for frame in range(start // unit, (stop - 1) // unit + 1)
        ]

    def arrivals(self, n: int) -> range:
        """Pairs k whose boundary, x = k + 1, lies before output ``n`` and not before n - 1."""
        return range(self._left(n - 1), self._left(n)) if n > 0 else range(0)

    def departures(self, n: int) -> range:
        """Pairs k that output ``n`` is the last frame before: the arrivals of n + 1, none for the last output."""
        return self.arrivals(n + 1) if n + 1 < self.length else range(0)

    def needs(self, n: int, *, scenes: bool) -> range:
        """Source frames that output ``n`` must have, a run of neighbours inside the clip.

        Always the frames it shows (``left``, and ``right`` where it blends) and those it covers, for its duration; with
        ``scenes`` also both frames of every pair in `arrivals` and `departures`, because a cut is judged by two frames.

        Exceptions. At ratio 1 every output is a source frame: nothing is blended and no boundary moves, so frame n
        alone is asked for. A streaming clip refuses frames of the past and ends in an error, so of it only what is
        shown and covered is asked for: for ratios of 1 and above ``left`` and, at t > 0, ``left + 1``.
        """
        if self.ratio == 1:
            return range(n, n + 1)
        unit = self.ratio.numerator
        first, rest = divmod(n * self.ratio.denominator, unit)
        end = min((n + 1) * self.ratio.denominator, self.source_frames * unit)
        last = max((end - 1) // unit, self._right(first, rest) or 0)
        if scenes and not self.streaming:
            first = self._left(max(n - 1, 0))
            if n + 1 < self.length:
                last = max(last, self._left(n + 1))
        return range(first, last + 1)

    def duration(self, n: int, length_of: Callable[[int], Fraction | None]) -> Fraction | None:
        """Seconds that output ``n`` is shown: the source time it covers, in 32 bits (1 <= num, den <= 2^31 - 1).

        ``length_of(i)``: seconds of source frame i, asked for the frames of `spans` only. None, zero and negative count
        as 1 / fps; where fps is unknown too the answer is None: the output has no duration.

        Rounding. A cut point inside a source frame of a / b seconds is kept exactly where the frame's time base
        (720,000 or 10^6 where b divides it; else 720,000 where b <= 90,000; else 10^9 where b divides it; else b) times
        the ratio's numerator is below 2^31, and where the frame lasts 1 / fps and its parts fit in 32 bits.
        Else it falls on the nearest multiple (half to even) of 1 / lcm(b, 4,000,000) second, or of 1 / (b *
        floor((2^31 - 1) / b)) where the former does not fit. A cut point depends on its source frame alone, so the
        two outputs that meet there agree, and all durations add up to the source's exactly. Only the sum of parts
        of frames with unrelated time bases may not fit: `fit_duration` rounds that one.
        """
        total = None  # a sum of fractions takes longer than the rest, and most often there is one
        for frame, start, stop in self._covered(n):
            length = length_of(frame)
            if length is None or length <= 0:
                if self.fps is None:
                    return None
                length = 1 / self.fps
            part = _part(self.ratio.numerator, self.fps, length, start, stop)
            total = part if total is None else total + part
        assert total is not None
        return fit_duration(total)

    def _right(self, left: int, rest: int) -> int | None:
        return left + 1 if rest and left + 1 < self.source_frames else None

    def _left(self, n: int) -> int:
        return n * self.ratio.denominator // self.ratio.numerator


def simple_ratio(ratio: Fraction, source_frames: int | None) -> Fraction:
    """The ratio that ``ratio`` stands for where it was made of rounded rates; else ``ratio`` itself.

    It is the nearest with terms up to 100 if they differ by no more than 10^-5 of it, or up to 1001 if by no more than
    2 * 10^-7. A ratio whose own terms are below 100,000 is none of rounded rates. ``source_frames``: the clip's length,
    over which the two must stay within an output frame of each other; None: a stream, which has no other clock.
    """
    if max(ratio.numerator, ratio.denominator) < _MEANT:
        return ratio
    for largest, tolerance in _SIMPLE:
        small = min(ratio, 1 / ratio).limit_denominator(largest)
        if small == 0:
            continue
        near = small if ratio < 1 else 1 / small
        off = abs(near - ratio)
        if off <= tolerance * ratio and (source_frames is None or off * source_frames <= _DRIFT):
            return near
    return ratio


@functools.lru_cache(maxsize=256)
def _fraction(numerator: int, denominator: int) -> Fraction:
    """A clip has few of them, and a Fraction takes as long as ten look-ups."""
    return Fraction(numerator, denominator)


@functools.lru_cache(maxsize=256)
def _part(unit: int, fps: Fraction | None, length: Fraction, start: int, stop: int) -> Fraction:
    """Seconds of the parts from ``start`` to ``stop`` of a source frame of ``length``, which has ``unit`` of them."""
    return _cut(unit, fps, length, Fraction(stop, unit)) - _cut(unit, fps, length, Fraction(start, unit))


def _cut(unit: int, fps: Fraction | None, length: Fraction, share: Fraction) -> Fraction:
    """Seconds from the start of a source frame of ``length`` to its part ``share``, rounded as `duration` says.

    unit: the ratio's numerator.
    """
    exact = length * share
    if share in (0, 1) or _keeps(unit, fps, length):
        return exact
    grid = lcm(length.denominator, _TICKS)
    if grid > MAX_INT32:
        grid = length.denominator * max(MAX_INT32 // length.denominator, 1)
    return Fraction(round(exact * grid), grid)


def _keeps(unit: int, fps: Fraction | None, length: Fraction) -> bool:
    """Whether the cut points of a source frame of ``length`` seconds stay exact."""
    b = length.denominator
    if _time_base(b) * unit <= MAX_INT32:
        return True
    # A clip of constant rate has one length only: no other time base to get along with, so parts that fit may stay.
    constant = fps is not None and length * fps == 1
    return constant and (length / unit).denominator <= MAX_INT32


class MissingDurations:
    """Notices that many frames of one clip lack a duration and that this matters. Any number of threads may use it.

    It matters where the clip's rate varies, which a frame that does not last 1 / ``fps`` tells, or is unknown (None).
    """

    __slots__ = ("_fps", "_lock", "_missing", "_told", "_usual", "_varies")

    def __init__(self, fps: Fraction | None) -> None:
        self._fps = fps
        self._usual = None if fps is None else 1 / fps
        self._varies = fps is None
        self._missing: set[int] = set()
        self._told = False
        self._lock = threading.Lock()

    def see(self, frame: int, length: Fraction | None) -> str:
        """Take note of source frame ``frame``'s own duration in seconds, None where it has none that is above 0.

        Returns a line for the log the first time that there is something to tell, else an empty text.
        """
        if self._told or (length is not None and length == self._usual):
            return ""
        with self._lock:
            if length is None and len(self._missing) < _MANY:
                self._missing.add(frame)
            elif length is not None and self._fps is not None:
                self._varies = True
            if self._told or not self._varies or len(self._missing) < _MANY:
                return ""
            self._told = True
        lack = "many frames of the clip have no duration (_DurationNum, _DurationDen)"
        if self._fps is None:
            return f"{lack}, and it has no frame rate: what is made of them has no duration either"
        return (
            f"{lack}, though its rate varies: each counts as {1 / self._fps} s, one over the average rate, and sound "
            "may drift"
        )


def _time_base(b: int) -> int:
    """The time base that a duration of denominator ``b`` is taken to come from; being reduced, it no longer tells."""
    for base in (_USUAL, _MICRO):
        if base % b == 0:
            return base
    if b <= _LARGEST_USUAL:
        return _USUAL
    return _NANO if _NANO % b == 0 else b


def fit_duration(seconds: Fraction) -> Fraction:
    """``seconds`` (at least 0) as a fraction of two positive int32: itself where it fits, else the nearest.

    The nearest with a denominator of at most D = floor((2^31 - 2) / max(seconds, 1)), so the error is at most
    1 / (2 * D). What would round to 0 becomes 1 / (2^31 - 1), because players take no zero; 2^31 - 2 is the longest.
    """
    if 0 < seconds.numerator <= MAX_INT32 and seconds.denominator <= MAX_INT32:
        return seconds
    longest = MAX_INT32 - 1
    if seconds >= longest:
        return Fraction(longest)
    # Below this denominator the numerator fits too: it exceeds seconds * denominator by less than 1.
    near = seconds.limit_denominator(int(longest / max(seconds, Fraction(1))))
    return near if near > 0 else Fraction(1, MAX_INT32)
