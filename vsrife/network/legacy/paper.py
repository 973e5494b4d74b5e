"""One class for the paper's networks: RIFE, RIFE-m and RIFE-Large.

Three blocks, coarse to fine, correct flow and mask; after the first each receives both frames, unwarped and warped by
the flow so far. A refine network then adds a residual. In training a fourth block, the teacher, receives the true frame
too.
"""

from typing import NamedTuple, override

import torch
from torch import Tensor, nn

from vsrife.errors import ArgumentError
from vsrife.network.architecture import Architecture, Trunk
from vsrife.network.blocks import IFBlock
from vsrife.network.flow_state import FlowState, Pair, accumulate
from vsrife.network.frames import limited
from vsrife.network.legacy.architecture import FRAMES, PaperArchitecture
from vsrife.network.legacy.base import MIDDLE, LegacyNetwork, Prediction, refined, turned
from vsrife.network.legacy.refine import ContextNet, RefineNet, as_residual
from vsrife.network.training_output import StageOutput, TrainingOutput
from vsrife.network.warp import resize, resize_flow

__all__ = ["PaperNet"]


def _block(width: int, inputs: int, *, stride: int) -> IFBlock:
    """The block of group A with other inputs: flow (4), mask (1) at half of h and w; at h and w with a stride of 1."""
    prelu = Architecture(widths=(width,), scales=(1,), trunk=Trunk.PRELU, outputs=5)
    return IFBlock(prelu, 0, inputs=inputs, stride=stride)


class _BlockState(NamedTuple):
    """Flow and mask after a block, and the frames warped by that flow."""

    state: FlowState
    pair: Pair

    @property
    def stage(self) -> StageOutput:
        return StageOutput.of(self.state, self.pair)


class PaperNet(LegacyNetwork):
    """A network of the paper, built with random weights; see LegacyNetwork for frames and canvases.

    ``ensemble`` averages with the frame made from both frames turned by 180 degrees: the paper's 2T.

    architecture: the hyperparameters it was built from.
    block_tea: the teacher, or None.
    """

    architecture: PaperArchitecture

    def __init__(self, architecture: PaperArchitecture, *, teacher: bool = False) -> None:
        super().__init__()
        self.architecture = architecture
        self.any_time = architecture.timed
        stride = 1 if architecture.large else 2
        for index, width in enumerate(architecture.widths):
            self.add_module(f"block{index}", _block(width, architecture.block_inputs(index), stride=stride))
        self.block_tea = (
            _block(architecture.widths[-1], architecture.teacher_inputs, stride=stride) if teacher else None
        )
        if architecture.context:
            self.contextnet = ContextNet(architecture.context, stride=stride)
            self.unet = RefineNet(2 * FRAMES + 1 + 4, architecture.context, stride=stride)

    @override
    def predictions(
        self, left: Tensor, right: Tensor, t: float | Tensor, *, scale: float, ensemble: bool
    ) -> tuple[Prediction, ...]:
        """See LegacyNetwork."""
        made = [self._prediction(Pair.of(left, right, t), scale)]
        if ensemble:
            made.append(self._prediction(Pair.of(turned(left), turned(right), t), scale).turned())
        return tuple(made)

    def forward(
        self,
        left: Tensor,
        right: Tensor,
        t: float | Tensor = MIDDLE,
        truth: Tensor | None = None,
        *,
        scale: float = 1.0,
    ) -> TrainingOutput:
        """The output for training; `interpolate` is for inference.

        truth: the true frame at ``t``, for a network built with a teacher; None leaves the teacher out.
        Raises ArgumentError as `interpolate` does, and for a true frame without a teacher.
        """
        self.check_options(scale=scale, ensemble=False)
        self.check_pair(left, right, t, scale=scale)
        if truth is not None and self.block_tea is None:
            raise ArgumentError("truth must be None for a network without a teacher; build it with teacher=True")
        frames = Pair.of(limited(left), limited(right), t)
        states = self._states(frames, scale)
        stages = tuple(state.stage for state in states)
        teacher = None
        if truth is not None:
            assert self.block_tea is not None
            teacher = self._after(self.block_tea, frames, states[-1], 1.0, limited(truth)).stage
        picture = refined(stages[-1].picture, self._residual(frames, states[-1]))
        return TrainingOutput(stages=stages, picture=picture, teacher=teacher)

    def _prediction(self, frames: Pair, scale: float) -> Prediction:
        last = self._states(frames, scale)[-1]
        return Prediction(motion=last.state.motion, residual=self._residual(frames, last))

    def _states(self, frames: Pair, scale: float) -> list[_BlockState]:
        """Flow and mask after each block."""
        states: list[_BlockState] = []
        for index, reduction in enumerate(self.architecture.scales):
            block, before = self.get_submodule(f"block{index}"), states[-1] if states else None
            states.append(self._after(block, frames, before, reduction / scale))
        return states

    def _after(
        self, block: nn.Module, frames: Pair, before: _BlockState | None, reduction: float, truth: Tensor | None = None
    ) -> _BlockState:
        """Flow and mask after ``block``, whose input is ``reduction`` times smaller than the canvas.

        truth: the true frame, for the teacher.
        """
        seen = frames.images
        if self.architecture.timed:
            seen.append(frames.time_like(frames.left[0]))
        if before is not None:
            seen += [*before.pair.images, before.state.mask]
        if truth is not None:
            seen.append(truth)
        small = [resize(torch.cat(seen, 1), 1 / reduction)]
        if before is not None:
            small.append(resize_flow(before.state.flow, 1 / reduction))
        block_output: Tensor = block(torch.cat(small, 1).to(self.dtype)).float()
        correction = FlowState.of(block_output, reduction * self.architecture.output_scale)
        state = accumulate(None if before is None else before.state, correction)
        return _BlockState(state, frames.warped(state.flow))

    def _residual(self, frames: Pair, last: _BlockState) -> Tensor | None:
        """The output of the refine network; None without one."""
        if not self.architecture.context:
            return None
        left, right = frames.images
        flow, mask = last.state.flow, last.state.mask
        from_left = self.contextnet(left.to(self.dtype), flow[:, :2])
        from_right = self.contextnet(right.to(self.dtype), flow[:, 2:])
        x = torch.cat((left, right, *last.pair.images, mask, flow), 1)
        return as_residual(self.unet(x.to(self.dtype), from_left, from_right))
