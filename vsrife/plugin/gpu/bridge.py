"""Frames on the GPU, lent to torch and given back: who waits for whom, and what is held until the GPU is done.

VapourSynth says by a timeline's value when a plane may be read; the stream waits for it. What the stream then writes is
announced by a value of a timeline of our own, signalled in the stream, and what it reads is held until that value is
reached. So no frame's planes are waited for on the host. Where timelines cannot be shared, the host waits before and
after instead.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vsrife.engine.device import gpu_slots, resolve_device
from vsrife.engine.streams import capture_lock
from vsrife.engine.transfer.interop import Block, Imports, Interop, cuda_device, plane_of, resolve, uuid_of
from vsrife.errors import ArgumentError, RifeError
from vsrife.formats.pixel_format import PixelFormat
from vsrife.plugin.gpu.vulkan import Device, Gpu, Timeline
from vsrife.plugin.vsapi import Frame

__all__ = ["Exchange", "Loan", "interop_for"]

_DECLARED_EVERY = 32  # pieces of work: torch's own account of its memory costs a tenth of a millisecond


@dataclass(frozen=True, kw_only=True, slots=True)
class _Held:
    """What one piece of work uses until ``timeline`` reaches ``value``."""

    timeline: Timeline
    value: int
    frames: list[Frame]
    blocks: list[Block]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shared:
    """A timeline of ours and what it is on the other side."""

    timeline: Timeline
    semaphore: Any


class Exchange:
    """One filter's dealings with the core's GPU memory. Any number of threads may have loans of it at once."""

    def __init__(self, gpu: Gpu, interop: Interop, *, inform: Callable[[str], None]) -> None:
        """inform: takes a line for the log."""
        self._gpu = gpu
        self._interop = interop
        self._inform = inform
        self._imports = Imports(interop)
        self._lock = threading.Lock()  # of all below; held while a signal is queued, never while anything is waited for
        self._waits: dict[int, Any] = {}  # imported semaphores of the core, by its own handle
        self._passed: dict[tuple[int, int], int] = {}  # (stream, semaphore): the highest value that is waited for there
        self._signals: dict[int, _Shared] = {}  # by stream, since the values of one timeline must only grow
        self._held: deque[_Held] = deque()
        self._settled = 0
        self._asynchronous = gpu.device().exports_timelines
        self._reservation = gpu.reserve(self)
        try:
            self._declare()
        except BaseException:
            self._reservation.leave(self)
            raise
        if not self._asynchronous:
            inform("RIFE: this driver shares no timelines of the GPU, so each frame waits for it on the host")

    @property
    def device(self) -> torch.device:
        """The torch device whose memory the frames are in."""
        return self._interop.device

    @contextmanager
    def loan(self) -> Iterator["Loan"]:
        """A loan for one piece of work; what was not settled in it, as after an error, is waited for at its end."""
        loan = Loan(self, self._gpu, self._interop, self._imports)
        try:
            yield loan
        finally:
            if not loan.ended:
                with capture_lock:  # one of its streams may be captured by now
                    loan.finish()

    @contextmanager
    def look(self) -> Iterator["Loan"]:
        """A loan for measuring, on a stream of its own and begun by `Loan.begin`; all of it is done at the end."""
        loan = Loan(self, self._gpu, self._interop, self._imports)
        with self._interop.aside():
            try:
                yield loan
            finally:
                loan.finish()

    def wait_for(self, frame: Frame, planes: int, stream: int) -> None:
        """Let ``stream`` wait until ``frame`` is written; where it cannot, wait on the host."""
        awaited = [self._gpu.producer(frame, plane) for plane in range(planes)]
        try:
            for semaphore, value in filter(None, awaited) if self._asynchronous else ():
                with self._lock:
                    if self._passed.get((stream, semaphore), 0) < value:
                        if semaphore not in self._waits:
                            self._waits[semaphore] = self._interop.open_semaphore(self._gpu.export_semaphore(semaphore))
                        self._interop.wait(self._waits[semaphore], value, stream)
                        self._passed[stream, semaphore] = value
        except RifeError as error:
            self._give_up_timelines(error)
        if not self._asynchronous:
            self._gpu.wait(frame)

    def settle(self, stream: int, written: list[tuple[Frame, int]], frames: list[Frame], blocks: list[Block]) -> bool:
        """Announce the end of what is queued on ``stream``; hold ``frames`` and ``blocks`` until it is reached.

        written: frames and their number of planes. Returns False where timelines cannot be shared: nothing is announced
        then, and all of it is still the caller's.
        """
        if not self._asynchronous:
            return False
        with self._lock:
            try:
                shared = self._shared(stream)
                value = shared.timeline.last + 1
                # Queued before it is announced: who waits for it may hold a lock of the core that this thread needs.
                self._interop.signal(shared.semaphore, value, stream)
            except RifeError as error:
                self._give_up_timelines(error)
                return False
            shared.timeline.last = value
            for frame, planes in written:
                for plane in range(planes):
                    self._gpu.publish(frame, plane, shared.timeline, value)
            self._held.append(_Held(timeline=shared.timeline, value=value, frames=frames, blocks=blocks))
            self._settled += 1
            declare = self._settled % _DECLARED_EVERY == 0
        if declare:
            self._declare()
        self.sweep()
        return True

    def release(self, frames: list[Frame], blocks: list[Block]) -> None:
        """Give back what no queued work touches any more."""
        for frame in frames:
            frame.free()
        for block in blocks:
            self._imports.done(block)

    def sweep(self) -> None:
        """Give back what the GPU is done with. Waits for nothing, unless more than `gpu_slots` pieces are held: then
        for the oldest, so that what is queued, and holds memory, is no more than for frames in host memory.
        """
        with self._lock:
            values = {timeline: timeline.reached() for timeline in {held.timeline for held in self._held}}
            done = [held for held in self._held if held.value <= values[held.timeline]]
            self._held = deque(held for held in self._held if held.value > values[held.timeline])
            late = [self._held.popleft() for _ in range(len(self._held) - gpu_slots())]
        for held in late:
            held.timeline.wait(held.value)
        for held in (*done, *late):
            self.release(held.frames, held.blocks)

    def close(self) -> None:
        """Wait for what is still queued and give everything back, also where the GPU has failed. Idempotent.

        No loan is out any more.
        """
        with self._lock:
            held, self._held = list(self._held), deque()
            signals, self._signals = list(self._signals.values()), {}
            waits, self._waits = list(self._waits.values()), {}
        with ExitStack() as last_to_first:
            last_to_first.callback(self._reservation.leave, self)
            for shared in signals:
                last_to_first.callback(shared.timeline.free)
            for semaphore in (*waits, *(shared.semaphore for shared in signals)):
                last_to_first.callback(self._interop.close_semaphore, semaphore)
            last_to_first.callback(self._imports.close)
            for work in reversed(held):
                last_to_first.callback(self.release, work.frames, work.blocks)
                last_to_first.callback(work.timeline.wait, work.value)

    def _declare(self) -> None:
        self._reservation.update(self, allocated=self._interop.allocated(), imported=self._imports.bytes)

    def _give_up_timelines(self, error: RifeError) -> None:
        self._asynchronous = False
        self._inform(f"RIFE: timelines of the GPU cannot be used ({error}), so each frame waits for it on the host")

    def _shared(self, stream: int) -> _Shared:
        if stream not in self._signals:
            timeline = self._gpu.timeline()
            try:
                semaphore = self._interop.open_semaphore(self._gpu.export_semaphore(timeline.semaphore))
            except BaseException:
                timeline.free()
                raise
            self._signals[stream] = _Shared(timeline=timeline, semaphore=semaphore)
        return self._signals[stream]


def interop_for(device: Device, name: str) -> tuple[Interop | None, str]:
    """What uses frames on the core's ``device`` in place, and an empty text; or None, and why they must be downloaded.

    name: the argument ``device``. Raises ArgumentError where it names another GPU than the one that has the frames, or
    none at all.
    """
    if name == "auto":
        found = cuda_device(device.uuid)
        if found is None:
            return None, f"they are on {device.name}, which is no CUDA device of this process"
    else:
        found = resolve_device(name)
        if found.type == "cuda" and uuid_of(found) != device.uuid:
            raise ArgumentError(_elsewhere(device, name, found))
    if not device.exports_memory:
        return None, f"the driver of {device.name} shares no memory"
    return resolve(found)


def _elsewhere(device: Device, name: str, named: torch.device) -> str:
    right = cuda_device(device.uuid)
    way_out = "core.set_vulkan_device() before the first GPU filter" if right is None else f'device="{right}"'
    return (
        f"device ({name}, {torch.cuda.get_device_name(named)}, UUID {uuid_of(named).hex()}) must be the GPU that has "
        f"the clip's frames ({device.name}, UUID {device.uuid.hex()}); pass {way_out}, or clip.std.GPUDownload()"
    )


class Loan:
    """Frames that torch uses for one piece of work, which one thread queues.

    `read` and `write` hand out the memory. `begin` comes before its first use on a stream, with that stream current;
    `settle` after the last use, with a stream current that has followed all others. After an error `finish` comes
    instead, and waits for each stream.
    """

    def __init__(self, exchange: Exchange, gpu: Gpu, interop: Interop, imports: Imports) -> None:
        self._exchange = exchange
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
        """The planes of a frame that was handed over, as tensors over its memory, which is held while they are used."""
        held = frame.hold()
        self._frames.append(held)
        self._awaited.append((held, fmt.planes))
        return self._planes(held, fmt)

    def write(self, frame: Frame, fmt: PixelFormat) -> tuple[Tensor, ...]:
        """The planes of a new frame, which this hands over. The caller keeps the frame until the loan is settled."""
        self._written.append((frame, fmt.planes))
        return self._planes(frame, fmt)

    def begin(self) -> None:
        """Let the current stream wait for all that is to be read. Idempotent, for each stream."""
        if self.ended:
            raise RuntimeError("memory of frames was used after it had been given back")
        stream = self._interop.stream()
        if stream not in self._begun:
            self._begun.append(stream)
            for frame, planes in self._awaited:
                self._exchange.wait_for(frame, planes, stream)

    def settle(self) -> None:
        """All work is queued: announce its end, and give back what it uses once it is reached. Idempotent.

        Waits only where timelines cannot be shared. Raises RifeError where the GPU has failed.
        """
        stream, written, frames, blocks = self._interop.stream(), self._written, self._frames, self._blocks
        if self._begun and self._exchange.settle(stream, written, frames, blocks):
            self._forget()
        else:
            self.finish([stream] if self._begun else [])

    def finish(self, streams: Sequence[int] | None = None) -> None:
        """Wait until all queued work is done, and give back what it used. Idempotent.

        streams: to wait for; all that were begun, where it is not one that has followed them.
        """
        begun, frames, blocks = self._begun if streams is None else streams, self._frames, self._blocks
        self._forget()
        try:
            for stream in begun:
                self._interop.finish(stream)
        finally:
            self._exchange.release(frames, blocks)

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
