"""Where and how torch computes: device and precision by name, and the state a thread needs before it computes.

Two promises are kept here. Results do not depend on OMP_NUM_THREADS or on the thread that asks, because every
thread that computes sets torch's intra-op count itself (it is thread-local). And float32 means float32: TF32 is
switched off, for the process as torch has it, whenever a CUDA device is used.

VapourSynth calls from as many threads as the machine has cores. So torch's own threads work in the slots alone, of
which there are few; what is done outside of them (judging cuts, say) is done on the caller's thread.
"""

import functools
import os
import queue
import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from vsrife.choices import chosen
from vsrife.cuda import float32_in_full
from vsrife.errors import ArgumentError, RifeError

__all__ = [
    "INTRA_OP_THREADS",
    "PRECISIONS",
    "computing",
    "gpu_or_cpu",
    "gpu_slots",
    "gpus",
    "host_memory",
    "resolve_device",
    "resolve_precision",
    "slot",
    "stop",
    "total_memory",
    "why_no_gpu",
]

PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

INTRA_OP_THREADS = 1
"""Threads of one frame's arithmetic on a CPU; never a property of the process, since it changes the last bits. One, and
more frames at a time: torch's threads meet some thousand times a frame and spin while they wait, so one that a decoder
or an encoder keeps from its core holds up all of them (docs/engine.md has the figures).
"""

_SLOT_MEMORY = 2 << 30
"""Memory of the machine for each frame that its CPU works on; one of 2160p takes about 1.4 GB."""

_UNKNOWN_MEMORY = 8 << 30


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def host_memory(pages: str = "SC_PHYS_PAGES") -> int:
    """Bytes of this machine's memory, in whole GiB; or of another of sysconf's ``pages``, as they are."""
    try:
        found = os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf, and not every system has the name
        return _UNKNOWN_MEMORY
    # What the system keeps for itself changes between two starts by some pages, and must change no choice.
    return found >> 30 << 30 if pages == "SC_PHYS_PAGES" else found


