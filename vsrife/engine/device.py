"""Devices and precisions by name, and what a machine has of them."""

import functools
import os
import re

import torch

from vsrife.errors import ArgumentError, one_line

__all__ = [
    "PRECISIONS",
    "gpu_or_cpu",
    "gpus",
    "host_memory",
    "resolve_device",
    "resolve_precision",
    "total_memory",
    "usable_cores",
    "why_no_gpu",
]

PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

_UNKNOWN_MEMORY = 8 << 30


def usable_cores() -> int:
    """Cores that this process may use."""
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


def _meant(name: str) -> str:
    """What an error adds about a name that torch does not accept: the spelling of one that it does, or nothing."""
    found = re.fullmatch(r"(auto|cpu|gpu|cuda)[ :_]?(\d{0,3})", name.strip().lower(), re.ASCII)
    if found is None:
        return ""
    kind, number = found[1].replace("gpu", "cuda"), found[2] if found[1] in ("gpu", "cuda") else ""
    return f"; did you mean {kind}:{int(number)}?" if number else f"; did you mean {kind}?"


def resolve_device(name: str) -> torch.device:
    """The torch device that the argument ``device`` names.

    ``auto`` is the first CUDA GPU that runs a kernel, else the CPU (`why_no_gpu` then gives the reason). Raises
    ArgumentError for a name that torch does not accept, an index that is out of range, or a device that cannot hold a
    tensor here.
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
        reason = one_line(error).partition(". ")[0]  # torch goes on at length after its first sentence
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
    mask, sampling and synthesis are always float32.
    """
    if name == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    try:
        return PRECISIONS[name]
    except KeyError:
        raise ArgumentError(f"precision ({name}) must be one of auto, {', '.join(PRECISIONS)}") from None
