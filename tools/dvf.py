"""A small deep voxel flow, for one experiment: what an edge map of the true frame is worth to it.

"Real-Time Intermediate Flow Estimation for Video Frame Interpolation" (Huang et al., ECCV 2022) gives such a network
the edges of the frame that it is to make: the score rises greatly, so flow between images that are seen is easier than
flow from one that is not. The network is that of "Video Frame Synthesis using Deep Voxel Flow" (Liu et al., ICCV 2017)
in small. Where frames are interpolated there is no true frame, so nothing but tools/run_dvf.py uses this module.
"""

import functools
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsrife.errors import ArgumentError
from vsrife.evaluation.metrics import LUMA
from vsrife.network.warp import backward_warp, resize
from vsrife.training.initialization import CONTRAST, remove_mean

__all__ = ["Dvf", "Voxels", "edge_map"]

MODULUS: Final = 16
"""What the sides are padded to a multiple of, within the network."""

INPUTS: Final = 7
"""Channels: two pictures and an edge map."""

ANSWER: Final = 4
"""How many pixels across one flow of the network's answer stands for; between them it is bilinear."""

REACH: Final = 16.0
"""Pixels of motion that an output of 1 stands for."""

BEGINNING: Final = 0.1
"""What the last convolution's first weights are multiplied by: the network begins close to the plain average."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Voxels:
    """What the network answers, float32.

    flow: [N, 2, H, W], (dx, dy) in pixels from each pixel of the middle frame to its place in right; that in left lies
        at the same distance on the other side.
    weight: [N, 1, H, W] in 0..1, of left.
    picture: [N, 3, H, W], the two frames sampled there, mixed by the weight.
    """

    flow: Tensor
    weight: Tensor
    picture: Tensor

    @property
    def both(self) -> Tensor:
        """The flow to left, then that to right, as a `Batch` has them: [N, 4, H, W]."""
        return torch.cat((-self.flow, self.flow), 1)


class Dvf(nn.Module):
    """An encoder and a decoder with skip connections from 1/4 to 1/16 of the resolution; the answer is at 1/4. What it
    sees is halved before.

    The edge map has a channel of the input. Without one the channel is 0 everywhere, so both cases have the same
    network, the same number of weights and, from one seed, the same first weights.
    """

    def __init__(self, widths: tuple[int, int, int] = (24, 40, 64)) -> None:
        """widths: channels at 1/4, 1/8 and 1/16 of the resolution."""
        super().__init__()
        fine, middle, coarse = widths
        self.encoder = nn.ModuleList(
            (
                _activated(nn.Conv2d(INPUTS, fine, 5, stride=2, padding=2), fine),
                _activated(nn.Conv2d(fine, middle, 3, stride=2, padding=1), middle),
                _activated(nn.Conv2d(middle, coarse, 3, stride=2, padding=1), coarse),
            )
        )
        self.bottleneck = _activated(nn.Conv2d(coarse, coarse, 3, padding=1), coarse)
        self.decoder = nn.ModuleList(
            (
                _activated(nn.Conv2d(coarse + middle, middle, 3, padding=1), middle),
                _activated(nn.Conv2d(middle + fine, fine, 3, padding=1), fine),
            )
        )
        self.last = nn.Conv2d(fine, 3, 3, padding=1)
        assert self.last.bias is not None
        first = next(self.encoder.parameters())
        with torch.no_grad():
            remove_mean(first)
            first.mul_(CONTRAST)
            self.last.weight.mul_(BEGINNING)
            self.last.bias.zero_()

    def forward(self, left: Tensor, right: Tensor, edges: Tensor | None = None) -> Voxels:
        """The frame in the middle.

        left, right: [N, 3, H, W] in 0..1, of any size. edges: [N, 1, H, W], the `edge_map` of the true frame, or None.
        Raises ArgumentError for edges of another size.
        """
        height, width = left.shape[-2:]
        if edges is None:
            edges = torch.zeros_like(left[:, :1])
        elif edges.shape[-2:] != left.shape[-2:]:
            shown = f"{edges.shape[-1]}x{edges.shape[-2]}"
            raise ArgumentError(f"edges ({shown}) must have the size of the frames, {width}x{height}")
        room = (0, -width % MODULUS, 0, -height % MODULUS)
        seen = functional.pad(torch.cat((left, right, edges), 1), room, mode="replicate")
        answer = resize(self._coarse_answer(resize(seen, 0.5)), ANSWER)[..., :height, :width]
        flow = (REACH * answer[:, :2]).contiguous()
        weight = torch.sigmoid(answer[:, 2:])
        picture = weight * backward_warp(left, -flow) + (1 - weight) * backward_warp(right, flow)
        return Voxels(flow=flow, weight=weight, picture=picture)

    def _coarse_answer(self, x: Tensor) -> Tensor:
        """Of [N, INPUTS, H / 2, W / 2], [N, 3, H / ANSWER, W / ANSWER]: flow in units of REACH, and the weight before
        its sigmoid.
        """
        skipped = []
        for layer in self.encoder:
            x = layer(x)
            skipped.append(x)
        x = self.bottleneck(skipped.pop())
        for layer in self.decoder:
            x = layer(torch.cat((resize(x, 2), skipped.pop()), 1))
        answer: Tensor = self.last(x)
        return answer


def _activated(convolution: nn.Conv2d, channels: int) -> nn.Sequential:
    return nn.Sequential(convolution, nn.PReLU(channels))


def edge_map(picture: Tensor) -> Tensor:
    """How steep the luma of a picture [N, 3, H, W] in 0..1 is: [N, 1, H, W], 0 for an even area, 1 for a step from
    black to white along an axis.

    The length of Sobel's two differences; the border is repeated. Neither colour nor brightness is told, nor which side
    of an edge is the brighter one: a picture and its negative have the same map.
    """
    windows = _windows(picture.device, picture.dtype)
    wide = functional.pad(picture, (1, 1, 1, 1), mode="replicate")
    across, down = functional.conv2d(wide, windows).chunk(2, 1)
    return torch.hypot(across, down)


@functools.cache
def _windows(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Sobel's differences across and down, of luma: [2, 3, 3, 3]."""
    with torch.inference_mode(mode=False):
        across = torch.tensor((1.0, 2.0, 1.0))[:, None] * torch.tensor((-1.0, 0.0, 1.0)) / 4
        luma = torch.from_numpy(LUMA).float().view(3, 1, 1)
        return torch.stack((across * luma, across.T * luma)).to(device, dtype)
