"""Settings of torch for training on a GPU."""

import contextlib
from collections.abc import Iterator

import torch

from vsrife.cuda import float32_in_full

__all__ = ["cudnn_benchmark_off", "exact_arithmetic"]


def exact_arithmetic(device: torch.device) -> None:
    """No TF32: float32 operations are not rounded. cuDNN benchmarks algorithms, because batches have few sizes."""
    if device.type == "cuda":
        float32_in_full()
        torch.backends.cudnn.benchmark = True


@contextlib.contextmanager
def cudnn_benchmark_off() -> Iterator[None]:
    """No cuDNN benchmark: it does not pay for frames of many sizes that occur a few times each."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
