"""What a network answers, where each pixel of the new frame comes from and how much of either frame it takes; and the
picture that this describes.
"""

from dataclasses import dataclass

from torch import Tensor

from vsrife.network.warp import backward_warp

__all__ = ["FlowAndMask", "blended", "merged"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FlowAndMask:
    """Flow and mask of one new frame for each pair of a batch, on the padded canvas the network saw.

    flow: [N, 4, H, W] float32, in pixels of that canvas: (dx, dy) to the left frame, then (dx, dy) to the right one.
        Pixel (x, y) of the new frame is found at (x + dx, y + dy) of that source frame.
    mask: [N, 1, H, W] float32 in 0..1, the weight of the left frame; the right one has the rest.
    """

    flow: Tensor
    mask: Tensor


def merged(left: Tensor, right: Tensor, motion: FlowAndMask) -> Tensor:
    """Both frames [N, C, H, W], warped by the flow and weighed by the mask: float32 [N, C, H, W]."""
    warped = backward_warp(left, motion.flow[:, :2]), backward_warp(right, motion.flow[:, 2:])
    return blended(*warped, motion.mask)


def blended(left: Tensor, right: Tensor, mask: Tensor) -> Tensor:
    """Frames [N, C, H, W] that are warped already, weighed by ``mask``, [N, 1, H, W]."""
    return left * mask + right * (1 - mask)
