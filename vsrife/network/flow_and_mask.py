"""The result of a network, a flow and a mask for each pixel of the new frame, and the frame that it describes."""

from dataclasses import dataclass

from torch import Tensor

from vsrife.network.warp import backward_warp

__all__ = ["FlowAndMask", "blended", "merged"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FlowAndMask:
    """Flow and mask of one new frame for each pair of a batch, on the padded canvas of the network.

    flow: [N, 4, H, W] float32, in pixels of that canvas: (dx, dy) to the left frame, then (dx, dy) to the right one.
        Pixel (x, y) of the new frame is sampled at (x + dx, y + dy) of that source frame.
    mask: [N, 1, H, W] float32 in 0..1, the weight of the left frame; that of the right one is 1 - mask.
    """

    flow: Tensor
    mask: Tensor


def merged(left: Tensor, right: Tensor, motion: FlowAndMask) -> Tensor:
    """Both frames [N, C, H, W], warped by the flow and weighted by the mask: float32 [N, C, H, W]."""
    warped = backward_warp(left, motion.flow[:, :2]), backward_warp(right, motion.flow[:, 2:])
    return blended(*warped, motion.mask)


def blended(left: Tensor, right: Tensor, mask: Tensor) -> Tensor:
    """Warped frames [N, C, H, W], weighted by ``mask``, [N, 1, H, W]."""
    return left * mask + right * (1 - mask)
