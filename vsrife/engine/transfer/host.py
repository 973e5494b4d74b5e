"""Planes in host memory <-> tensors.

On a CPU a plane is a view of the frame's own memory. On a CUDA device one 2D copy per plane, queued by cupy, moves it
between the frame's memory and torch's; the host stages, stacks and converts nothing, unless `Choices.pinned` is set for
pinned memory between the two.

Every copy is queued on torch's current stream of the device, in order with the work queued there before and after it.
The host memory belongs to a VapourSynth frame: call `finish` before that frame is released or handed on.
"""

import ctypes
import functools
import importlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Final, overload, override

import numpy as np
import torch
from torch import Tensor

from vsrife.choices import chosen
from vsrife.formats.pixel_format import PixelFormat

__all__ = [
    "HostLayout",
    "HostPlanes",
    "device_of",
    "download",
    "dtype_of",
    "finish",
    "layout_of",
    "plane_view",
    "upload",
]

_log: Final = logging.getLogger("vsrife")
_resolving: Final = threading.Lock()
_resolved: Final[dict[str, ModuleType | None]] = {}

_HOST: Final = torch.device("cpu")

_DTYPES: Final = {
    (False, 1): (np.uint8, torch.uint8),
    (False, 2): (np.uint16, torch.uint16),
    (True, 2): (np.float16, torch.float16),
    (True, 4): (np.float32, torch.float32),
}


def dtype_of(fmt: PixelFormat) -> torch.dtype:
    """The tensor type of a format's samples: uint8, uint16 (9 to 16 bits), float16 or float32."""
    return _DTYPES[fmt.float_samples, fmt.bytes_per_sample][1]


def plane_view(pointer: int, stride: int, width: int, height: int, fmt: PixelFormat) -> Tensor:
    """The plane in host memory at `pointer` as a tensor [height, width] of the format's type, without a copy.

    stride: bytes from one row to the next, as VapourSynth gives it. width, height: of this plane, in samples.
    The tensor owns nothing: it is valid while the frame is held, and writing to it writes to the frame, so write only
        to planes obtained for writing.
    """
    numpy_type, _ = _DTYPES[fmt.float_samples, fmt.bytes_per_sample]
    size = fmt.bytes_per_sample
    memory = _bytes_type(stride * (height - 1) + width * size).from_address(pointer)
    return torch.from_numpy(np.ndarray((height, width), numpy_type, memory, strides=(stride, size)))


@functools.cache
def _bytes_type(count: int) -> type[ctypes.Array[ctypes.c_ubyte]]:
    """The type of so many bytes, which ctypes would make again for each frame."""
    return ctypes.c_ubyte * count


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HostLayout:
    """What the planes of frames of one format and size have in common. sizes: width and height of each, in samples."""

    format: PixelFormat
    sizes: tuple[tuple[int, int], ...]


@functools.lru_cache(maxsize=64)
def layout_of(fmt: PixelFormat, width: int, height: int) -> HostLayout:
    """The layout of frames of a format, of ``width`` x ``height`` samples."""
    return HostLayout(format=fmt, sizes=tuple(fmt.plane_size(plane, width, height) for plane in range(fmt.planes)))


class HostPlanes(Sequence[Tensor]):
    """A frame's planes in host memory: where they are, and views of them.

    Both are found at their first use. Neither is where the engine has the planes already, and no view is
    where addresses will do. Valid while the frame is held.
    """

    __slots__ = ("_find", "_memory", "_views", "layout")

    def __init__(self, layout: HostLayout, find: Callable[[], Sequence[int]]) -> None:
        """find: address and stride in bytes of each plane, one plane after the other."""
        self.layout = layout
        self._find = find
        self._memory: Sequence[int] | None = None
        self._views: list[Tensor | None] | None = None

    @property
    def memory(self) -> Sequence[int]:
        """Address and stride in bytes of each plane, one plane after the other."""
        if self._memory is None:
            self._memory = self._find()
        return self._memory

    @override
    def __len__(self) -> int:
        return len(self.layout.sizes)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Tensor, ...]: ...
    @override
    def __getitem__(self, index: int | slice) -> Tensor | tuple[Tensor, ...]:
        if isinstance(index, slice):
            return tuple(self[each] for each in range(*index.indices(len(self))))
        if self._views is None:
            self._views = [None] * len(self)
        view = self._views[index]
        if view is None:
            plane = index % len(self)
            address, stride = self.memory[2 * plane : 2 * plane + 2]
            view = plane_view(address, stride, *self.layout.sizes[plane], self.layout.format)
            self._views[index] = view
        return view

    @override
    def __iter__(self) -> Iterator[Tensor]:
        return map(self.__getitem__, range(len(self)))


def device_of(planes: Sequence[Tensor]) -> torch.device:
    """The device whose memory a frame's planes are in."""
    return _HOST if isinstance(planes, HostPlanes) else planes[0].device


def upload(view: Tensor, device: torch.device) -> Tensor:
    """A host plane on `device`: [h, w], same type.

    CPU: `view` itself; clone it to keep it longer than the frame. CUDA: a new contiguous tensor, its copy queued. Its
    memory is torch's: a reader on another stream calls `record_stream`. Without cupy, and on other devices:
    torch's own copy, done on return.
    """
    if device.type == "cpu":
        return view
    if device.type == "cuda" and chosen().pinned:
        return _pinned(view).copy_(view).to(device, non_blocking=True)
    cupy = _cupy_for(device.type)
    return view.to(device) if cupy is None else _to_device(cupy, view, device)


