"""Scene cuts, decided from two frames alone.

`signature` reduces a frame to a thumbnail of integers, once per frame, on the frame's device; `cut_score` compares two signatures on
the host. All sums are exact integers (those in float64 stay below 2^53) and every other operation is element by element and correctly
rounded, so the score of a pair is the same on every device and machine, with any number of threads.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vsrife.video.blocks import as_integers, bands, block_sums, sample_bits

__all__ = ["DEFAULT_CUT_THRESHOLD", "Signature", "cut_score", "signature"]

type Signature = NDArray[np.int64]
"""Thumbnail [rows, columns] of means, 0..65535 whatever the clip's format."""

DEFAULT_CUT_THRESHOLD = 0.5
"""A pair is a cut when its score is at least this."""

_CELLS = 64
_RGB_WEIGHTS = (2, 5, 1)
_SIGNATURE_PEAK = 65535
_BLOCK = 8
_STRIDE = 4
_REACH = 21
_FLOOR = 600.0 ** 2


def signature(planes: Sequence[torch.Tensor], bits: int) -> Signature:
    """The frame's thumbnail: means over square cells, at most 64 along the longer side.

    ``planes``: the luma plane alone (Gray, YUV) or the three planes of RGB, [h, w] of uint8, uint16, float16 or float32, of any stride, on
    one device. ``bits``: depth of integer samples; ignored for floats, which are read as 0..1 and quantised to 16 bits (NaN as 0). Cells
    at the right and bottom edge average what they hold. Pictures smaller than 64 pixels have one cell per pixel.
    """
    height, width = planes[0].shape
    cell = -(-max(height, width) // _CELLS)
    weights = _RGB_WEIGHTS if len(planes) == 3 else (1,)
    total: torch.Tensor | int = 0
    for plane, weight in zip(planes, weights, strict=True):
        total = total + weight * torch.cat([block_sums(as_integers(plane[rows]), cell) for rows in bands(plane, cell)])
    assert isinstance(total, torch.Tensor)
    sums: Signature = total.cpu().numpy()
    scale = np.multiply.outer(_sides(height, cell), _sides(width, cell)) * sum(weights) * ((1 << sample_bits(planes[0], bits)) - 1)
    return (2 * _SIGNATURE_PEAK * sums + scale) // (2 * scale)


def _sides(length: int, cell: int) -> NDArray[np.int64]:
    sides = np.full(-(-length // cell), cell, dtype=np.int64)
    sides[-1] = length - cell * (len(sides) - 1)
    return sides


def cut_score(left: Signature, right: Signature) -> float:
    """How far the right frame is from being the left one moved and changed in gain: 0 (explained) to below 1 (a cut).

    Both signatures must come from frames of one size. A pure function of the two, the same on every machine.
    """
    return min(_unexplained(left, right), _unexplained(right, left))


def _unexplained(source: Signature, target: Signature) -> float:
    """Share of the target's texture that no displaced block of the source resembles."""
    rows, columns = target.shape
    down, across = min(_BLOCK, rows), min(_BLOCK, columns)
    area = down * across
    mean = int(target.sum()) // target.size
    a = sliding_window_view((source - mean).astype(np.float64), (down, across))
    b = sliding_window_view((target - mean).astype(np.float64), (down, across))
    ys, xs = _starts(rows - down), _starts(columns - across)
    b = b[np.ix_(ys, xs)].reshape(-1, area)
    shape = a.shape[:2]
    a = a.reshape(-1, area)
    cross = (b @ a.T) * area - np.multiply.outer(b.sum(1), a.sum(1))
    va = (a * a).sum(1) * area - a.sum(1) ** 2
    vb = (b * b).sum(1) * area - b.sum(1) ** 2
    floor = _FLOOR * area * area
    ncc = cross / np.sqrt(np.multiply.outer(vb + floor, va + floor))
    cy, cx = np.divmod(np.arange(a.shape[0]), shape[1])
    by, bx = (g.ravel() for g in np.meshgrid(ys, xs, indexing="ij"))
    near = (abs(cy[None] - by[:, None]) <= _REACH) & (abs(cx[None] - bx[:, None]) <= _REACH)
    best = np.where(near, ncc, 0.0).max(1)
    weight = vb / (vb + floor)
    scaled = np.floor(weight * (1.0 - best) * 2**30).sum() / 2**30
    return float(scaled / (np.floor(weight * 2**30).sum() / 2**30 + 0.05 * len(weight)))


def _starts(last: int) -> NDArray[np.int64]:
    return np.unique(np.append(np.arange(0, last + 1, _STRIDE), last))
