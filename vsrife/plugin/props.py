"""The frame properties of an output frame: docs/properties.md. `Frame.stamp` writes them."""

from enum import StrEnum
from fractions import Fraction

from vsrife.plugin.vsapi import Frame

__all__ = ["Kind", "interpolated_time"]


class Kind(StrEnum):
    """How an output frame came about."""

    SOURCE = "source"
    """A source frame at its own time, its planes shared."""
    INTERPOLATED = "interpolated"
    """Made by the network."""
    DUPLICATE = "duplicate"
    """A copy of the left one of two source frames that do not differ."""
    SCENE_CHANGE = "scenechange"
    """A copy of the left one of two source frames of different scenes."""
    REPEAT = "repeat"
    """A copy of the last source frame, shown after it; or, in a pause, a copy of the left frame."""


def interpolated_time(left: Frame, right: Frame | None, t: Fraction, duration: Fraction | None) -> float | None:
    """`_AbsoluteTime` in seconds, ``t`` of the way to the right frame's, else by the left frame's duration."""
    start = left.time
    if start is None or t == 0:
        return None
    end = right.time if right is not None else None
    if end is not None:
        return start + float(t) * (end - start)
    return None if duration is None else start + float(t * duration)
