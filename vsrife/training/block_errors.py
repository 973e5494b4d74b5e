"""The flow error after each block of a network, relative to no flow: whether the block has learnt anything.

The loss alone does not show it: it is a sum over the blocks, and later blocks compensate for one that outputs nothing
as far as their range allows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from vsrife.network.points import Level
from vsrife.training.known_flow import errors_and_motion

__all__ = ["BlockErrors", "idle"]

LATE: Final = 1000
"""Steps after which a block should have learnt something."""

IDLE: Final = 0.98
"""A block does nothing if the error after it is more than this share of the error before it."""

STILL: Final = 1.0
"""Total motion of all cells of a resolution in pixels up to which a batch counts as still."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockErrors:
    """Flow errors on one batch of a step.

    name: of the batch, such as "512x768".
    left: for each block, at its resolution, the flow error after it relative to no flow; 1 if no motion is found.
    kept: for each block the error after it relative to the error before it; 1 if it does nothing.
    first: the coarsest block that this batch trains.
    """

    name: str
    left: tuple[float, ...]
    kept: tuple[float, ...]
    first: int = 0

    @classmethod
    @torch.no_grad()
    def of(
        cls, levels: Sequence[Level], flow: Tensor, weight: Tensor, *, name: str, first: int
    ) -> "BlockErrors | None":
        """From the arguments of `known_flow`; None if nothing moves."""
        after, before, motion = errors_and_motion(levels, flow, weight)
        if not bool((motion > STILL).all()):
            return None
        left, kept = (after / each.clamp_min(STILL) for each in (motion, before))
        return cls(name=name, left=tuple(left.tolist()), kept=tuple(kept.tolist()), first=first)

    def __str__(self) -> str:
        shown = ["-" if index < self.first else f"{left:.2f}" for index, left in enumerate(self.left)]
        return f"{' '.join(shown)} on {self.name}"

    @property
    def taught(self) -> range:
        """The blocks that this batch trains."""
        return range(self.first, len(self.left))


def idle(found: Sequence[BlockErrors], step: int) -> str | None:
    """A line that names a block which does nothing on all batches that train it and what to do, or None."""
    if step < LATE:
        return None
    for number in sorted({n for each in found for n in each.taught}):
        on = [each for each in found if number in each.taught]
        if all(each.kept[number] > IDLE for each in on):
            return (
                f"warning: block {number} does not reduce the flow error ({'; '.join(map(str, on))}): train "
                "it on more samples with motion in its range (data.also), or start a new run in which it starts as "
                "another block (run.start_blocks)"
            )
    return None
