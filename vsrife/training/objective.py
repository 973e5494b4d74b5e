"""What a run minimises: the paper's loss and what the configuration adds to it."""

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
"""What `objective` gives, in its order; all but the first before their weights."""

_DISTANCES: Final[Mapping[str, Reconstruction]] = MappingProxyType(
    {"laplacian": laplacian, "l1": l1, "charbonnier": charbonnier}
)


def objective(lesson: TrainingOutput, batch: Batch, asked: Loss, *, flow_alone: bool = False) -> Tensor:
    """Each of PARTS, float32 [7]; gradients flow from the first one. What has no weight is 0 and is not computed.

    flow_alone: leave all but the known flow out, which counts fully then; so it is for a lesson without a picture.
    """
    if flow_alone or lesson.picture is None:
        return _of_flow_alone(lesson, batch, 1.0 if flow_alone else asked.flow)
    losses = privileged(lesson, batch.truth, weight=asked.distillation, distance=_DISTANCES[asked.reconstruction])
    nothing = torch.zeros_like(losses.student)
    extra = (
        census(lesson.answer, batch.truth) if asked.census else nothing,
        _flow(lesson, batch) if asked.flow else nothing,
        smoothness(lesson.stages[-1].motion.flow, batch.truth) if asked.smoothness else nothing,
    )
    weights = (asked.census, asked.flow, asked.smoothness)
    total = losses.total
    for weight, part in zip(weights, extra, strict=True):
        if weight:
            total = total + weight * part
    return torch.stack((total, losses.student, losses.teacher, losses.distillation, *extra))


def _of_flow_alone(lesson: TrainingOutput, batch: Batch, weight: float) -> Tensor:
    error = _flow(lesson, batch)
    nothing = torch.zeros_like(error)
    return torch.stack([{"total": weight * error, "flow": error}.get(name, nothing) for name in PARTS])


def _flow(lesson: TrainingOutput, batch: Batch) -> Tensor:
    """Of every block that answers at a resolution of its own; else of the last stage."""
    weight = batch.visible * batch.known
    if lesson.levels:
        return known_flow(lesson.levels, batch.flow, weight)
    return end_point_error(lesson.stages[-1].motion.flow, batch.flow, weight)
