"""What goes into a network's blocks and what comes out of them, step by step: each corrects what those before it found.

All tensors are float32 at the size of the canvas; reducing them is the business of whoever runs a block.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from vsrife.network.flow_and_mask import Motion
from vsrife.network.frames import as_time
from vsrife.network.warp import backward_warp, resize, swapped

__all__ = ["Pair", "Step", "side", "together"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Step:
    """What one block answers, or what all blocks so far have come to.

    flow: [N, 4, H, W], as in Motion.
    mask: [N, 1, H, W], Motion's before the sigmoid.
    hidden: [N, 8, H, W], channels for the next block; None where there are none, or no next block.
    """

    flow: Tensor
    mask: Tensor
    hidden: Tensor | None = None

    @classmethod
    def of(cls, answer: Tensor, growth: float) -> Self:
        """The step that a block without hidden channels has answered.

        answer: float32 [N, 5 or more, h, w], flow (4) in pixels of that size, mask (1).
        growth: how much smaller than the canvas that is.
        """
        answer = resize(answer, growth)
        return cls(flow=answer[:, :4] * growth, mask=answer[:, 4:5])

    @property
    def motion(self) -> Motion:
        """The motion, where nothing comes after this step."""
        return Motion(flow=self.flow, mask=torch.sigmoid(self.mask))

    def mirrored(self) -> Self:
        """The same step where left and right have changed places; without hidden channels, which cannot change."""
        return type(self)(flow=swapped(self.flow), mask=-self.mask)

    def mean(self, other: Self) -> Self:
        """The mean with another one, without hidden channels."""
        return type(self)(flow=(self.flow + other.flow) / 2, mask=(self.mask + other.mask) / 2)


def together(known: Step | None, answer: Step, *, adds_masks: bool = True) -> Step:
    """What is known after a block, from what was ``known`` before it (None: nothing) and its ``answer``.

    Flows add up; masks do too, or else the last one counts, see `Architecture.adds_masks`.
    """
    if known is None:
        return answer
    mask = known.mask + answer.mask if adds_masks else answer.mask
    return Step(flow=known.flow + answer.flow, mask=mask, hidden=answer.hidden)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pair:
    """What a block sees of both frames, as they are or as a flow warps them, and the time between them.

    left, right: the frame [N, 3, H, W] in 0..1 and, in a network that has them, its features [N, E, H, W].
    time: [1 or N, 1, 1, 1]; 0 is left, 1 is right.
    """

    left: tuple[Tensor, ...]
    right: tuple[Tensor, ...]
    time: Tensor

    @classmethod
    def of(
        cls,
        left: Tensor,
        right: Tensor,
        t: float | Tensor,
        left_features: Tensor | None = None,
        right_features: Tensor | None = None,
    ) -> Self:
        """Two frames that are `limited` already, as they are.

        t: a number, or a tensor [N] or [N, 1, 1, 1].
        left_features, right_features: in any dtype.
        """
        return cls(left=side(left, left_features), right=side(right, right_features), time=as_time(t, left.device))

    @property
    def images(self) -> list[Tensor]:
        """Left and right frame, left and right features: the order in which blocks take them."""
        return [image for both in zip(self.left, self.right, strict=True) for image in both]

    def time_like(self, image: Tensor) -> Tensor:
        """The time as a plane of ``image``, [N, 1, h, w]: one number is that number at every resolution."""
        return self.time.expand(image.shape[0], 1, *image.shape[-2:])

    def swapped(self) -> Self:
        """The right frame first, and the same moment as seen from there."""
        return type(self)(left=self.right, right=self.left, time=1 - self.time)

    def warped(self, flow: Tensor) -> Self:
        """Each side sampled where ``flow``, [N, 4, H, W], says."""
        left = tuple(backward_warp(image, flow[:, :2]) for image in self.left)
        right = tuple(backward_warp(image, flow[:, 2:]) for image in self.right)
        return type(self)(left=left, right=right, time=self.time)


def side(frame: Tensor, features: Tensor | None) -> tuple[Tensor, ...]:
    """What there is of one frame, as Pair has it: itself and, where there are any, its features."""
    return (frame,) if features is None else (frame, features.float())
