"""Several processes that learn together: `torchrun --nproc-per-node N -m vsrife train CONFIG`.

Every process has all weights and a share of each batch; what they agree on is the mean of their gradients. That is one
sum over one row (`weights.Weights`). torch's DistributedDataParallel is not used: it groups gradients anew after the
first step, so that a run that was carried on would sum in another order than one that was not.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import torch
from torch import Tensor, distributed

from vsrife.errors import ArgumentError

__all__ = ["Group", "join"]

PATIENCE: Final = timedelta(hours=2)
"""What one process waits for the others: one alone packs data, validates and writes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """rank: this process' number, from 0. world: how many there are."""

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def mean(self, *tensors: Tensor) -> None:
        """Replace each by its mean over the processes."""
        if self.world > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)
                tensor /= self.world

    def share(self, *tensors: Tensor) -> None:
        """Replace each by that of process 0."""
        if self.world > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            distributed.barrier()

    def leave(self) -> None:
        """The end of what `join` began."""
        if self.world > 1:
            distributed.destroy_process_group()


def join(device: str) -> tuple[Group, torch.device]:
    """The group that torchrun made, or one of this process alone; and the device that this process works on.

    device: "auto", "cpu", "cuda" or "cuda:1"; under torchrun "cuda" is a GPU for each process.
    Raises ArgumentError for a device that is not there.
    """
    world, rank, local = (
        int(os.environ.get(name, one)) for name, one in (("WORLD_SIZE", 1), ("RANK", 0), ("LOCAL_RANK", 0))
    )
    chosen = _device(device, local if world > 1 else 0)
    on_gpu = chosen.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(chosen)  # streams and events are the current device's
    if world > 1:
        distributed.init_process_group(
            "nccl" if on_gpu else "gloo", timeout=PATIENCE, device_id=chosen if on_gpu else None
        )
    return Group(rank=rank, world=world), chosen


def _device(name: str, local: int) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ArgumentError(f"run.device ({name}) must be auto, cpu, cuda or cuda:1")
    if device.type == "cuda":
        device = torch.device("cuda", local if device.index is None else device.index)
        found = torch.cuda.device_count()
        if device.index >= found:
            raise ArgumentError(f"run.device ({device}) must be one of the {found} CUDA GPUs here; or use cpu")
    return device
