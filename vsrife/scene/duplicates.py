"""Still pairs: two frames so alike that the frame between them is a copy of the left one; and how much others differ.

Decided by the worst block, not by the mean of the picture: a small object that moves slowly changes few pixels, but
changes its own block a lot. All arithmetic is on integers, so every device gives the same result.
"""

from collections.abc import Iterable, Sequence
from decimal import Context, Decimal
from functools import lru_cache
from math import inf, isnan

import numpy as np
import torch

from vsrife.scene.block_sums import Limits, Measures, as_integers, bands, block_sums, sample_bits

__all__ = ["BLOCK", "DEFAULT_STILL_THRESHOLD", "exceed", "is_still", "limits_of", "worst_block"]

DEFAULT_STILL_THRESHOLD = 60.0
"""Decibels. At 8 bits it lets four pixels of an 8 x 8 block differ by one code value, or one by two, and no more."""

BLOCK = 8
"""Side of a block. The edge of a gradient one code value high that moves by one pixel changes 8 pixels of a block this
high and is seen at 60 dB (4 allowed at 8 bits); in a block of 16 the same edge would pass (16 of 16 allowed)."""

_NOTHING = torch.empty(0, dtype=torch.int64)

_SAME_SIZE = {1: torch.uint8, 2: torch.int16, 4: torch.int32}


def is_still(
    left: Sequence[torch.Tensor],
    right: Sequence[torch.Tensor],
    bits: int,
    threshold: float,
    measures: Measures | None = None,
) -> bool:
    """Whether every block of the two frames differs by no more than the threshold.

    ``left`` and ``right``: the frames' planes, [h, w] of uint8, uint16, float16 or float32, any stride, on one device;
    a pair is still if each plane is. ``bits``: depth of integer samples; ignored for floats, which are read as 0..1 and
    quantised to 16 bits; those outside of 0..1 (highlights, half of all chroma, NaN) must be identical. ``threshold``:
    PSNR in dB that the worst block must reach: its sum of squared differences is at most
    ``floor(peak^2 * area / 10^(threshold / 10))``, blocks at the edge counting their own area. 0 dB or less takes every
    pair (of samples in range); from 67 dB at 8 bits, 79 at 10, 115 at 16 (and ``inf``) only identical planes pass.
    ``measures``: compares in place of `exceed`. Raises ValueError on NaN.
    """
    limits = (limits_of(*plane.shape, sample_bits(plane, bits), threshold) for plane in left)
    return not (measures.exceed if measures else exceed)(left, right, limits)


def worst_block(left: Sequence[torch.Tensor], right: Sequence[torch.Tensor], bits: int) -> float:
    """By how much the two frames differ in the block that differs most: 0 to 1.

    The mean of a block's squared differences as a share of the largest possible, the most of all blocks of all planes.
    1 where float samples out of 0..1 differ. The arguments are those of `is_still`.
    """
    found = 0.0
    for a, b in zip(left, right, strict=True):
        peak = (1 << sample_bits(a, bits)) - 1
        for rows in bands(a, BLOCK):
            sums = _differences(a[rows], b[rows])
            if sums is None:
                return 1.0
            if sums.numel():
                found = max(
                    found, float((sums.double() / _areas(*a[rows].shape).to(sums.device)).max()) / (peak * peak)
                )
    return found


def exceed(left: Sequence[torch.Tensor], right: Sequence[torch.Tensor], limits: Iterable[Limits]) -> bool:
    """Whether the squared differences of any block sum to more than its plane's limit, or floats out of 0..1 differ."""
    return any(_plane_exceeds(*planes) for planes in zip(left, right, limits, strict=True))


def _plane_exceeds(left: torch.Tensor, right: torch.Tensor, limits: Limits) -> bool:
    for rows in bands(left, BLOCK):
        sums = _differences(left[rows], right[rows])
        if sums is None or (sums.numel() and bool((sums > _spread(limits, *left[rows].shape).to(sums.device)).any())):
            return True
    return False


def _differences(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor | None:
    """Each block's sum of squared differences, `block_sums`; none at all where two bands are identical. None where they
    differ in floats out of 0..1.
    """
    if _identical(left, right):
        return _NOTHING  # most of a still picture, and several times cheaper
    if left.is_floating_point() and _differ_out_of_range(left, right):
        return None
    difference = as_integers(left) - as_integers(right)
    if left.element_size() > 1:
        # The squares of a column of a block stay below 2^31 up to 14 bits. Samples of two bytes may have 16.
        difference = difference.to(torch.int64)
    return block_sums(difference.mul_(difference), BLOCK)


def _identical(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether the bytes agree; samples that do are equal once quantised, NaN among them."""
    integer = _SAME_SIZE[left.element_size()]
    left, right = left.view(integer), right.view(integer)
    if left.device.type == "cpu":
        return np.array_equal(left.numpy(), right.numpy())  # ten times as fast as torch.equal
    return torch.equal(left, right)


def _differ_out_of_range(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether samples that quantising would clamp, and so hide, differ by a bit."""
    integer = _SAME_SIZE[left.element_size()]
    inside = (left >= 0) & (left <= 1) & (right >= 0) & (right <= 1)
    return bool(((left.view(integer) != right.view(integer)) & ~inside).any())


def _areas(height: int, width: int) -> torch.Tensor:
    """Each block's samples in a band of a plane, shaped like the band's `block_sums`."""
    rest_x, rest_y = width % BLOCK, height % BLOCK
    return _spread((BLOCK * BLOCK, BLOCK * rest_x, BLOCK * rest_y, rest_x * rest_y), height, width)


def _spread(limits: Limits, height: int, width: int) -> torch.Tensor:
    """Each block's limit in a band of a plane: int64, shaped like the band's `block_sums`."""
    whole, right, bottom, corner = limits
    spread = torch.full((-(-height // BLOCK), -(-width // BLOCK)), whole, dtype=torch.int64)
    if width % BLOCK:
        spread[:, -1] = right
    if height % BLOCK:
        spread[-1, :] = bottom
    if width % BLOCK and height % BLOCK:
        spread[-1, -1] = corner
    return spread


@lru_cache(maxsize=64)
def limits_of(height: int, width: int, depth: int, threshold: float) -> Limits:
    """What the blocks of a plane may sum to, see `is_still`. depth: bits of a sample as an integer."""
    if isnan(threshold):
        raise ValueError("threshold must not be NaN")
    rest_x, rest_y = width % BLOCK, height % BLOCK
    whole, right, bottom, corner = (
        _limit(area, depth, threshold) for area in (BLOCK * BLOCK, rest_x * BLOCK, BLOCK * rest_y, rest_x * rest_y)
    )
    return whole, right, bottom, corner


def _limit(area: int, depth: int, threshold: float) -> int:
    """``floor(peak^2 * area / 10^(threshold / 10))``, in decimals: C libraries' pow() may differ in the last bit."""
    largest = ((1 << depth) - 1) ** 2 * area
    if threshold <= 0:
        return largest
    if threshold == inf:
        return 0
    context = Context(prec=40)
    ratio = context.power(10, context.divide(Decimal(threshold), 10))
    return int(context.divide(largest, ratio))
