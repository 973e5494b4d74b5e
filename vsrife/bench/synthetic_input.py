"""Seeded frames of smooth, moving texture, and seeded networks whose flow resembles that of a trained one.

Speed depends on both: random flow makes every sample a cache miss, and zero flow makes warping free. So the texture has
more contrast at coarser scales, as natural images have, and moves by whole pixels; and the blocks of a seeded network
are scaled to a smooth flow of several pixels that varies with the frame.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from vsrife.network.architecture import Architecture
from vsrife.network.families import architecture_4x
from vsrife.network.ifnet import IFNet

__all__ = ["ARCHITECTURES", "moving_frames", "save_seeded", "seeded_network"]

ARCHITECTURES: Final = {name: architecture_4x(name) for name in ("4.26", "4.6")}
"""The networks that `seeded:NAME` may name."""

STEP: Final = (20, 6)
"""Pixels right and down that the texture moves from one frame to the next."""

_CELLS: Final = (256, 128, 64, 32, 16, 8, 4)
_CALIBRATION: Final = 256  # pixels each way
_VARIATION: Final = 0.1
"""Standard deviation of the flow that a block adds, as a share of its scale: 1.6 pixels at scale 16, 0.1 at 1."""


def moving_frames(width: int, height: int, count: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """``count`` frames of YUV420P8 (limited range) as planes [h, w] uint8 on the CPU; width and height are even.

    A background moves by `STEP` a frame, a disc in front of it the other way. The same bytes on every run.
    """
    generator = torch.Generator().manual_seed(11)
    wide, high = width + STEP[0] * count, height + STEP[1] * count
    back, front = (_texture(wide, high, generator) for _ in range(2))
    x = torch.arange(width).view(1, -1)
    y = torch.arange(height).view(-1, 1)
    frames = []
    for n in range(count):
        right, down = STEP[0] * n, STEP[1] * n
        centre_x, centre_y = width * 0.6 - right, height * 0.45
        inside = ((x - centre_x) ** 2 + (y - centre_y) ** 2 < (min(width, height) * 0.22) ** 2).unsqueeze(0)
        behind = back[:, high - height - down : high - down, wide - width - right : wide - right]
        picture = torch.where(inside, front[:, :height, right : right + width], behind)
        chroma = functional.avg_pool2d(picture[1:].unsqueeze(0), 2)[0]
        luma = (16 + 219 * picture[0]).round().to(torch.uint8)
        blue, red = (16 + 224 * chroma).round().to(torch.uint8)
        frames.append((luma, blue, red))
    return frames


def _texture(width: int, height: int, generator: torch.Generator) -> Tensor:
    """[3, height, width] in 0..1: random grids of several cell sizes, with more contrast for larger cells."""
    total = torch.zeros(1, 3, height, width)
    for cell in _CELLS:
        grid = torch.randn(1, 3, height // cell + 3, width // cell + 3, generator=generator) * cell**0.7
        smooth = functional.interpolate(grid, scale_factor=float(cell), mode="bilinear")
        total += smooth[:, :, cell : cell + height, cell : cell + width]
    spread, mean = torch.std_mean(total[0], (1, 2), keepdim=True)
    return (0.5 + 0.18 * (total[0] - mean) / spread).clamp_(0.0, 1.0)


def save_seeded(architecture: Architecture, path: Path) -> None:
    """Write a seeded network's checkpoint to ``path`` (.safetensors)."""
    state = seeded_network(architecture).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, path)


def seeded_network(architecture: Architecture) -> IFNet:
    """A network of random weights, float32 on the CPU, the same on every run up to rounding.

    Block 0 returns half of `STEP` in each direction, and every block adds a variation in proportion to its scale.
    """
    generator = torch.Generator().manual_seed(5)
    network = IFNet(architecture).eval().requires_grad_(False)
    for name, value in network.named_parameters():
        if name.endswith("beta"):
            value.fill_(0.2)
        elif "lastconv" in name and value.ndim == 1:
            value.zero_()
        elif value.ndim == 1:
            value.copy_(0.02 * torch.randn(value.shape, generator=generator))
        else:
            value.copy_(torch.randn(value.shape, generator=generator) / value[0].numel() ** 0.5)
    hooks = [
        network.get_submodule(f"block{index}").register_forward_hook(_calibrator(architecture, index))
        for index in range(len(architecture.widths))
    ]
    with torch.no_grad():
        left, right = (_rgb(frame) for frame in moving_frames(_CALIBRATION, _CALIBRATION, 2))
        network(left, right, network.encode(left), network.encode(right), 0.5)
    for hook in hooks:
        hook.remove()
    return network


def _rgb(frame: tuple[Tensor, ...]) -> Tensor:
    # Any image will do for the calibration: the three planes are used as three colours.
    planes = [functional.interpolate(plane.float().view(1, 1, *plane.shape) / 255, _CALIBRATION) for plane in frame]
    return torch.cat(planes, 1)


def _calibrator(architecture: Architecture, index: int) -> Callable[[nn.Module, object, Tensor], Tensor]:
    """A hook that scales a block's last layer to the wanted flow, and returns the output of the scaled block."""
    scale = architecture.scales[index]
    phases, upscale = (4, scale) if architecture.shuffled else (1, 2 * scale)
    half = [each / 2 / upscale for each in STEP] if index == 0 else [0.0, 0.0]
    wanted = torch.tensor([-half[0], -half[1], half[0], half[1]])

    def scale_flow(block: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        last = block.get_submodule("lastconv.0" if architecture.shuffled else "lastconv")
        weight, bias = last.get_parameter("weight"), last.get_parameter("bias")
        flow = output[0, :4]
        factor = _VARIATION * scale / upscale / float(flow.std((1, 2)).mean())
        shift = wanted - factor * flow.mean((1, 2))
        weight[:, : 4 * phases] *= factor
        bias[: 4 * phases] = shift.repeat_interleave(phases)  # it was zero
        output[0, :4] = factor * flow + shift.view(4, 1, 1)
        return output

    return scale_flow
