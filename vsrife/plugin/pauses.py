"""Where a clip of varying rate stands still: a source frame that lasts far longer than those around it.

Such a frame is a pause (a recording in which nothing happens), not slow motion. It is held, and what moves until the
next one moves as fast as elsewhere: in the usual span, at the end. Knows numbers only; docs/timeline.md has the rule.
"""

from collections.abc import Collection
from fractions import Fraction

__all__ = ["DEFAULT_PAUSE", "FAR", "REACH", "around", "share_of", "usual_span"]

DEFAULT_PAUSE = Fraction(1, 5)
"""Seconds. Below it a frame that came late, or a few that were dropped, are more likely than a pause."""

FAR = 3
"""How many times as long as the usual frame a pause is at least."""

REACH = 2
"""Source frames that are looked at before and after, for what is usual."""


def around(frame: int, source_frames: int) -> range:
    """The source frames by which `usual_span` judges ``frame``, itself among them."""
    return range(max(frame - REACH, 0), min(frame + REACH + 1, source_frames))


def usual_span(own: Fraction, others: Collection[Fraction], pause: Fraction) -> Fraction | None:
    """Seconds, at its end, in which a source frame of ``own`` seconds moves on to the next one; None: it is no pause.

    It is one where it lasts ``pause`` seconds or more, and `FAR` times the usual span or more: the lower median of the
    ``others`` that are shorter than ``pause``, else the shortest of them. ``pause`` 0: nothing is.
    """
    if not 0 < pause <= own or not others:
        return None
    short = sorted(other for other in others if other < pause)
    usual = short[(len(short) - 1) // 2] if short else min(others)
    return usual if own >= FAR * usual else None


def share_of(t: Fraction, own: Fraction, span: Fraction) -> Fraction:
    """How far the motion is ``t`` of the way through a pause of ``own`` seconds: 0 while it is held, then below 1."""
    return max(1 - (1 - t) * own / span, Fraction(0))
