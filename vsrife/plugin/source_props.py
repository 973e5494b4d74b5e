"""The properties of a source frame that the filter uses. native/frames.c reads all of them in one call.

Most frames of a clip have the same properties, so they are interpreted once for all frames that have the same ones.
"""

import functools
import struct
from dataclasses import dataclass
from fractions import Fraction

from vsrife.formats.colour import COLOUR_PROPS

__all__ = ["CACHE_KEY_BYTES", "SourceProps", "source_props_of"]

NEXT, PREV = "_SceneChangeNext", "_SceneChangePrev"

_LAYOUT = struct.Struct("=13qII")
CACHE_KEY_BYTES = _LAYOUT.size
"""Size of the first part of a RifeSourceProps, up to the time: that part is the same for most frames of a clip."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SourceProps:
    """The properties of a source frame, except for `_AbsoluteTime`.

    colour: names and values of those of `COLOUR_PROPS` that are present.
    field_based: `_FieldBased`, 0 where it is missing.
    field: `_Field`, of a single field: 0 for the bottom field, 1 for the top field.
    duration: seconds, above 0; None where there is no usable duration.
    starts_scene, ends_scene: whether the frame is the first or the last one of its scene; None where the property is
        missing.
    has_alpha: whether there is a value under `_Alpha`.
    """

    colour: tuple[tuple[str, int], ...]
    field_based: int
    field: int | None
    duration: Fraction | None
    starts_scene: bool | None
    ends_scene: bool | None
    has_alpha: bool


@functools.lru_cache(maxsize=256)
def source_props_of(names: tuple[str, ...], memory: bytes) -> SourceProps:
    """The properties in the first `CACHE_KEY_BYTES` of a RifeSourceProps, whose integers have these names."""
    *integers, present, has_alpha = _LAYOUT.unpack(memory)
    values = {name: value for bit, (name, value) in enumerate(zip(names, integers, strict=True)) if present >> bit & 1}
    numerator, denominator = values.get("_DurationNum", 0), values.get("_DurationDen", 0)
    return SourceProps(
        colour=tuple((name, values[name]) for name in COLOUR_PROPS if name in values),
        field_based=values.get("_FieldBased", 0),
        field=values.get("_Field"),
        duration=Fraction(numerator, denominator) if numerator > 0 and denominator > 0 else None,
        starts_scene=values[PREV] == 1 if PREV in values else None,
        ends_scene=values[NEXT] == 1 if NEXT in values else None,
        has_alpha=bool(has_alpha),
    )
