"""The training loss: that of the paper and the terms that the configuration adds."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

from vsrife.datasets.batch import Batch
from vsrife.network.training_output import TrainingOutput
from vsrife.training.config import Loss
from vsrife.training.distillation import Reconstruction, privileged
from vsrife.training.known_flow import known_flow
from vsrife.training.losses import census, charbonnier, end_point_error, l1, laplacian, smoothness

__all__ = ["PARTS", "objective"]

PARTS: Final = ("total", "student", "teacher", "distillation", "census", "flow", "smoothness")
"""The values that `objective` returns, in their order; all but the total are without their weights."""

_DISTANCES: Final[Mapping[str, Reconstruction]] = MappingProxyType(
    {"laplacian": laplacian, "l1": l1, "charbonnier": charbonnier}
)


def objective(lesson: TrainingOutput, batch: Batch, settings: Loss, *, flow_only: bool = False) -> Tensor:
    """The values of PARTS, float32 [7]; gradients flow from the total. Terms without a weight are 0 and not computed.

    flow_only: use the known flow only, with weight 1. For an output without a picture it is the only term too.
    """
    if flow_only or lesson.picture is None:
        return _flow_only_parts(lesson, batch, 1.0 if flow_only else settings.flow)
    losses = privileged(lesson, batch.truth, weight=settings.distillation, distance=_DISTANCES[settings.reconstruction])
    nothing = torch.zeros_like(losses.student)
    extra = (
        census(lesson.answer, batch.truth) if settings.census else nothing,
        _flow(lesson, batch) if settings.flow else nothing,
        smoothness(lesson.stages[-1].motion.flow, batch.truth) if settings.smoothness else nothing,
    )
    weights = (settings.census, settings.flow, settings.smoothness)
    total = losses.total
    for weight, part in zip(weights, extra, strict=True):
        if weight:
            total = total + weight * part
    return torch.stack((total, losses.student, losses.teacher, losses.distillation, *extra))


def _flow_only_parts(lesson: TrainingOutput, batch: Batch, weight: float) -> Tensor:
    error = _flow(lesson, batch)
    nothing = torch.zeros_like(error)
    return torch.stack([{"total": weight * error, "flow": error}.get(name, nothing) for name in PARTS])


def _flow(lesson: TrainingOutput, batch: Batch) -> Tensor:
    """The flow error of every block if blocks output their own resolution, else of the last stage."""
    weight = batch.visible * batch.known
    if lesson.levels:
        return known_flow(lesson.levels, batch.flow, weight)
    return end_point_error(lesson.stages[-1].motion.flow, batch.flow, weight)
