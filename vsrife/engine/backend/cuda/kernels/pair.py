"""The pair of sources that a block reads, in the memory of the device, so that a graph can be replayed for others."""

import torch

from vsrife.engine.backend.cuda.kernels import launch as values
from vsrife.engine.backend.cuda.kernels.launch import Launch
from vsrife.engine.backend.cuda.kernels.variants import Variant

__all__ = ["PairMemory", "new_pair"]


class PairMemory:
    """What `Kernels.set_pair` writes and `Kernels.gather` reads, for work that is queued on one stream.

    memory: on the device. launch: the one that writes there, kept, since but three of its numbers change; so one thread
    at a time may set a pair. pair: these numbers.
    """

    def __init__(self, device: torch.device) -> None:
        self.memory = torch.zeros(3, dtype=torch.int64, device=device)
        arguments = values.PairArguments(self.memory.data_ptr())
        self.pair: values.Pair = arguments.pair
        self.launch = Launch(
            variant=Variant.pair(), function="set_pair", grid=(1, 1, 1), block=(1, 1, 1), arguments=arguments
        )


def new_pair(device: torch.device) -> PairMemory:
    """Memory for what `Kernels.set_pair` writes."""
    return PairMemory(device)
