"""The machine and the software that the figures were measured with."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import torch

import vsrife
from vsrife.engine import slots

__all__ = ["facts"]

PACKAGES = ("torch", "vapoursynth", "numpy", "cupy-cuda13x")


def facts(device: torch.device) -> dict[str, Any]:
    """Names and versions, as JSON can hold them. torch_threads: of one frame's arithmetic on a CPU."""
    return {
        "device": str(device),
        "name": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        **(_gpu(device) if device.type == "cuda" else {}),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch_threads": slots.INTRA_OP_THREADS,
        "system": platform.platform(),
        "python": platform.python_version(),
        "vsrife": vsrife.__version__,
        **{name.partition("-")[0]: _version(name) for name in PACKAGES},
    }


def _gpu(device: torch.device) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(device)
    return {
        "memory": properties.total_memory,
        "compute": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
