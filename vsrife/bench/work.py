"""Lower bounds of a frame's time: operations and bytes counted from the network, and the rates of this machine."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsrife.bench.timing import Pace, timed
from vsrife.network.architecture import Architecture
from vsrife.network.ifnet import IFNet

__all__ = ["Rates", "Work", "measured_rates", "work_of"]

SAMPLED_PIXELS = 4
"""A block samples the 2x2 pixels in the middle of each cell of scale² pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """The work for one frame of YUV420P8 whose two sources are encoded.

    flop: of the blocks' convolutions, two for each multiplication with its addition. encode_flop: of the encoder, for
    one source. bytes: see `work_of`.
    """

    flop: int
    encode_flop: int
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """The rates of a device: operations per second of a large matrix product, bytes per second (read and written) of a
    large copy.
    """

    flop: float
    bytes: float


class _Count:
    """Operations and bytes of the convolutions that a module runs, counted by hooks."""

    def __init__(self, module: nn.Module, itemsize: int) -> None:
        self.flop = 0
        self.first_input = 0
        self.bytes = 0
        self.last_output = 0
        self._itemsize = itemsize
        for each in module.modules():
            if isinstance(each, nn.Conv2d | nn.ConvTranspose2d):
                each.register_forward_hook(self._count)

    def _count(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weight = layer.get_parameter("weight")
        # Each weight is used at every position of the smaller side: a convolution's output, a transposed one's input.
        positions = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        self.flop += 2 * weight.numel() * positions.shape[-2] * positions.shape[-1]
        read = inputs[0].numel() * self._itemsize
        self.first_input = self.first_input or read
        self.last_output = output.numel() * self._itemsize
        self.bytes += read + self.last_output + weight.numel() * self._itemsize


def work_of(architecture: Architecture, canvas: tuple[int, int], itemsize: int) -> Work:
    """Count one frame on a canvas (height, width) with ``itemsize`` bytes per value.

    Bytes: every convolution reads its input and its weights and writes its output once. A block's input is not stored:
    its first convolution reads the pixels of both packed sources that the block samples, and the outputs of the blocks
    before. At the end both sources' planes and all outputs are read, and the new planes written.
    """
    height, width = canvas
    with torch.device("meta"):
        network = IFNet(architecture)
        packed = 2 * (3 + architecture.features) * height * width * itemsize
        flop, total, outputs = 0, 0, 0
        for index, scale in enumerate(architecture.scales):
            block = network.get_submodule(f"block{index}")
            count = _Count(block, itemsize)
            block(torch.empty(1, architecture.block_inputs(index), height // scale, width // scale))
            flop += count.flop
            sampled = min(1.0, SAMPLED_PIXELS / scale**2) * packed
            total += count.bytes - count.first_input + round(sampled) + outputs
            outputs += count.last_output
        encoder = _Count(network.get_submodule("encode"), itemsize)
        network.encode(torch.empty(1, 3, height, width))
    planes = height * width * 3 // 2
    return Work(flop=flop, encode_flop=encoder.flop, bytes=total + outputs + 3 * planes)


def measured_rates(device: torch.device, dtype: torch.dtype, pace: Pace) -> Rates:
    """The best of several samples; to be called in the context in which frames are computed."""
    large = device.type == "cuda"
    side = 8192 if large else 1024
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(left)
    product = min(timed(lambda: torch.mm(left, right, out=out), device, pace).samples)
    source = torch.empty(1 << (30 if large else 28), dtype=torch.uint8, device=device).fill_(1)
    target = torch.empty_like(source)
    copy = min(timed(lambda: target.copy_(source), device, pace).samples)
    return Rates(flop=2 * side**3 / product, bytes=2 * source.nbytes / copy)
