"""What a run minimises: the paper's loss and what the configuration adds to it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

from vsrife.network import Lesson
from vsrife.training.config import Loss
from vsrife.training.data.batch import Batch
from vsrife.training.distillation import Reconstruction, privileged
from vsrife.training.losses import census, charbonnier, end_point_error, l1, laplacian, smoothness

__all__ = ["PARTS", "objective"]

PARTS: Final = ("total", "student", "teacher", "distillation", "census", "flow", "smoothness")
"""What `objective` gives, in its order; all but the first before their weights."""

_DISTANCES: Final[Mapping[str, Reconstruction]] = MappingProxyType(
    {"laplacian": laplacian, "l1": l1, "charbonnier": charbonnier}
)


def objective(lesson: Lesson, batch: Batch, asked: Loss) -> Tensor:
    """Each of PARTS, float32 [7]; gradients flow from the first one. What has no weight is 0 and is not computed."""
    losses = privileged(lesson, batch.truth, weight=asked.distillation, distance=_DISTANCES[asked.reconstruction])
    nothing = torch.zeros_like(losses.student)
    flow = lesson.stages[-1].motion.flow
    extra = (
        census(lesson.picture, batch.truth) if asked.census else nothing,
        end_point_error(flow, batch.flow, batch.visible * batch.known) if asked.flow else nothing,
        smoothness(flow, batch.truth) if asked.smoothness else nothing,
    )
    weights = (asked.census, asked.flow, asked.smoothness)
    total = losses.total
    for weight, part in zip(weights, extra, strict=True):
        if weight:
            total = total + weight * part
    return torch.stack((total, losses.student, losses.teacher, losses.distillation, *extra))
