"""Privileged distillation, as in the paper.

"Real-Time Intermediate Flow Estimation for Video Frame Interpolation" (Huang et al., ECCV 2022), section 3.3: the
pictures of student and teacher should match the true frame, and the student's flows those of the teacher wherever the
teacher's picture is clearly better.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vsrife.errors import ArgumentError
from vsrife.network.training_output import StageOutput, TrainingOutput
from vsrife.training.losses import laplacian

__all__ = ["Reconstruction", "privileged"]

MARGIN = 0.01
"""By how much, in 0..1, the teacher's picture must be better at a pixel for its flow to be a target there."""

WEIGHT = 0.01
"""Weight of the distillation; 0.005 or 0.002 for networks that learn any time. Ten times as much may diverge."""

Reconstruction = Callable[[Tensor, Tensor], Tensor]
"""The distance of a picture from the true frame, a scalar: `laplacian` in the paper, `l1` among its ablations."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Losses:
    """The parts of the loss, scalars with gradients; 0 if there is no teacher."""

    student: Tensor
    teacher: Tensor
    distillation: Tensor
    total: Tensor


def student_reconstruction(lesson: TrainingOutput, truth: Tensor, distance: Reconstruction = laplacian) -> Tensor:
    """The distance of the student's output from the true frame [N, 3, H, W]."""
    return distance(lesson.answer, truth)


def teacher_reconstruction(lesson: TrainingOutput, truth: Tensor, distance: Reconstruction = laplacian) -> Tensor:
    """The distance of the teacher's picture from the true frame. Its gradient also reaches the student,
    whose flow the teacher corrects.

    Raises ArgumentError for a lesson without a teacher.
    """
    return distance(_teacher_of(lesson).picture, truth)


def masked_distillation(lesson: TrainingOutput, truth: Tensor, margin: float = MARGIN) -> Tensor:
    """The sum over the student's stages of the mean, over all pixels, of what their flow differs from the teacher's by
    (root of the mean square of its four numbers), where the stage's picture is off by ``margin`` more than the
    teacher's (mean of the absolute differences of the channels), and 0 elsewhere.

    The teacher's flow is the goal, so no gradient reaches it from here; nor does any pass through the choice of pixels.
    Raises ArgumentError for a lesson without a teacher.
    """
    teacher = _teacher_of(lesson)
    goal = teacher.motion.flow.detach()
    error = _error(teacher, truth)
    total = goal.new_zeros(())
    for stage in lesson.stages:
        taught = (_error(stage, truth) > error + margin).to(goal.dtype)
        # Unlike the square root of the mean, the norm has a gradient where both flows are equal: 0.
        apart = torch.linalg.vector_norm(goal - stage.motion.flow, dim=1, keepdim=True) / goal.shape[1] ** 0.5
        total = total + (apart * taught).mean()
    return total


def privileged(
    lesson: TrainingOutput, truth: Tensor, *, weight: float = WEIGHT, distance: Reconstruction = laplacian
) -> Losses:
    """The paper's loss: both reconstructions, and ``weight`` times the masked distillation.

    truth: the true frame, float32 [N, 3, H, W] in 0..1.
    A lesson without a teacher is the ablation without distillation: its total is the student's reconstruction.
    """
    student = student_reconstruction(lesson, truth, distance)
    if lesson.teacher is None:
        nothing = student.new_zeros(())
        return Losses(student=student, teacher=nothing, distillation=nothing, total=student)
    teacher = teacher_reconstruction(lesson, truth, distance)
    distilled = masked_distillation(lesson, truth)
    total = student + teacher + weight * distilled
    return Losses(student=student, teacher=teacher, distillation=distilled, total=total)


def _teacher_of(lesson: TrainingOutput) -> StageOutput:
    if lesson.teacher is None:
        raise ArgumentError("lesson must have a teacher; give the network the true frame")
    return lesson.teacher


def _error(stage: StageOutput, truth: Tensor) -> Tensor:
    """The error of a stage's picture [N, 1, H, W], detached, for choosing pixels."""
    return (stage.picture.detach() - truth).abs().mean(1, keepdim=True)
