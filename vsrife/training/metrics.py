"""The metrics of training steps: read from the device a step late, checked, and written as a line of the log."""

import math
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from vsrife.errors import RifeError
from vsrife.training.checkpoint import newest_checkpoint
from vsrife.training.config import Config
from vsrife.training.objective import PARTS
from vsrife.training.run_log import format_duration

__all__ = ["METRICS", "PendingMetrics", "check_finite", "training_line"]

METRICS: Final = (*PARTS, "norm", "stop")
"""Metrics of a step, in the order of its tensor. norm: of the gradient. stop: above 0 if any process wants to stop."""


class PendingMetrics:
    """Metrics that are copied to the host while later steps are queued, so that the device never waits for the host."""

    def __init__(self) -> None:
        self._pending: deque[tuple[int, Tensor, torch.cuda.Event | None]] = deque()

    def add(self, step: int, metrics: Tensor) -> None:
        """Begin the copy of the metrics of a step, a tensor with the values of METRICS."""
        event = None
        if metrics.device.type == "cuda":
            metrics = metrics.to("cpu", non_blocking=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
        self._pending.append((step, metrics, event))

    def read(self, *, keep: int) -> Iterator[tuple[int, dict[str, float]]]:
        """Step and metrics by name of all steps but the newest `keep`."""
        while len(self._pending) > keep:
            step, metrics, event = self._pending.popleft()
            if event is not None:
                event.synchronize()
            yield step, dict(zip(METRICS, metrics.tolist(), strict=True))

    def discard(self) -> None:
        """Drop the metrics of all steps that were not read."""
        self._pending.clear()


def check_finite(step: int, values: Mapping[str, float], config: Config) -> None:
    """Raise RifeError if a metric of a step is infinite or NaN."""
    wrong = next((name for name, value in values.items() if not math.isfinite(value)), None)
    if wrong is None:
        return
    settings = config.optimiser
    raise RifeError(
        f"{'gradient' if wrong == 'norm' else wrong} ({values[wrong]}) must be finite, and is not at step {step}; "
        f"{_kept(newest_checkpoint(config.run.folder))}; "
        f"lower optimiser.rate ({settings.rate:g}) or loss.distillation ({config.loss.distillation:g}), "
        f"raise optimiser.warm_up ({settings.warm_up}) or optimiser.decay ({settings.decay:g})"
    )


def _kept(place: Path | None) -> str:
    if place is None:
        return "no checkpoint was written yet"
    return f"the checkpoint of step {int(place.name)} is kept in {place}"


def training_line(step: int, steps: int, values: Mapping[str, float]) -> str:
    """The line of the log for step `step` of `steps`. values: METRICS, and rate, seconds per step and waited."""
    parts = "  ".join(f"{name} {values[name]:.4f}" for name in PARTS if values[name])
    each = values["seconds per step"]
    return (
        f"step {step}/{steps}  {parts}  norm {values['norm']:.2f}  rate {values['rate']:.2e}  "
        f"{1 / each:.2f} steps/s  waiting {100 * values['waited']:.0f}%  {format_duration((steps - step) * each)} left"
    )
