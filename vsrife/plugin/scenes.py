"""What is known about two neighbouring source frames: a cut, a still pair, or something to interpolate.

The rule stands here; the measures it asks for are in vsrife.video (cuts, still).
"""

from dataclasses import dataclass

from vsrife.plugin.vsapi import Map

__all__ = ["Pair", "cut_by_props", "next_prop", "prev_prop"]

NEXT, PREV = "_SceneChangeNext", "_SceneChangePrev"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """The verdict on source frames k and k + 1. score: the detector's, None where it was not asked."""

    cut: bool
    still: bool = False
    score: float | None = None


def next_prop(props: Map) -> int | None:
    """1: the frame is the last of its scene; 0: it is not; None: nobody has said."""
    return props.integer(NEXT)


def prev_prop(props: Map) -> int | None:
    """1: the frame is the first of its scene; 0: it is not; None: nobody has said."""
    return props.integer(PREV)


def cut_by_props(left: Map | None, right: Map | None) -> bool | None:
    """What the properties say: a cut if left Next or right Prev is 1; none if either is there as 0; else None.

    A side that was not requested is None and says nothing.
    """
    said = (next_prop(left) if left else None, prev_prop(right) if right else None)
    if 1 in said:
        return True
    return None if said == (None, None) else False
