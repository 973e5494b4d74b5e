"""Durations of output frames as players read them: fractions of two 32-bit integers that add up to the source's.

Works on numbers alone. docs/timeline.md has the rules of rounding.
"""

import functools
from fractions import Fraction
from math import lcm

__all__ = ["MAX_INT32", "fit_duration", "part_duration"]

MAX_INT32 = 2**31 - 1
"""Largest numerator and denominator of a duration that is written."""

_TICKS = 4_000_000
"""Cut points that must be rounded fall on this grid per second. 2^8 * 5^6: its least common multiple with every usual
time base (1/90000, 1/1000, 1001/24000, 1/44100, 1/27000000, a microsecond, a nanosecond, ...) still fits in 31 bits."""

_USUAL, _MICRO, _NANO = 720_000, 1_000_000, 1_000_000_000
"""Time bases that durations come from. The first is a multiple of 1000, 24000, 30000, 48000, 60000, 90000, 120000."""

_LARGEST_USUAL = 90_000
"""A denominator up to this one that divides none of these bases is a container's own (12800, 15360, 44100, ...)."""


@functools.lru_cache(maxsize=256)
def part_duration(parts: int, fps: Fraction | None, duration: Fraction, start: int, stop: int) -> Fraction:
    """Seconds of the parts from ``start`` to ``stop`` of a source frame that is divided into ``parts`` equal parts.

    duration: of the whole source frame, in seconds. fps: the clip's rate, None where it is unknown. The ends are
    rounded by the rules of `FrameTiming.duration`.
    """
    stop_time = _cut_point(parts, fps, duration, Fraction(stop, parts))
    return stop_time - _cut_point(parts, fps, duration, Fraction(start, parts))


def fit_duration(seconds: Fraction) -> Fraction:
    """``seconds`` (at least 0) as a fraction of two positive int32: unchanged where it fits, else the nearest one.

    The nearest with a denominator of at most D = floor((2^31 - 2) / max(seconds, 1)), so the error is at most
    1 / (2 * D). What would round to 0 becomes 1 / (2^31 - 1), because players reject a duration of 0; 2^31 - 2 is the
    longest.
    """
    if 0 < seconds.numerator <= MAX_INT32 and seconds.denominator <= MAX_INT32:
        return seconds
    longest = MAX_INT32 - 1
    if seconds >= longest:
        return Fraction(longest)
    # Below this denominator the numerator fits too: it exceeds seconds * denominator by less than 1.
    near = seconds.limit_denominator(int(longest / max(seconds, Fraction(1))))
    return near if near > 0 else Fraction(1, MAX_INT32)


def _cut_point(parts: int, fps: Fraction | None, duration: Fraction, share: Fraction) -> Fraction:
    """Seconds from the start of a source frame to ``share`` of its duration, rounded where it must be."""
    exact = duration * share
    if share in (0, 1) or _stays_exact(parts, fps, duration):
        return exact
    grid = lcm(duration.denominator, _TICKS)
    if grid > MAX_INT32:
        grid = duration.denominator * max(MAX_INT32 // duration.denominator, 1)
    return Fraction(round(exact * grid), grid)


def _stays_exact(parts: int, fps: Fraction | None, duration: Fraction) -> bool:
    """Whether the cut points of a source frame of ``duration`` seconds are not rounded."""
    if _time_base(duration.denominator) * parts <= MAX_INT32:
        return True
    # In a clip of constant rate all durations are equal, so no other time base has to fit: parts that fit stay exact.
    constant = fps is not None and duration * fps == 1
    return constant and (duration / parts).denominator <= MAX_INT32


def _time_base(denominator: int) -> int:
    """The time base that a reduced duration of this denominator is assumed to come from."""
    for base in (_USUAL, _MICRO):
        if base % denominator == 0:
            return base
    if denominator <= _LARGEST_USUAL:
        return _USUAL
    return _NANO if _NANO % denominator == 0 else denominator