def _to_device(cupy: ModuleType, view: Tensor, device: torch.device) -> Tensor:
    with _queue(cupy, device) as stream:
        # cupy's own memory would be reused without regard to other streams: record_stream skips what is not torch's.
        plane = torch.empty(view.shape, dtype=view.dtype, device=device)
        runtime = cupy.cuda.runtime
        address, pitch, row, rows = _place(view)
        runtime.memcpy2DAsync(
            plane.data_ptr(), _pitch(plane), address, pitch, row, rows, runtime.memcpyHostToDevice, stream
        )
    return plane


def download(planes: Sequence[Tensor], views: Sequence[Tensor]) -> None:
    """Write `planes` [h, w] of one device into the host planes `views` of the same sizes and types; samples of a row
    adjacent, rows of any stride.

    CUDA: the copies are queued, `views` are whole after `finish`, and `planes` may be dropped at once. Otherwise, and
    through pinned memory, done on return.
    """
    device = planes[0].device
    if device.type == "cuda" and chosen().pinned:
        staged = [_pinned(view).copy_(plane, non_blocking=True) for plane, view in zip(planes, views, strict=True)]
        finish(device)
        planes = staged
    cupy = None if planes[0].device.type == "cpu" else _cupy_for(device.type)
    if cupy is not None:
        _to_host(cupy, planes, views)
        return
    for plane, view in zip(planes, views, strict=True):
        view.copy_(plane)


def _pinned(view: Tensor) -> Tensor:
    """Pinned host memory for a plane like `view`, without gaps. torch's allocator hands it on only when the copies that
    were queued from it, or to it, are done. Copies between it and a frame are torch's, without the GIL.
    """
    return torch.empty(view.shape, dtype=view.dtype, pin_memory=True)


def _to_host(cupy: ModuleType, planes: Sequence[Tensor], views: Sequence[Tensor]) -> None:
    with _queue(cupy, planes[0].device) as stream:
        runtime = cupy.cuda.runtime
        for plane, (address, pitch, row, rows) in zip(planes, _places(views), strict=True):
            runtime.memcpy2DAsync(
                address, pitch, plane.data_ptr(), _pitch(plane), row, rows, runtime.memcpyDeviceToHost, stream
            )


def finish(device: torch.device) -> None:
    """Wait until no copy queued on torch's current stream of `device` reads or writes host memory any more; on a CPU
    there is none.

    CUDA promises that a copy from pageable memory, which a frame's is, has been read when the call that queues it
    returns, and that a copy to it has been written. Systems whose GPU reads pageable memory directly are the exception,
    hence a real wait on the stream.
    """
    if device.type == "cuda":
        # A wait for the stream itself would spin, and would take in what other threads have queued there since.
        done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        done.record(torch.cuda.current_stream(device))
        done.synchronize()


@contextmanager
def _queue(cupy: ModuleType, device: torch.device) -> Iterator[int]:
    """Make torch's current stream of `device` cupy's as well; yields its handle."""
    with torch.cuda.device(device), cupy.cuda.Stream.from_external(torch.cuda.current_stream(device)) as stream:
        yield int(stream.ptr)


type _Place = tuple[int, int, int, int]
"""Of a host plane: its address, and in bytes the distance of rows and the length of one; how many rows."""


def _places(planes: Sequence[Tensor]) -> list[_Place]:
    if not isinstance(planes, HostPlanes):
        return [_place(plane) for plane in planes]
    memory, layout = planes.memory, planes.layout
    size = layout.format.bytes_per_sample
    return [
        (memory[2 * plane], max(memory[2 * plane + 1], width * size), width * size, height)
        for plane, (width, height) in enumerate(layout.sizes)
    ]


def _place(view: Tensor) -> _Place:
    height, width = view.shape
    return view.data_ptr(), _pitch(view), width * view.element_size(), height


def _pitch(plane: Tensor) -> int:
    """Bytes from row to row. A single row may claim any stride; CUDA wants at least its length."""
    return max(plane.stride(0), plane.shape[1]) * plane.element_size()


def _cupy_for(device_type: str) -> ModuleType | None:
    """The cupy module if it can move planes to this type of device; else None, and the first time a log line states
    so.
    """
    with _resolving:
        if device_type not in _resolved:
            cupy, reason = _resolve_cupy(device_type)
            if cupy is None:
                _log.warning("planes are moved by torch, with extra copies on the host: %s", reason)
            _resolved[device_type] = cupy
        return _resolved[device_type]


def _resolve_cupy(device_type: str) -> tuple[ModuleType | None, str]:
    """The cupy module and why, or None and why not. Tries it: a sample of each type there and back."""
    if device_type != "cuda" or torch.version.cuda is None:
        return None, f"cupy drives NVIDIA hardware, not {device_type} of this torch"
    try:
        cupy = importlib.import_module("cupy")
        device = torch.device("cuda", torch.cuda.current_device())
        for _, dtype in _DTYPES.values():
            sent, received = torch.tensor([[37]], dtype=dtype), torch.zeros((1, 1), dtype=dtype)
            _to_host(cupy, [_to_device(cupy, sent, device)], [received])
            finish(device)
            if not torch.equal(sent, received):
                raise RuntimeError(f"a {dtype} came back changed")
    except Exception as error:  # noqa: BLE001 - no cupy, too old a one, a library of CUDA missing: torch can do it too
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return None, f"cupy does not work here ({reason}); install cupy-cuda13x 14 or later"
    return cupy, f"cupy {cupy.__version__}"
