"""A 4.x network as it is trained: each block warps the frames only at the points that it samples.

`IFNet.forward` warps whole frames and reduces them for each block. Reducing by s = 4, 8, 16, ... bilinearly is the mean
of the four pixels at the centre of each cell of s x s pixels, so a block needs the flow and the warped frames at those
points alone. The results are those of `IFNet` up to the order of summation.

A block's output stays at its own resolution, where a loss can compare it. It is resampled to other points by a product
with two constant matrices, whose gradient is a product too.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vsrife.network.architecture import CONV_STRIDE
from vsrife.network.flow_state import Pair
from vsrife.network.frames import as_time, limited
from vsrife.network.ifnet import IFNet
from vsrife.network.warp import resize, sampled

__all__ = ["Frames", "Level", "flow_at_points", "flow_of", "is_trained", "levels_of", "mask_of"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Level:
    """The output of one block, float32, at its own resolution.

    flow: [N, 4, h, w], as in FlowAndMask, in pixels of the canvas, to be added to that of the levels before.
    mask: [N, 1, h, w], before the sigmoid.
    hidden: [N, 8, h, w], channels for the next block; None where there are none, or no next block.
    scale: pixels of the canvas per pixel of the level.
    """

    flow: Tensor
    mask: Tensor
    hidden: Tensor | None
    scale: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the canvas."""
        height, width = self.flow.shape[-2:]
        return height * self.scale, width * self.scale


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frames:
    """Both frames of N pairs in one batch: the left ones, then the right ones.

    rgb: [2 N, 3, H, W] in 0..1, without gradients. features: [2 N, E, H, W], or None in a network that has none. Both
    float32. time: [N, 1, 1, 1]; 0 is left, 1 is right.
    """

    rgb: Tensor
    features: Tensor | None
    time: Tensor

    @classmethod
    def of(cls, network: IFNet, left: Tensor, right: Tensor, t: float | Tensor) -> "Frames":
        """left, right: [N, 3, H, W]; t: a number, or a tensor [N] or [N, 1, 1, 1]."""
        both = torch.cat((limited(left), limited(right)))
        features = network.encode(both)
        time = as_time(t, left.device).expand(len(left), 1, 1, 1)
        return cls(rgb=both, features=None if features is None else features.float(), time=time)

    def pair(self, *, with_features: bool) -> Pair:
        """The same frames as a `Pair`."""
        left, right = zip(*(image.chunk(2) for image in self.images[: None if with_features else 1]), strict=True)
        return Pair(left=left, right=right, time=self.time)

    @property
    def images(self) -> list[Tensor]:
        """The frames and, where there are any, their features."""
        return [self.rgb] if self.features is None else [self.rgb, self.features]

    def unwarped(self, scale: int) -> list[Tensor]:
        """Left and right frame, left and right features, each at 1 / ``scale`` of its size: the input of block 0."""
        return _sides([resize(image, 1 / scale) for image in self.images])

    def warped(self, flow: Tensor, scale: int) -> list[Tensor]:
        """As `unwarped`, warped by ``flow`` [N, 4, ...], that at the points of cells."""
        size = self.rgb.shape[-2:]
        grid = torch.cat([_grid(flow[:, side : side + 2], size, scale) for side in (0, 2)])
        return _sides([_means(sampled(image, grid), scale) for image in self.images])

    def input(
        self, levels: Sequence[Level], scale: int, dtype: torch.dtype, *, adds_masks: bool, detached: bool
    ) -> Tensor:
        """The input of the block after ``levels``, [N, C, H / scale, W / scale], in the checkpoints' order.

        This is the reference; a subclass may compute it faster.
        """
        if not levels:
            parts = self.unwarped(scale)
            return torch.cat([*parts, self.time.expand(-1, -1, *parts[0].shape[-2:])], 1).to(dtype)
        flow = flow_at_points(levels, scale)
        if detached:
            flow = flow.detach()
        parts = self.warped(flow, scale)
        parts += [self.time.expand(-1, -1, *parts[0].shape[-2:]), mask_of(levels, scale, adds_masks=adds_masks)]
        last = levels[-1]
        if last.hidden is not None:
            parts.append(resize(last.hidden, last.scale / scale))
        return torch.cat([*parts, _means(flow, scale) / scale], 1).to(dtype)


