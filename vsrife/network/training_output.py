"""What training learns from: every stage of a network's answer and, where there is one, its teacher's.

Both kinds of networks give it, `IFNetWithTeacher` of the 4.x line and `PaperNet`; what is learnt from it is
`vsrife.training.distillation`.
"""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from vsrife.network.flow_and_mask import FlowAndMask, blended
from vsrife.network.flow_state import FlowState, Pair
from vsrife.network.points import Level

__all__ = ["StageOutput", "TrainingOutput"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StageOutput:
    """What is state after one block, float32 on the whole canvas.

    motion: of all blocks so far together.
    picture: [N, 3, H, W], both frames warped and weighed by it.
    """

    motion: FlowAndMask
    picture: Tensor

    @classmethod
    def of(cls, state: FlowState, pair: Pair) -> Self:
        """pair: the frames as the flow of ``state`` warps them."""
        motion = state.motion
        return cls(motion=motion, picture=blended(pair.left[0], pair.right[0], motion.mask))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainingOutput:
    """Everything about one batch that a loss may ask for, with gradients.

    levels: what each block answers at its own resolution, coarse to fine; () in the paper's networks.
    stages: after each of the student's blocks, coarse to fine; the last one alone where there is no teacher to compare
        them with, and () where only the coarse blocks were asked.
    picture: float32 [N, 3, H, W], the student's answer: of the last stage, or what its refine network made of that;
        None where only the coarse blocks were asked.
    teacher: after the teacher's block; None where there was none, or no true frame. Its flow is the student's last one
        and a correction, and nothing is detached: its reconstruction teaches the student too, as in the paper's code.
    """

    levels: tuple[Level, ...] = ()
    stages: tuple[StageOutput, ...] = ()
    picture: Tensor | None = None
    teacher: StageOutput | None = None

    @property
    def answer(self) -> Tensor:
        """The picture, where all blocks were asked."""
        assert self.picture is not None
        return self.picture
