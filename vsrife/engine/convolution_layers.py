"""One convolution of a network with what follows it, prepared once and computed as is fastest on its device.

What is computed is torch's own `conv2d` or `conv_transpose2d` with a bias, a residual and an activation, which defines
it; `winograd` does it in fewer multiplications on a CPU, and an epilogue does what follows in one pass on a GPU.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsrife.engine import winograd
from vsrife.engine.winograd import Winograd
from vsrife.network.blocks import SLOPE

__all__ = [
    "Convolution",
    "Epilogue",
    "Transposed",
    "bias_of",
    "convolution",
    "dense",
    "fastest",
    "laid_out",
    "transposed",
]


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
class Convolution:
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
        """[1, C, h, w] channels-last to the same of the outputs, h and w divided by the stride."""
        if self.winograd is not None:
            return self.winograd(x)
        if self.epilogue is not None:
            y = dense(functional.conv2d(x, self.weight, None, self.stride, padding, 1, self.groups))
            self.epilogue(y, self.bias, x if self.residual else None, self.slopes)
            return y
        y = functional.conv2d(x, self.weight, self.bias, self.stride, padding, 1, self.groups)
        if self.residual:
            y += x
        return functional.leaky_relu_(y, SLOPE) if self.slopes is None else functional.prelu(y, self.slopes)

    def joined(self, bands: Iterable[tuple[Tensor, tuple[int, int]]]) -> Tensor:
        """The output for an input that comes in bands of rows, top to bottom, each with its padding; all but the last
        are of one height. No residual. The memory of a band may be reused once the next one is requested.
        """
        if self.epilogue is None:
            pieces = [self(*band) for band in bands]
            return pieces[0] if len(pieces) == 1 else torch.cat(pieces, 2)
        pieces = [
            dense(functional.conv2d(x, self.weight, None, self.stride, padding, 1, self.groups)) for x, padding in bands
        ]
        y, parts = pieces[0], tuple[Tensor, ...]()
        if len(pieces) > 1:
            shape = *y.shape[:2], sum(piece.shape[2] for piece in pieces), y.shape[3]
            y = torch.empty(shape, dtype=y.dtype, device=y.device, memory_format=torch.channels_last)
            parts = tuple(pieces)
        self.epilogue(y, self.bias, None, self.slopes, parts)
        return y


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Transposed:
    """A 4x4 transposed convolution of stride 2 with a padding of 1.

    winograd: computes it as a 3x3 convolution of stride 1 to all four pixels that an input pixel becomes.
    """

    weight: Tensor
    bias: Tensor
    winograd: Winograd | None = None

    @property
    def side(self) -> int:
        """1 where the output is twice the input's height and width; 2 where it has the input's and 4 times as many
        channels, in the order that `Block.rest` documents.
        """
        return 1 if self.winograd is None else 2

    def __call__(self, x: Tensor) -> Tensor:
        """[1, C, h, w] channels-last to the outputs' channels at twice the size, or as `side` states."""
        if self.winograd is not None:
            return self.winograd(x)
        return dense(functional.conv_transpose2d(x, self.weight, self.bias, 2, 1))


def convolution(layer: nn.Conv2d, slopes: Tensor | None) -> Convolution:
    """A layer of a network with its activation, see `Convolution`; left to torch."""
    return Convolution(
        weight=laid_out(layer.weight),
        bias=bias_of(layer),
        stride=layer.stride[0],
        groups=layer.groups,
        slopes=slopes,
        residual=False,
    )


def fastest(layer: Convolution, epilogue: Epilogue | None) -> Convolution:
    """A layer of stride 1 with a padding of 1, as it is computed fastest on its device."""
    suits = epilogue is None and layer.groups == 1 and not layer.residual
    if not (suits and winograd.resolve(layer.weight.device, layer.weight.dtype)[0]):
        return replace(layer, epilogue=epilogue)
    slopes = SLOPE if layer.slopes is None else layer.slopes
    return replace(layer, winograd=Winograd(layer.weight, layer.bias, slopes))


def transposed(weight: Tensor, bias: Tensor, side: int, epilogue: Epilogue | None) -> Transposed:
    """A transposed convolution as it is computed fastest. side: of the pixel shuffle that its outputs are for, or 1."""
    if epilogue is not None or not winograd.resolve(weight.device, weight.dtype)[0]:
        return Transposed(weight=laid_out(weight), bias=bias)
    made = Winograd(_as_convolution(weight, side), bias.view(1, side, 1, side, -1).expand(2, -1, 2, -1, -1), 1.0)
    return Transposed(weight=weight, bias=bias, winograd=made)


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


def bias_of(layer: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    """The bias, which every convolution of these networks has."""
    assert layer.bias is not None
    return layer.bias.detach()


def dense(x: Tensor) -> Tensor:
    """The tensor in channels-last memory: itself where it is already, as PyTorch's convolutions mostly leave it."""
    return x.contiguous(memory_format=torch.channels_last)


def laid_out(weight: Tensor) -> Tensor:
    """A layer's weight in channels-last memory, without gradients."""
    return dense(weight.detach())
