"""Whether the samples of two neighbouring frames have the same meaning, so that a frame between them can be made.

Only properties that change the meaning of a sample count. A property that one of the frames lacks is taken from the
other, and numbers of H.273 that stand for the same arithmetic are equal. Works on plain values, not on pixels.
"""

from dataclasses import dataclass
from typing import Any, Final

from vsrife.formats.colour import LUMA_WEIGHTS, ColourProps
from vsrife.formats.pixel_format import PixelFormat

__all__ = ["Difference", "differences", "merged"]

_SAME_CURVE: Final = {6: 1, 14: 1, 15: 1}
"""Transfers that ITU-T H.273, table 3, declares to be functionally the same."""

_SAME_PRIMARIES: Final = {7: 6}
"""The same for primaries, table 2. 5 (625 lines) has other primaries than 6 and 7 (525 lines)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A property that differs between two frames.

    left, right: its values as text. override: what a script passes to give the whole clip the left frame's value.
    """

    prop: str
    left: str
    right: str
    override: str


def differences(left: ColourProps, right: ColourProps, fmt: PixelFormat) -> tuple[Difference, ...]:
    """All properties that give the samples different meanings; empty if a frame between the two can be made."""
    place = fmt.subsampling_w, fmt.subsampling_h
    by_argument = (
        ("_Matrix", "matrix_in", left.matrix, right.matrix, lambda matrix: LUMA_WEIGHTS.get(matrix, matrix)),
        ("_Range", "range_in", left.range, right.range, lambda found: found),
        ("_ChromaLocation", "chromaloc_in", left.chroma, right.chroma, lambda location: location.offset(*place)),
    )
    by_prop = (
        ("_Transfer", left.transfer, right.transfer, _SAME_CURVE),
        ("_Primaries", left.primaries, right.primaries, _SAME_PRIMARIES),
    )
    return (
        *(
            Difference(
                prop=prop,
                left=f"{one} ({one.label})",
                right=f"{other} ({other.label})",
                override=f'{argument}="{one.label}"',
            )
            for prop, argument, one, other, meaning in by_argument
            if one is not None and other is not None and meaning(one) != meaning(other)
        ),
        *(
            Difference(prop=prop, left=str(one), right=str(other), override=f"clip.std.SetFrameProps({prop}={one})")
            for prop, one, other, same in by_prop
            if one is not None and other is not None and same.get(one, one) != same.get(other, other)
        ),
    )


def merged(left: ColourProps, right: ColourProps) -> ColourProps:
    """The properties of two frames that do not differ, each from the frame that has it. The order does not matter."""

    def either(one: Any, other: Any) -> Any:
        # Of two numbers with one meaning the lower one, so that all pairs agree where the numbers alternate.
        return other if one is None else one if other is None else min(one, other)

    return ColourProps(
        matrix=either(left.matrix, right.matrix),
        range=either(left.range, right.range),
        chroma=either(left.chroma, right.chroma),
        transfer=either(left.transfer, right.transfer),
        primaries=either(left.primaries, right.primaries),
    )
