"""Per-stage predictions of the student and, if present, of the teacher: what the losses are computed from.

Both kinds of trainable networks return it, `IFNetWithTeacher` of the 4.x line and `PaperNet`.
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
    """Flow, mask and frame after one block, float32 on the whole canvas.

    motion: of all blocks so far together.
    picture: [N, 3, H, W], both frames warped and weighted by it.
    """

    motion: FlowAndMask
    picture: Tensor

    @classmethod
    def of(cls, state: FlowState, pair: Pair) -> Self:
        """pair: the frames warped by the flow of ``state``."""
        motion = state.motion
        return cls(motion=motion, picture=blended(pair.left[0], pair.right[0], motion.mask))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainingOutput:
    """The predictions for one batch, with gradients.

    levels: the output of each block at its own resolution, coarse to fine; () in the paper's networks.
    stages: after each of the student's blocks, coarse to fine; the last one alone without a teacher, and () where only
        the coarse blocks were run.
    picture: float32 [N, 3, H, W], the student's frame: that of the last stage, after the refine network if there is
        one; None where only the coarse blocks were run.
    teacher: after the teacher's block; None without a teacher or a true frame. Its flow is the student's last one plus
        a correction. Nothing is detached: its reconstruction trains the student too, as in the paper's code.
    """

    levels: tuple[Level, ...] = ()
    stages: tuple[StageOutput, ...] = ()
    picture: Tensor | None = None
    teacher: StageOutput | None = None

    @property
    def answer(self) -> Tensor:
        """The picture, where all blocks were run."""
        assert self.picture is not None
        return self.picture
