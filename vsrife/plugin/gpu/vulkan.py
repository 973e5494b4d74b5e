"""VapourSynth's Vulkan API (VSVulkan4.h) as the plugin uses it: frames in the memory of the core's Vulkan device.

This module is independent of CUDA. A frame is used either by the core's queues or by another API, never by both: what
another API reads is a frame from `GpuSourceFrame.exportable`; what it writes is a new frame, which belongs to it from
the first `Gpu.export` on.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vsrife.errors import RifeError
from vsrife.plugin.vsapi import Core, Frame, Frames, ffi, lib

__all__ = ["Device", "Export", "Gpu", "GpuSourceFrame", "Reservation", "TimelineSemaphore", "same_api_version"]

_TEXT = 512  # bytes of an error message


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """The core's Vulkan device. exports_memory, exports_timelines: whether another API may import them."""

    name: str
    uuid: bytes
    exports_memory: bool
    exports_timelines: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """The memory of a plane for import by another API: ``offset`` bytes into an allocation of ``size`` bytes.

    memory: the allocation's unique number. handle: a file descriptor, on Windows a HANDLE; each export makes a new one,
    which the caller must close.
    """

    memory: int
    size: int
    offset: int
    handle: int


class Gpu:
    """The Vulkan API of one core. Raises RifeError with the core's reason where a call fails."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._api = core.api.getVulkanAPI()

    def device(self) -> Device:
        """The device that the core uses. Initialises it if no filter has done so."""
        info = ffi().new("VSVulkanCoreInfo *")
        self._check(self._api.getVulkanCoreInfo, self._core.pointer, info)
        return Device(
            name=ffi().string(info.deviceName).decode(errors="replace"),
            uuid=bytes(info.deviceUUID),
            exports_memory=info.exportHandleType != 0,
            exports_timelines=info.semaphoreExportHandleType != 0,
        )

    def frames(self, node: Any, indices: Iterable[int], context: Any) -> "Frames[GpuSourceFrame]":
        """The requested frames of ``node``, as a context."""
        return Frames(indices, lambda index: GpuSourceFrame(self._core, self, index, node, context))

    def take(self, index: int, node: Any, context: Any) -> Frame:
        """A requested frame that another API may read; once for each request. The core does not use it again."""
        return Frame(self._core, self._made(self._api.getExportableFrameFilter, index, node, context))

    def blank_like(self, frame: Frame) -> Frame:
        """A new frame on the GPU of the same format and size, not yet written, with the frame's properties."""
        width, height = frame.size()
        made = self._api.newGPUVideoFrame(frame.format, width, height, frame.pointer, self._core.pointer)
        return Frame(self._core, made)

    def export(self, frame: Frame, plane: int) -> Export:
        """The memory of a plane of an exportable frame, or of a new frame, which the core does not use after this."""
        found = ffi().new("VSVulkanExportedMemory *")
        self._check(self._api.exportGPUPlane, frame.pointer, plane, found)
        return Export(
            memory=int(found.memoryId), size=int(found.memorySize), offset=int(found.offset), handle=int(found.handle)
        )

    def producer(self, frame: Frame, plane: int) -> tuple[int, int] | None:
        """The timeline semaphore and the value that it has once the plane is written; None if the plane is written."""
        found = ffi().new("VSVulkanPlaneInfo *")
        if self._api.getGPUPlane(frame.pointer, plane, found):
            raise RifeError(f"VapourSynth's Vulkan API has no plane {plane} of a frame")
        if found.readySemaphore == ffi().NULL:
            return None
        return int(ffi().cast("uintptr_t", found.readySemaphore)), int(found.readyValue)

    def export_semaphore(self, semaphore: int) -> int:
        """A handle of a timeline semaphore for another API; the caller closes it."""
        found = ffi().new("VSVulkanExportedSemaphore *")
        self._check(self._api.exportGPUSemaphore, self._core.pointer, ffi().cast("VkSemaphore", semaphore), found)
        return int(found.handle)

    def wait(self, frame: Frame) -> None:
        """Wait on the host until every plane is written and visible to other APIs."""
        self._check(self._api.waitGPUFrame, frame.pointer)

    def set_producer(self, frame: Frame, plane: int, timeline: "TimelineSemaphore", value: int) -> None:
        """Declare that the plane is written once ``timeline`` reaches ``value``, whose signal must be queued."""
        self._api.setGPUPlaneProducer(frame.pointer, plane, timeline.pointer, value)

    def create_timeline(self) -> "TimelineSemaphore":
        """A new timeline semaphore, at 0."""
        return TimelineSemaphore(self._core, self._api, self._made(self._api.createGPUTimeline, self._core.pointer))

    def reserve(self, user: object) -> "Reservation":
        """The reservation for memory that the core did not allocate. There is one for each core; ``user`` joins it."""
        key = int(ffi().cast("uintptr_t", self._core.pointer))
        with _declaring:
            found = _declared.get(key)
            if found is None:
                pointer = self._made(self._api.reserveGPUMemory, self._core.pointer, 0)
                found = _declared[key] = Reservation(self._api, pointer, key)
            found.join(user)
            return found

    def _check(self, call: Any, *arguments: Any) -> None:
        """Make a call that returns 0 where it succeeds and takes a buffer for its reason."""
        reason = ffi().new("char[]", _TEXT)
        if call(*arguments, reason, _TEXT):
            raise _failure(reason)

    def _made(self, call: Any, *arguments: Any) -> Any:
        """Make a call that returns a pointer, NULL where it fails."""
        reason = ffi().new("char[]", _TEXT)
        pointer = call(*arguments, reason, _TEXT)
        if pointer == ffi().NULL:
            raise _failure(reason)
        return pointer


