"""A check that the flow of a network does not grow with the size of the frame.

A coarse block that was trained on crops so small that its trunk sees mostly padding may output far too long flows on
whole frames, and only there. So the same pairs are measured whole and as centre crops: the flow is that of the scene,
and its length in pixels should be about the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["SizeScores", "warning"]

GROWTH: Final = 4.0
"""How many times longer than on smaller crops of the same pairs the mean flow may be."""

LEAST: Final = 1.0
"""A mean flow up to this, in pixels, is never warned about."""

SHARE: Final = 0.25
"""Share of the shorter side of a frame; no scene has a longer mean flow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeScores:
    """Scores on frames of one size.

    name: "128" for crops of 128x128, or "whole". side: mean length of the shorter side in pixels.
    psnr: mean over the clips in dB. flow: mean length of the flow vectors to both frames in pixels.
    """

    name: str
    side: float
    psnr: float
    flow: float

    @property
    def description(self) -> str:
        """The size in words."""
        return "whole frames" if self.name == "whole" else f"crops of {self.name} px"


def warning(sizes: Sequence[SizeScores]) -> str | None:
    """A line that says what is wrong with the flow and what to do, or None.

    sizes: scores of the same pairs, the smallest size first.
    """
    for place, size in enumerate(sizes):
        if not size.flow <= size.side * SHARE:
            return (
                f"warning: the mean flow is {size.flow:.1f} px on {size.description}, more than any scene moves: "
                "lower optimiser.rate and start from an older checkpoint"
            )
        for smaller in sizes[:place]:
            if not size.flow <= max(LEAST, GROWTH * smaller.flow):
                return (
                    f"warning: the mean flow grows with the frame, {smaller.flow:.2f} px on {smaller.description} and "
                    f"{size.flow:.2f} px on {size.description} of the same pairs: "
                    "the network works on small crops only; train its coarse blocks on larger ones (data.also)"
                )
    return None
