"""Leases of GPU frames to torch: the synchronisation between Vulkan and CUDA, and what is held until the GPU is done.

VapourSynth gives a timeline semaphore and a value for each plane that may not be written yet; the CUDA stream waits for
that value. When the stream has written a plane, it signals a value of a timeline semaphore of the plugin, which is set
as the plane's producer. Frames that the stream reads are held until that value is reached. So the host never waits for
a plane. Where timeline semaphores cannot be shared, the host waits before and after the work instead.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vsrife.engine.device import resolve_device
from vsrife.engine.slots import gpu_slots
from vsrife.engine.streams import capture_lock
from vsrife.engine.transfer.interop import Block, Imports, Interop, cuda_device, plane_of, resolve, uuid_of
from vsrife.errors import ArgumentError, RifeError
from vsrife.formats.pixel_format import PixelFormat
from vsrife.plugin.gpu.vulkan import Device, Gpu, TimelineSemaphore
from vsrife.plugin.vsapi import Frame

__all__ = ["FrameLease", "VulkanCudaBridge", "interop_for"]

_DECLARED_EVERY = 32  # pieces of work: torch's own account of its memory costs a tenth of a millisecond


@dataclass(frozen=True, kw_only=True, slots=True)
class _PendingJob:
    """What one frame job uses until ``timeline`` reaches ``value``."""

    timeline: TimelineSemaphore
    value: int
    frames: list[Frame]
    blocks: list[Block]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shared:
    """A timeline semaphore of the plugin, and the same one as imported by CUDA."""

    timeline: TimelineSemaphore
    semaphore: Any


class VulkanCudaBridge:
    """Makes the core's GPU frames available to CUDA, for one filter. Any number of threads may hold leases at once."""

    def __init__(self, gpu: Gpu, interop: Interop, *, inform: Callable[[str], None]) -> None:
        """inform: takes a line for the log."""
        self._gpu = gpu
        self._interop = interop
        self._inform = inform
        self._imports = Imports(interop)
        self._lock = threading.Lock()  # of all below; held while a signal is queued, never while anything is waited for
        self._waits: dict[int, Any] = {}  # imported semaphores of the core, by its own handle
        self._waited: dict[tuple[int, int], int] = {}  # (stream, semaphore): the highest value that is waited for there
        self._signals: dict[int, _Shared] = {}  # by stream, since the values of one timeline must only grow
        self._pending: deque[_PendingJob] = deque()
        self._signalled = 0
        self._asynchronous = gpu.device().exports_timelines
        self._reservation = gpu.reserve(self)
        try:
            self._declare()
        except BaseException:
            self._reservation.leave(self)
            raise
        if not self._asynchronous:
            inform("RIFE: this driver exports no timeline semaphores, so the host waits for the GPU at each frame")

    @property
    def device(self) -> torch.device:
        """The torch device whose memory the frames are in."""
        return self._interop.device

    @contextmanager
    def lease(self) -> Iterator["FrameLease"]:
        """A lease for one frame job. If `FrameLease.signal_done` was not called, as after an error, its end waits."""
        lease = FrameLease(self, self._gpu, self._interop, self._imports)
        try:
            yield lease
        finally:
            if not lease.ended:
                with capture_lock:  # one of its streams may be captured by now
                    lease.finish()

    @contextmanager
    def lease_for_measuring(self) -> Iterator["FrameLease"]:
        """A lease for measuring frames on a separate stream. At its end all work on that stream is finished."""
        lease = FrameLease(self, self._gpu, self._interop, self._imports)
        with self._interop.aside():
            try:
                yield lease
            finally:
                lease.finish()

    def wait_for(self, frame: Frame, planes: int, stream: int) -> None:
        """Make ``stream`` wait until ``frame`` is written; where that is impossible, wait on the host."""
        awaited = [self._gpu.producer(frame, plane) for plane in range(planes)]
        try:
            for semaphore, value in filter(None, awaited) if self._asynchronous else ():
                with self._lock:
                    if self._waited.get((stream, semaphore), 0) < value:
                        if semaphore not in self._waits:
                            self._waits[semaphore] = self._interop.open_semaphore(self._gpu.export_semaphore(semaphore))
                        self._interop.wait(self._waits[semaphore], value, stream)
                        self._waited[stream, semaphore] = value
        except RifeError as error:
            self._give_up_timelines(error)
        if not self._asynchronous:
            self._gpu.wait(frame)

    def signal_done(
        self, stream: int, written: list[tuple[Frame, int]], frames: list[Frame], blocks: list[Block]
    ) -> bool:
        """Queue a signal on ``stream`` after the work that is queued there; hold ``frames`` and ``blocks`` until then.

        written: frames and their number of planes, whose producer that signal becomes. Returns False where timeline
        semaphores cannot be shared: then nothing is queued, and ``frames`` and ``blocks`` still belong to the caller.
        """
        if not self._asynchronous:
            return False
        with self._lock:
            try:
                shared = self._shared(stream)
                value = shared.timeline.last + 1
                # Queued before it is set as a producer: a thread that waits for it may hold a lock of the core that
                # this thread needs.
                self._interop.signal(shared.semaphore, value, stream)
            except RifeError as error:
                self._give_up_timelines(error)
                return False
            shared.timeline.last = value
            for frame, planes in written:
                for plane in range(planes):
                    self._gpu.set_producer(frame, plane, shared.timeline, value)
            self._pending.append(_PendingJob(timeline=shared.timeline, value=value, frames=frames, blocks=blocks))
            self._signalled += 1
            declare = self._signalled % _DECLARED_EVERY == 0
        if declare:
            self._declare()
        self.sweep()
        return True

    def release(self, frames: list[Frame], blocks: list[Block]) -> None:
        """Release frames and memory that no queued work uses."""
        for frame in frames:
            frame.free()
        for block in blocks:
            self._imports.done(block)

    def sweep(self) -> None:
        """Release what the GPU is done with, without waiting. If more than `gpu_slots` jobs are pending, wait for the
        oldest ones, so that no more jobs are queued, and hold memory, than for frames in host memory.
        """
        with self._lock:
            values = {timeline: timeline.reached() for timeline in {job.timeline for job in self._pending}}
            done = [job for job in self._pending if job.value <= values[job.timeline]]
            self._pending = deque(job for job in self._pending if job.value > values[job.timeline])
            late = [self._pending.popleft() for _ in range(len(self._pending) - gpu_slots())]
        for job in late:
            job.timeline.wait(job.value)
        for job in (*done, *late):
            self.release(job.frames, job.blocks)

    def close(self) -> None:
        """Wait for what is still queued and release everything, also where the GPU has failed. Idempotent.

        There must be no open lease.
        """
        with self._lock:
            jobs, self._pending = list(self._pending), deque()
            signals, self._signals = list(self._signals.values()), {}
            waits, self._waits = list(self._waits.values()), {}
        with ExitStack() as last_to_first:
            last_to_first.callback(self._reservation.leave, self)
            for shared in signals:
                last_to_first.callback(shared.timeline.free)
            for semaphore in (*waits, *(shared.semaphore for shared in signals)):
                last_to_first.callback(self._interop.close_semaphore, semaphore)
            last_to_first.callback(self._imports.close)
            for job in reversed(jobs):
                last_to_first.callback(self.release, job.frames, job.blocks)
                last_to_first.callback(job.timeline.wait, job.value)

    def _declare(self) -> None:
        self._reservation.update(self, allocated=self._interop.allocated(), imported=self._imports.bytes)

    def _give_up_timelines(self, error: RifeError) -> None:
        self._asynchronous = False
        self._inform(f"RIFE: timeline semaphores cannot be used ({error}), so the host waits for the GPU at each frame")

    def _shared(self, stream: int) -> _Shared:
        if stream not in self._signals:
            timeline = self._gpu.create_timeline()
            try:
                semaphore = self._interop.open_semaphore(self._gpu.export_semaphore(timeline.semaphore))
            except BaseException:
                timeline.free()
                raise
            self._signals[stream] = _Shared(timeline=timeline, semaphore=semaphore)
        return self._signals[stream]


