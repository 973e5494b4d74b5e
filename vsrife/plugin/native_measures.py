"""What cuts and still pairs are decided by, of frames in host memory, computed by the compiled library without the GIL.

The numbers are the very ones of vsrife.scene, which defines them; native/measures.c has the arithmetic. It takes the
planes' addresses, so no view of a plane is made.
"""

import functools
from typing import Any

import numpy as np

from vsrife.engine.transfer.host import HostLayout, HostPlanes
from vsrife.formats.pixel_format import Family, PixelFormat
from vsrife.plugin import vsapi
from vsrife.scene.block_sums import FLOAT_BITS
from vsrife.scene.duplicates import limits_of
from vsrife.scene.signature import CELLS, Signature, cell_of, signature_size

__all__ = ["HostMeasures"]

_TYPES = {(False, 1): 0, (False, 2): 1, (True, 2): 2, (True, 4): 3}
"""Numbers of the sample types, as measures.c has them: whether samples are floats, and their bytes."""


class HostMeasures:
    """The measures by the compiled library. Any number of threads may call at once."""

    def signature(self, planes: HostPlanes) -> Signature:
        """The signature of a frame, see `vsrife.scene.signature`."""
        shape, arguments = _signature_arguments(planes.layout)
        found = np.empty(shape, np.int64)
        vsapi.lib().rife_signature(planes.memory, *arguments, _numbers(found))
        return found

    def is_still(self, left: HostPlanes, right: HostPlanes, threshold: float) -> bool:
        """Whether two frames of one layout are a still pair, see `duplicates.is_still`; the threshold in dB."""
        arguments = _still_arguments(left.layout, threshold)
        return bool(vsapi.lib().rife_is_still(left.memory, right.memory, *arguments))

    def worst_block(self, left: HostPlanes, right: HostPlanes) -> float:
        """By how much two frames of one layout differ, see `duplicates.worst_block`: in RGB, or else in luma."""
        count, sizes, kind, _ = _still_arguments(left.layout, 0.0)
        count = count if left.layout.format.family is Family.RGB else 1
        peak = (1 << _depth(left.layout.format)) - 1
        return float(vsapi.lib().rife_worst_block(left.memory, right.memory, count, sizes, kind, peak))

    def in_place(self, left: Signature, right: Signature) -> float:
        """How much of a pair does not match as it lies, of two signatures of one size, see `scene_change.in_place`."""
        if left.shape != right.shape or not all(1 <= side <= CELLS for side in left.shape):
            raise ValueError(
                f"signatures of one size, of 1 to {CELLS} cells, are needed, not {left.shape} and {right.shape}"
            )
        one, other = (_numbers(np.ascontiguousarray(side, np.int64)) for side in (left, right))
        share: float = vsapi.lib().rife_in_place(one, other, *left.shape)
        if share < 0:
            raise MemoryError("no memory to compare two frames")
        return share


@functools.lru_cache(maxsize=64)
def _signature_arguments(layout: HostLayout) -> tuple[tuple[int, int], tuple[int, ...]]:
    """Rows and columns of the signature; all that `rife_signature` takes between the planes and the result."""
    fmt = layout.format
    width, height = layout.sizes[0]
    cell = cell_of(height, width)
    count = len(layout.sizes) if fmt.family is Family.RGB else 1
    return signature_size(height, width), (count, width, height, _type_of(fmt), cell, (1 << _depth(fmt)) - 1)


@functools.lru_cache(maxsize=64)
def _still_arguments(layout: HostLayout, threshold: float) -> tuple[Any, ...]:
    """All that `rife_is_still` takes behind the planes."""
    fmt, new = layout.format, vsapi.ffi().new
    limits = [limits_of(height, width, _depth(fmt), threshold) for width, height in layout.sizes]
    return len(layout.sizes), new("int[]", sum(layout.sizes, ())), _type_of(fmt), new("int64_t[]", sum(limits, ()))


def _type_of(fmt: PixelFormat) -> int:
    return _TYPES[fmt.float_samples, fmt.bytes_per_sample]


def _depth(fmt: PixelFormat) -> int:
    """Bits of a sample as an integer."""
    return FLOAT_BITS if fmt.float_samples else fmt.bits


def _numbers(array: Signature) -> Any:
    return vsapi.ffi().from_buffer("int64_t *", array)
