"""A kernel's launch as plain values: which kernel, how many threads, arguments laid out as the sources have them."""

import ctypes
import functools
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vsrife.engine.backend.cuda.kernels.variants import Variant

__all__ = [
    "MOST_LEVELS",
    "MOST_PARTS",
    "PLANES",
    "ConvertArguments",
    "EpilogueArguments",
    "JoiningArguments",
    "Launch",
    "Level",
    "Pair",
    "PairArguments",
    "Plane",
    "StillArguments",
    "SumsArguments",
    "Window",
    "gather_arguments",
    "pitch_of",
    "plane_of",
    "synthesis_arguments",
]

MOST_LEVELS: Final = 8
MOST_PARTS: Final = 32
"""That one `epilogue` joins."""

type _Fields = list[tuple[str, type]]


class Plane(ctypes.Structure):
    """Samples of one plane."""

    _fields_: ClassVar[_Fields] = [("data", ctypes.c_void_p), ("pitch", ctypes.c_uint)]


def plane_of(tensor: Tensor) -> Plane:
    """A tensor [h, w] as the kernels see it. Raises as `pitch_of`."""
    return Plane(tensor.data_ptr(), pitch_of(tensor.shape, tensor.stride(), tensor.itemsize))


@functools.lru_cache(maxsize=256)
def pitch_of(shape: tuple[int, ...], strides: tuple[int, ...], size: int) -> int:
    """Bytes from one row of a tensor [h, w] to the next, 0 for a single row. strides: in samples of ``size`` bytes.

    Raises ValueError where the samples of a row are not side by side, or the plane is 4 GiB or more.
    """
    if len(shape) != 2 or (shape[1] > 1 and strides[1] != 1):
        raise ValueError(f"a plane must be [h, w] with adjacent samples, not {tuple(shape)}, {strides}")
    height, width = shape
    pitch = strides[0] * size if height > 1 else 0
    if (height - 1) * pitch + width * size >= 1 << 32:
        raise ValueError(f"a plane must have less than 4 GiB, not {height} rows of {pitch} bytes")
    return pitch


PLANES: Final = {count: struct.Struct("@" + count * "PI4x") for count in (1, 3)}
"""So many `Plane`, of their addresses and pitches: to write them at once."""


class Level(ctypes.Structure):
    """A block's output: its first number, its size in pixels, numbers per pixel."""

    _fields_: ClassVar[_Fields] = [
        ("raw", ctypes.c_void_p),
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("stride", ctypes.c_int),
    ]


class Window(ctypes.Structure):
    """Luma samples under a chroma sample along one axis: the first, counted from its own first one; how many."""

    _fields_: ClassVar[_Fields] = [("first", ctypes.c_int), ("taps", ctypes.c_int)]


class Pair(ctypes.Structure):
    """Two packed sources and a time."""

    _fields_: ClassVar[_Fields] = [("left", ctypes.c_void_p), ("right", ctypes.c_void_p), ("time", ctypes.c_float)]


class PairArguments(ctypes.Structure):
    """Of `set_pair`."""

    _fields_: ClassVar[_Fields] = [("to", ctypes.c_void_p), ("pair", Pair)]


class ConvertArguments(ctypes.Structure):
    """Of `convert`."""

    _fields_: ClassVar[_Fields] = [
        ("planes", Plane * 3),
        ("out", ctypes.c_void_p),
        *((name, ctypes.c_int) for name in ("width", "height", "canvas_width", "canvas_height")),
        *((name, ctypes.c_int) for name in ("family", "linear", "chroma_width", "chroma_height")),
        *((name, ctypes.c_float) for name in ("site_x", "site_y", "step_x", "step_y")),
        *((name, ctypes.c_float) for name in ("luma_zero", "luma_unit", "chroma_zero", "chroma_unit")),
        *((name, ctypes.c_float) for name in ("red_v", "green_u", "green_v", "blue_u")),
    ]


class EpilogueArguments(ctypes.Structure):
    """Of `epilogue`."""

    _fields_: ClassVar[_Fields] = [
        *((name, ctypes.c_void_p) for name in ("y", "bias", "residual", "slopes")),
        ("vectors", ctypes.c_uint),
        ("per_pixel", ctypes.c_uint),
        ("slope", ctypes.c_float),
    ]


class JoiningArguments(ctypes.Structure):
    """Of `epilogue` where it joins parts."""

    _fields_: ClassVar[_Fields] = [
        *EpilogueArguments._fields_,
        ("per_part", ctypes.c_uint),
        ("parts", ctypes.c_void_p * MOST_PARTS),
    ]


class SumsArguments(ctypes.Structure):
    """Of `signature_sums`."""

    _fields_: ClassVar[_Fields] = [
        ("planes", Plane * 3),
        ("weights", ctypes.c_uint * 3),
        ("sums", ctypes.c_void_p),
        *((name, ctypes.c_int) for name in ("count", "width", "height", "cell")),
    ]


class StillArguments(ctypes.Structure):
    """Of `still`."""

    _fields_: ClassVar[_Fields] = [
        ("left", Plane * 3),
        ("right", Plane * 3),
        ("width", ctypes.c_int * 3),
        ("height", ctypes.c_int * 3),
        ("limits", ctypes.c_ulonglong * 4 * 3),
        ("moved", ctypes.c_void_p),
    ]


def _structure(fields: _Fields) -> type[ctypes.Structure]:
    return type("Arguments", (ctypes.Structure,), {"_fields_": fields})


_GATHER: Final = [
    _structure([
        ("pair", ctypes.c_void_p),
        ("levels", Level * max(levels, 1)),
        ("out", ctypes.c_void_p),
        *((name, ctypes.c_int) for name in ("canvas_width", "canvas_height", "width", "first_row", "rows")),
    ])
    for levels in range(MOST_LEVELS + 1)
]  # fmt: skip

_SYNTHESIS: Final = {
    (levels, planes): _structure([
        ("levels", Level * levels),
        *((name, Plane * planes) for name in ("left", "right", "out")),
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("peak", ctypes.c_float),
        ("across", Window),
        ("down", Window),
    ])
    for levels in range(1, MOST_LEVELS + 1)
    for planes in (1, 3)
}  # fmt: skip


def gather_arguments(levels: Sequence[Level], **fields: object) -> ctypes.Structure:
    """Of `gather`, which is compiled for this many levels."""
    kind = _GATHER[len(levels)]
    return kind(levels=(Level * max(len(levels), 1))(*levels), **fields)


def synthesis_arguments(levels: Sequence[Level], planes: int, **fields: object) -> ctypes.Structure:
    """Of `synthesize`, which is compiled for this many levels and planes; the planes themselves are empty."""
    return _SYNTHESIS[len(levels), planes](levels=(Level * len(levels))(*levels), **fields)


@dataclass(frozen=True, kw_only=True, eq=False)
class Launch:
    """One launch. arguments: the kernel's only argument, passed by value. grid, block: as CUDA has them.

    It may be launched again and again, with other numbers in its arguments, by one thread at a time.
    """

    variant: Variant
    function: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    arguments: ctypes.Structure

    @cached_property
    def value(self) -> NDArray[np.void]:
        """The arguments as an array of one element, over the same memory: what cupy takes for a structure by value."""
        return np.frombuffer(self.arguments, dtype=_bytes_type(ctypes.sizeof(self.arguments)))

    @cached_property
    def key(self) -> tuple[Variant, str]:
        """Which kernel."""
        return self.variant, self.function


@functools.cache
def _bytes_type(size: int) -> np.dtype[np.void]:
    return np.dtype(f"V{size}")
