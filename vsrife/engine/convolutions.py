"""The convolutions of a network, prepared once for running: weights folded and laid out as the samplers need.

What they compute is vsrife.network.blocks' arithmetic: beta is multiplied into the weights, a residual becomes a one in
the middle of the kernel where the precision allows it, inputs come in the order that `sampling.gather` writes them, and
outputs leave in the order that it reads them. Nothing here knows frames, flow or scales.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsrife.engine import winograd
from vsrife.engine.winograd import Winograd
from vsrife.network.architecture import Architecture, Head
from vsrife.network.blocks import SLOPE, IFBlock, ResidualConv

__all__ = ["RGB", "Block", "Encoder", "Layout", "prepare", "prepare_encoder"]

RGB = 3
FLOW_AND_MASK = 5

HALO = 40
"""Rows of a block's input beyond which none reaches a row of its answer: ten at a quarter of the resolution, one for
each of eight trunk layers, the layers before them and the last one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How many channels the tensors between sampling and convolutions have.

    source: of a packed source: R, G, B, the features, zeros.
    inputs: of each block's input: both sources, then time; after block 0 also mask, flow, hidden channels; zeros.
    answers: of one pixel of each block's answer: flow, mask, hidden channels (the last block's are left out); zeros.
    """

    source: int
    inputs: tuple[int, ...]
    answers: tuple[int, ...]

    @classmethod
    def of(cls, architecture: Architecture, *, aligned: bool) -> "Layout":
        """aligned: padded to what a GPU loads at once (sources to 4 channels, the others to 8); else no padding."""
        blocks = range(len(architecture.widths))
        source = _padded(RGB + architecture.features, 4 if aligned else 1)
        tails = [1 if index == 0 else 1 + FLOW_AND_MASK + architecture.hidden for index in blocks]
        answers = [FLOW_AND_MASK + (0 if index == blocks[-1] else architecture.hidden) for index in blocks]
        step = 8 if aligned else 1
        return cls(
            source=source,
            inputs=tuple(_padded(2 * source + tail, step) for tail in tails),
            answers=tuple(_padded(answer, step) for answer in answers),
        )


def _padded(channels: int, step: int) -> int:
    return -(-channels // step) * step


class Epilogue(Protocol):
    """What follows a convolution without a bias: activates y + bias + residual in place, see `Kernels.epilogue`."""

    def __call__(
        self,
        y: Tensor,
        bias: Tensor,
        residual: Tensor | None,
        slopes: Tensor | None,
        parts: Sequence[Tensor] = (),
    ) -> None:
        """slopes: PReLU's, one a channel; None for leaky ReLU. parts: read instead of ``y``, which is their rows."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Convolution:
    """One 3x3 convolution with its activation: leaky ReLU, or PReLU of one slope per channel.

    residual: add the input before the activation; where it can be, it is in the weights instead.
    epilogue: adds bias and residual and activates, in place and in one pass; None leaves it to torch.
    winograd: does all of it on a CPU in fewer multiplications; None leaves it to torch.
    """

    weight: Tensor
    bias: Tensor
    stride: int
    groups: int
    slopes: Tensor | None
    residual: bool
    epilogue: Epilogue | None = None
    winograd: Winograd | None = None

    def __call__(self, x: Tensor, padding: tuple[int, int] = (1, 1)) -> Tensor:
        if self.winograd is not None:
            return self.winograd(x)
        if self.epilogue is not None:
            y = _dense(functional.conv2d(x, self.weight, None, self.stride, padding, 1, self.groups))
            self.epilogue(y, self.bias, x if self.residual else None, self.slopes)
            return y
        y = functional.conv2d(x, self.weight, self.bias, self.stride, padding, 1, self.groups)
        if self.residual:
            y += x
        return functional.leaky_relu_(y, SLOPE) if self.slopes is None else functional.prelu(y, self.slopes)

    def joined(self, bands: Iterable[tuple[Tensor, tuple[int, int]]]) -> Tensor:
        """The answer for an input that comes in bands of rows, top to bottom, each with its padding; all but the last
        are of one height. No residual. A band is done with when the next one is asked for.
        """
        if self.epilogue is None:
            pieces = [self(*band) for band in bands]
            return pieces[0] if len(pieces) == 1 else torch.cat(pieces, 2)
        pieces = [
            _dense(functional.conv2d(x, self.weight, None, self.stride, padding, 1, self.groups))
            for x, padding in bands
        ]
        y, parts = pieces[0], tuple[Tensor, ...]()
        if len(pieces) > 1:
            shape = *y.shape[:2], sum(piece.shape[2] for piece in pieces), y.shape[3]
            y = torch.empty(shape, dtype=y.dtype, device=y.device, memory_format=torch.channels_last)
            parts = tuple(pieces)
        self.epilogue(y, self.bias, None, self.slopes, parts)
        return y


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Block:
    """One block's convolutions, for tensors [1, C, h, w] in channels-last memory and the network's dtype.

    first: halves the input; the only layer that sees it, so it can be fed a band of rows at a time.
    """

    first: _Convolution
    second: _Convolution
    trunk: tuple[_Convolution, ...]
    adds_input: bool
    last: "_Transposed"
    shuffled: bool

    @property
    def stride(self) -> int:
        """Rows of the input for each row of what `rest` gives."""
        return 2 * self.last.side

    @property
    def side(self) -> int:
        """Pixels of the answer along each side of a pixel of what `rest` gives."""
        return self.last.side * (2 if self.shuffled else 1)

    def rest(self, x: Tensor) -> Tensor:
        """What `first` gave, whole, to the answer: [1, S * P, h, w] channels-last, h and w the input's by `stride`.

        S is `side` squared; channel s * P + c is channel c (`Layout.answers`) of the answer's pixel at
        (side * y + s // side, side * x + s % side).
        """
        x = self.second(x)
        y = x
        for layer in self.trunk:
            y = layer(y)
        if self.adds_input:
            y = y + x
        return self.last(y)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Transposed:
    """A 4x4 transposed convolution of stride 2 with a padding of 1.

    winograd: computes it as a 3x3 convolution of stride 1 to all four pixels that an input pixel becomes.
    """

    weight: Tensor
    bias: Tensor
    winograd: Winograd | None = None

    @property
    def side(self) -> int:
        """1 where the answer is twice the input's height and width; 2 where it has the input's and 4 times as many
        channels, in the order that `Block.rest` documents.
        """
        return 1 if self.winograd is None else 2

    def __call__(self, x: Tensor) -> Tensor:
        if self.winograd is not None:
            return self.winograd(x)
        return _dense(functional.conv_transpose2d(x, self.weight, self.bias, 2, 1))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Encoder:
    """A network's encoder: from packed source to packed source.

    layers: the first takes a packed source as it is, with weights of zero for all but R, G and B.
    last: makes the features; where there is an epilogue all of a packed source's channels, zeros but for the features.
    features: how many there are.
    epilogue, slopes: adds the features to the source in one pass, with slopes of one. None: they are copied into it.
    """

    layers: tuple[_Convolution, ...]
    last: _Transposed
    features: int
    epilogue: Epilogue | None
    slopes: Tensor

    def __call__(self, packed: Tensor) -> Tensor:
        """``packed`` [1, C, H, W], R, G and B in 0..1 and zeros else, with the features in it too: itself, or a new
        tensor.
        """
        x = packed.to(self.last.weight.dtype)
        for layer in self.layers:
            x = layer(x)
        if self.epilogue is not None:
            y = _dense(functional.conv_transpose2d(x, self.last.weight, None, 2, 1))
            self.epilogue(y, self.last.bias, packed, self.slopes)
            return y
        y, side = self.last(x)[0].permute(1, 2, 0), self.last.side
        # Both as [rows, side, columns, side, channels].
        pixels = y.reshape(*y.shape[:2], side, side, self.features).transpose(1, 2)
        source = packed[0].permute(1, 2, 0).view(*pixels.shape[:4], -1)
        source[..., RGB : RGB + self.features] = pixels
        return packed


