"""One class for the paper's networks: RIFE, RIFE-m and RIFE-Large.

Three blocks, coarse to fine, correct flow and mask; each but the first sees both frames, as they are and as the flow so
far warps them. A refine network then adds what warping cannot bring. In training a fourth block, the teacher, sees the
true frame as well.
"""

from typing import NamedTuple, override

import torch
from torch import Tensor, nn

from vsrife.errors import ArgumentError
from vsrife.network.architecture import Architecture, Trunk
from vsrife.network.motion import Motion
from vsrife.network.paper.architecture import FRAMES, PaperArchitecture
from vsrife.network.paper.pair import PairNetwork, Prediction, blended, limited, turned
from vsrife.network.paper.refine import ContextNet, RefineNet, as_residual, resize
from vsrife.network.teacher import Lesson, Stage, VariedBlock
from vsrife.network.warp import backward_warp


def _block(width: int, inputs: int, *, stride: int) -> VariedBlock:
    """The block of group A with other inputs: flow (4), mask (1) at half of h and w; at h and w with a stride of 1."""
    trunk = Architecture(widths=(width,), scales=(1,), trunk=Trunk.PRELU, outputs=5)
    return VariedBlock(trunk, 0, inputs=inputs, stride=stride)


class _State(NamedTuple):
    """What is known after a block, float32 at full resolution: flow in pixels, mask before the sigmoid, and the frames
    as that flow warps them.
    """

    flow: Tensor
    mask: Tensor
    left: Tensor
    right: Tensor

    @property
    def motion(self) -> Motion:
        return Motion(flow=self.flow, mask=torch.sigmoid(self.mask))

    @property
    def stage(self) -> Stage:
        motion = self.motion
        return Stage(motion=motion, picture=blended(self.left, self.right, motion.mask))


class PaperNet(PairNetwork):
    """A network of the paper, built with random weights; see PairNetwork for frames and canvases.

    ``ensemble`` averages with the picture made from both frames turned by 180 degrees: the paper's 2T.

    architecture: the numbers it was built from.
    block_tea: the teacher, where the network was built with one.
    """

    def __init__(self, architecture: PaperArchitecture, *, teacher: bool = False) -> None:
        super().__init__()
        self.architecture = architecture
        self.any_time = architecture.timed
        stride = 1 if architecture.large else 2
        for index, width in enumerate(architecture.widths):
            self.add_module(f"block{index}", _block(width, architecture.block_inputs(index), stride=stride))
        if teacher:
            self.block_tea = _block(architecture.widths[-1], architecture.teacher_inputs, stride=stride)
        if architecture.context:
            self.contextnet = ContextNet(architecture.context, stride=stride)
            self.unet = RefineNet(2 * FRAMES + 1 + 4, architecture.context, stride=stride)

    def modulus(self, scale: float = 1.0) -> int:
        """The number that a canvas' width and height must be multiples of at the user's ``scale``."""
        return self.architecture.modulus(scale)

    @override
    def predictions(
        self, left: Tensor, right: Tensor, t: float | Tensor, *, scale: float, ensemble: bool
    ) -> tuple[Prediction, ...]:
        """See PairNetwork."""
        made = [self._prediction(left, right, t, scale)]
        if ensemble:
            made.append(self._prediction(turned(left), turned(right), t, scale).turned())
        return tuple(made)

    def forward(
        self,
        left: Tensor,
        right: Tensor,
        t: float | Tensor = 0.5,
        truth: Tensor | None = None,
        *,
        scale: float = 1.0,
    ) -> Lesson:
        """What training wants to know; `interpolate` is for inference.

        truth: the true frame at ``t``, for a network built with a teacher; None leaves the teacher out.
        Raises ArgumentError as `interpolate` does, and for a true frame where there is no teacher to see it.
        """
        self.check_options(scale=scale, ensemble=False)
        self.check_pair(left, right, t, scale=scale)
        if truth is not None and not hasattr(self, "block_tea"):
            raise ArgumentError("truth must be None for a network without a teacher; build it with teacher=True")
        left, right = limited(left), limited(right)
        states = self._states(left, right, t, scale)
        stages = tuple(state.stage for state in states)
        teacher = None
        if truth is not None:
            inputs = self._inputs(left, right, t, states[-1], limited(truth))
            teacher = self._answer(self.block_tea, inputs, left, right, states[-1], 1.0).stage
        picture = stages[-1].picture
        residual = self._residual(left, right, states[-1])
        if residual is not None:
            picture = (picture + residual).clamp(0.0, 1.0)
        return Lesson(stages=stages, picture=picture, teacher=teacher)

    def _prediction(self, left: Tensor, right: Tensor, t: float | Tensor, scale: float) -> Prediction:
        last = self._states(left, right, t, scale)[-1]
        return Prediction(motion=last.motion, residual=self._residual(left, right, last))

    def _states(self, left: Tensor, right: Tensor, t: float | Tensor, scale: float) -> list[_State]:
        """What is known after each block."""
        states: list[_State] = []
        for index, reduction in enumerate(self.architecture.scales):
            before = states[-1] if states else None
            inputs = self._inputs(left, right, t, before)
            block = self.get_submodule(f"block{index}")
            states.append(self._answer(block, inputs, left, right, before, reduction / scale))
        return states

    def _inputs(
        self, left: Tensor, right: Tensor, t: float | Tensor, before: _State | None, truth: Tensor | None = None
    ) -> list[Tensor]:
        """What a block sees beside the flow, at full resolution."""
        inputs = [left, right]
        if self.architecture.timed:
            time = torch.as_tensor(t, dtype=torch.float32, device=left.device).reshape(-1, 1, 1, 1)
            inputs.append(time.expand(left.shape[0], 1, *left.shape[-2:]))
        if before is not None:
            inputs += [before.left, before.right, before.mask]
        if truth is not None:
            inputs.append(truth)
        return inputs

    def _answer(
        self,
        block: nn.Module,
        inputs: list[Tensor],
        left: Tensor,
        right: Tensor,
        before: _State | None,
        reduction: float,
    ) -> _State:
        """What is known after ``block``, whose input is reduced by ``reduction`` and whose answer is brought back."""
        small = [resize(torch.cat(inputs, 1), 1 / reduction)]
        if before is not None:
            small.append(resize(before.flow, 1 / reduction) / reduction)
        answer: Tensor = block(torch.cat(small, 1).to(self.dtype)).float()
        growth = reduction if self.architecture.large else 2 * reduction
        answer = resize(answer, growth)
        flow, mask = answer[:, :4] * growth, answer[:, 4:5]
        if before is not None:
            flow, mask = before.flow + flow, before.mask + mask
        return _State(flow, mask, backward_warp(left, flow[:, :2]), backward_warp(right, flow[:, 2:]))

    def _residual(self, left: Tensor, right: Tensor, last: _State) -> Tensor | None:
        """What the refine network draws; None without one."""
        if not self.architecture.context:
            return None
        from_left = self.contextnet(left.to(self.dtype), last.flow[:, :2])
        from_right = self.contextnet(right.to(self.dtype), last.flow[:, 2:])
        x = torch.cat((left, right, last.left, last.right, last.mask, last.flow), 1)
        return as_residual(self.unet(x.to(self.dtype), from_left, from_right))
