"""Which backend a device has: the one place where that is decided."""

import functools

import torch

from vsrife.engine.backend.base import Backend
from vsrife.engine.backend.cuda.backend import CudaBackend
from vsrife.engine.backend.cuda.kernels import Kernels, resolve
from vsrife.engine.backend.torch_backend import TORCH

__all__ = ["resolve_backend"]


def resolve_backend(device: torch.device) -> tuple[Backend, str]:
    """The backend for ``device``, and why: what runs its kernels, or what is missing for them.

    Tried once a process and device, by a launch; waits for it, and must not be called while a graph is captured.
    """
    kernels, reason = resolve(device)
    return (TORCH if kernels is None else _cuda_backend(kernels)), reason


@functools.cache
def _cuda_backend(kernels: Kernels) -> CudaBackend:
    """One for the kernels of each device."""
    return CudaBackend(kernels)
