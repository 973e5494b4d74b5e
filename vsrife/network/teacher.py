"""Privileged distillation: a teacher block that sees the true frame corrects the student's flow, and the student learns
from the corrected one.

"Real-Time Intermediate Flow Estimation for Video Frame Interpolation" (Huang et al., ECCV 2022), section 3.3. The
paper's own networks have a teacher of their own (`vsrife.network.paper`); this one goes on top of any 4.x network.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vsrife.network.architecture import Architecture
from vsrife.network.blocks import IFBlock
from vsrife.network.frames import limited
from vsrife.network.ifnet import IFNet
from vsrife.network.lesson import Lesson, Stage
from vsrife.network.steps import Pair, Step, side, together

__all__ = ["TEACHER", "Taught", "teacher_block"]

TEACHER = "teacher."
"""What the teacher's keys begin with in a checkpoint; a checkpoint that has them still loads for inference."""


def teacher_block(architecture: Architecture) -> IFBlock:
    """A block like the network's last one that takes the true frame and its features too, and no hidden channels."""
    images = 3 * (3 + architecture.features)  # left, right, truth
    return IFBlock(architecture, len(architecture.widths) - 1, inputs=images + 1 + 1 + 4)


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
        """The number that a canvas' width and height must be multiples of at the user's ``scale``."""
        return self.network.modulus(scale)

    def forward(
        self, left: Tensor, right: Tensor, t: float | Tensor, truth: Tensor | None = None, *, scale: float = 1.0
    ) -> Lesson:
        """The lesson of frames float32 [N, 3, H, W] in 0..1, as `IFNet.forward` takes them.

        t: a number, or a tensor [N] or [N, 1, 1, 1].
        truth: the true frame at ``t``; None leaves the teacher out. (A teacher that is to have no privilege is given
            zeros: the losses take the true frame apart.)
        Raises ArgumentError for a canvas or a scale that the network does not take.
        """
        network, architecture = self.network, self.network.architecture
        network.check_options(scale=scale, ensemble=False)
        features = network.encode(left), network.encode(right)
        network.check_pair(left, right, *features, scale=scale)
        frames = pair = Pair.of(limited(left), limited(right), t, *features)
        known: Step | None = None
        stages: list[Stage] = []
        for index, reduction in enumerate(architecture.scales):
            answer = network.step(index, pair, known, reduction / scale)
            known = together(known, answer, adds_masks=architecture.adds_masks)
            pair = frames.warped(known.flow)
            stages.append(Stage.of(known, pair))
        assert known is not None
        teacher = None if truth is None else self._corrected(frames, pair, known, truth)
        return Lesson(stages=tuple(stages), picture=stages[-1].picture, teacher=teacher)

    def checkpoint(self) -> dict[str, Tensor]:
        """The weights as a checkpoint holds them: the network's own keys, and the teacher's under `teacher.`."""
        teacher = {f"{TEACHER}{key}": value for key, value in self.teacher.state_dict().items()}
        return {**self.network.state_dict(), **teacher}

    def load_checkpoint(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights of `checkpoint`; all keys and no others, else RuntimeError with their names."""
        prefixed = {key if key.startswith(TEACHER) else f"network.{key}": value for key, value in state.items()}
        self.load_state_dict(prefixed, strict=True)

    def _corrected(self, frames: Pair, pair: Pair, student: Step, truth: Tensor) -> Stage:
        """What the teacher makes of the student's answer; ``pair`` is the frames as that warps them."""
        architecture = self.network.architecture
        true = side(limited(truth), self.network.encode(truth))
        x = torch.cat((*pair.images, *true, pair.time_like(truth), student.mask, student.flow), 1)
        answer = self.teacher(x.to(self.network.dtype)).float()
        step = together(student, Step.of(answer, architecture.answer_scale), adds_masks=architecture.adds_masks)
        return Stage.of(step, frames.warped(step.flow))
