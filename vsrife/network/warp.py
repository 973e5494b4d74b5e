"""Sampling and resizing: the definition of right. Every faster way to do either is measured against these functions.

A flow is [N, 2, H, W], (dx, dy) in pixels, or two of them: [N, 4, H, W], to the left frame and to the right one.
"""

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["backward_warp", "resize", "resize_flow", "sampled", "swapped"]


def backward_warp(image: Tensor, flow: Tensor) -> Tensor:
    """Sample ``image`` at every pixel's own place plus ``flow``.

    image: [N, C, H, W], any floating dtype.
    flow: [N, 2, H, W] in pixels, (dx, dy).
    Returns float32 [N, C, H, W] whatever came in: at 2160p a half-precision coordinate is off by whole pixels.

    Bilinear; a place outside the image takes the nearest pixel of its border; pixel centres of the first and last
    column are -1 and 1 of the sampler's own coordinates (align_corners).
    """
    height, width = image.shape[-2:]
    x = torch.linspace(-1.0, 1.0, width, dtype=torch.float32, device=image.device)
    y = torch.linspace(-1.0, 1.0, height, dtype=torch.float32, device=image.device)
    flow = flow.float()
    # One pixel is 2 / (size - 1) of the sampler's coordinates. A single column or row has nowhere else to sample.
    grid_x = x.view(1, 1, width) + flow[:, 0] / max((width - 1) / 2, 0.5)
    grid_y = y.view(1, height, 1) + flow[:, 1] / max((height - 1) / 2, 0.5)
    return sampled(image.float(), torch.stack((grid_x, grid_y), dim=-1))


def sampled(image: Tensor, grid: Tensor) -> Tensor:
    """Sample ``image`` [N, C, H, W] at places [N, h, w, 2], (x, y) in the sampler's own coordinates, as above."""
    return functional.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)


def resize(x: Tensor, factor: float) -> Tensor:
    """[N, C, H, W] at ``factor`` times its size, in its own dtype; where that is 1, the tensor itself.

    Bilinear between pixel centres (align_corners=False), with no filter before it: at half the size a pixel is the mean
    of four, below that of the four in the middle of those that it stands for.
    """
    return x if factor == 1 else functional.interpolate(x, scale_factor=factor, mode="bilinear")


def resize_flow(flow: Tensor, factor: float) -> Tensor:
    """A flow at ``factor`` times its size, in pixels of that size."""
    return resize(flow, factor) * factor


def swapped(flow: Tensor) -> Tensor:
    """A flow [N, 4, H, W] whose frames change places, as a new tensor."""
    return torch.cat((flow[:, 2:], flow[:, :2]), 1)
