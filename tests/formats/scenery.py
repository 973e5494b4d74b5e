"""Made pictures for the tests of signatures and scene cuts."""

import torch
from torch.nn.functional import interpolate

__all__ = ["scene"]


def scene(seed: int, height: int = 405, width: int = 720) -> torch.Tensor:
    """A random picture with texture at several sizes, float32 in 20..235."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(height, width)
    for cells, weight in ((4, 1.0), (9, 0.8), (20, 0.6), (45, 0.4)):
        noise = torch.rand(1, 1, cells, cells * 2, generator=generator) - 0.5
        total += weight * interpolate(noise, (height, width), mode="bicubic")[0, 0]
    return (127 + 120 * total / total.abs().max()).clamp(20, 235)
