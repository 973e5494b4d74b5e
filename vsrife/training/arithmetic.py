"""How a GPU computes while a network is trained."""

import contextlib
from collections.abc import Iterator

import torch

from vsrife.cuda import float32_in_full

__all__ = ["exact_arithmetic", "untried"]


def exact_arithmetic(device: torch.device) -> None:
    """float32 is float32: what is not bfloat16 on purpose is not rounded. Which algorithm is fastest is tried out once
    for each size, as all batches have one; sampling's gradients are summed in no fixed order whatever is chosen.
    """
    if device.type == "cuda":
        float32_in_full()
        torch.backends.cudnn.benchmark = True


@contextlib.contextmanager
def untried() -> Iterator[None]:
    """For frames of many sizes, each of which is seen a few times: there is nothing to gain by trying algorithms."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
