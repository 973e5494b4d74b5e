"""Sampling and resizing: the reference that every faster implementation is tested against.

A flow is [N, 2, H, W], (dx, dy) in pixels, or two of them: [N, 4, H, W], to the left frame and to the right one.
"""

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["backward_warp", "resize", "resize_flow", "sampled", "swapped"]


def backward_warp(image: Tensor, flow: Tensor) -> Tensor:
    """Sample ``image`` at the position of every pixel plus ``flow``.

    image: [N, C, H, W], any floating dtype.
    flow: [N, 2, H, W] in pixels, (dx, dy).
    Returns float32 [N, C, H, W] for every input dtype: at 2160p a half-precision coordinate is off by whole pixels.

    Bilinear; a position outside the image takes the nearest pixel of its border; the pixel centres of the first and
    last column have the coordinates -1 and 1 (align_corners).
    """
    height, width = image.shape[-2:]
    x = torch.linspace(-1.0, 1.0, width, dtype=torch.float32, device=image.device)
    y = torch.linspace(-1.0, 1.0, height, dtype=torch.float32, device=image.device)
    flow = flow.float()
    # One pixel is 2 / (size - 1) of the sampler's coordinates. With a single column or row the factor has no effect.
    grid_x = x.view(1, 1, width) + flow[:, 0] / max((width - 1) / 2, 0.5)
    grid_y = y.view(1, height, 1) + flow[:, 1] / max((height - 1) / 2, 0.5)
    return sampled(image.float(), torch.stack((grid_x, grid_y), dim=-1))


def sampled(image: Tensor, grid: Tensor) -> Tensor:
    """Sample ``image`` [N, C, H, W] at positions [N, h, w, 2], (x, y) in the coordinates of `backward_warp`."""
    return functional.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)


def resize(x: Tensor, factor: float) -> Tensor:
    """[N, C, H, W] at ``factor`` times its size, in its own dtype; at a factor of 1 the tensor itself.

    Bilinear between pixel centres (align_corners=False), without a low-pass filter: at half the size a pixel is the
    mean of four, below that the mean of the four in the middle of its cell.
    """
    return x if factor == 1 else functional.interpolate(x, scale_factor=factor, mode="bilinear")


def resize_flow(flow: Tensor, factor: float) -> Tensor:
    """A flow at ``factor`` times its size, in pixels of that size."""
    return resize(flow, factor) * factor


def swapped(flow: Tensor) -> Tensor:
    """A flow [N, 4, H, W] for the swapped pair, as a new tensor."""
    return torch.cat((flow[:, 2:], flow[:, :2]), 1)
