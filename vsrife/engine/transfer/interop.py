"""Planes in GPU memory of another API <-> tensors, without a copy.

`Interop` is what a device must be able to do for that; `Cuda` does it with NVIDIA's runtime: an allocation is imported
and mapped once, cupy wraps the mapping, DLPack hands it to torch, and a plane is a view of it. `Imports` keeps the
allocations that were used last. This module is independent of VapourSynth and of filters.
"""

import ctypes
import functools
import importlib
import os
import threading
from collections import OrderedDict
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final, Protocol, override

import torch
from torch import Tensor

from vsrife.cuda import own_stream
from vsrife.engine.transfer import host
from vsrife.errors import RifeError
from vsrife.formats.pixel_format import PixelFormat

__all__ = ["Block", "Cuda", "Imports", "Interop", "close_handle", "cuda_device", "plane_of", "resolve", "uuid_of"]

MOST_IMPORTS: Final = 32
"""Allocations that stay imported while nothing uses them; VapourSynth's are of 128 MB. There must be a bound, since an
import keeps memory alive that the core may have given up."""


@dataclass(kw_only=True, slots=True, eq=False)
class Block:
    """An imported allocation. memory: all of it, uint8 [bytes], valid until `Interop.unmap`. parts: `Interop`'s own."""

    memory: Tensor
    parts: Any = None
    users: int = field(default=0, init=False)
    kept: bool = field(default=True, init=False)


class Interop(Protocol):
    """What it takes to use another API's memory and timelines on a torch device. Raises RifeError where it cannot.

    Handles are taken over: closed, or owned by the import, also where this raises. A stream is a number, as `stream`
    gives it.
    """

    device: torch.device

    def map(self, handle: int, size: int) -> Block:
        """Import the allocation of ``size`` bytes behind a handle."""

    def unmap(self, block: Block) -> None:
        """Give an import back; nothing that reads or writes it is queued any more."""

    def open_semaphore(self, handle: int) -> Any:
        """Import the timeline semaphore behind a handle."""

    def close_semaphore(self, semaphore: Any) -> None:
        """Give an imported semaphore back; nothing that waits for it or signals it is queued any more."""

    def wait(self, semaphore: Any, value: int, stream: int) -> None:
        """Queue a wait for ``value``."""

    def signal(self, semaphore: Any, value: int, stream: int) -> None:
        """Queue a signal of ``value``, which is larger than every earlier one of this semaphore."""

    def stream(self) -> int:
        """Torch's current stream of the device; what is queued on one stream runs in order."""

    def aside(self) -> AbstractContextManager[object]:
        """A stream beside those that make frames, current inside: what is read back from it waits for none of them."""

    def finish(self, stream: int) -> None:
        """Wait on the host until what is queued is done."""

    def allocated(self) -> int:
        """Bytes of the device that this process's torch and cupy hold."""


class Imports:
    """Imported allocations by their number, the least recently used out first; one in use is given back when idle.

    Safe for any number of threads.
    """

    def __init__(self, interop: Interop, most: int = MOST_IMPORTS) -> None:
        self._interop = interop
        self._most = most
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._lock = threading.Lock()

    def use(self, number: int, handle: int, size: int) -> Block:
        """The allocation with this number, imported from ``handle`` the first time; in use until `done`."""
        with self._lock:
            block = self._blocks.get(number)
            if block is None:
                block = self._blocks[number] = self._interop.map(handle, size)
            else:
                close_handle(handle)
            self._blocks.move_to_end(number)
            block.users += 1
            while len(self._blocks) > self._most:
                self._drop(self._blocks.popitem(last=False)[1])
            return block

    def done(self, block: Block) -> None:
        """Nothing that was queued for one `use` touches the allocation any more."""
        with self._lock:
            block.users -= 1
            if not block.kept:
                self._drop(block)

    def close(self) -> None:
        """Give every allocation back as soon as it is idle."""
        with self._lock:
            while self._blocks:
                self._drop(self._blocks.popitem()[1])

    @property
    def bytes(self) -> int:
        """What all of them hold together."""
        with self._lock:
            return sum(block.memory.nbytes for block in self._blocks.values())

    def __len__(self) -> int:
        return len(self._blocks)

    def _drop(self, block: Block) -> None:
        block.kept = False
        if block.users == 0:
            self._interop.unmap(block)


