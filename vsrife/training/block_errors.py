"""How much of the known motion each block leaves: whether it has learnt anything.

The loss is a sum over the blocks, and goes down while a block that answers nothing is made good by the ones after it,
as far as these can see. Its own figure tells: the flow's error after it, over that of no flow at all.
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
"""Steps by which a block has learnt something."""

IDLE: Final = 0.98
"""A block after which the error is above this of what it was before it does nothing."""

STILL: Final = 1.0
"""Pixels that all cells of a resolution move together, up to which nothing moves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockErrors:
    """What was found on the samples of one part of a step.

    name: of the part, as "512x768". left: of each block, at its own resolution, the error of the flow after it over
    that of no flow; 1 where nothing is found. kept: the same over the error before it; 1 where it does nothing.
    first: the coarsest block that is taught there.
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
        """Of what `known_flow` takes; None where nothing moves."""
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
        """The blocks that are taught here."""
        return range(self.first, len(self.left))


def idle(found: Sequence[BlockErrors], step: int) -> str | None:
    """What is wrong, in one line with the way out: a block that does nothing on any samples that it is taught on."""
    if step < LATE:
        return None
    for number in sorted({n for each in found for n in each.taught}):
        on = [each for each in found if number in each.taught]
        if all(each.kept[number] > IDLE for each in on):
            return (
                f"warning: block {number} takes nothing off the flow's error ({'; '.join(map(str, on))}): let more "
                "samples move as far as it sees (data.also), or begin a new run in which it begins as a block that "
                "does (run.start_blocks)"
            )
    return None
