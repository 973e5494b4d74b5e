"""What the kernels are fed with: planes of noise, and answers of blocks as a network leaves them."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from vsrife.engine.backend.level import Level
from vsrife.engine.transfer.host import dtype_of
from vsrife.formats.pixel_format import Family, PixelFormat

HALF, BRAIN, FLOAT = torch.float16, torch.bfloat16, torch.float32
ROUNDING = {HALF: 2.0**-11, BRAIN: 2.0**-8, FLOAT: 2.0**-24}
"""Largest error of one rounding, of the number rounded."""


def gray(bits: int = 8, *, floats: bool = False) -> PixelFormat:
    return PixelFormat(family=Family.GRAY, float_samples=floats, bits=bits)


def rgb(bits: int = 8, *, floats: bool = False) -> PixelFormat:
    return PixelFormat(family=Family.RGB, float_samples=floats, bits=bits)


def yuv(across: int, down: int, bits: int = 8, *, floats: bool = False) -> PixelFormat:
    return PixelFormat(family=Family.YUV, float_samples=floats, bits=bits, subsampling_w=across, subsampling_h=down)


def generator_of(*seed: object) -> torch.Generator:
    """Numbers that are the same in every process, and others for every seed."""
    return torch.Generator().manual_seed(zlib.crc32(repr(seed).encode()))


def channels_last(channels: int, height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[1, C, h, w] full of NaN."""
    memory = torch.full((1, height, width, channels), math.nan, dtype=dtype, device=device)
    return memory.permute(0, 3, 1, 2)


def planes_of(fmt: PixelFormat, width: int, height: int, seed: object, *, bad: bool = True) -> list[Tensor]:
    """Noise, rows farther apart than they are long; among floats some out of range, infinite or NaN."""
    generator = generator_of("planes", fmt, width, height, seed)
    planes = []
    for plane in range(fmt.planes):
        w, h = fmt.plane_size(plane, width, height)
        if fmt.float_samples:
            memory = torch.rand((h, w + 5), generator=generator)
            if plane and fmt.family is Family.YUV:
                memory -= 0.5
            if bad:
                chance = torch.rand(memory.shape, generator=generator)
                for at, value in enumerate((math.nan, math.inf, -math.inf, 1.5, -0.75)):
                    memory[(chance > at / 100) & (chance < (at + 1) / 100)] = value
        else:
            memory = torch.randint(0, int(fmt.peak) + 1, (h, w + 5), generator=generator, dtype=torch.int32)
        planes.append(memory.to(dtype_of(fmt))[:, :w])
    return planes


def on(device: torch.device, planes: Sequence[Tensor]) -> list[Tensor]:
    """Copies on a device whose rows are not dense either."""
    copies = []
    for plane in planes:
        memory = torch.zeros((plane.shape[0], plane.shape[1] + 3), dtype=plane.dtype, device=device)
        memory[:, : plane.shape[1]].copy_(plane)
        copies.append(memory[:, : plane.shape[1]])
    return copies


@dataclass(frozen=True, kw_only=True)
class Net:
    """The layout of a network's answers."""

    scales: tuple[int, ...]
    shuffled: bool = True
    adds_masks: bool = False
    hidden: int = 0
    features: int = 4
    dtype: torch.dtype = FLOAT

    @property
    def channels(self) -> int:
        return {0: 4, 4: 8, 8: 12}[self.features]


def of_type(net: Net, dtype: torch.dtype) -> Net:
    return replace(net, dtype=dtype)


NETS = {
    "A": Net(scales=(16, 8, 4, 2), shuffled=False, adds_masks=True, features=0),
    "C": Net(scales=(8, 4, 2, 1), adds_masks=True, features=0),
    "E": Net(scales=(8, 4, 2, 1), features=8),
    "G": Net(scales=(8, 4, 2, 1)),
    "I": Net(scales=(8, 4, 2, 1), hidden=8, features=8),
    "J": Net(scales=(16, 8, 4, 2, 1), hidden=8),
    "J-lite": Net(scales=(32, 16, 8, 4, 1), hidden=8),
    # Of no public release: the finest answer is shuffled and yet coarser than the canvas.
    "ends in 2": Net(scales=(16, 8, 4, 2), hidden=8),
    "ends in 4": Net(scales=(32, 4), hidden=8),
}


def level_of(
    scale: int, canvas: tuple[int, int], net: Net, reach: float, seed: object, *, hidden: int, device: torch.device,
    nan: float = 0.0,
) -> Level:  # fmt: skip
    """An answer whose flow is about `reach` canvas pixels; NaN are a share `nan` of it and of the mask, and all that
    nobody may look at.

    Before the first pixel's centre torch's resize reads the second one as well, with a weight of 0, and so spreads its
    NaN; the kernels do not. No NaN is there.
    """
    stride = 16 if hidden else 8
    side = 2 if net.shuffled else 1
    height, width = canvas[0] // scale // side, canvas[1] // scale // side
    generator = generator_of("level", scale, canvas, net, seed)
    values = torch.randn((height, width, side * side, stride), generator=generator)
    values[..., :4] *= reach / scale
    values[2:, 2:, :, :5][torch.rand(values[2:, 2:, :, :5].shape, generator=generator) < nan] = math.nan
    values[..., 5 + hidden :] = math.nan
    raw = values.view(1, height, width, -1).to(net.dtype).to(device).permute(0, 3, 1, 2)
    return Level(raw=raw, scale=scale, side=side, channels=5 + hidden)


def planes_of_level(level: Level) -> Tensor:
    """[1, P, h, w] float32 on the CPU: a pixel shuffle for channels that lie pixel by pixel."""
    raw = level.raw.cpu().float()
    if level.side == 1:
        return raw
    _, channels, height, width = raw.shape
    pixels = raw.view(1, 2, 2, channels // 4, height, width)
    return pixels.permute(0, 3, 4, 1, 5, 2).reshape(1, channels // 4, height * 2, width * 2)


def resized(planes: Tensor, factor: float) -> Tensor:
    return planes if factor == 1 else F.interpolate(planes, scale_factor=factor, mode="bilinear")


@dataclass(frozen=True, kw_only=True)
class Step:
    """What `IFNet.forward` holds between two blocks, at the canvas' resolution."""

    flow: Tensor
    mask: Tensor
    hidden: Tensor | None


def step_of(levels: Sequence[Level], net: Net, hidden: int) -> Step:
    flow = mask = None
    for level in levels:
        planes = planes_of_level(level)
        moved = resized(planes[:, :4], level.scale) * level.scale
        seen = resized(planes[:, 4:5], level.scale)
        flow = moved if flow is None else flow + moved
        mask = mask + seen if mask is not None and net.adds_masks else seen
    last = levels[-1]
    carried = resized(planes_of_level(last)[:, 5 : 5 + hidden], last.scale) if hidden else None
    return Step(flow=flow, mask=mask, hidden=carried)


def exact_warp(image: Tensor, flow: Tensor) -> Tensor:
    """backward_warp in doubles."""
    height, width = image.shape[-2:]
    x = torch.arange(width, dtype=torch.float64) + flow[:, 0].double()
    y = torch.arange(height, dtype=torch.float64)[:, None] + flow[:, 1].double()
    grid = torch.stack((x * 2 / max(width - 1, 1) - 1, y * 2 / max(height - 1, 1) - 1), dim=-1)
    return F.grid_sample(image.double(), grid, padding_mode="border", align_corners=True).float()