def levels_of(
    network: IFNet, frames: Frames, *, blocks: int | None = None, detached: bool = False, cells: int = 0
) -> tuple[Level, ...]:
    """The outputs of the network's first ``blocks`` blocks, coarse to fine; None: all of them.

    detached: whether the sampling points of a block are constants for its gradient, so that a block learns through the
        sums of its own level and of those after it alone (as in "RAFT", Teed and Deng, ECCV 2020, section 3.3).
    cells: a block whose trunk has fewer of them in height or width gets no gradient, since padding would dominate what
        it learns. At 128 pixels the trunk of scale 16 has two each way.
    """
    architecture = network.architecture
    levels: list[Level] = []
    height, width = frames.rgb.shape[-2:]
    for index, scale in enumerate(architecture.scales[:blocks]):
        x = frames.input(levels, scale, network.dtype, adds_masks=architecture.adds_masks, detached=detached)
        with torch.set_grad_enabled(torch.is_grad_enabled() and is_trained((height, width), scale, cells)):
            output: Tensor = network.get_submodule(f"block{index}")(x).float()
        upscale = scale * architecture.output_scale
        has_hidden = architecture.hidden > 0 and index < len(architecture.scales) - 1
        levels.append(
            Level(
                flow=output[:, :4] * upscale,
                mask=output[:, 4:5],
                hidden=output[:, 5:] if has_hidden else None,
                scale=upscale,
            )
        )
    return tuple(levels)


def is_trained(size: tuple[int, int], scale: int, cells: int) -> bool:
    """Whether the trunk of a block at ``scale`` has at least ``cells`` each way, on frames of this (height, width)."""
    return min(size) >= cells * CONV_STRIDE * scale


def flow_of(levels: Sequence[Level], scale: int = 1) -> Tensor:
    """The flow of all levels together, in pixels of the canvas.

    scale: 1 gives the flow at every pixel, [N, 4, H, W] as in FlowAndMask. A larger one, at most that of any level,
        gives it at the centre of each cell of that many pixels, which is where a level of that scale has its values.
    """
    if scale > 1 or levels[-1].scale == 1:
        return _sum([resize(level.flow, level.scale / scale) for level in levels])
    return flow_at_points(levels, scale)


def flow_at_points(levels: Sequence[Level], scale: int) -> Tensor:
    """The same at the points of cells of ``scale``: two each way in a cell, or one at scale 1: [N, 4, ...]."""
    return _sum([_at_points(level, level.flow, scale) for level in levels])


def mask_of(levels: Sequence[Level], scale: int = 1, *, adds_masks: bool) -> Tensor:
    """The mask of all levels together before the sigmoid, [N, 1, H / scale, W / scale]."""
    return _sum([resize(level.mask, level.scale / scale) for level in (levels if adds_masks else levels[-1:])])


def _at_points(level: Level, x: Tensor, scale: int) -> Tensor:
    """Channels of a level [N, C, h, w] at the points of cells of ``scale``, interpolated bilinearly."""
    if level.scale == 1:
        return x
    height, width = level.size
    down, across = (_interpolation(length, level.scale, scale, x.device) for length in (height, width))
    with torch.autocast(x.device.type, enabled=False):  # autocast would round the matrix products
        return down @ (x @ across.T)


def _means(points: Tensor, scale: int) -> Tensor:
    """The mean over the four points of each cell; at scale 1 a cell has one point."""
    return points if scale == 1 else functional.avg_pool2d(points, 2)


def _sides(images: Sequence[Tensor]) -> list[Tensor]:
    return [half for image in images for half in image.chunk(2)]


def _sum(parts: Sequence[Tensor]) -> Tensor:
    return functools.reduce(torch.add, parts)


@functools.cache
def _interpolation(length: int, level: int, scale: int, device: torch.device) -> Tensor:
    """The matrix that interpolates ``length // level`` values at the points of cells of ``scale``: [points, values]."""
    with torch.inference_mode(mode=False):
        numbers = torch.eye(length // level, device=device)
        return _points(
            functional.interpolate(numbers[None], scale_factor=level, mode="linear")[0], scale
        ).T.contiguous()


@functools.cache
def _coordinates(length: int, scale: int, device: torch.device) -> Tensor:
    """The points of cells of ``scale`` in the sampler's coordinates, as in `backward_warp`."""
    with torch.inference_mode(mode=False):
        return _points(torch.linspace(-1.0, 1.0, length, device=device), scale)


def _points(x: Tensor, scale: int) -> Tensor:
    """The values of [..., length] at the points: all at scales 1 and 2, else the middle two of each ``scale``."""
    if scale <= 2:
        return x
    middle = scale // 2
    cells = x.view(*x.shape[:-1], -1, scale)
    return cells[..., middle - 1 : middle + 1].flatten(-2)


def _grid(flow: Tensor, size: torch.Size, scale: int) -> Tensor:
    """The targets of a flow [N, 2, ...] at the points of cells, in the sampler's coordinates: [N, ..., 2]."""
    height, width = size
    x = _coordinates(width, scale, flow.device) + flow[:, 0] / max((width - 1) / 2, 0.5)
    y = _coordinates(height, scale, flow.device)[:, None] + flow[:, 1] / max((height - 1) / 2, 0.5)
    return torch.stack((x, y), dim=-1)
