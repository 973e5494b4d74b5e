"""The backend of every device that torch has: plain torch, which defines what is right."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, override

import torch
from torch import Tensor

from vsrife.engine.backend.base import Backend, Estimating
from vsrife.engine.backend.synthesis import synthesize_mean
from vsrife.formats.colour import Colour
from vsrife.formats.pixel_format import PixelFormat
from vsrife.formats.rgb import to_rgb
from vsrife.scene.block_sums import Limits
from vsrife.scene.duplicates import exceed
from vsrife.scene.signature import cell_sums

if TYPE_CHECKING:
    from vsrife.engine.field import Field
    from vsrife.engine.picture import Layer
    from vsrife.engine.streams import Lane

__all__ = ["TORCH", "TorchBackend"]


class TorchBackend(Backend):
    """See `Backend`. It has no state, so that one object serves every device."""

    padded_channels = False
    epilogue = None

    @override
    def source_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return torch.float32  # torch samples in float32, and would convert a whole source each time

    @override
    def convert(
        self,
        planes: Sequence[Tensor],
        fmt: PixelFormat,
        colour: Colour,
        *,
        width: int,
        height: int,
        source: Callable[[], Tensor],
    ) -> Tensor:
        rgb = to_rgb(planes, fmt, colour, width=width, height=height)
        out = source()  # last, so that freed temporary tensors leave no holes before what is kept
        out.zero_()
        out[:, : rgb.shape[1], :height, :width] = rgb
        return out

    @override
    def estimate(self, held: "Lane", estimator: Estimating, left: Tensor, right: Tensor, time: float) -> "Field":
        return estimator.field(left, right, time)

    @override
    def synthesize(
        self,
        left: Sequence[Tensor],
        right: Sequence[Tensor],
        field: "Field",
        layer: "Layer",
        *,
        width: int,
        height: int,
        out: Sequence[Tensor] | None = None,
    ) -> tuple[Tensor, ...]:
        chroma = layer.colour.chroma
        size = {"width": width, "height": height}
        return tuple(synthesize_mean(left, right, field.parts(layer), layer.format, chroma=chroma, **size, out=out))

    @override
    def cell_sums(self, planes: Sequence[Tensor], cell: int) -> Tensor:
        return cell_sums(planes, cell)

    @override
    def exceed(self, left: Sequence[Tensor], right: Sequence[Tensor], limits: Iterable[Limits]) -> bool:
        return exceed(left, right, limits)


TORCH: Final = TorchBackend()
