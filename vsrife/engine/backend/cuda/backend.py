"""The backend of NVIDIA GPUs: what `torch_backend` defines, by CUDA kernels and graphs."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, override

import torch
from torch import Tensor

from vsrife.engine.backend.base import Backend, Estimating
from vsrife.engine.backend.cuda.graphs import field_in
from vsrife.engine.backend.cuda.kernels import Kernels
from vsrife.engine.backend.torch_backend import TORCH
from vsrife.engine.block_estimator import BlockEstimator
from vsrife.formats.colour import Colour
from vsrife.formats.pixel_format import PixelFormat
from vsrife.scene.block_sums import Limits

if TYPE_CHECKING:
    from vsrife.engine.field import Field
    from vsrife.engine.picture import Layer
    from vsrife.engine.streams import Lane

__all__ = ["CudaBackend"]


class CudaBackend(Backend):
    """See `Backend`. Work is queued on the device's current stream, which is waited for where a result is no tensor."""

    padded_channels = True

    def __init__(self, kernels: Kernels) -> None:
        self.kernels = kernels
        self.epilogue = kernels.epilogue

    @override
    def source_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return dtype

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
        out = source()
        self.kernels.convert(planes, fmt, colour, width=width, height=height, out=out)
        return out

    @override
    def estimate(self, held: "Lane", estimator: Estimating, left: Tensor, right: Tensor, time: float) -> "Field":
        if not isinstance(estimator, BlockEstimator) or estimator.uses_reference:
            return estimator.field(left, right, time)
        return field_in(held, estimator, self.kernels, left, right, time)

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
        if not field.has_levels:
            return TORCH.synthesize(left, right, field, layer, width=width, height=height, out=out)
        made = tuple(torch.empty_like(plane) for plane in left) if out is None else tuple(out)
        # Laid out once for as long as the levels stay where they are: a graph writes to the same memory each time.
        key = layer.format, layer.colour.chroma, width, height
        synthesis = field.kept.get(key)
        if synthesis is None:
            synthesis = field.kept[key] = self.kernels.synthesis(
                field.levels,
                layer.format,
                chroma=layer.colour.chroma,
                width=width,
                height=height,
                adds_masks=field.adds_masks,
            )
        synthesis(left, right, made)
        return made

    @override
    def cell_sums(self, planes: Sequence[Tensor], cell: int) -> Tensor:
        cells = [-(-length // cell) for length in planes[0].shape]
        sums = torch.empty(cells, dtype=torch.int64, device=planes[0].device)
        self.kernels.signature_sums(planes, cell, sums)
        return sums

    @override
    def exceed(self, left: Sequence[Tensor], right: Sequence[Tensor], limits: Iterable[Limits]) -> bool:
        exceeded = torch.empty(1, dtype=torch.int32, device=left[0].device)
        self.kernels.still(left, right, list(limits), exceeded)
        return bool(exceeded)
