"""Where the planes of frames are, as the kernels read it from their arguments."""

import ctypes
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

import torch
from torch import Tensor

from vsrife.engine.backend.cuda.kernels import launch as values
from vsrife.formats.pixel_format import PixelFormat

__all__ = ["PlacedPlanes", "PlaneWriter", "plane_sizes", "sample_type"]

_SAMPLE_TYPES: Final = {
    (False, 1): torch.uint8,
    (False, 2): torch.uint16,
    (True, 2): torch.float16,
    (True, 4): torch.float32,
}
"""Of a plane: whether samples are floats, and their bytes."""


def sample_type(fmt: PixelFormat) -> torch.dtype:
    """The type of a format's samples."""
    return _SAMPLE_TYPES[fmt.float_samples, fmt.bytes_per_sample]


def plane_sizes(fmt: PixelFormat, width: int, height: int) -> list[tuple[int, int]]:
    """Height and width of each plane of a picture."""
    return [fmt.plane_size(plane, width, height)[::-1] for plane in range(fmt.planes)]


class PlacedPlanes(tuple[Tensor, ...]):
    """Planes of one frame that are kept, and where they are: checked and written out by the first kernel that reads
    them, for frames of one format and size.
    """

    places: bytes | None = None


class PlaneWriter:
    """Writes where a frame's planes are into one field of a kernel's arguments, an array of `values.Plane`."""

    def __init__(
        self, fmt: PixelFormat, sizes: Sequence[tuple[int, int]], arguments: ctypes.Structure, field: str
    ) -> None:
        """sizes: of each plane, (height, width)."""
        self._format = fmt
        self._sizes = sizes
        self._kind = sample_type(fmt)
        self._packing = values.PLANES[len(sizes)]
        offset = getattr(type(arguments), field).offset
        self._field = memoryview(arguments).cast("B")[offset : offset + self._packing.size]

    def __call__(self, planes: Sequence[Tensor]) -> None:
        """Raises ValueError for planes of another number, size, type or layout."""
        if not isinstance(planes, PlacedPlanes):
            self._field[:] = self._places(planes)
            return
        if planes.places is None:
            planes.places = self._places(planes)
        self._field[:] = planes.places

    def _places(self, planes: Sequence[Tensor]) -> bytes:
        places: list[int] = []
        for plane, size in zip_longest(planes, self._sizes):
            if plane is None or plane.shape != size:
                raise ValueError(f"planes must be {self._sizes}, not {[tuple(each.shape) for each in planes]}")
            if plane.dtype is not self._kind:
                raise ValueError(f"planes must be of {self._format.name}'s own type, not {plane.dtype}")
            places += plane.data_ptr(), values.pitch_of(plane.shape, plane.stride(), plane.itemsize)
        return self._packing.pack(*places)
