"""Forward and backward of a step as one CUDA graph: one launch instead of two thousand.

They can be captured because batches have the same sizes at each step, nothing is read back to the host and nothing is
random. The all-reduce over processes and the optimiser step are a dozen operations and are not captured.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from vsrife import cuda
from vsrife.datasets.batch import Batch
from vsrife.errors import one_line
from vsrife.network.training_output import TrainingOutput

__all__ = ["Batches", "ForwardBackward", "GraphedStep"]

Batches = tuple[Batch, ...]

ForwardBackward = Callable[[Batches], tuple[TrainingOutput, Tensor]]
"""Forward and backward of a step; gradients land in `flat.grad`. Returns the first batch's output and the PARTS."""

_WARM: Final = 3
"""Eager runs before the capture, in which libraries choose algorithms and allocate memory."""


class GraphedStep:
    """A `ForwardBackward` that is captured at the first step and replayed for this and all later steps.

    The returned tensors, which are detached, and the gradient are in the same memory each time; work on the current
    stream must use them before the next call. If the capture fails, the step runs eagerly, `report` is called with the
    reason, and the capture is tried again later, see `cuda.Retries`.
    """

    def __init__(self, forward_backward: ForwardBackward, flat: Tensor, report: Callable[[str], None]) -> None:
        """flat: the leaf whose gradient `forward_backward` computes; it must change nothing else."""
        self._eager, self._flat, self._report = forward_backward, flat, report
        self._inputs: Batches | None = None
        self._stream: torch.cuda.Stream | None = None
        self._graph: tuple[Callable[[], None], tuple[TrainingOutput, Tensor, Tensor]] | None = None
        self._retries = cuda.Retries()

    def __call__(self, batches: Batches) -> tuple[TrainingOutput, Tensor]:
        """Run forward and backward."""
        if self._graph is None and self._retries.due():
            self._capture(batches)
        if self._graph is None or self._inputs is None:
            return self._eager(batches)
        for inputs, batch in zip(self._inputs, batches, strict=True):
            given = batch.tensors()
            for name, into in inputs.tensors().items():
                into.copy_(given[name])
        replay, (lesson, parts, gradient) = self._graph
        replay()
        self._flat.grad = gradient
        return lesson, parts

    def _capture(self, batches: Batches) -> None:
        self._inputs = tuple(
            Batch(**{name: each.clone() for name, each in batch.tensors().items()}) for batch in batches
        )
        before = torch.cuda.current_stream()
        stream = self._stream = self._stream or cuda.own_stream(self._flat.device)
        try:
            stream.wait_stream(before)
            with torch.cuda.stream(stream):
                for _ in range(_WARM):
                    self._work()
            before.wait_stream(stream)
            # Another thread may make batches at the same time on its own stream, which does not disturb the capture.
            self._graph = cuda.captured(self._work, stream)
        except RuntimeError as error:  # of CUDA, also out of memory: running eagerly needs less
            self._flat.grad = self._inputs = None
            reason = one_line(error)[:200]
            later = ", until the capture is tried again" if self._retries.failed() else ""
            self._report(f"no CUDA graph ({reason}); steps run without one, which is slower{later}")

    def _work(self) -> tuple[TrainingOutput, Tensor, Tensor]:
        assert self._inputs is not None
        lesson, parts = self._eager(self._inputs)
        gradient = self._flat.grad
        assert gradient is not None
        self._flat.grad = None
        return _detached(lesson), parts, gradient


def _detached(value: Any) -> Any:
    """The same values detached: nodes of an autograd graph refer to the stream of the capture."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, tuple):
        return tuple(_detached(each) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _detached(getattr(value, field.name)) for field in fields(value)})
    return value