def total_memory(device: torch.device) -> int:
    """Bytes that ``device`` has in all."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return host_memory()


# How many frames are worked on at a time. More of them would only share the same cores and multiply the memory.
CPU_SLOTS = max(1, min(_usable_cores(), host_memory() // _SLOT_MEMORY))


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


def _meant(name: str) -> str:
    """What an error adds about a name that torch does not know: another spelling of one that it does, or nothing."""
    found = re.fullmatch(r"(auto|cpu|gpu|cuda)[ :_]?(\d{0,3})", name.strip().lower(), re.ASCII)
    if found is None:
        return ""
    kind, number = found[1].replace("gpu", "cuda"), found[2] if found[1] in ("gpu", "cuda") else ""
    return f"; did you mean {kind}:{int(number)}?" if number else f"; did you mean {kind}?"


def resolve_device(name: str) -> torch.device:
    """The torch device that the argument ``device`` names.

    ``auto`` is the first CUDA GPU that runs a kernel, else the CPU (`why_no_gpu` then says why). Raises ArgumentError
    for a name torch does not know, an index that is out of range, or a device that cannot hold a tensor here.
    """
    if name == "auto":
        index = _first_working_gpu()[0]
        return torch.device("cpu") if index is None else torch.device("cuda", index)
    kind, _, number = name.partition(":")
    if kind == "cuda" and (number.isdecimal() or name == "cuda"):
        return _cuda(name, int(number) if number else None)
    if kind == "cpu" and number.isdecimal() and int(number) > 0:
        raise ArgumentError(f'device ({name}) out of range; the CPU is one device: pass device="cpu"')
    try:
        # torch keeps an index in eight bits, and would take a larger one for another device.
        device = torch.device(name if int(number or 0) < 128 else "")
    except (RuntimeError, ValueError) as error:
        raise ArgumentError(
            f'device ({name}) must be "auto", "cpu", "cuda", "cuda:1" or another device of torch{_meant(name)}'
        ) from error
    if device.type == "cpu":
        return torch.device("cpu")
    try:
        torch.empty(1, device=device).to("cpu")
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = " ".join(str(error).split()).partition(". ")[0]  # torch goes on at length after its first sentence
        raise ArgumentError(f'device ({name}) cannot be used here ({reason}); try device="cpu"') from error
    return device


def gpu_or_cpu(index: int) -> tuple[str, str]:
    """The name of GPU ``index``, or the CPU on a machine without any GPU, and why; -1 is the CPU everywhere."""
    if index < 0:
        return "cpu", ""
    return (f"cuda:{index}", "") if _cuda_count() else ("cpu", _why_no_cuda())


def gpus() -> list[str]:
    """The CUDA GPUs that torch finds, by number."""
    return [torch.cuda.get_device_name(index) for index in range(_cuda_count())]


def why_no_gpu() -> str:
    """Why ``auto`` is the CPU, in a few words; empty where it is a GPU."""
    return _first_working_gpu()[1]


@functools.cache
def _first_working_gpu() -> tuple[int | None, str]:
    """The first GPU that runs a kernel of this torch, or None and the reason. Tried once a process."""
    count = _cuda_count()
    if count == 0:
        return None, _why_no_cuda()
    reasons = []
    for index in range(count):
        try:
            torch.zeros(1, device=torch.device("cuda", index)).add_(1).item()
        except RuntimeError as error:  # too old for this torch ("no kernel image"), in exclusive use, out of memory
            reasons.append(f"cuda:{index}: {' '.join(str(error).split()).partition('. ')[0]}")
        else:
            return index, ""
    return None, "; ".join(reasons)


def _cuda_count() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _why_no_cuda() -> str:
    if torch.version.cuda is None:
        return "this torch was built without CUDA"
    if getattr(torch.cuda, "_is_in_bad_fork", lambda: False)():
        return "a forked process cannot use CUDA, start it by spawn"
    return f"torch finds no NVIDIA GPU with a driver for CUDA {torch.version.cuda}"


def _cuda(name: str, index: int | None) -> torch.device:
    count = _cuda_count()
    if count == 0:
        raise ArgumentError(f'device ({name}) cannot be used: {_why_no_cuda()}; try device="cpu"')
    if index is None:
        index = torch.cuda.current_device()
    if index >= count:
        raise ArgumentError(
            f"device ({name}) out of range; {count} device{'s' if count > 1 else ''}, counted from cuda:0"
        )
    return torch.device("cuda", index)


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """The dtype of the network's convolutions; ``auto`` is float16 on CUDA and float32 elsewhere.

    On a CPU float32 is as fast as bfloat16, since only float32 has `winograd` (docs/engine.md has the figures). Flow,
    mask, sampling and synthesis are float32 whatever this says.
    """
    if name == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    try:
        return PRECISIONS[name]
    except KeyError:
        raise ArgumentError(f"precision ({name}) must be one of auto, {', '.join(PRECISIONS)}") from None


class computing:  # noqa: N801 - a context, as one function is; a generator would take a microsecond more a frame
    """Let this thread call torch: alone, without gradients. Both are thread-local: each callback enters."""

    __slots__ = ("_mode",)

    def __enter__(self) -> None:
        _go_on()
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
        _go_on()
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
            _go_on()
            _promise_exact_arithmetic()
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


def _go_on() -> None:
    if _stopped.is_set():
        raise RifeError("not made, because the program is ending")


def _promise_exact_arithmetic() -> None:
    # torch keeps these for the process, not for a caller, and a script may have set them since the last frame.
    float32_in_full()
    # Algorithms are neither timed (but where that is measured) nor summed in changing order: the same bytes every time.
    torch.backends.cudnn.benchmark = chosen().cudnn_benchmark
    torch.backends.cudnn.deterministic = True
