"""How far a network's flow is from the known one, block by block, each at its own resolution.

A coarse block is taught by its flow alone, and nothing is brought to full resolution for that: the known flow is
reduced to the block's, which costs next to nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from vsrife.network.points import Level, flow_of

__all__ = ["DECAY", "FAR", "errors_and_motion", "known_flow"]

FAR = 4.0
"""Pixels."""

DECAY = 0.8
"""What each block counts for, of the one after it; as in "RAFT" (Teed and Deng, ECCV 2020, section 3.4)."""


def known_flow(levels: Sequence[Level], flow: Tensor, weight: Tensor, *, decay: float = DECAY) -> Tensor:
    """The sum over the blocks of their end-point error in pixels of the canvas, the last one counting once, the one
    before it ``decay`` times, and so on.

    flow: [N, 4, H, W] in pixels, as in Batch. weight: [N, 2, H, W] in 0..1, how much the flow of each side counts: 0
    where it is not known, or leads to what is hidden. Where nothing counts the sum is 0.

    A sample that moves far, more than `FAR` pixels in the mean, counts that much less: where things move by a hundred
    pixels an error of ten is small, and it would drown all that is learnt from small motion.
    """
    errors = []
    for end, known in _fine_to_coarse(levels, flow, weight):
        far = (_lengths(known.flow) * known.counts).sum((1, 2, 3)) / known.counts.sum((1, 2, 3)).clamp_min(1)
        error = (_apart(levels[:end], known) * (FAR / far.clamp_min(FAR))).sum() / known.counts.sum().clamp_min(1)
        errors.append(decay ** (len(levels) - end) * error)
    return torch.stack(errors).sum()


def errors_and_motion(levels: Sequence[Level], flow: Tensor, weight: Tensor) -> Tensor:
    """Of each block, coarse to fine, sums over its cells of: how far the flow after it is from the known one, how far
    that before it was, and how long the known one is. [3, blocks]
    """
    found = []
    for end, known in _fine_to_coarse(levels, flow, weight):
        motion = (_lengths(known.flow) * known.counts).sum()
        before = _apart(levels[: end - 1], known).sum() if end > 1 else motion
        found.append(torch.stack((_apart(levels[:end], known).sum(), before, motion)))
    return torch.stack(found[::-1], dim=1)


def _fine_to_coarse(levels: Sequence[Level], flow: Tensor, weight: Tensor) -> Iterator[tuple[int, "_Known"]]:
    """How many levels there are by then, and the known flow at the last one's resolution: that of a coarser one is
    reduced from that of the one after it.
    """
    known = _Known.of(flow, weight)
    for end in range(len(levels), 0, -1):
        known = known.reduced(levels[end - 1].scale)
        yield end, known


def _apart(levels: Sequence[Level], known: "_Known") -> Tensor:
    """The sum over the cells of each sample of how far the flow of all levels is from the known one: [N]."""
    found = flow_of(levels, known.scale)
    return (_lengths(found - known.flow) * known.counts).sum((1, 2, 3))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Known:
    """A known flow at 1 / ``scale`` of its size.

    counts: [N, 2, h, w], the share of each cell that counts. weighed: [N, 4, h, w], the mean over each cell of the flow
    times what counts.
    """

    weighed: Tensor
    counts: Tensor
    scale: int = 1

    @classmethod
    def of(cls, flow: Tensor, weight: Tensor) -> "_Known":
        return cls(weighed=(_sides(flow) * weight.unsqueeze(2)).flatten(1, 2), counts=weight)

    def reduced(self, scale: int) -> "_Known":
        """At 1 / ``scale`` of the full size; a coarser one."""
        factor = scale // self.scale
        if factor == 1:
            return self
        return _Known(weighed=avg_pool2d(self.weighed, factor), counts=avg_pool2d(self.counts, factor), scale=scale)

    @property
    def flow(self) -> Tensor:
        """[N, 4, h, w], the mean over each cell of what counts."""
        return (_sides(self.weighed) / self.counts.clamp_min(1e-3).unsqueeze(2)).flatten(1, 2)


def _sides(flow: Tensor) -> Tensor:
    """[N, 4, h, w] as [N, 2, 2, h, w]: of either side, x and y."""
    return flow.view(len(flow), 2, 2, *flow.shape[2:])


def _lengths(flow: Tensor) -> Tensor:
    """Of a flow [N, 4, h, w], that of either side: [N, 2, h, w]."""
    x, y = _sides(flow).unbind(2)
    # torch's norm over a dimension that is not the last one takes ten times as long on a CPU.
    return torch.complex(x, y).abs()
