"""The end-point error of each block against a known flow, at the block's own resolution.

Nothing is enlarged to full resolution: the known flow is reduced to the resolution of each block, which is cheap.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from vsrife.network.points import Level, flow_of

__all__ = ["DECAY", "FAR", "errors_and_motion", "known_flow"]

FAR = 4.0
"""Mean motion of a sample in pixels above which its error counts less."""

DECAY = 0.8
"""Weight of each block relative to the next one, as in "RAFT" (Teed and Deng, ECCV 2020, section 3.4)."""


def known_flow(levels: Sequence[Level], flow: Tensor, weight: Tensor, *, decay: float = DECAY) -> Tensor:
    """The sum over the blocks of their end-point errors in pixels of the full resolution; the weight of the last block
    is 1, that of the one before it ``decay``, then its square, and so on.

    flow: [N, 4, H, W] in pixels, as in Batch. weight: [N, 2, H, W] in 0..1, of the flow to each side: 0 where it is not
    known or its target is hidden. If all weights are 0, so is the sum.

    The error of a sample with a mean motion of more than `FAR` pixels is scaled down accordingly: an error of ten
    pixels is small for a motion of a hundred, and would outweigh what is learnt from small motion.
    """
    errors = []
    for end, known in _fine_to_coarse(levels, flow, weight):
        far = (_lengths(known.flow) * known.counts).sum((1, 2, 3)) / known.counts.sum((1, 2, 3)).clamp_min(1)
        error = (_apart(levels[:end], known) * (FAR / far.clamp_min(FAR))).sum() / known.counts.sum().clamp_min(1)
        errors.append(decay ** (len(levels) - end) * error)
    return torch.stack(errors).sum()


def errors_and_motion(levels: Sequence[Level], flow: Tensor, weight: Tensor) -> Tensor:
    """For each block, coarse to fine, sums over its cells [3, blocks]: the flow error after it, the flow error before
    it, and the length of the known flow.
    """
    found = []
    for end, known in _fine_to_coarse(levels, flow, weight):
        motion = (_lengths(known.flow) * known.counts).sum()
        before = _apart(levels[: end - 1], known).sum() if end > 1 else motion
        found.append(torch.stack((_apart(levels[:end], known).sum(), before, motion)))
    return torch.stack(found[::-1], dim=1)


def _fine_to_coarse(levels: Sequence[Level], flow: Tensor, weight: Tensor) -> Iterator[tuple[int, "_Known"]]:
    """From fine to coarse, the number of levels up to a block, and the known flow at its resolution, reduced from that
    of the finer one.
    """
    known = _Known.of(flow, weight)
    for end in range(len(levels), 0, -1):
        known = known.reduced(levels[end - 1].scale)
        yield end, known


def _apart(levels: Sequence[Level], known: "_Known") -> Tensor:
    """The end-point error of the flow of these levels, summed over the cells of each sample: [N]."""
    found = flow_of(levels, known.scale)
    return (_lengths(found - known.flow) * known.counts).sum((1, 2, 3))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Known:
    """A known flow at 1 / ``scale`` of its size.

    counts: [N, 2, h, w], the mean weight of each cell. weighed: [N, 4, h, w], the mean over each cell of the flow times
        its weight.
    """

    weighed: Tensor
    counts: Tensor
    scale: int = 1

    @classmethod
    def of(cls, flow: Tensor, weight: Tensor) -> "_Known":
        return cls(weighed=(_sides(flow) * weight.unsqueeze(2)).flatten(1, 2), counts=weight)

    def reduced(self, scale: int) -> "_Known":
        """At 1 / ``scale`` of the full resolution, which must be coarser than this one."""
        factor = scale // self.scale
        if factor == 1:
            return self
        return _Known(weighed=avg_pool2d(self.weighed, factor), counts=avg_pool2d(self.counts, factor), scale=scale)

    @property
    def flow(self) -> Tensor:
        """[N, 4, h, w], the weighted mean over each cell."""
        return (_sides(self.weighed) / self.counts.clamp_min(1e-3).unsqueeze(2)).flatten(1, 2)


def _sides(flow: Tensor) -> Tensor:
    """[N, 4, h, w] as [N, 2, 2, h, w]: side, then x and y."""
    return flow.view(len(flow), 2, 2, *flow.shape[2:])


def _lengths(flow: Tensor) -> Tensor:
    """The lengths of a flow [N, 4, h, w] to either side: [N, 2, h, w]."""
    x, y = _sides(flow).unbind(2)
    # torch's norm over a dimension other than the last one is ten times slower on a CPU.
    return torch.complex(x, y).abs()
