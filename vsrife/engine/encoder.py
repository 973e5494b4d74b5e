"""A network's encoder of a frame's features, prepared once for running."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsrife.engine.convolution_layers import (
    Convolution,
    Epilogue,
    Transposed,
    bias_of,
    convolution,
    dense,
    fastest,
    laid_out,
    transposed,
)
from vsrife.engine.convolutions import RGB, Layout
from vsrife.network.architecture import Architecture, Head

__all__ = ["Encoder", "prepare_encoder"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Encoder:
    """A network's encoder: from packed source to packed source.

    layers: the first takes a packed source as it is, with weights of zero for all but R, G and B.
    last: makes the features; where there is an epilogue all of a packed source's channels, zeros except for the
    features.
    features: how many there are.
    epilogue, slopes: adds the features to the source in one pass, with slopes of one. None: they are copied into it.
    """

    layers: tuple[Convolution, ...]
    last: Transposed
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
            y = dense(functional.conv_transpose2d(x, self.last.weight, None, 2, 1))
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
        convolution(layer, _ones(layer.out_channels, layer) if architecture.head is Head.LINEAR else None)
        for layer in head.modules()
        if isinstance(layer, nn.Conv2d)
    )
    (last,) = (layer for layer in head.modules() if isinstance(layer, nn.ConvTranspose2d))
    first_weight = first.weight.new_zeros(len(first.weight), layout.source, 3, 3)
    first_weight[:, :RGB] = first.weight
    last_weight, last_bias = last.weight.detach(), bias_of(last)
    if epilogue is not None:
        around = (RGB, layout.source - RGB - architecture.features)
        last_weight = functional.pad(last_weight, (0, 0, 0, 0, *around))
        last_bias = functional.pad(last_bias, around)
    return Encoder(
        layers=(
            replace(first, weight=laid_out(first_weight), epilogue=epilogue),
            *(fastest(layer, epilogue) for layer in others),
        ),
        last=transposed(last_weight, last_bias, 1, epilogue),
        features=architecture.features,
        epilogue=epilogue,
        slopes=_ones(layout.source, last),
    )


def _ones(count: int, layer: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    """Slopes below zero that leave everything as it is."""
    return torch.ones(count, dtype=layer.weight.dtype, device=layer.weight.device)
