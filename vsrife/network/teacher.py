"""Privileged distillation: a teacher block that sees the true frame corrects the student's flow, and the student learns
from the corrected one.

"Real-Time Intermediate Flow Estimation for Video Frame Interpolation" (Huang et al., ECCV 2022), section 3.3. The
paper's own networks have a teacher of their own (`vsrife.network.paper`); this one goes on top of any 4.x network. What
either gives is a Lesson; what is learnt from it is `vsrife.training.distillation`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsrife.network.architecture import Architecture
from vsrife.network.blocks import IFBlock
from vsrife.network.ifnet import IFNet, _images, _Pair, _Step
from vsrife.network.motion import Motion

TEACHER = "teacher."
"""What the teacher's keys begin with in a checkpoint; a checkpoint that has them still loads for inference."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stage:
    """What is known after one block, float32 on the whole canvas.

    motion: [N, ...], of all blocks so far together.
    picture: [N, 3, H, W], both frames warped and weighed by it.
    """

    motion: Motion
    picture: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Lesson:
    """Everything about one batch that a loss may ask for, with gradients.

    stages: after each of the student's blocks, coarse to fine.
    picture: float32 [N, 3, H, W], the student's answer: of the last stage, or what its refine network made of that.
    teacher: after the teacher's block; None where there was none, or no true frame. Its flow is the student's last one
        and a correction, and nothing is detached: its reconstruction teaches the student too, as in the paper's code.
    """

    stages: tuple[Stage, ...]
    picture: Tensor
    teacher: Stage | None = None


class VariedBlock(IFBlock):
    """A network's block that takes other inputs; with a stride of 1 in its first layer it answers at twice the size."""

    def __init__(self, architecture: Architecture, index: int, *, inputs: int, stride: int = 2) -> None:
        super().__init__(architecture, index)
        first = self.conv0[0]
        assert isinstance(first, nn.Sequential)
        first[0] = nn.Conv2d(inputs, architecture.widths[index] // 2, 3, stride, 1)


def teacher_block(architecture: Architecture) -> VariedBlock:
    """A block like the network's last one that takes the true frame and its features too, and no hidden channels."""
    images = 3 * (3 + architecture.features)  # left, right, truth
    return VariedBlock(architecture, len(architecture.widths) - 1, inputs=images + 1 + 1 + 4)


class Taught(nn.Module):
    """A 4.x network and a privileged teacher on top of it, to be trained together.

    network: the student, which is what remains.
    teacher: the block that sees the true frame, at full resolution.

    A network of group A is trained without its second start for large motion, which is for inference.
    """

    def __init__(self, network: IFNet) -> None:
        super().__init__()
        self.network = network
        self.teacher = teacher_block(network.architecture)

    def modulus(self, scale: float = 1.0) -> int:
        """The number that a canvas' width and height must be multiples of at ``scale``."""
        return self.network.modulus(scale)

    def forward(
        self, left: Tensor, right: Tensor, t: float | Tensor, truth: Tensor | None = None, *, scale: float = 1.0
    ) -> Lesson:
        """The lesson of frames float32 [N, 3, H, W] in 0..1, as `IFNet.forward` takes them.

        t: a number or a tensor [N] or [N, 1, 1, 1].
        truth: the true frame at ``t``; None leaves the teacher out. (A teacher that is to have no privilege is given
            zeros: the losses take the true frame apart.)
        Raises ArgumentError for a canvas or a scale that the network does not take.
        """
        network = self.network
        network.check_options(scale=scale, ensemble=False)
        features = network.encode(left), network.encode(right)
        network._check(left, right, *features, scale)
        pair = frames = _Pair(
            left=_images(left, features[0]),
            right=_images(right, features[1]),
            time=torch.as_tensor(t, dtype=torch.float32, device=left.device).reshape(-1, 1, 1, 1),
        )
        before: _Step | None = None
        stages: list[Stage] = []
        for index, reduction in enumerate(network.architecture.scales):
            step = network._step(index, pair, before, reduction / scale)
            before = self._together(before, step)
            pair = frames.warped(before.flow)
            stages.append(_stage(before, pair))
        assert before is not None
        teacher = None if truth is None else self._corrected(frames, pair, before, truth)
        return Lesson(stages=tuple(stages), picture=stages[-1].picture, teacher=teacher)

    def checkpoint(self) -> dict[str, Tensor]:
        """The weights as a checkpoint holds them: the network's own keys, and the teacher's under `teacher.`."""
        teacher = {f"{TEACHER}{key}": value for key, value in self.teacher.state_dict().items()}
        return {**self.network.state_dict(), **teacher}

    def load_checkpoint(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights of `checkpoint`; all keys and no others, else RuntimeError with their names."""
        prefixed = {key if key.startswith(TEACHER) else f"network.{key}": value for key, value in state.items()}
        self.load_state_dict(prefixed, strict=True)

    def _together(self, before: _Step | None, step: _Step) -> _Step:
        """What is known after a block that corrects what was known before it."""
        if before is None:
            return step
        mask = before.mask + step.mask if self.network.architecture.adds_masks else step.mask
        return _Step(before.flow + step.flow, mask, step.hidden)

    def _corrected(self, frames: _Pair, pair: _Pair, student: _Step, truth: Tensor) -> Stage:
        """What the teacher makes of the student's answer."""
        images = [image for both in zip(pair.left, pair.right, strict=True) for image in both]
        images += _images(truth, self.network.encode(truth))
        batch, _, height, width = truth.shape
        time = pair.time.expand(batch, 1, height, width)
        x = torch.cat((*images, time, student.mask, student.flow), 1)
        answer = self.teacher(x.to(self.network.dtype)).float()
        # Where blocks end without a pixel shuffle they answer at half of what they were given.
        growth = 1 if self.network.architecture.shuffled else 2
        if growth > 1:
            answer = nn.functional.interpolate(answer, scale_factor=growth, mode="bilinear")
        step = self._together(student, _Step(answer[:, :4] * growth, answer[:, 4:5], None))
        return _stage(step, frames.warped(step.flow))


def _stage(step: _Step, pair: _Pair) -> Stage:
    """``pair``: the frames as the flow of ``step`` warps them, first among what is warped."""
    motion = Motion(flow=step.flow, mask=torch.sigmoid(step.mask))
    return Stage(motion=motion, picture=pair.left[0] * motion.mask + pair.right[0] * (1 - motion.mask))
