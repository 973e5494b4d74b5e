"""CUDA streams of our own, captures that leave nothing behind where they fail, float32 without TF32.

For every room that queues work on a GPU of its own. It imports nothing of the package, and cupy only when a stream is
made.
"""

import contextlib
import functools
import importlib
import logging
import math
from collections.abc import Callable
from typing import Any, Final

import torch

__all__ = ["Retries", "captured", "float32_in_full", "own_stream"]

_log: Final = logging.getLogger("vsrife")

_PAUSES: Final = (16, 256)

_kept: Final[list[Any]] = []


def own_stream(device: torch.device, *, priority: int = 0) -> torch.cuda.Stream:
    """A new stream of the CUDA device, which does not wait for the default stream. priority: lower is more urgent.

    cupy makes it, since torch hands out a pool of 32 streams in turn, and the 33rd request gets the first one
    again, and what is queued there lands in a graph that is captured on it. Where cupy is not installed it is one of
    torch's pool; where it is and cannot, a log line says so too. It lives as long as the process, as torch's allocator
    may name it for as long.
    """
    if torch.version.cuda is not None:
        try:
            with torch.cuda.device(device):
                stream = importlib.import_module("cupy").cuda.Stream(non_blocking=True, priority=priority)
                _kept.append(stream)
                return torch.cuda.ExternalStream(stream.ptr, device=device)  # type: ignore[no-untyped-call]
        except ImportError:
            pass  # then nothing of cupy's is used, and whoever misses it has a log line for that
        except Exception as error:  # noqa: BLE001 - a driver, or another cupy than was tried
            _log.warning("a CUDA stream is taken from PyTorch's pool, since cupy cannot make one: %s", error)
    return torch.cuda.Stream(device, priority=priority)  # type: ignore[no-untyped-call]


@functools.cache
def _arithmetic() -> tuple[Any, Any, tuple[Any, ...]]:
    """Of torch's settings: cuDNN's, those of matrix products, and all that have an `fp32_precision`."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return cudnn, matmul, (cudnn, cudnn.conv, cudnn.rnn, matmul)  # type: ignore[attr-defined]


def float32_in_full() -> None:
    """Let convolutions and products in float32 be float32 and not TF32, for the process, as torch keeps it."""
    cudnn, matmul, precisions = _arithmetic()
    if {each.fp32_precision for each in precisions} != {"ieee"}:
        # The older flags first, since they reset the newer ones. All of both, since torch raises an error at whoever
        # reads the older ones (`cudnn.flags()` for one) where they do not agree, or rnn does not with conv.
        cudnn.allow_tf32 = matmul.allow_tf32 = False
        for each in precisions:
            each.fp32_precision = "ieee"


def captured[T](work: Callable[[], T], stream: torch.cuda.Stream) -> tuple[Callable[[], None], T]:
    """What replays ``work`` on the current stream, and its result, which lies in the same memory each time.

    work: queued on ``stream``, a stream of one's own; it has been done before, so that nothing is loaded or chosen in
        the capture. Other threads may allocate and launch on their streams meanwhile. Waits for the whole device.
    Raises what ``work`` raises, or RuntimeError where it queues what no graph can hold. The current stream and torch's
        allocator are then as before.
    """
    graph, pool, before = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle(), torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
            result = work()
    except BaseException:
        torch.cuda.set_stream(before)  # a capture that fails at its begin or its end leaves its own
        _end(graph, pool, stream.device)
        raise
    return graph.replay, result


def _end(graph: torch.cuda.CUDAGraph, pool: Any, device: torch.device) -> None:
    """Tell the allocator that a capture is over.

    Up to torch 2.11 it goes on as if it were not: blocks that are freed never return. Later ones end the capture
    themselves, and refuse to do it again; then the pool is theirs to release too, and must not be released twice. (Some
    end it and do not release it: what the pool has got from the driver by then stays reserved.)
    """
    with contextlib.suppress(RuntimeError):
        graph.reset()
    with contextlib.suppress(RuntimeError, AttributeError):
        torch._C._cuda_endAllocateToPool(device.index, pool)
        torch._C._cuda_releasePool(device.index, pool)


class Retries:
    """When a capture that failed is tried again: after 16 other calls, once more after 256, then never.

    What broke it may be over by then: another library that waited for the device, say. It is decided by counting calls.
    """

    def __init__(self) -> None:
        self._pauses = iter(_PAUSES)
        self._left = 0.0

    def due(self) -> bool:
        """Whether to try at this call; it is counted."""
        if self._left > 0:
            self._left -= 1
            return False
        return True

    def failed(self) -> bool:
        """Count a failure; returns whether it will be tried again."""
        self._left = next(self._pauses, math.inf)
        return self._left < math.inf
