"""What a source frame's properties tell the filter; native/frames.c reads all of them in one call.

Most frames of a clip have the same properties, so what they mean is worked out once for all that do.
"""

import functools
import struct
from dataclasses import dataclass
from fractions import Fraction

from vsrife.formats.colour import COLOUR_PROPS

__all__ = ["MEMORY", "NEXT", "PREV", "Tags", "tags_of"]

NEXT, PREV = "_SceneChangeNext", "_SceneChangePrev"

_LAYOUT = struct.Struct("=13qII")
MEMORY = _LAYOUT.size
"""Bytes of a RifeTags that are the same for most frames of a clip: all before the time."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tags:
    """The properties of a source frame, but for `_AbsoluteTime`.

    colour: those of `COLOUR_PROPS` that are there, with their names.
    field_based: 0 where it is missing.
    field: of a field on its own 0 for the bottom, 1 for the top one.
    duration: seconds, above 0; None where there is no usable one.
    starts_scene, ends_scene: whether the frame is the first or the last of its scene. None: it does not tell.
    alpha: whether there is anything under `_Alpha`.
    """

    colour: tuple[tuple[str, int], ...]
    field_based: int
    field: int | None
    duration: Fraction | None
    starts_scene: bool | None
    ends_scene: bool | None
    alpha: bool


@functools.lru_cache(maxsize=256)
def tags_of(names: tuple[str, ...], memory: bytes) -> Tags:
    """The tags in the first `MEMORY` bytes of a RifeTags, whose integers have these names."""
    *integers, found, alpha = _LAYOUT.unpack(memory)
    there = {name: value for bit, (name, value) in enumerate(zip(names, integers, strict=True)) if found >> bit & 1}
    numerator, denominator = there.get("_DurationNum", 0), there.get("_DurationDen", 0)
    return Tags(
        colour=tuple((name, there[name]) for name in COLOUR_PROPS if name in there),
        field_based=there.get("_FieldBased", 0),
        field=there.get("_Field"),
        duration=Fraction(numerator, denominator) if numerator > 0 and denominator > 0 else None,
        starts_scene=there[PREV] == 1 if PREV in there else None,
        ends_scene=there[NEXT] == 1 if NEXT in there else None,
        alpha=bool(alpha),
    )
