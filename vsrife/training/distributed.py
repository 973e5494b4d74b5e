"""Training with several processes: `torchrun --nproc-per-node N -m vsrife train CONFIG`.

Every process has all weights and a share of each batch; gradients are averaged by one all-reduce of one flat tensor
(`flat_params.FlatParams`). torch's DistributedDataParallel is not used: it regroups gradients after the first step, so
a resumed run would sum in another order than one that was not interrupted.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import torch
from torch import Tensor, distributed

from vsrife.errors import ArgumentError

__all__ = ["ProcessGroup", "init_process_group"]

TIMEOUT: Final = timedelta(hours=2)
"""How long a process waits for the others: the main process alone packs data, validates and writes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessGroup:
    """The processes that train together. rank: number of this process, from 0. world_size: number of processes."""

    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    def all_reduce_mean(self, *tensors: Tensor) -> None:
        """Replace each tensor by its mean over the processes."""
        if self.world_size > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)
                tensor /= self.world_size

    def broadcast(self, *tensors: Tensor) -> None:
        """Replace each tensor by that of process 0."""
        if self.world_size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def barrier(self) -> None:
        """Wait until all processes have called this."""
        if self.world_size > 1:
            distributed.barrier()

    def destroy(self) -> None:
        """Undo `init_process_group`."""
        if self.world_size > 1:
            distributed.destroy_process_group()


def init_process_group(device: str) -> tuple[ProcessGroup, torch.device]:
    """The process group of torchrun, or one with this process only, and the device of this process.

    device: "auto", "cpu", "cuda" or "cuda:1"; under torchrun "cuda" is a different GPU for each process.
    Raises ArgumentError for a device that does not exist.
    """
    world_size, rank, local = (
        int(os.environ.get(name, one)) for name, one in (("WORLD_SIZE", 1), ("RANK", 0), ("LOCAL_RANK", 0))
    )
    chosen = _device(device, local if world_size > 1 else 0)
    on_gpu = chosen.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(chosen)  # streams and events are the current device's
    if world_size > 1:
        distributed.init_process_group(
            "nccl" if on_gpu else "gloo", timeout=TIMEOUT, device_id=chosen if on_gpu else None
        )
    return ProcessGroup(rank=rank, world_size=world_size), chosen


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
