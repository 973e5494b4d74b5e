"""Where and how torch computes: device and precision by name, and the state a thread needs before it computes.

Two promises are kept here. Results do not depend on OMP_NUM_THREADS or on the thread that asks, because every
thread that computes sets torch's intra-op count itself (it is thread-local). And float32 means float32: TF32 is
switched off for the process when a CUDA device is first used.
"""

import functools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vsrife.errors import ArgumentError, RifeError

__all__ = ["computing", "resolve_device", "resolve_precision", "slot", "stop"]

PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

INTRA_OP_THREADS = max(1, min(os.cpu_count() or 1, 8))
"""Threads of one frame's arithmetic. A property of the machine, never of the process: it changes the last bits."""


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# How many frames are computed at a time. More of them would only share the same cores and multiply the memory.
# On a GPU the second frame's upload and launches run while the first one computes.
_cpu_slots = threading.BoundedSemaphore(max(1, _usable_cores() // INTRA_OP_THREADS))
_gpu_slots = threading.BoundedSemaphore(2)
_stopped = threading.Event()


def resolve_device(name: str) -> torch.device:
    """The torch device that the argument ``device`` names.

    ``auto`` is the first CUDA GPU where one is usable, else the CPU. Raises ArgumentError for a name torch does not
    know, an index that is out of range, or a device that cannot hold a tensor here.
    """
    if name == "auto":
        return torch.device("cuda", 0) if _cuda_count() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ArgumentError(
            f'device ({name}) must be "auto", "cpu", "cuda", "cuda:1" or another device of torch'
        ) from error
    if device.type == "cuda":
        return _cuda(name, device)
    if device.type == "cpu":
        if device.index:
            raise ArgumentError(f'device ({name}) out of range; the CPU is one device: pass device="cpu"')
        return torch.device("cpu")
    try:
        torch.empty(1, device=device).to("cpu")
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = " ".join(str(error).split()).partition(". ")[0]  # torch goes on at length after its first sentence
        raise ArgumentError(f'device ({name}) cannot be used here ({reason}); try device="cpu"') from error
    return device


def _cuda_count() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _cuda(name: str, device: torch.device) -> torch.device:
    count = _cuda_count()
    if count == 0:
        why = (
            "this torch was built without CUDA"
            if torch.version.cuda is None
            else "a forked process cannot use CUDA: start it by spawn"
            if getattr(torch.cuda, "_is_in_bad_fork", lambda: False)()
            else "torch finds no NVIDIA GPU and driver"
        )
        raise ArgumentError(f'device ({name}) cannot be used: {why}; try device="cpu"')
    index = torch.cuda.current_device() if device.index is None else device.index
    if index >= count:
        raise ArgumentError(
            f"device ({name}) out of range; {count} device{'s' if count > 1 else ''}, counted from cuda:0"
        )
    return torch.device("cuda", index)


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """The dtype of the network's convolutions; ``auto`` is float16 on CUDA and float32 elsewhere.

    Flow, mask, sampling and synthesis are float32 whatever this says.
    """
    if name == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    try:
        return PRECISIONS[name]
    except KeyError:
        raise ArgumentError(f"precision ({name}) must be one of auto, {', '.join(PRECISIONS)}") from None


@contextmanager
def computing() -> Iterator[None]:
    """Let this thread call torch: fixed intra-op threads, no gradients. Both are thread-local: each callback enters."""
    _go_on()
    if torch.get_num_threads() != INTRA_OP_THREADS:
        torch.set_num_threads(INTRA_OP_THREADS)
    with torch.inference_mode():
        yield


@contextmanager
def slot(device: torch.device) -> Iterator[None]:
    """Hold one of the few places in which frames are computed on ``device``, with its stream current.

    Whoever holds one waits for no other frame of VapourSynth, only for a cache entry that another holder computes,
    so slots cannot deadlock.
    """
    if device.type != "cuda":
        with _cpu_slots:
            _go_on()
            yield
        return
    with _gpu_slots, torch.cuda.device(device), torch.cuda.stream(_stream(device)):
        _go_on()
        yield


def stop() -> None:
    """Let no frame begin any more; those that wait for a slot fail. For the end of the process, which waits for them."""
    _stopped.set()


def _go_on() -> None:
    if _stopped.is_set():
        raise RifeError("not made, because the program is ending")


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    # One stream for everything on a device: entries of the cache need no events between streams.
    _exact_float32()
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _exact_float32() -> None:
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    # Algorithms are neither timed nor summed in changing order: the same bytes on every run.
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
