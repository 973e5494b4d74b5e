"""Which source frames an output frame is made of, and how long it is shown.

Works on numbers alone, which are all int or Fraction, so no error accumulates.

Time is counted in source frames: source frame i is shown during [i, i + 1), a clip of N frames fills [0, N). Output
frame n begins at x(n) = n / ratio and lasts until x(n + 1), the last one until N. A ratio of rounded rates, such as
2.0000001, is replaced by the simple one that it stands for (`simple_ratio`). docs/timeline.md has examples.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from vsrife.errors import ArgumentError
from vsrife.plugin.durations import MAX_INT32, fit_duration, part_duration

__all__ = [
    "ENDLESS_FRAMES",
    "MAX_FRAMES",
    "MAX_INT64",
    "FrameTiming",
    "InterpolationPoint",
    "Span",
    "simple_ratio",
]

MAX_INT64 = 2**63 - 1
"""Largest numerator and denominator of a frame rate: VapourSynth's are int64."""

MAX_FRAMES = MAX_INT32
"""VapourSynth counts frames in a C int."""

ENDLESS_FRAMES = 2**24
"""From this length on (a week at 25 fps) a clip is taken for a player's stream of unknown length. mpv's clip has
2^27 - 1 frames; the limit is lower because a script may trim or decimate that clip first."""

_LONGEST_STREAM = 2**27
"""A longer clip that has a rate was made by a script, and its length is real."""

_MEANT = 100_000
"""A ratio whose terms are below this is never replaced. That of 165 Hz to 24000/1001 is 11011/1600."""

_SIMPLE = ((100, Fraction(1, 10**5)), (1001, Fraction(2, 10**7)))
"""Largest term of a simple ratio, and the relative difference that is tolerated. 59.94 differs from 60000/1001 by
10^-6, and a rate that was stored as a 32-bit float by 6 * 10^-8."""

_DRIFT = 1
"""Output frames by which the two ratios may differ at the end of a clip."""


