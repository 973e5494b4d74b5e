"""Backward warping: the definition of right. Every faster way to warp is measured against this function."""

import torch
from torch import Tensor
from torch.nn import functional


def backward_warp(image: Tensor, flow: Tensor) -> Tensor:
    """Sample `image` at every pixel's own place plus `flow`.

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
    grid = torch.stack((grid_x, grid_y), dim=-1)
    return functional.grid_sample(image.float(), grid, mode="bilinear", padding_mode="border", align_corners=True)