def interop_for(device: Device, name: str) -> tuple[Interop | None, str]:
    """The interop for frames on the core's ``device`` and an empty text; or None and the reason to download the frames.

    name: the argument ``device``. Raises ArgumentError where it is not a device, or another GPU than the frames' one.
    """
    if name == "auto":
        found = cuda_device(device.uuid)
        if found is None:
            return None, f"they are on {device.name}, which is not a CUDA device of this process"
    else:
        found = resolve_device(name)
        if found.type == "cuda" and uuid_of(found) != device.uuid:
            raise ArgumentError(_elsewhere(device, name, found))
    if not device.exports_memory:
        return None, f"the driver of {device.name} exports no memory"
    return resolve(found)


def _elsewhere(device: Device, name: str, named: torch.device) -> str:
    right = cuda_device(device.uuid)
    way_out = "core.set_vulkan_device() before the first GPU filter" if right is None else f'device="{right}"'
    return (
        f"device ({name}, {torch.cuda.get_device_name(named)}, UUID {uuid_of(named).hex()}) must be the GPU that has "
        f"the clip's frames ({device.name}, UUID {device.uuid.hex()}); pass {way_out}, or clip.std.GPUDownload()"
    )


class FrameLease:
    """The GPU frames of one frame job, whose work one thread queues. Implements `vsrife.engine.picture.Lease`.

    `read` and `write` return views of the frames' memory. Call `begin` before their first use on a stream, with that
    stream current, and `signal_done` after the last use, with a stream current that waits for all others. After an
    error call `finish` instead, which waits for each stream.
    """

    def __init__(self, bridge: VulkanCudaBridge, gpu: Gpu, interop: Interop, imports: Imports) -> None:
        self._bridge = bridge
        self._gpu = gpu
        self._interop = interop
        self._imports = imports
        self._awaited: list[tuple[Frame, int]] = []
        self._written: list[tuple[Frame, int]] = []
        self._frames: list[Frame] = []
        self._blocks: list[Block] = []
        self._begun: list[int] = []
        self.ended = False

    def read(self, frame: Frame, fmt: PixelFormat) -> tuple[Tensor, ...]:
        """The planes of an exportable frame as tensors over its memory. The frame is held while they are used."""
        held = frame.hold()
        self._frames.append(held)
        self._awaited.append((held, fmt.planes))
        return self._planes(held, fmt)

    def write(self, frame: Frame, fmt: PixelFormat) -> tuple[Tensor, ...]:
        """The planes of a new frame, which this exports. The caller holds the frame until `signal_done` or `finish`."""
        self._written.append((frame, fmt.planes))
        return self._planes(frame, fmt)

    def begin(self) -> None:
        """Make the current stream wait until all frames that are read have been written. Idempotent for each stream."""
        if self.ended:
            raise RuntimeError("memory of frames was used after it had been released")
        stream = self._interop.stream()
        if stream not in self._begun:
            self._begun.append(stream)
            for frame, planes in self._awaited:
                self._bridge.wait_for(frame, planes, stream)

    def signal_done(self) -> None:
        """All work is queued: signal its end, and release what it uses once the GPU has done it. Idempotent.

        Waits only where timeline semaphores cannot be shared. Raises RifeError where the GPU has failed.
        """
        stream, written, frames, blocks = self._interop.stream(), self._written, self._frames, self._blocks
        if self._begun and self._bridge.signal_done(stream, written, frames, blocks):
            self._forget()
        else:
            self.finish([stream] if self._begun else [])

    def finish(self, streams: Sequence[int] | None = None) -> None:
        """Wait until all queued work is done, and release what it used. Idempotent.

        streams: those to wait for. Default: all that `begin` was called on.
        """
        begun, frames, blocks = self._begun if streams is None else streams, self._frames, self._blocks
        self._forget()
        try:
            for stream in begun:
                self._interop.finish(stream)
        finally:
            self._bridge.release(frames, blocks)

    def _forget(self) -> None:
        self.ended = True
        self._begun, self._awaited, self._written, self._frames, self._blocks = [], [], [], [], []

    def _planes(self, frame: Frame, fmt: PixelFormat) -> tuple[Tensor, ...]:
        planes = []
        for plane in range(fmt.planes):
            export = self._gpu.export(frame, plane)
            block = self._imports.use(export.memory, export.handle, export.size)
            self._blocks.append(block)
            planes.append(plane_of(block, export.offset, frame.stride(plane), *frame.size(plane), fmt))
        return tuple(planes)
