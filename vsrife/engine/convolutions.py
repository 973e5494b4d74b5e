"""The convolutions of a network's blocks, prepared once for running: weights folded and laid out as the samplers need.

What they compute is vsrife.network.blocks' arithmetic: beta is multiplied into the weights, a residual becomes a one in
the middle of the kernel where the precision allows it, inputs come in the order that `sampling.Gather` writes them, and
outputs leave in the order that it reads them. This module is independent of frames, flow and scales.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from vsrife.engine.convolution_layers import (
    Convolution,
    Epilogue,
    Transposed,
    bias_of,
    convolution,
    fastest,
    laid_out,
    transposed,
)
from vsrife.network.architecture import Architecture
from vsrife.network.blocks import IFBlock, ResidualConv

__all__ = ["HALO", "RGB", "Block", "Layout", "prepare"]

RGB = 3
FLOW_AND_MASK = 5

HALO = 40
"""Rows of a block's input beyond which none reaches a row of its output: ten at a quarter of the resolution, one for
each of eight trunk layers, the layers before them and the last one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How many channels the tensors between sampling and convolutions have.

    source: of a packed source: R, G, B, the features, zeros.
    inputs: of each block's input: both sources, then time; after block 0 also mask, flow, hidden channels; zeros.
    outputs: of one pixel of each block's output: flow, mask, hidden channels (the last block's are left out); zeros.
    """

    source: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @classmethod
    def of(cls, architecture: Architecture, *, aligned: bool) -> "Layout":
        """aligned: padded to what a GPU loads at once (sources to 4 channels, the others to 8); else no padding."""
        blocks = range(len(architecture.widths))
        source = _padded(RGB + architecture.features, 4 if aligned else 1)
        tails = [1 if index == 0 else 1 + FLOW_AND_MASK + architecture.hidden for index in blocks]
        outputs = [FLOW_AND_MASK + (0 if index == blocks[-1] else architecture.hidden) for index in blocks]
        step = 8 if aligned else 1
        return cls(
            source=source,
            inputs=tuple(_padded(2 * source + tail, step) for tail in tails),
            outputs=tuple(_padded(output, step) for output in outputs),
        )


def _padded(channels: int, step: int) -> int:
    return -(-channels // step) * step


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Block:
    """One block's convolutions, for tensors [1, C, h, w] in channels-last memory and the network's dtype.

    first: halves the input; the only layer that sees it, so it can be fed a band of rows at a time.
    """

    first: Convolution
    second: Convolution
    trunk: tuple[Convolution, ...]
    adds_input: bool
    last: "Transposed"
    shuffled: bool

    @property
    def stride(self) -> int:
        """Rows of the input for each row of what `rest` gives."""
        return 2 * self.last.side

    @property
    def side(self) -> int:
        """Pixels of the output along each side of a pixel of what `rest` gives."""
        return self.last.side * (2 if self.shuffled else 1)

    def rest(self, x: Tensor) -> Tensor:
        """What `first` gave, whole, to the output: [1, S * P, h, w] channels-last, h and w the input's by `stride`.

        S is `side` squared; channel s * P + c is channel c (`Layout.outputs`) of the output's pixel at
        (side * y + s // side, side * x + s % side).
        """
        x = self.second(x)
        y = x
        for layer in self.trunk:
            y = layer(y)
        if self.adds_input:
            y = y + x
        return self.last(y)


def prepare(
    blocks: Sequence[nn.Module], architecture: Architecture, layout: Layout, epilogue: Epilogue | None = None
) -> tuple[Block, ...]:
    """The convolutions of a network's blocks, on their device and in their dtype."""
    return tuple(
        _prepare_block(block, architecture, layout, index, epilogue)
        for index, block in enumerate(blocks)
        if isinstance(block, IFBlock)
    )


def _prepare_block(
    block: IFBlock, architecture: Architecture, layout: Layout, index: int, epilogue: Epilogue | None
) -> Block:
    first, second = (_with_activation(layer) for layer in block.conv0)
    order = _input_order(architecture, layout, index)
    weight = first.weight.new_zeros(first.weight.shape[0], layout.inputs[index], 3, 3)
    weight[:, order] = first.weight
    output, side = _output_order(architecture, layout, index), 2 if architecture.shuffled else 1
    last = block.lastconv[0] if isinstance(block.lastconv, nn.Sequential) else block.lastconv
    assert isinstance(last, nn.ConvTranspose2d)
    return Block(
        first=replace(first, weight=laid_out(weight), epilogue=epilogue),
        second=replace(second, epilogue=epilogue),
        trunk=tuple(fastest(_trunk_layer(layer), epilogue) for layer in block.convblock),
        adds_input=block.adds_input,
        last=transposed(_picked(last.weight, output, 1), _picked(bias_of(last), output, 0), side, epilogue),
        shuffled=architecture.shuffled,
    )


def _with_activation(layer: nn.Module) -> Convolution:
    """A layer that is a convolution and its activation."""
    assert isinstance(layer, nn.Sequential)
    before, activation = layer
    assert isinstance(before, nn.Conv2d)
    return convolution(before, activation.weight.detach() if isinstance(activation, nn.PReLU) else None)


def _trunk_layer(layer: nn.Module) -> Convolution:
    if not isinstance(layer, ResidualConv):
        return _with_activation(layer)
    inner, beta = layer.conv, layer.beta.detach()
    weight = inner.weight.detach() * beta.view(-1, 1, 1, 1)
    # A one beside weights of a few hundredths: float32 holds their sum as well as them, the half types do not.
    fold = weight.dtype is torch.float32
    if fold:
        width, per_group = weight.shape[:2]
        outputs = torch.arange(width, device=weight.device)
        weight[outputs, outputs % per_group, 1, 1] += 1.0
    return Convolution(
        weight=laid_out(weight),
        bias=bias_of(inner) * beta.view(-1),
        stride=1,
        groups=inner.groups,
        slopes=None,
        residual=not fold,
    )


def _input_order(architecture: Architecture, layout: Layout, index: int) -> list[int]:
    """Where each channel of the checkpoint's first layer lies in what `sampling.Gather` writes."""
    features, source = architecture.features, layout.source
    left, right, tail = 0, source, 2 * source
    order = [*range(left, left + 3), *range(right, right + 3)]
    order += [*range(left + 3, left + 3 + features), *range(right + 3, right + 3 + features)]
    time, mask, flow, hidden = tail, tail + 1, tail + 2, tail + 6
    order.append(time)
    if index > 0:
        order += [mask, *range(hidden, hidden + architecture.hidden), *range(flow, flow + 4)]
    return order


def _output_order(architecture: Architecture, layout: Layout, index: int) -> list[int | None]:
    """For each channel of a raw output, the channel of the checkpoint's last layer that it is; None for a zero."""
    subpixels = 4 if architecture.shuffled else 1
    useful = FLOW_AND_MASK + architecture.hidden
    if index == len(architecture.widths) - 1:
        useful = FLOW_AND_MASK  # no step reads the last block's hidden channels
    return [
        channel * subpixels + subpixel if channel < useful else None
        for subpixel in range(subpixels)
        for channel in range(layout.outputs[index])
    ]


def _picked(tensor: Tensor, order: Sequence[int | None], axis: int) -> Tensor:
    """The entries of ``order`` along ``axis``, zeros where it is None."""
    indices = torch.tensor([0 if entry is None else entry for entry in order], device=tensor.device)
    picked = tensor.detach().index_select(axis, indices)
    empty = [position for position, entry in enumerate(order) if entry is None]
    if empty:
        picked.index_fill_(axis, torch.tensor(empty, device=tensor.device), 0.0)
    return picked
