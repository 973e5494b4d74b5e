"""VapourSynth's GPU side (VSVulkan4.h) as the plugin uses it: frames in the memory of the core's Vulkan device.

Nothing here knows CUDA. A frame belongs to the core's queues or to another API, never to both: what another API reads
is taken by `Source.handed_over`; what it writes is a new frame, which its first `Gpu.export` hands over.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vsrife.errors import RifeError
from vsrife.plugin.vsapi import Core, Frame, Frames, ffi, lib

__all__ = ["Device", "Export", "Gpu", "Reservation", "Source", "Timeline", "understood"]

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
    """A plane as another API finds it: ``offset`` bytes into an allocation of ``size`` bytes.

    memory: the allocation's number, never used again. handle: new at each export and the caller's to close, a file
    descriptor or on Windows a HANDLE.
    """

    memory: int
    size: int
    offset: int
    handle: int


class Gpu:
    """The GPU side of one core. Raises RifeError where a call of it fails, with the core's own reason."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._api = core.api.getVulkanAPI()

    def device(self) -> Device:
        """The device that the core runs on; starts it where no filter has yet."""
        info = ffi().new("VSVulkanCoreInfo *")
        self._check(self._api.getVulkanCoreInfo, self._core.pointer, info)
        return Device(
            name=ffi().string(info.deviceName).decode(errors="replace"),
            uuid=bytes(info.deviceUUID),
            exports_memory=info.exportHandleType != 0,
            exports_timelines=info.semaphoreExportHandleType != 0,
        )

    def frames(self, node: Any, indices: Iterable[int], context: Any) -> "Frames[Source]":
        """The requested frames of ``node``, as a context."""
        return Frames(indices, lambda index: Source(self._core, self, index, node, context))

    def take(self, index: int, node: Any, context: Any) -> Frame:
        """A requested frame for another API to read, once a request. It never goes back to the core."""
        return Frame(self._core, self._made(self._api.getExportableFrameFilter, index, node, context))

    def blank_like(self, frame: Frame) -> Frame:
        """A new frame on the GPU of the same format and size, not yet written, with the frame's properties."""
        width, height = frame.size()
        made = self._api.newGPUVideoFrame(frame.format, width, height, frame.pointer, self._core.pointer)
        return Frame(self._core, made)

    def export(self, frame: Frame, plane: int) -> Export:
        """The memory of a plane; of a frame that was taken for it, or of a new one, which this hands over."""
        found = ffi().new("VSVulkanExportedMemory *")
        self._check(self._api.exportGPUPlane, frame.pointer, plane, found)
        return Export(
            memory=int(found.memoryId), size=int(found.memorySize), offset=int(found.offset), handle=int(found.handle)
        )

    def producer(self, frame: Frame, plane: int) -> tuple[int, int] | None:
        """The semaphore and the value that say when the plane is written; None where it is."""
        found = ffi().new("VSVulkanPlaneInfo *")
        if self._api.getGPUPlane(frame.pointer, plane, found):
            raise RifeError(f"the GPU side of VapourSynth has no plane {plane} of a frame")
        if found.readySemaphore == ffi().NULL:
            return None
        return int(ffi().cast("uintptr_t", found.readySemaphore)), int(found.readyValue)

    def export_semaphore(self, semaphore: int) -> int:
        """A handle of a timeline semaphore for another API; the caller closes it."""
        found = ffi().new("VSVulkanExportedSemaphore *")
        self._check(self._api.exportGPUSemaphore, self._core.pointer, ffi().cast("VkSemaphore", semaphore), found)
        return int(found.handle)

    def wait(self, frame: Frame) -> None:
        """Wait on the host until every plane is written and can be seen by another API."""
        self._check(self._api.waitGPUFrame, frame.pointer)

    def publish(self, frame: Frame, plane: int, timeline: "Timeline", value: int) -> None:
        """Say that the plane is written once ``timeline`` reaches ``value``, whose signal must be on its way."""
        self._api.setGPUPlaneProducer(frame.pointer, plane, timeline.pointer, value)

    def timeline(self) -> "Timeline":
        """A new timeline, at 0."""
        return Timeline(self._core, self._api, self._made(self._api.createGPUTimeline, self._core.pointer))

    def reserve(self, user: object) -> "Reservation":
        """The plugin's declaration of memory that the core did not allocate: one a core, which ``user`` has joined."""
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


