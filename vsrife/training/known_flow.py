"""How far a network's flow is from the known one, block by block, each at its own resolution.

A coarse block is taught by its flow alone, and nothing is brought to full resolution for that: the known flow is
reduced to the block's, which costs next to nothing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from vsrife.network.points import Level, flow_of

__all__ = ["DECAY", "FAR", "known_flow", "reduced"]

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
    for end, level in enumerate(levels, start=1):
        truth, counts = reduced(flow, weight, level.scale)
        length, total = _lengths(truth), counts.sum((1, 2, 3))
        far = (length * counts).sum((1, 2, 3)) / total.clamp_min(1)
        apart = (_lengths(flow_of(levels[:end], level.scale) - truth) * counts).sum((1, 2, 3))
        errors.append((apart * (FAR / far.clamp_min(FAR))).sum() / total.sum().clamp_min(1))
    powers = [decay ** (len(levels) - end) for end in range(1, len(levels) + 1)]
    return torch.stack([power * error for power, error in zip(powers, errors, strict=True)]).sum()


def _lengths(flow: Tensor) -> Tensor:
    """Of a flow [N, 4, h, w], that of either side: [N, 2, h, w]."""
    lengths: Tensor = torch.linalg.vector_norm(flow.unflatten(1, (2, 2)), dim=2)  # type: ignore[no-untyped-call]
    return lengths


def reduced(flow: Tensor, weight: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """A flow and its weight at 1 / ``scale`` of their size: the mean over each cell of what counts, and how much of the
    cell does.
    """
    if scale == 1:
        return flow, weight
    each = weight.repeat_interleave(2, 1)
    counts = avg_pool2d(each, scale)
    return avg_pool2d(flow * each, scale) / counts.clamp_min(1e-3), counts[:, ::2]
