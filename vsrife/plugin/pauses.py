"""Pauses in a clip of varying rate: source frames that last far longer than their neighbours.

Nothing happens in such a frame of a recording; it is not slow motion. It is shown unchanged first, and the motion to
the next frame takes the usual span at its end. Works on numbers alone; docs/timeline.md has the rule.
"""

from collections.abc import Collection
from fractions import Fraction

__all__ = ["DEFAULT_PAUSE", "FAR", "REACH", "around", "share_of", "usual_span"]

DEFAULT_PAUSE = Fraction(1, 5)
"""Seconds. Below this, a late frame or a few dropped frames are more likely than a pause."""

FAR = 3
"""A pause is at least this many times as long as the usual frame."""

REACH = 2
"""Source frames before and after that determine the usual span."""


def around(frame: int, source_frames: int) -> range:
    """The source frames whose durations decide whether ``frame`` is a pause, including itself."""
    return range(max(frame - REACH, 0), min(frame + REACH + 1, source_frames))


def usual_span(own: Fraction, others: Collection[Fraction], pause: Fraction) -> Fraction | None:
    """Seconds at the end of a pause of ``own`` seconds in which the motion to the next frame happens; None: no pause.

    A frame is a pause if it lasts ``pause`` seconds or more, and `FAR` times the usual span or more. The usual span is
    the lower median of the ``others`` that are shorter than ``pause``, otherwise the shortest of them. With ``pause`` 0
    no frame is a pause.
    """
    if not 0 < pause <= own or not others:
        return None
    short = sorted(other for other in others if other < pause)
    usual = short[(len(short) - 1) // 2] if short else min(others)
    return usual if own >= FAR * usual else None


def share_of(t: Fraction, own: Fraction, span: Fraction) -> Fraction:
    """How far the motion is at ``t`` of a pause of ``own`` seconds: 0 until the last ``span`` seconds, then up to 1."""
    return max(1 - (1 - t) * own / span, Fraction(0))
