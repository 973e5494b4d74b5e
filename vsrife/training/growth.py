"""Whether a network's flow grows with the frame: what a block learns of padding on small crops breaks out on whole
frames, and there alone.

The same pairs are given whole and as crops of their middle. A flow is that of the scene, so its length in pixels is
about the same on all of them; of official networks it is longer on crops, which miss what they look for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Size", "warning"]

GROWTH: Final = 4.0
"""How many times longer the mean flow may be than on smaller crops of the same pairs."""

LEAST: Final = 1.0
"""Pixels: a mean flow up to this is never warned of, however short it is on smaller crops."""

SHARE: Final = 0.25
"""Of a picture's shorter side: no scene moves so far in the mean."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """What was found on pictures of one size.

    name: `128` for squares of 128 pixels, or `whole`. side: pixels of the shorter side, the mean over the pictures.
    psnr: dB, the mean over the clips. flow: pixels, the mean length of both frames' vectors over the pictures.
    """

    name: str
    side: float
    psnr: float
    flow: float

    @property
    def spoken(self) -> str:
        """In a sentence."""
        return "whole frames" if self.name == "whole" else f"crops of {self.name} px"


def warning(sizes: Sequence[Size]) -> str | None:
    """What is wrong with the flow, in one line with the way out; None where nothing is.

    sizes: of the same pairs, smallest first.
    """
    for place, size in enumerate(sizes):
        if not size.flow <= size.side * SHARE:
            return (
                f"warning: the mean flow is {size.flow:.1f} px on {size.spoken}, more than a scene moves: "
                "lower optimiser.rate, and go on from an older state"
            )
        for smaller in sizes[:place]:
            if not size.flow <= max(LEAST, GROWTH * smaller.flow):
                return (
                    f"warning: the mean flow grows with the frame, {smaller.flow:.2f} px on {smaller.spoken} and "
                    f"{size.flow:.2f} px on {size.spoken} of the same pairs: "
                    "what is learnt holds on small crops alone; teach the coarse blocks on larger ones (data.also)"
                )
    return None