class Source(Frame):
    """A requested source frame on the GPU: its properties and, shared by a copy, its planes."""

    __slots__ = ("_gpu", "_handed_over", "_request")

    def __init__(self, core: Core, gpu: Gpu, index: int, node: Any, context: Any) -> None:
        super().__init__(core, core.api.getFrameFilter(index, node, context))
        self._gpu = gpu
        self._request = index, node, context
        self._handed_over: Frame | None = None

    def handed_over(self) -> Frame:
        """The same frame for another API to read; this object's, taken the first time it is asked for.

        The core copies it on the GPU, once for all who ask while the frame stays in its cache.
        """
        if self._handed_over is None:
            self._handed_over = self._gpu.take(*self._request)
        return self._handed_over

    def free(self) -> None:
        """Give both references back. Idempotent."""
        if self._handed_over is not None:
            self._handed_over.free()
        super().free()


class Timeline:
    """A counter on the GPU that only grows. ``last``: the newest value that is reached or on its way."""

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
        """The value it has now, without waiting; 0 where the device cannot tell."""
        value = ffi().new("uint64_t *")
        failed = self._counter(self._device, ffi().cast("VkSemaphore", self.semaphore), value)
        return 0 if failed else int(value[0])

    def wait(self, value: int) -> None:
        """Wait on the host until it has ``value``, or until the device is lost and nothing runs any more."""
        self._api.gpuTimelineWaitValue(self.pointer, value, ffi().new("char[]", _TEXT), _TEXT)

    def free(self) -> None:
        """Give it back. Frames that it was published on keep it alive by themselves."""
        self._api.freeGPUTimeline(self.pointer)


class Reservation:
    """Bytes on the core's device that the core did not allocate, so that its cache makes room for them."""

    __slots__ = ("_api", "_imports", "_key", "_pointer", "_total")

    def __init__(self, api: Any, pointer: Any, key: int) -> None:
        self._api = api
        self._pointer = pointer
        self._key = key
        self._total = 0
        self._imports: dict[object, int] = {}

    def join(self, user: object) -> None:
        """One filter more declares what it holds."""
        self._imports[user] = 0

    def update(self, user: object, *, allocated: int, imported: int) -> None:
        """Declare what the process has allocated, and what ``user`` alone has imported: bytes.

        Imports count only where the system charges the process for them a second time.
        """
        with _declaring:
            self._imports[user] = imported * lib().VS_GPU_IMPORT_CHARGED_AGAIN
            total = allocated + sum(list(self._imports.values()))
            if total != self._total:
                self._total = total
                self._api.updateGPUMemoryReservation(self._pointer, total)

    def leave(self, user: object) -> None:
        """End a filter's use of it; with the last one the core counts these bytes no more. Idempotent."""
        with _declaring:
            if self._imports.pop(user, None) is not None and not self._imports:
                del _declared[self._key]
                self._api.releaseGPUMemoryReservation(self._pointer)


_declared: dict[int, Reservation] = {}
_declaring = threading.RLock()  # garbage collected within may be another filter, which leaves


def _failure(reason: Any) -> RifeError:
    text = " ".join(ffi().string(reason).decode(errors="replace").split())
    return RifeError(f"the GPU side of VapourSynth failed: {text or 'it gave no reason'}")


def understood(core: Core) -> bool:
    """Whether the core's GPU side is the one this plugin was built for: its table may change with every version."""
    return bool(core.version == lib().VAPOURSYNTH_API_VERSION)
