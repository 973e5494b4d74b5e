"""Whether two neighbouring frames say the same of their samples, so that a frame between them can be made.

Only what changes the meaning of a sample parts them: what one of them does not say is as the other has it, and numbers
of H.273 that stand for the same arithmetic are one. Plain values, no pixels.
"""

from dataclasses import dataclass
from typing import Any, Final

from vsrife.formats.colour import LUMA_WEIGHTS, Stated
from vsrife.formats.pixel_format import PixelFormat

__all__ = ["Difference", "differences", "joined"]

_SAME_CURVE: Final = {6: 1, 14: 1, 15: 1}
"""Transfers that ITU-T H.273, table 3, calls functionally the same."""

_SAME_PRIMARIES: Final = {7: 6}
"""The same of its table 2: 5 (of 625 lines), 6 and 7 (of 525) look alike, but 5 has other red, green and blue."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A property of which two frames say different things, their values as text, and what a script writes to have the
    left one's hold for the whole clip, where a tag is wrong.
    """

    prop: str
    left: str
    right: str
    override: str


def differences(left: Stated, right: Stated, fmt: PixelFormat) -> tuple[Difference, ...]:
    """All that parts two frames of the format; empty where a frame between them can be made."""
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


def joined(left: Stated, right: Stated) -> Stated:
    """What two frames that do not differ say together. It does not depend on which is which."""

    def either(one: Any, other: Any) -> Any:
        # Of two numbers of one meaning the lower: frames whose tags alternate are then seen in one way by all pairs.
        return other if one is None else one if other is None else min(one, other)

    return Stated(
        matrix=either(left.matrix, right.matrix),
        range=either(left.range, right.range),
        chroma=either(left.chroma, right.chroma),
        transfer=either(left.transfer, right.transfer),
        primaries=either(left.primaries, right.primaries),
    )
