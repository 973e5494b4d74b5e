"""Privileged distillation: a teacher block that receives the true frame corrects the student's flow, and the student
learns from the corrected flow.

"Real-Time Intermediate Flow Estimation for Video Frame Interpolation" (Huang et al., ECCV 2022), section 3.3. The
paper's own networks have their own teacher (`vsrife.network.legacy.paper`); this one is for any 4.x network.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vsrife.network.architecture import Architecture
from vsrife.network.blocks import IFBlock
from vsrife.network.flow_state import FlowState, Pair, accumulate, side
from vsrife.network.frames import check_canvas, limited
from vsrife.network.ifnet import IFNet
from vsrife.network.points import Frames, Level, flow_of, is_trained, levels_of, mask_of
from vsrife.network.training_output import StageOutput, TrainingOutput

__all__ = ["IFNetWithTeacher", "teacher_block"]


def teacher_block(architecture: Architecture) -> IFBlock:
    """A block like the network's last one; its inputs include the true frame with features, but no hidden channels."""
    images = 3 * (3 + architecture.features)  # left, right, truth
    return IFBlock(architecture, len(architecture.widths) - 1, inputs=images + 1 + 1 + 4)


class IFNetWithTeacher(nn.Module):
    """A 4.x network with a privileged teacher, trained together.

    network: the student, which is exported.
    teacher: the block that receives the true frame, at full resolution.
    frames: the class that makes the blocks' inputs; a subclass of `Frames` may do it faster.

    A network of group A is trained without its second run for large motion, which is for inference only.
    """

    frames: type[Frames] = Frames

    def __init__(self, network: IFNet, *, detached: bool = False, cells: int = 0) -> None:
        """detached, cells: see `levels_of`."""
        super().__init__()
        self.network = network
        self.detached, self.cells = detached, cells
        self.teacher = teacher_block(network.architecture)

    def modulus(self) -> int:
        """The number that a canvas' width and height must be multiples of."""
        return self.network.modulus()

    def first_trained_block(self, size: tuple[int, int]) -> int:
        """Index of the coarsest block that learns from frames of this height and width, see `levels_of`."""
        scales = self.network.architecture.scales
        return next((n for n, scale in enumerate(scales) if is_trained(size, scale, self.cells)), len(scales))

    def forward(
        self,
        left: Tensor,
        right: Tensor,
        t: float | Tensor,
        truth: Tensor | None = None,
        *,
        blocks: int | None = None,
    ) -> TrainingOutput:
        """The training output for frames float32 [N, 3, H, W] in 0..1, as `IFNet.forward` takes them at a scale of 1.

        t: a number, or a tensor [N] or [N, 1, 1, 1].
        truth: the true frame at ``t``; None leaves the teacher out. For a teacher without privilege pass zeros; the
            losses receive the true frame separately.
        blocks: run only that many blocks, and return their levels alone; None runs all, and makes the frame.
        Raises ArgumentError for a canvas that the network does not take.
        """
        network = self.network
        check_canvas(left, right, modulus=self.modulus(), scale=1.0)
        frames = self.frames.of(network, left, right, t)
        levels = levels_of(network, frames, blocks=blocks, detached=self.detached, cells=self.cells)
        if blocks is not None:
            return TrainingOutput(levels=levels)
        states = (
            [self._state(levels)] if truth is None else [self._state(levels[:end]) for end in range(1, len(levels) + 1)]
        )
        pairs = [frames.pair(with_features=truth is not None).warped(state.flow) for state in states]
        stages = tuple(StageOutput.of(state, pair) for state, pair in zip(states, pairs, strict=True))
        teacher = None if truth is None else self._corrected(frames, pairs[-1], states[-1], truth)
        return TrainingOutput(levels=levels, stages=stages, picture=stages[-1].picture, teacher=teacher)

    def _state(self, levels: Sequence[Level]) -> FlowState:
        """The flow and mask of all levels together, at full resolution."""
        return FlowState(flow=flow_of(levels), mask=mask_of(levels, adds_masks=self.network.architecture.adds_masks))

    def _corrected(self, frames: Frames, pair: Pair, student: FlowState, truth: Tensor) -> StageOutput:
        """The teacher's correction of the student's flow and mask. pair: the frames warped by the student's flow."""
        architecture = self.network.architecture
        true = side(limited(truth), self.network.encode(truth))
        x = torch.cat((*pair.images, *true, pair.time_like(truth), student.mask, student.flow), 1)
        block_output = self.teacher(x.to(self.network.dtype)).float()
        state = accumulate(
            student, FlowState.of(block_output, architecture.output_scale), adds_masks=architecture.adds_masks
        )
        return StageOutput.of(state, frames.pair(with_features=False).warped(state.flow))