class GpuSourceFrame(Frame):
    """A requested source frame on the GPU: its properties and, shared by a copy, its planes."""

    __slots__ = ("_exportable", "_gpu", "_request")

    def __init__(self, core: Core, gpu: Gpu, index: int, node: Any, context: Any) -> None:
        super().__init__(core, core.api.getFrameFilter(index, node, context))
        self._gpu = gpu
        self._request = index, node, context
        self._exportable: Frame | None = None

    def exportable(self) -> Frame:
        """The same frame for another API to read. This object owns it, and gets it at the first call.

        The core copies it on the GPU, once for all filters while the frame stays in its cache.
        """
        if self._exportable is None:
            self._exportable = self._gpu.take(*self._request)
        return self._exportable

    def free(self) -> None:
        """Release both references. Idempotent."""
        if self._exportable is not None:
            self._exportable.free()
        super().free()


class TimelineSemaphore:
    """A Vulkan timeline semaphore. ``last``: the newest value that is reached or whose signal is queued."""

    __slots__ = ("_api", "_counter", "_device", "last", "pointer", "semaphore")

    def __init__(self, core: Core, api: Any, pointer: Any) -> None:
        self._api = api
        self.pointer = pointer
        self.last = 0
        handles, reason = ffi().new("VSVulkanCoreHandles *"), ffi().new("char[]", _TEXT)
        functions = api.getVulkanFunctions(core.pointer, reason, _TEXT)
        if functions == ffi().NULL or api.getVulkanHandles(core.pointer, handles, reason, _TEXT):
            api.freeGPUTimeline(pointer)
            raise _failure(reason)
        self._counter = functions.vkGetSemaphoreCounterValue
        self._device = handles.device
        self.semaphore = int(ffi().cast("uintptr_t", api.getGPUTimelineSemaphore(pointer)))

    def reached(self) -> int:
        """The current value, without waiting; 0 where it cannot be read."""
        value = ffi().new("uint64_t *")
        failed = self._counter(self._device, ffi().cast("VkSemaphore", self.semaphore), value)
        return 0 if failed else int(value[0])

    def wait(self, value: int) -> None:
        """Wait on the host until it has ``value``, or until the device is lost."""
        self._api.gpuTimelineWaitValue(self.pointer, value, ffi().new("char[]", _TEXT), _TEXT)

    def free(self) -> None:
        """Release it. Frames whose producer it is keep it alive."""
        self._api.freeGPUTimeline(self.pointer)


class Reservation:
    """Bytes of the core's device that the core did not allocate, declared so that its cache leaves room for them."""

    __slots__ = ("_api", "_imports", "_key", "_pointer", "_total")

    def __init__(self, api: Any, pointer: Any, key: int) -> None:
        self._api = api
        self._pointer = pointer
        self._key = key
        self._total = 0
        self._imports: dict[object, int] = {}

    def join(self, user: object) -> None:
        """Add a filter."""
        self._imports[user] = 0

    def update(self, user: object, *, allocated: int, imported: int) -> None:
        """Set the bytes that the process has allocated, and those that ``user`` has imported.

        Imports count only on systems that charge the process for them a second time.
        """
        with _declaring:
            self._imports[user] = imported * lib().VS_GPU_IMPORT_CHARGED_AGAIN
            total = allocated + sum(list(self._imports.values()))
            if total != self._total:
                self._total = total
                self._api.updateGPUMemoryReservation(self._pointer, total)

    def leave(self, user: object) -> None:
        """Remove a filter. With the last one the reservation ends. Idempotent."""
        with _declaring:
            if self._imports.pop(user, None) is not None and not self._imports:
                del _declared[self._key]
                self._api.releaseGPUMemoryReservation(self._pointer)


_declared: dict[int, Reservation] = {}
_declaring = threading.RLock()  # re-entrant: garbage collection while it is held may free another filter, which leaves


def _failure(reason: Any) -> RifeError:
    text = " ".join(ffi().string(reason).decode(errors="replace").split())
    return RifeError(f"VapourSynth's Vulkan API failed: {text or 'it gave no reason'}")


def same_api_version(core: Core) -> bool:
    """Whether the core has the API version that this plugin was built for: the Vulkan API changes with each."""
    return bool(core.version == lib().VAPOURSYNTH_API_VERSION)
