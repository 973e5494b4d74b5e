"""Integer sums over the blocks of a plane, the same on every device.

The signature and the comparison of duplicates both use these. Sums of integers have one correct value in any order,
so a CPU, a GPU and any number of threads agree to the last bit. Planes are walked in bands of rows, so that a 4K plane
never grows a whole-picture copy in a wider type.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch

__all__ = ["FLOAT_BITS", "Limits", "Measures", "as_integers", "bands", "block_sums", "sample_bits"]

FLOAT_BITS = 16
"""Depth to which float samples are quantised before anything is summed."""

_BAND_ON_CPU = 1 << 17  # samples; a band's int32 copy (512 KiB) stays in a core's cache
_BAND_ELSEWHERE = 1 << 23  # an accelerator wants few, large launches


type Limits = tuple[int, int, int, int]
"""What a block of a plane may sum to: a whole one, one cut by the right edge, by the bottom edge, by both."""


class Measures(Protocol):
    """Another way to the integers that `signature.signature` and `duplicates.is_still` find in plain torch."""

    def cell_sums(self, planes: Sequence[torch.Tensor], cell: int) -> torch.Tensor:
        """See `signature.cell_sums`."""

    def exceed(self, left: Sequence[torch.Tensor], right: Sequence[torch.Tensor], limits: Iterable[Limits]) -> bool:
        """See `duplicates.exceed`; may leave planes unread once it is decided."""


def sample_bits(plane: torch.Tensor, bits: int) -> int:
    """Bits of one sample as `as_integers` gives it: ``bits`` for integer planes, `FLOAT_BITS` for float planes."""
    return FLOAT_BITS if plane.is_floating_point() else bits


def as_integers(samples: torch.Tensor) -> torch.Tensor:
    """Samples as int32, a new tensor.

    Floats are read as 0..1, clamped (NaN and -Inf to 0, Inf to 1) and rounded half to even to `FLOAT_BITS` bits.
    """
    if not samples.is_floating_point():
        return samples.to(torch.int32)
    # One multiplication and one rounding, each exactly defined by IEEE 754: no device can differ.
    unit = samples.to(torch.float32, copy=True).nan_to_num_(nan=0.0).clamp_(0.0, 1.0)
    return unit.mul_((1 << FLOAT_BITS) - 1).round_().to(torch.int32)


def bands(plane: torch.Tensor, block: int) -> Iterator[slice]:
    """Slices of rows that cover the plane from the top; each is a multiple of ``block`` high except for the last."""
    height, width = plane.shape
    budget = _BAND_ON_CPU if plane.device.type == "cpu" else _BAND_ELSEWHERE
    rows = max(1, budget // (block * width)) * block
    for top in range(0, height, rows):
        yield slice(top, min(height, top + rows))


def block_sums(values: torch.Tensor, block: int) -> torch.Tensor:
    """Sums over ``block`` x ``block`` cells counted from the top left, int64 [ceil(h / block), ceil(w / block)].

    ``values`` is an int32 or int64 [h, w] tensor of any stride. Cells that the right or the bottom edge cuts sum what
    they hold. The sum of ``block`` values must fit the type of ``values``.
    """
    columns = _sum_rows(values, block, values.dtype)
    return _sum_rows(columns.T, block, torch.int64).T


def _sum_rows(values: torch.Tensor, block: int, dtype: torch.dtype) -> torch.Tensor:
    whole, rest = divmod(values.shape[0], block)
    parts = []
    if whole:
        parts.append(values[: whole * block].reshape(whole, block, -1).sum(1, dtype=dtype))
    if rest:
        parts.append(values[whole * block :].sum(0, keepdim=True, dtype=dtype))
    return parts[0] if len(parts) == 1 else torch.cat(parts)
