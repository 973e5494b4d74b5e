"""Forward and backward of a step as one CUDA graph: two thousand launches become one.

Nothing in them depends on the host: batches have the same sizes at each step, no number is read back, and nothing is
random. What does, the mean over processes and the update, is a dozen operations and stays outside.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from vsrife import cuda
from vsrife.datasets.batch import Batch
from vsrife.network.training_output import TrainingOutput

__all__ = ["Batches", "Replay", "Teach"]

Batches = tuple[Batch, ...]

Teach = Callable[[Batches], tuple[TrainingOutput, Tensor]]
"""Forward and backward of a step's batches: gradients are in the row's `grad`; the first one's lesson, numbers."""

_WARM: Final = 3
"""Times that it is done before, outside of the graph: libraries choose algorithms and get their memory then."""


class Replay:
    """`Teach`, captured at the first step and replayed for that and every other.

    What it answers, without autograd's graph, and the gradient lie in the same memory each time: they are to be used,
    by work on the current stream, before the next call. Where it cannot be captured it is done launch by launch,
    `report` is called with the reason, and it is tried again later, see `cuda.Retries`.
    """

    def __init__(self, teach: Teach, row: Tensor, report: Callable[[str], None]) -> None:
        """row: the leaf whose gradient `teach` makes; nothing but that and its answer may be changed by it."""
        self._teach, self._row, self._report = teach, row, report
        self._inputs: Batches | None = None
        self._stream: torch.cuda.Stream | None = None
        self._graph: tuple[Callable[[], None], tuple[TrainingOutput, Tensor, Tensor]] | None = None
        self._retries = cuda.Retries()

    def __call__(self, batches: Batches) -> tuple[TrainingOutput, Tensor]:
        """As `Teach`."""
        if self._graph is None and self._retries.due():
            self._capture(batches)
        if self._graph is None or self._inputs is None:
            return self._teach(batches)
        for inputs, batch in zip(self._inputs, batches, strict=True):
            given = batch.tensors()
            for name, into in inputs.tensors().items():
                into.copy_(given[name])
        replay, (lesson, numbers, gradient) = self._graph
        replay()
        self._row.grad = gradient
        return lesson, numbers

    def _capture(self, batches: Batches) -> None:
        self._inputs = tuple(
            Batch(**{name: each.clone() for name, each in batch.tensors().items()}) for batch in batches
        )
        before = torch.cuda.current_stream()
        stream = self._stream = self._stream or cuda.own_stream(self._row.device)
        try:
            stream.wait_stream(before)
            with torch.cuda.stream(stream):
                for _ in range(_WARM):
                    self._work()
            before.wait_stream(stream)
            # Batches are made by another thread at the same time, on a stream of its own, which does no harm.
            self._graph = cuda.captured(self._work, stream)
        except RuntimeError as error:  # of CUDA, memory too: then it may do launch by launch, which needs less
            self._row.grad = self._inputs = None
            reason = " ".join(str(error).split())[:200]
            later = ", and it is tried again later" if self._retries.failed() else ""
            self._report(f"no CUDA graph ({reason}); steps are launched one operation at a time{later}")

    def _work(self) -> tuple[TrainingOutput, Tensor, Tensor]:
        assert self._inputs is not None
        lesson, numbers = self._teach(self._inputs)
        gradient = self._row.grad
        assert gradient is not None
        self._row.grad = None
        return _detached(lesson), numbers, gradient


def _detached(value: Any) -> Any:
    """The same without autograd's graph, whose nodes know the stream that they were made on."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, tuple):
        return tuple(_detached(each) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _detached(getattr(value, field.name)) for field in fields(value)})
    return value
