"""The frame properties of an output frame. docs/properties.md is this module as a table."""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from vsrife.plugin.scenes import NEXT, PREV
from vsrife.plugin.vsapi import Map

__all__ = ["KIND", "SCORE", "Kind", "Stamp", "interpolated_time", "write"]

KIND = "RifeKind"
SCORE = "RifeSceneScore"


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
    """After the last source frame: that frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamp:
    """What is written on an output frame. None leaves a property away.

    duration: seconds. time: seconds, replaces `_AbsoluteTime`; None keeps the source frame's.
    starts_scene, ends_scene: on the output's own timeline. score: the detector's, of the pair the frame lies between.
    """

    kind: Kind
    duration: Fraction | None
    time: float | None = None
    starts_scene: bool | None = None
    ends_scene: bool | None = None
    score: float | None = None


def write(props: Map, stamp: Stamp) -> None:
    """Turn the properties of a source frame, in ``props``, into those of the output frame."""
    duration = stamp.duration
    for key, value in (
        ("_DurationNum", None if duration is None else duration.numerator),
        ("_DurationDen", None if duration is None else duration.denominator),
        (PREV, stamp.starts_scene),
        (NEXT, stamp.ends_scene),
    ):
        if value is None:
            props.delete(key)
        else:
            props.set_integer(key, int(value))
    if stamp.kind is not Kind.SOURCE:
        props.delete("_PictType")
    if stamp.time is not None:
        props.set_number("_AbsoluteTime", stamp.time)
    if stamp.score is None:
        props.delete(SCORE)
    else:
        props.set_number(SCORE, stamp.score)
    props.set_text(KIND, stamp.kind.value)


def interpolated_time(left: Map, right: Map | None, t: Fraction, duration: Fraction | None) -> float | None:
    """`_AbsoluteTime` in seconds, ``t`` of the way to the right frame's, else by the left frame's duration."""
    start = left.number("_AbsoluteTime")
    if start is None or t == 0:
        return None
    end = right.number("_AbsoluteTime") if right is not None else None
    if end is not None:
        return start + float(t) * (end - start)
    return None if duration is None else start + float(t * duration)