def plane_of(block: Block, offset: int, stride: int, width: int, height: int, fmt: PixelFormat) -> Tensor:
    """The plane ``offset`` bytes into an imported allocation: [height, width] of the format's type, without a copy.

    stride: bytes from row to row. Valid while the allocation is in use.
    """
    dtype = host.dtype_of(fmt)
    samples = block.memory[offset : offset + stride * height].view(dtype)
    return samples.as_strided((height, width), (stride // dtype.itemsize, 1))


def close_handle(handle: int) -> None:
    """Close a handle of an export that has not been imported."""
    if os.name == "nt":
        ctypes.WinDLL("kernel32").CloseHandle(ctypes.c_void_p(handle))  # type: ignore[attr-defined, unused-ignore]
    elif handle >= 0:
        os.close(handle)


class Cuda(Interop):
    """`Interop` of a CUDA device, by NVIDIA's runtime and cupy."""

    def __init__(self, device: torch.device, runtime: ModuleType, cupy: ModuleType) -> None:
        self.device = device
        self._runtime = runtime
        self._cupy = cupy
        # Before the kernels of frames that are already queued: it has little to do, and a frame waits for its result.
        self._aside = own_stream(device, priority=-1)

    @override
    def map(self, handle: int, size: int) -> Block:
        kinds = self._runtime.cudaExternalMemoryHandleType
        wanted = self._runtime.cudaExternalMemoryHandleDesc()
        wanted.size = size
        kind = kinds.cudaExternalMemoryHandleTypeOpaqueWin32 if _NT else kinds.cudaExternalMemoryHandleTypeOpaqueFd
        with torch.cuda.device(self.device):
            memory = self._import(self._runtime.cudaImportExternalMemory, wanted, kind, handle)
            try:
                whole = self._runtime.cudaExternalMemoryBufferDesc()
                whole.offset, whole.size = 0, size
                address = int(self._call(self._runtime.cudaExternalMemoryGetMappedBuffer, memory, whole))
            except RifeError:
                self._call(self._runtime.cudaDestroyExternalMemory, memory)
                raise
            return Block(memory=self._tensor(address, size), parts=(memory, address))

    @override
    def unmap(self, block: Block) -> None:
        memory, address = block.parts
        block.memory = torch.empty(0, dtype=torch.uint8)
        with torch.cuda.device(self.device):
            # The mapping is an allocation of its own, which the memory under it does not take along.
            self._call(self._runtime.cudaFree, address)
            self._call(self._runtime.cudaDestroyExternalMemory, memory)

    @override
    def open_semaphore(self, handle: int) -> Any:
        kinds = self._runtime.cudaExternalSemaphoreHandleType
        wanted = self._runtime.cudaExternalSemaphoreHandleDesc()
        kind = (
            kinds.cudaExternalSemaphoreHandleTypeTimelineSemaphoreWin32
            if _NT
            else kinds.cudaExternalSemaphoreHandleTypeTimelineSemaphoreFd
        )
        with torch.cuda.device(self.device):
            return self._import(self._runtime.cudaImportExternalSemaphore, wanted, kind, handle)

    @override
    def close_semaphore(self, semaphore: Any) -> None:
        with torch.cuda.device(self.device):
            self._call(self._runtime.cudaDestroyExternalSemaphore, semaphore)

    @override
    def wait(self, semaphore: Any, value: int, stream: int) -> None:
        until = self._runtime.cudaExternalSemaphoreWaitParams()
        until.params.fence.value = value
        self._queue(self._runtime.cudaWaitExternalSemaphoresAsync, semaphore, until, stream)

    @override
    def signal(self, semaphore: Any, value: int, stream: int) -> None:
        to = self._runtime.cudaExternalSemaphoreSignalParams()
        to.params.fence.value = value
        self._queue(self._runtime.cudaSignalExternalSemaphoresAsync, semaphore, to, stream)

    @override
    def stream(self) -> int:
        return int(torch.cuda.current_stream(self.device).cuda_stream)

    @override
    def aside(self) -> AbstractContextManager[object]:
        return torch.cuda.stream(self._aside)

    @override
    def finish(self, stream: int) -> None:
        with torch.cuda.device(self.device):
            self._call(self._runtime.cudaStreamSynchronize, self._runtime.cudaStream_t(stream))

    @override
    def allocated(self) -> int:
        with self._cupy.cuda.Device(self.device.index):
            pool = int(self._cupy.get_default_memory_pool().total_bytes())
        return pool + torch.cuda.memory_reserved(self.device)

    def _queue(self, call: Any, semaphore: Any, parameters: Any, stream: int) -> None:
        with torch.cuda.device(self.device):
            self._call(call, [semaphore], [parameters], 1, self._runtime.cudaStream_t(stream))

    def _import(self, call: Any, wanted: Any, kind: Any, handle: int) -> Any:
        wanted.type = kind
        if _NT:
            wanted.handle.win32.handle = handle
        else:
            wanted.handle.fd = handle
        try:
            made = self._call(call, wanted)
        except RifeError:
            close_handle(handle)
            raise
        if _NT:  # CUDA takes a file descriptor over, but only looks at a HANDLE
            close_handle(handle)
        return made

    def _call(self, call: Any, *arguments: Any) -> Any:
        error, *result = call(*arguments)
        if int(error) != 0:
            _, text = self._runtime.cudaGetErrorString(error)
            raise RifeError(f"{call.__name__} failed: {text.decode()}")
        return result[0] if result else None

    def _tensor(self, address: int, size: int) -> Tensor:
        cupy = self._cupy.cuda
        with cupy.Device(self.device.index):
            memory = cupy.UnownedMemory(address, size, None, self.device.index)
            array = self._cupy.ndarray((size,), self._cupy.uint8, cupy.MemoryPointer(memory, 0))
            tensor: Tensor = torch.utils.dlpack.from_dlpack(array)
        return tensor


_NT: Final = os.name == "nt"


def cuda_device(uuid: bytes) -> torch.device | None:
    """The CUDA device of this process with a UUID of 16 bytes; None where there is none."""
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        if uuid_of(torch.device("cuda", index)) == uuid:
            return torch.device("cuda", index)
    return None


def uuid_of(device: torch.device) -> bytes:
    """The UUID of a CUDA device, 16 bytes, the same that Vulkan gives it."""
    return bytes.fromhex(str(torch.cuda.get_device_properties(device).uuid).replace("-", ""))


@functools.cache
def resolve(device: torch.device) -> tuple[Interop | None, str]:
    """What imports another API's memory on ``device``, and an empty text; or None, and why nothing does."""
    if device.type != "cuda" or torch.version.cuda is None:
        return None, f"only CUDA can use them in place, and the device is {device}"
    try:
        runtime = importlib.import_module("cuda.bindings.runtime")
        cupy = importlib.import_module("cupy")
        with cupy.cuda.Device(device.index):
            tried = cupy.zeros(1, cupy.uint8)
            works = int(torch.utils.dlpack.from_dlpack(tried).add_(1).item()) == 1
    except Exception as error:  # noqa: BLE001 - one is missing or too old, or the GPU is: then frames are downloaded
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return None, f"{reason}; install cupy-cuda13x 14 or later and cuda-bindings"
    return (Cuda(device, runtime, cupy), "") if works else (None, "cupy and torch do not share memory here")
