"""The few places in which frames are computed at once, and the state that a thread needs before it calls torch.

Two promises are kept here. Results do not depend on OMP_NUM_THREADS or on the calling thread, because every thread that
computes sets torch's intra-op count itself (it is thread-local). And float32 means float32: TF32 is switched off, for
the process as torch has it, whenever a CUDA device is used.

VapourSynth calls from as many threads as the machine has cores. So torch's own threads work in the slots alone, of
which there are few; what is done outside of them, such as the decision on a cut, is done on the calling thread.
"""

import queue
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from vsrife.choices import chosen
from vsrife.cuda import float32_in_full
from vsrife.engine.device import host_memory, usable_cores
from vsrife.errors import RifeError

__all__ = ["INTRA_OP_THREADS", "gpu_slots", "inference_context", "slot", "stop"]

INTRA_OP_THREADS = 1
"""Threads of one frame's arithmetic on a CPU; never a property of the process, since it changes the last bits. One, and
more frames at a time: torch's threads meet some thousand times a frame and spin while they wait, so one that a decoder
or an encoder keeps from its core holds up all of them (docs/engine.md has the figures).
"""

_SLOT_MEMORY = 2 << 30
"""Memory of the machine for each frame that its CPU works on; one of 2160p takes about 1.4 GB."""

# How many frames are worked on at a time. More of them would only share the same cores and multiply the memory.
CPU_SLOTS = max(1, min(usable_cores(), host_memory() // _SLOT_MEMORY))


def gpu_slots() -> int:
    """The same on a GPU, where they pass upload, arithmetic and download (see `streams`): one a lane in each place."""
    return 3 * chosen().lanes


class _Places:
    """Places of which a frame takes one or more. First come, first served: small ones do not pass a large one."""

    def __init__(self, count: int) -> None:
        self._count = self._free = count
        self._changed = threading.Condition()
        self._turn = threading.Lock()

    @contextmanager
    def taken(self, number: int) -> Iterator[None]:
        """Hold ``number`` places; all there are where that is more."""
        number = min(number, self._count)
        with self._turn, self._changed:
            while self._free < number:
                self._changed.wait()
            self._free -= number
        try:
            yield
        finally:
            with self._changed:
                self._free += number
                self._changed.notify()


_cpu_slots = _Places(CPU_SLOTS)
_gpu_places: dict[int, queue.SimpleQueue[None]] = {}
_stopped = threading.Event()


class inference_context:  # noqa: N801 - a context, as one function is; a generator would take a microsecond more a frame
    """Enter inference mode with one intra-op thread. Both settings are thread-local, so every callback must enter."""

    __slots__ = ("_mode",)

    def __enter__(self) -> None:
        _raise_if_stopping()
        _set_threads(1)
        self._mode = torch.inference_mode()
        self._mode.__enter__()

    def __exit__(self, *error: object) -> None:
        self._mode.__exit__(*error)


def slot(device: torch.device, needed: int = 0) -> AbstractContextManager[None]:
    """Hold one of the few places in which frames are worked on for ``device``; on a CPU with INTRA_OP_THREADS.

    needed: bytes that the frame takes. On a CPU it holds a place for each _SLOT_MEMORY of them.
    Whoever holds one waits for no other frame of VapourSynth, only for a lane and for a cache entry that another holder
    computes, so slots cannot deadlock.
    """
    return _GpuSlot(device) if device.type == "cuda" else _cpu_slot(needed)


@contextmanager
def _cpu_slot(needed: int) -> Iterator[None]:
    with _cpu_slots.taken(max(1, -(-needed // _SLOT_MEMORY))):
        _raise_if_stopping()
        _set_threads(INTRA_OP_THREADS)
        try:
            yield
        finally:
            _set_threads(1)


class _GpuSlot:
    __slots__ = ("_current", "_places")

    def __init__(self, device: torch.device) -> None:
        self._current: Any = torch.cuda.device(device)
        count = gpu_slots()
        self._places = _gpu_places.get(count) or _gpu_places.setdefault(count, _free_places(count))

    def __enter__(self) -> None:
        self._places.get()
        try:
            _raise_if_stopping()
            _use_exact_arithmetic()
            self._current.__enter__()
        except BaseException:
            self._places.put(None)
            raise

    def __exit__(self, *error: object) -> None:
        try:
            self._current.__exit__(*error)
        finally:
            self._places.put(None)


def _free_places(count: int) -> queue.SimpleQueue[None]:
    """One entry for each. A semaphore, which is written in Python, would take two microseconds more a frame."""
    free: queue.SimpleQueue[None] = queue.SimpleQueue()
    for _ in range(count):
        free.put(None)
    return free


def _set_threads(count: int) -> None:
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


def stop() -> None:
    """Let no frame begin any more; those that wait for a slot fail. For the end of the process, which waits for all."""
    _stopped.set()


def _raise_if_stopping() -> None:
    if _stopped.is_set():
        raise RifeError("not made, because the program is ending")


def _use_exact_arithmetic() -> None:
    # torch keeps these for the process, not for a caller, and a script may have set them since the last frame.
    float32_in_full()
    # Algorithms are neither timed (but where that is measured) nor summed in changing order: the same bytes every time.
    torch.backends.cudnn.benchmark = chosen().cudnn_benchmark
    torch.backends.cudnn.deterministic = True
