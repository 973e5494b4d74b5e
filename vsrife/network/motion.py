"""What a network answers: where each pixel of the new frame comes from, and how much of either frame it takes."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Motion:
    """Flow and mask of one new frame, on the padded canvas the network saw.

    flow: [1, 4, H, W] float32, in pixels of that canvas: (dx, dy) to the left frame, then (dx, dy) to the right one.
        Pixel (x, y) of the new frame is found at (x + dx, y + dy) of that source frame.
    mask: [1, 1, H, W] float32 in 0..1, the weight of the left frame; the right one has the rest.
    """

    flow: Tensor
    mask: Tensor