class InterpolationPoint(NamedTuple):
    """Where an output frame lies: ``t`` of the way from source frame ``left`` to source frame ``right``.

    ``t``: exact, 0 <= t < 1. ``right``: ``left + 1``, or None where nothing is interpolated: at t = 0 and after the
    last source frame.
    """

    left: int
    right: int | None
    t: Fraction

    @property
    def after_end(self) -> bool:
        """Whether the point lies after the last source frame, so that the last source frame is repeated."""
        return self.right is None and self.t > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """The part [start, stop) of source frame ``frame``, in units of its duration: 0 <= start < stop <= 1."""

    frame: int
    start: Fraction
    stop: Fraction

    @property
    def share(self) -> Fraction:
        """How much of the source frame's duration this is: 0 < share <= 1."""
        return self.stop - self.start


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameTiming:
    """The times of all output frames of one clip. Every method is O(1) for ratios from 1 on, O(1 / ratio) below.

    ``ratio``: output frames per source frame, above 0. ``source_frames``: N, at least 1. ``fps``: the source's rate in
    frames per second, None where unknown. ``streaming``: whether the clip is a player's stream, in which requests for
    past frames and for frames after its end fail. ``cause``: the argument that set the ratio, with its value, for
    errors. ``requested_ratio``: the ratio that the script passed, where ``ratio`` is the simple one that replaces it
    (`simple_ratio`).

    Raises ArgumentError where the output would have more than 2^31 - 1 frames, or a rate that does not fit in two
    int64.
    """

    ratio: Fraction
    source_frames: int
    fps: Fraction | None = None
    streaming: bool = False
    cause: str = field(default="multi", compare=False)
    requested_ratio: Fraction | None = None

    def __post_init__(self) -> None:
        if self.ratio <= 0:
            raise ArgumentError(f"{self.cause} must be above 0, not {self.ratio}; 2 doubles the frame rate")
        if self.source_frames < 1:
            raise ArgumentError(f"clip must have at least 1 frame, not {self.source_frames}")
        if self._exact_length > MAX_FRAMES and not self._length_is_unknown:
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
    def _length_is_unknown(self) -> bool:
        return self.streaming and (self.fps is None or self.source_frames <= _LONGEST_STREAM)

    @property
    def length(self) -> int:
        """Number of output frames: ceil(N * ratio). For a player's stream, whose N is not real, at most 2^31 - 1."""
        return min(self._exact_length, MAX_FRAMES) if self._length_is_unknown else self._exact_length

    @property
    def output_fps(self) -> tuple[int, int]:
        """Output frames per second: fps times the requested ratio as a reduced pair; (0, 1) without fps."""
        return (0, 1) if self.fps is None else (self.fps * (self.requested_ratio or self.ratio)).as_integer_ratio()

    def position(self, n: int) -> Fraction:
        """x(n): the start of output frame ``n`` in source frames."""
        return n / self.ratio

    def at(self, n: int) -> InterpolationPoint:
        """Where output frame ``n`` lies, 0 <= n < length."""
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
        """The same as `spans`, in units of a source frame divided by the ratio's numerator."""
        unit = self.ratio.numerator
        start = n * self.ratio.denominator
        stop = min(start + self.ratio.denominator, self.source_frames * unit)
        return [
            (frame, max(start - frame * unit, 0), min(stop - frame * unit, unit))
            for frame in range(start // unit, (stop - 1) // unit + 1)
        ]

    def boundaries_before(self, n: int) -> range:
        """Pairs k, k + 1 of source frames whose boundary, x = k + 1, lies between the starts of output n - 1 and n."""
        return range(self._left(n - 1), self._left(n)) if n > 0 else range(0)

    def boundaries_after(self, n: int) -> range:
        """Pairs whose boundary lies between the starts of output n and n + 1; none for the last output."""
        return self.boundaries_before(n + 1) if n + 1 < self.length else range(0)

    def needs(self, n: int, *, scenes: bool) -> range:
        """Source frames that are requested for output ``n``: consecutive frames inside the clip.

        Always the frames it is made of (``left``, and ``right`` where it interpolates) and those whose time it covers,
        for its duration; with ``scenes`` also both frames of every pair in `boundaries_before` and `boundaries_after`,
        because a scene change is detected between two frames.

        Exceptions. At ratio 1 every output is a source frame, nothing is interpolated and no boundary moves, so frame n
        alone is requested. In a streaming clip requests for past frames and for frames after its end fail, so only the
        frames that the output is made of and covers are requested: above ratio 1 ``left`` and, at t > 0, ``left + 1``.
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

    def duration(self, n: int, duration_of: Callable[[int], Fraction | None]) -> Fraction | None:
        """Seconds that output ``n`` is shown: the source time it covers, in 32 bits (1 <= num, den <= 2^31 - 1).

        ``duration_of(i)``: seconds of source frame i, called for the frames of `spans` only. None, zero and negative
        values count as 1 / fps; where fps is unknown too, the result is None.

        Rounding. A cut point inside a source frame of a / b seconds is kept exactly where the frame's time base
        (720,000 or 10^6 where b divides it; else 720,000 where b <= 90,000; else 10^9 where b divides it; else b) times
        the ratio's numerator is below 2^31, and where the frame lasts 1 / fps and its parts fit in 32 bits.
        Else it falls on the nearest multiple (half to even) of 1 / lcm(b, 4,000,000) second, or of 1 / (b *
        floor((2^31 - 1) / b)) where the former does not fit. A cut point depends on its source frame alone, so the
        two outputs that meet there agree, and all durations add up to the source's exactly. Only the sum of parts
        of frames with unrelated time bases may not fit: `fit_duration` rounds that one.
        """
        total = None  # most often there is one part, and adding it to 0 would take longer than all the rest
        for frame, start, stop in self._covered(n):
            duration = duration_of(frame)
            if duration is None or duration <= 0:
                if self.fps is None:
                    return None
                duration = 1 / self.fps
            part = part_duration(self.ratio.numerator, self.fps, duration, start, stop)
            total = part if total is None else total + part
        assert total is not None
        return fit_duration(total)

    def _right(self, left: int, rest: int) -> int | None:
        return left + 1 if rest and left + 1 < self.source_frames else None

    def _left(self, n: int) -> int:
        return n * self.ratio.denominator // self.ratio.numerator


def simple_ratio(ratio: Fraction, source_frames: int | None) -> Fraction:
    """The simple ratio that ``ratio`` approximates if it was computed from rounded rates; else ``ratio`` itself.

    It is the nearest ratio with terms up to 100 if the relative difference is at most 10^-5, or with terms up to 1001
    if it is at most 2 * 10^-7. A ratio whose own terms are below 100,000 is returned unchanged. ``source_frames``: the
    clip's length, over which the two may differ by one output frame; None for a stream, where this is not checked.
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
    """A cached Fraction: a clip has few different ones, and making one takes ten times as long as finding it here."""
    return Fraction(numerator, denominator)
