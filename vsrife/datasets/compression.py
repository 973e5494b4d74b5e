"""Compression artefacts: the cosine transform of 8 x 8 blocks, quantised."""

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from vsrife.datasets.scene_rng import SceneRng

__all__ = ["compress"]

_BLOCK: Final = 8
_FINEST: Final = 2.0  # smallest quantisation step, of 255
_COARSEST: Final = 14.0
_CHROMA: Final = 1.5  # quantisation step of chroma relative to luma
_ADDED: Final = 0.4  # rounding offset; below 0.5, because encoders round towards 0

_TO_LUMA_CHROMA: Final = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_FROM_LUMA_CHROMA: Final = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def compress(rng: SceneRng, frames: Tensor) -> Tensor:
    """Frames [n, F, 3, H, W] in 0..1 as if compressed, all of one sample alike, with chroma at half the resolution.

    The block grid has a random offset, as in a crop, the same for all samples.
    """
    count, number, _, height, width = frames.shape
    step = torch.exp(rng.uniform(count, low=math.log(_FINEST), high=math.log(_COARSEST))) / 255
    step = step.repeat_interleave(number, output_size=count * number)
    top, left = rng.number(2 * _BLOCK), rng.number(2 * _BLOCK)
    below, right = -(height + top) % (2 * _BLOCK), -(width + left) % (2 * _BLOCK)
    whole = pad(frames.flatten(0, 1), (left, right, top, below), mode="replicate")
    planes = _mixed(whole, _TO_LUMA_CHROMA)
    luma = _rounded(planes[:, :1], step)
    chroma = interpolate(_rounded(avg_pool2d(planes[:, 1:], 2), step * _CHROMA), scale_factor=2, mode="bilinear")
    coded = _mixed(torch.cat((luma, chroma), dim=1), _FROM_LUMA_CHROMA)
    return coded[:, :, top : top + height, left : left + width].clamp(0.0, 1.0).view_as(frames)


def _mixed(planes: Tensor, rows: tuple[tuple[float, float, float], ...]) -> Tensor:
    """Each pixel of [m, 3, h, w] times a matrix."""
    a, b, c = (planes[:, index : index + 1] for index in range(3))
    return torch.cat([a * row[0] + b * row[1] + c * row[2] for row in rows], dim=1)


def _rounded(planes: Tensor, step: Tensor) -> Tensor:
    """Planes [m, c, h, w] of whole blocks with their transform quantised by `step` [m], coarser at high frequencies."""
    count, channels, height, width = planes.shape
    transform = _cosines(planes.device)
    blocks = planes.reshape(count, channels * height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).transpose(2, 3)
    waves = torch.arange(_BLOCK, device=planes.device)
    steps = (0.7 + 0.3 * (waves + waves.view(-1, 1))) * step.view(-1, 1, 1, 1, 1)
    counts = (transform @ blocks @ transform.T) / steps
    counts = (counts.abs() + _ADDED).floor() * counts.sign()
    return (transform.T @ (counts * steps) @ transform).transpose(2, 3).reshape(planes.shape)


def _cosines(device: torch.device) -> Tensor:
    """The orthonormal cosine transform [8, 8], one row for each frequency."""
    along = torch.arange(_BLOCK, device=device)
    waves = torch.cos(math.pi / _BLOCK * (along + 0.5) * along.view(-1, 1)) * math.sqrt(2 / _BLOCK)
    waves[0] = 1 / math.sqrt(_BLOCK)
    return waves
