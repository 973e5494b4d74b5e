"""The flow and the mask that the blocks of a network refine one after another, and the frames that a block sees.

All tensors are float32 at the size of the canvas; the caller of a block resizes them to the resolution of the block.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from vsrife.network.flow_and_mask import FlowAndMask
from vsrife.network.frames import as_time
from vsrife.network.warp import backward_warp, resize, swapped

__all__ = ["FlowState", "Pair", "accumulate", "side"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FlowState:
    """The flow and mask of one block, or of all blocks so far together.

    flow: [N, 4, H, W], as in FlowAndMask.
    mask: [N, 1, H, W], the mask before the sigmoid.
    hidden: [N, 8, H, W], channels for the next block; None where there are none, or no next block.
    """

    flow: Tensor
    mask: Tensor
    hidden: Tensor | None = None

    @classmethod
    def of(cls, block_output: Tensor, upscale: float) -> Self:
        """The output of a block without hidden channels, brought to the size of the canvas.

        block_output: float32 [N, 5 or more, h, w]: flow (4) in pixels of that size, mask (1).
        upscale: factor from the resolution of the block's output to that of the canvas.
        """
        resized = resize(block_output, upscale)
        return cls(flow=resized[:, :4] * upscale, mask=resized[:, 4:5])

    @property
    def motion(self) -> FlowAndMask:
        """Flow and mask as the network returns them after its last block."""
        return FlowAndMask(flow=self.flow, mask=torch.sigmoid(self.mask))

    def mirrored(self) -> Self:
        """The same state for the swapped pair, without hidden channels, which cannot be mirrored."""
        return type(self)(flow=swapped(self.flow), mask=-self.mask)

    def mean(self, other: Self) -> Self:
        """The mean with another state, without hidden channels."""
        return type(self)(flow=(self.flow + other.flow) / 2, mask=(self.mask + other.mask) / 2)


def accumulate(state: FlowState | None, block_output: FlowState, *, adds_masks: bool = True) -> FlowState:
    """The state after a block, from the ``state`` before it (None before the first block) and the block's output.

    Flows are added. Masks are added too, or else the last one replaces those before, see `Architecture.adds_masks`.
    """
    if state is None:
        return block_output
    mask = state.mask + block_output.mask if adds_masks else block_output.mask
    return FlowState(flow=state.flow + block_output.flow, mask=mask, hidden=block_output.hidden)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pair:
    """Both frames as a block sees them, unwarped or warped by a flow, and the time between them.

    left, right: the frame [N, 3, H, W] in 0..1 and, in a network that has them, its features [N, E, H, W].
    time: [1 or N, 1, 1, 1]; 0 is left, 1 is right.
    """

    left: tuple[Tensor, ...]
    right: tuple[Tensor, ...]
    time: Tensor

    @classmethod
    def of(
        cls,
        left: Tensor,
        right: Tensor,
        t: float | Tensor,
        left_features: Tensor | None = None,
        right_features: Tensor | None = None,
    ) -> Self:
        """Two unwarped frames whose values are in 0..1 already (`limited`).

        t: a number, or a tensor [N] or [N, 1, 1, 1].
        left_features, right_features: in any dtype.
        """
        return cls(left=side(left, left_features), right=side(right, right_features), time=as_time(t, left.device))

    @property
    def images(self) -> list[Tensor]:
        """Left and right frame, left and right features: the order in which blocks take them."""
        return [image for both in zip(self.left, self.right, strict=True) for image in both]

    def time_like(self, image: Tensor) -> Tensor:
        """The time as a plane of ``image``, [N, 1, h, w]: one number is that number at every resolution."""
        return self.time.expand(image.shape[0], 1, *image.shape[-2:])

    def swapped(self) -> Self:
        """The same pair with the right frame first, and the time counted from it."""
        return type(self)(left=self.right, right=self.left, time=1 - self.time)

    def warped(self, flow: Tensor) -> Self:
        """Both frames warped by ``flow``, [N, 4, H, W]."""
        left = tuple(backward_warp(image, flow[:, :2]) for image in self.left)
        right = tuple(backward_warp(image, flow[:, 2:]) for image in self.right)
        return type(self)(left=left, right=right, time=self.time)


def side(frame: Tensor, features: Tensor | None) -> tuple[Tensor, ...]:
    """One side of a `Pair`: the frame and, where there are any, its features."""
    return (frame,) if features is None else (frame, features.float())
