"""A frame's signature: a small picture of its luma in integers, which the decision on scene cuts is made from.

It is the same on every device and machine, with any number of threads: sums of integers have one correct value.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from vsrife.scene.block_sums import Measures, as_integers, bands, block_sums, sample_bits

__all__ = ["CELLS", "PEAK", "Signature", "cell_of", "cell_sums", "signature", "signature_size", "weights_of"]

type Signature = NDArray[np.int64]
"""Means over square cells [rows, columns], 0..`PEAK` whatever the clip's format."""

PEAK = 65535

CELLS = 400
"""Along the longer side, at most; frames of 640 pixels or more have 267 at least. Motion and text are still seen at
this size, and a network is quick."""

_RGB_WEIGHTS = (2, 5, 1)  # of R, G, B: near luma in every matrix, and exact in integers


def signature(
    planes: Sequence[torch.Tensor], bits: int, measures: Measures | None = None, *, cells: int = CELLS
) -> Signature:
    """The frame's signature: means over square cells, at most ``cells`` along the longer side.

    ``planes``: the luma plane alone (Gray, YUV) or the three planes of RGB, [h, w] of uint8, uint16, float16 or
    float32, of any stride, on one device. ``bits``: depth of integer samples; ignored for floats, which are read as
    0..1 and quantised to 16 bits (NaN as 0). Cells at the right and bottom edge average what they hold. Pictures of up
    to ``cells`` pixels have one cell per pixel. ``measures``: makes the sums in place of `cell_sums`.
    """
    height, width = planes[0].shape
    cell = cell_of(height, width, cells)
    sums: Signature = (measures.cell_sums if measures else cell_sums)(planes, cell).cpu().numpy()
    peak = (1 << sample_bits(planes[0], bits)) - 1
    scale = _scale(height, width, cell, sum(weights_of(planes)) * peak)
    means: Signature = (2 * PEAK * sums + scale) // (2 * scale)
    return means


def cell_sums(planes: Sequence[torch.Tensor], cell: int) -> torch.Tensor:
    """Of each cell's samples, floats quantised, R, G and B times 2, 5 and 1: int64 [ceil(h / cell), ceil(w / cell)]."""
    total = torch.zeros((), dtype=torch.int64, device=planes[0].device)
    for plane, weight in zip(planes, weights_of(planes), strict=True):
        total = total + weight * torch.cat([block_sums(as_integers(plane[rows]), cell) for rows in bands(plane, cell)])
    return total


def weights_of(planes: Sequence[torch.Tensor]) -> tuple[int, ...]:
    """What each plane's samples count for in a signature: 2, 5 and 1 of R, G and B."""
    return _RGB_WEIGHTS if len(planes) == len(_RGB_WEIGHTS) else (1,)


def cell_of(height: int, width: int, cells: int = CELLS) -> int:
    """Side of a signature's cells, in samples."""
    return -(-max(height, width) // cells)


def signature_size(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the signature of a frame of this size."""
    cell = cell_of(height, width)
    return -(-height // cell), -(-width // cell)


@lru_cache(maxsize=16)
def _scale(height: int, width: int, cell: int, peak: int) -> NDArray[np.int64]:
    """The largest sum that each cell can have; to be read only."""
    scale: NDArray[np.int64] = np.multiply.outer(_sides(height, cell), _sides(width, cell)) * peak
    scale.flags.writeable = False
    return scale


def _sides(length: int, cell: int) -> NDArray[np.int64]:
    sides = np.full(-(-length // cell), cell, dtype=np.int64)
    sides[-1] = length - cell * (len(sides) - 1)
    return sides
