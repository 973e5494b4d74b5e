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
"""A block that leaves more than this of what the ones before it have left does nothing."""


STILL: Final = 1.0
"""Pixels that all cells of a resolution move together, up to which nothing moves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockErrors:
    """What was found on samples of one size.

    name: height and width, as "512x768". left: of each block, the error of the flow after it over that of no flow; 1
    where it has found nothing. first: the coarsest block that is taught on this size.
    """

    name: str
    left: tuple[float, ...]
    first: int = 0

    @classmethod
    @torch.no_grad()
    def of(
        cls, samples: Sequence[tuple[Sequence[Level], Tensor, Tensor]], *, size: tuple[int, int], first: int
    ) -> "BlockErrors | None":
        """Of levels, flow and weight of each batch as `known_flow` takes them; None where nothing moves."""
        found = [errors_and_motion(*each) for each in samples]
        errors, motion = (torch.stack([each[index] for each in found]).sum(0) for index in range(2))
        if not bool((motion > STILL).all()):
            return None
        return cls(name=f"{size[0]}x{size[1]}", left=tuple((errors / motion).tolist()), first=first)

    def __str__(self) -> str:
        shown = ["-" if index < self.first else f"{left:.2f}" for index, left in enumerate(self.left)]
        return f"{' '.join(shown)} on {self.name}"

    @property
    def idle(self) -> int | None:
        """The first of the blocks that are taught here that leaves all that it was given."""
        given = (1.0, *self.left)
        return next((n for n in range(self.first, len(self.left)) if self.left[n] > IDLE * given[n]), None)


def idle(found: Sequence[BlockErrors], step: int) -> str | None:
    """What is wrong, in one line with the way out: a block that does nothing on any size that it is taught on."""
    if step < LATE:
        return None
    taught = {n for each in found for n in range(each.first, len(each.left))}
    for number in sorted(taught):
        on = [each for each in found if each.first <= number < len(each.left)]
        if all(each.idle == number for each in on):
            return (
                f"warning: block {number} takes nothing off the flow's error ({', '.join(map(str, on))}): "
                "begin it as a finer block that does (run.start_blocks), or let more samples move far (data.also)"
            )
    return None