def prepare_encoder(
    head: nn.Module, architecture: Architecture, layout: Layout, epilogue: Epilogue | None
) -> Encoder | None:
    """The encoder ``head`` of a network, on its device and in its dtype; None where the network has none."""
    if architecture.head is Head.NONE:
        return None
    first, *others = (
        _convolution(layer, _ones(layer.out_channels, layer) if architecture.head is Head.LINEAR else None)
        for layer in head.modules()
        if isinstance(layer, nn.Conv2d)
    )
    (transposed,) = (layer for layer in head.modules() if isinstance(layer, nn.ConvTranspose2d))
    first_weight = first.weight.new_zeros(len(first.weight), layout.source, 3, 3)
    first_weight[:, :RGB] = first.weight
    last_weight, last_bias = transposed.weight.detach(), _bias(transposed)
    if epilogue is not None:
        around = (RGB, layout.source - RGB - architecture.features)
        last_weight = functional.pad(last_weight, (0, 0, 0, 0, *around))
        last_bias = functional.pad(last_bias, around)
    return Encoder(
        layers=(
            replace(first, weight=_laid_out(first_weight), epilogue=epilogue),
            *(_fastest(layer, epilogue) for layer in others),
        ),
        last=_transposed(last_weight, last_bias, 1, epilogue),
        features=architecture.features,
        epilogue=epilogue,
        slopes=_ones(layout.source, transposed),
    )


