"""What one block of a network has found: flow, mask and hidden channels at the block's own resolution."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from torch import Tensor
from torch.nn import functional

__all__ = ["FLOW", "MASK", "Level", "upsampled", "widened"]

FLOW: Final = 4
MASK: Final = 5
"""Where the flow and the mask of a block's output end: channels 0 to 3 and 4."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Level:
    """The output of one block: the one form of it from the estimator to the kernels.

    raw: [1, S * P, h, w] channels-last, as `convolutions.Block.rest` gives it. S is ``side`` squared: channels s * P
        to s * P + P - 1 are pixel (side * y + s // side, side * x + s % side) of the output. P is 8 or 16: flow in
        pixels of this resolution (dx, dy to left, dx, dy to right), mask before the sigmoid, hidden channels where
        there are any, then unused ones.
    side: 2 where the block ends in a pixel shuffle, else 1.
    channels: of each pixel's P, those in use.
    scale: pixels of the canvas per pixel of the output, 1, 2, 4, ... 64.
    """

    raw: Tensor
    side: int
    channels: int
    scale: int

    def of(self, raw: Tensor) -> "Level":
        """A level like this one, with nothing derived from ``raw`` yet."""
        return Level(raw=raw, side=self.side, channels=self.channels, scale=self.scale)

    @property
    def _pixels(self) -> Tensor:
        """[h, w, S, P], a view."""
        rows = self.raw[0].permute(1, 2, 0)
        return rows.view(*rows.shape[:2], self.side * self.side, -1)

    @cached_property
    def planes(self) -> Tensor:
        """Float32 [1, channels, H, W], the pixel shuffle done."""
        height, width = self.raw.shape[2:]
        pixels = self._pixels.view(height, width, self.side, self.side, -1)[..., : self.channels]
        planes = pixels.permute(4, 0, 2, 1, 3).reshape(1, self.channels, height * self.side, width * self.side)
        return planes.float()

    def mirrored(self) -> "Level":
        """The level as seen by a pair whose left and right change places. Only where there are no hidden channels."""
        seen = self.of(self.raw.clone())
        seen._pixels[..., 0:2] = self._pixels[..., 2:4]
        seen._pixels[..., 2:4] = self._pixels[..., 0:2]
        seen._pixels[..., FLOW] = -self._pixels[..., FLOW]
        return seen

    def mean(self, other: "Level") -> "Level":
        """The mean of two levels of one resolution."""
        return self.of((self.raw + other.raw) / 2)

    @cached_property
    def wide_flow(self) -> Tensor:
        """Flow in canvas pixels at the canvas' width, see `widened`."""
        return widened(self.planes[:, :FLOW], self.scale) * self.scale


def upsampled(planes: Tensor, factor: int) -> Tensor:
    """[1, C, h, w] brought to ``factor`` times its height and width, bilinearly; at 1 the tensor itself."""
    return planes if factor == 1 else functional.interpolate(planes, scale_factor=factor, mode="bilinear")


def widened(planes: Tensor, factor: int) -> Tensor:
    """[1, C, h, w] brought to ``factor`` times its width: [C, h + 2, w * factor], first and last row repeated. What is
    left to do is a mix of two neighbouring rows, `sampling._between`.
    """
    padded = functional.pad(planes, (0, 0, 1, 1), mode="replicate")
    if factor == 1:
        return padded[0]
    height, width = padded.shape[2:]
    return functional.interpolate(padded, size=(height, width * factor), mode="bilinear")[0]
