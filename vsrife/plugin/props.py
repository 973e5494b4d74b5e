"""The frame properties of an output frame: docs/properties.md. `Frame.stamp` writes them."""

from enum import StrEnum
from fractions import Fraction

from vsrife.plugin.vsapi import Frame

__all__ = ["Kind", "interpolated_time"]


class Kind(StrEnum):
    """How an output frame came about."""

    SOURCE = "source"
    """A source frame at its own time, its planes shared."""
    NEW = "new"
    """Made by the network."""
    STILL = "still"
    """Between two frames that do not differ: the left one."""
    CUT = "cut"
    """Between two frames of different scenes: the left one."""
    HELD = "held"
    """After the last source frame, that frame; in a pause, the left one."""


def interpolated_time(left: Frame, right: Frame | None, t: Fraction, duration: Fraction | None) -> float | None:
    """`_AbsoluteTime` in seconds, ``t`` of the way to the right frame's, else by the left frame's duration."""
    start = left.time
    if start is None or t == 0:
        return None
    end = right.time if right is not None else None
    if end is not None:
        return start + float(t) * (end - start)
    return None if duration is None else start + float(t * duration)