def _ones(count: int, layer: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    """Slopes below zero that leave everything as it is."""
    return torch.ones(count, dtype=layer.weight.dtype, device=layer.weight.device)


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
    answer, side = _answer_order(architecture, layout, index), 2 if architecture.shuffled else 1
    last = block.lastconv[0] if isinstance(block.lastconv, nn.Sequential) else block.lastconv
    assert isinstance(last, nn.ConvTranspose2d)
    return Block(
        first=replace(first, weight=_laid_out(weight), epilogue=epilogue),
        second=replace(second, epilogue=epilogue),
        trunk=tuple(_fastest(_trunk_layer(layer), epilogue) for layer in block.convblock),
        adds_input=block.adds_input,
        last=_transposed(_picked(last.weight, answer, 1), _picked(_bias(last), answer, 0), side, epilogue),
        shuffled=architecture.shuffled,
    )


def _transposed(weight: Tensor, bias: Tensor, side: int, epilogue: Epilogue | None) -> _Transposed:
    """A transposed convolution as it is computed fastest. side: of the pixel shuffle that its outputs are for, or 1."""
    if epilogue is not None or not winograd.resolve(weight.device, weight.dtype)[0]:
        return _Transposed(weight=_laid_out(weight), bias=bias)
    made = Winograd(_as_convolution(weight, side), bias.view(1, side, 1, side, -1).expand(2, -1, 2, -1, -1), 1.0)
    return _Transposed(weight=weight, bias=bias, winograd=made)


def _as_convolution(weight: Tensor, side: int) -> Tensor:
    """The 3x3 weights [4 * O, I, 3, 3] that make all four pixels of a 4x4 transposed convolution [I, O, 4, 4].

    side: of the pixel shuffle that its outputs are for, whose pixels are put in order together with those four.
    """
    both = _spread(_spread(weight).movedim(2, -1))  # [I, O, 2, 3, 2, 3]: columns, then rows
    inputs = len(weight)
    parts = both.reshape(inputs, side, side, -1, 2, 3, 2, 3)
    return parts.permute(6, 1, 4, 2, 3, 0, 7, 5).reshape(-1, inputs, 3, 3)


def _spread(weight: Tensor) -> Tensor:
    """Along the last axis, four weights of a transposed convolution as [2, 3]: those of its even and odd outputs."""
    none = torch.zeros_like(weight[..., 0])
    # An even output is made of the input before its own and its own, an odd one of its own and the next one.
    even = torch.stack([weight[..., 3], weight[..., 1], none], -1)
    odd = torch.stack([none, weight[..., 2], weight[..., 0]], -1)
    return torch.stack([even, odd], -2)


def _with_activation(layer: nn.Module) -> _Convolution:
    """A layer that is a convolution and its activation."""
    assert isinstance(layer, nn.Sequential)
    convolution, activation = layer
    assert isinstance(convolution, nn.Conv2d)
    return _convolution(convolution, activation.weight.detach() if isinstance(activation, nn.PReLU) else None)


def _convolution(convolution: nn.Conv2d, slopes: Tensor | None) -> _Convolution:
    return _Convolution(
        weight=_laid_out(convolution.weight),
        bias=_bias(convolution),
        stride=convolution.stride[0],
        groups=convolution.groups,
        slopes=slopes,
        residual=False,
    )


def _trunk_layer(layer: nn.Module) -> _Convolution:
    if not isinstance(layer, ResidualConv):
        return _with_activation(layer)
    convolution, beta = layer.conv, layer.beta.detach()
    weight = convolution.weight.detach() * beta.view(-1, 1, 1, 1)
    # A one beside weights of a few hundredths: float32 holds their sum as well as them, the half types do not.
    fold = weight.dtype is torch.float32
    if fold:
        width, per_group = weight.shape[:2]
        outputs = torch.arange(width, device=weight.device)
        weight[outputs, outputs % per_group, 1, 1] += 1.0
    return _Convolution(
        weight=_laid_out(weight),
        bias=_bias(convolution) * beta.view(-1),
        stride=1,
        groups=convolution.groups,
        slopes=None,
        residual=not fold,
    )


def _fastest(layer: _Convolution, epilogue: Epilogue | None) -> _Convolution:
    """A layer of stride 1 with a padding of 1, as it is computed fastest on its device."""
    suits = epilogue is None and layer.groups == 1 and not layer.residual
    if not (suits and winograd.resolve(layer.weight.device, layer.weight.dtype)[0]):
        return replace(layer, epilogue=epilogue)
    slopes = SLOPE if layer.slopes is None else layer.slopes
    return replace(layer, winograd=Winograd(layer.weight, layer.bias, slopes))


def _bias(layer: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias.detach()


def _dense(x: Tensor) -> Tensor:
    """The tensor in channels-last memory: itself, where the library has kept to the layout of what it was given."""
    return x.contiguous(memory_format=torch.channels_last)


def _laid_out(weight: Tensor) -> Tensor:
    return weight.detach().contiguous(memory_format=torch.channels_last)


def _input_order(architecture: Architecture, layout: Layout, index: int) -> list[int]:
    """Where each channel of the checkpoint's first layer lies in what `sampling.gather` writes."""
    features, source = architecture.features, layout.source
    left, right, tail = 0, source, 2 * source
    order = [*range(left, left + 3), *range(right, right + 3)]
    order += [*range(left + 3, left + 3 + features), *range(right + 3, right + 3 + features)]
    time, mask, flow, hidden = tail, tail + 1, tail + 2, tail + 6
    order.append(time)
    if index > 0:
        order += [mask, *range(hidden, hidden + architecture.hidden), *range(flow, flow + 4)]
    return order


def _answer_order(architecture: Architecture, layout: Layout, index: int) -> list[int | None]:
    """For each channel of a raw answer, the channel of the checkpoint's last layer that it is; None for a zero."""
    subpixels = 4 if architecture.shuffled else 1
    useful = FLOW_AND_MASK + architecture.hidden
    if index == len(architecture.widths) - 1:
        useful = FLOW_AND_MASK  # nobody reads the last block's hidden channels
    return [
        channel * subpixels + subpixel if channel < useful else None
        for subpixel in range(subpixels)
        for channel in range(layout.answers[index])
    ]


def _picked(tensor: Tensor, order: Sequence[int | None], axis: int) -> Tensor:
    """The entries of ``order`` along ``axis``, zeros where it is None."""
    indices = torch.tensor([0 if entry is None else entry for entry in order], device=tensor.device)
    picked = tensor.detach().index_select(axis, indices)
    empty = [position for position, entry in enumerate(order) if entry is None]
    if empty:
        picked.index_fill_(axis, torch.tensor(empty, device=tensor.device), 0.0)
    return picked
