"""The frame properties that the filter writes on an output frame; docs/properties.md describes each of them.

`vsrife.plugin.vsapi.Frame.write_output_props` writes them.
"""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

__all__ = ["OutputProps", "RifeKind", "interpolated_time"]


class RifeKind(StrEnum):
    """How an output frame was made: the value of the property `RifeKind`."""

    SOURCE = "source"
    """A source frame at its own time. It shares the source frame's planes."""
    INTERPOLATED = "interpolated"
    """Made by the network."""
    DUPLICATE = "duplicate"
    """A copy of the left one of two source frames that do not differ."""
    SCENE_CHANGE = "scenechange"
    """A copy of the left one of two source frames of different scenes."""
    REPEAT = "repeat"
    """A copy of the last source frame, shown after it; or, in a pause, a copy of the left frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputProps:
    """The properties of one output frame.

    A value of None removes the property, except for ``absolute_time``, where it leaves `_AbsoluteTime` unchanged.

    kind: how the frame was made. `_PictType` is kept on source frames and removed from all others.
    duration: seconds, above 0.
    starts_scene, ends_scene: whether the frame is the first or the last one of its scene among the output frames.
    absolute_time: seconds.
    scene_score: the score of the scene change detector for the two source frames that the frame lies between.
    """

    kind: RifeKind
    duration: Fraction | None = None
    starts_scene: bool | None = None
    ends_scene: bool | None = None
    absolute_time: float | None = None
    scene_score: float | None = None


def interpolated_time(
    left: float | None, right: float | None, t: Fraction, left_duration: Fraction | None
) -> float | None:
    """`_AbsoluteTime` in seconds of a frame that lies ``t`` of the way from a left to a right source frame.

    ``left``, ``right``: `_AbsoluteTime` of the two, None where it is missing. Without that of the right frame the left
    frame's duration is used. Returns None where the property is to be left unchanged.
    """
    if left is None or t == 0:
        return None
    if right is not None:
        return left + float(t) * (right - left)
    return None if left_duration is None else left + float(t * left_duration)
