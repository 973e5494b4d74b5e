"""What cuts and still pairs are decided by, of frames in host memory, computed by the compiled library without the GIL.

The numbers are the very ones of vsrife.video, which defines them; native/measures.c has the arithmetic.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vsrife.plugin import vsapi
from vsrife.video.blocks import Limits
from vsrife.video.cuts import Signature, weights_of

__all__ = ["HostMeasures"]

_TYPES = {torch.uint8: 0, torch.uint16: 1, torch.float16: 2, torch.float32: 3}
"""Numbers of the sample types, as measures.c has them."""


class HostMeasures:
    """The measures by the compiled library, of planes [h, w] of uint8, uint16, float16 or float32 in host memory, the
    samples of a row side by side. Any number of threads may call at once.
    """

    def cell_sums(self, planes: Sequence[Tensor], cell: int) -> Tensor:
        """The sums that a signature divides, see `cuts.cell_sums`."""
        height, width = planes[0].shape
        sums = np.zeros((-(-height // cell), -(-width // cell)), dtype=np.int64)
        out = vsapi.ffi().from_buffer("int64_t *", sums)
        for plane, weight in zip(planes, weights_of(planes), strict=True):
            vsapi.lib().rife_cell_sums(*_memory(plane), width, height, _TYPES[plane.dtype], cell, weight, out)
        return torch.from_numpy(sums)

    def exceed(self, left: Sequence[Tensor], right: Sequence[Tensor], limits: Iterable[Limits]) -> bool:
        """Whether the frames differ by more than the limits of a still pair, see `still.exceed`."""
        differ = vsapi.lib().rife_exceed
        for a, b, limit in zip(left, right, limits, strict=True):
            height, width = a.shape
            if differ(*_memory(a), *_memory(b), width, height, _TYPES[a.dtype], limit):
                return True
        return False

    def cut_score(self, left: Signature, right: Signature) -> float:
        """The score of two signatures of one size, see `cuts.cut_score`."""
        if left.shape != right.shape or not all(1 <= side <= 64 for side in left.shape):
            raise ValueError(
                f"signatures of one size, of 1 to 64 cells, are needed, not {left.shape} and {right.shape}"
            )
        memory = vsapi.ffi().from_buffer
        one, other = (memory("int64_t *", np.ascontiguousarray(side, np.int64)) for side in (left, right))
        score: float = vsapi.lib().rife_cut_score(one, other, *left.shape)
        if score < 0:
            raise MemoryError("no memory for a cut score")
        return score


def _memory(plane: Tensor) -> tuple[Any, int]:
    """Where a plane begins, and the bytes from row to row."""
    return vsapi.ffi().cast("void *", plane.data_ptr()), plane.stride(0) * plane.element_size()
