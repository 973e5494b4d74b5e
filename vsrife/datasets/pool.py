"""Synthetic scenes made and kept in the memory of a device, each used for many samples: a `ring` without files.

Scenes are drawn in blocks, as operations on a GPU cost little more for many scenes than for one. Which ones a batch is
cut from depends on its number and seed alone; a resumed run makes the scenes again that it needs.
"""

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from vsrife.datasets.bank import Bank
from vsrife.datasets.batch import Batch
from vsrife.datasets.ring import NOTHING, Plan, PlannedScenes, RingSettings, Server
from vsrife.datasets.scene_rng import mixed_seed
from vsrife.datasets.serving import Pick, as_batch
from vsrife.datasets.synthetic import Synthetic, SyntheticSettings

__all__ = ["Pool"]

_BLOCK: Final = 16  # scenes that are made at once


class Pool(PlannedScenes):
    """Scenes on the bank's device: uint8 pictures and shares, half-precision motion. One thread at a time may draw."""

    def __init__(
        self,
        bank: Bank,
        frame: tuple[int, int],
        settings: RingSettings,
        synthetic: SyntheticSettings,
        *,
        size: tuple[int, int],
        seed: int,
        plan: Plan = NOTHING,
    ) -> None:
        """As `Ring`, without its files. The number of scenes is rounded up to whole blocks."""
        super().__init__(frame, settings, synthetic, size=size, plan=plan)
        self._source = Synthetic(bank, self.synthetic)
        self._seed = seed
        self._slots = math.ceil(self.scenes / _BLOCK) + 1  # the window begins and ends within a block
        self._held: dict[int, int] = {}  # the block in each slot
        self._kept: tuple[Tensor, Tensor, Tensor] | None = None
        self._times: Tensor | None = None

    def close(self) -> None:
        """Forget all scenes. A later draw makes them again."""
        self._held.clear()
        self._kept = self._times = None

    @torch.no_grad()
    def _server(self, numbers: Sequence[int], picks: Sequence[Pick], position: int) -> Server:  # noqa: ARG002
        for block in dict.fromkeys(number // _BLOCK for number in numbers):
            if self._held.get(block % self._slots) != block:
                self._draw(block)
        slots = [number % (self._slots * _BLOCK) for number in numbers]
        return lambda part, size: self._cut(slots[part], picks[part], size)

    def _draw(self, block: int) -> None:
        scenes = self._source.block(_BLOCK, mixed_seed(self._seed, block), self.truths)
        shares = torch.cat((scenes.visible, scenes.known), dim=2)
        made = ((scenes.frames * 255).round().byte(), scenes.motion.half(), (shares * 255).round().byte())
        if self._kept is None or self._times is None:
            count = self._slots * _BLOCK
            frames, motion, kept = (each.new_zeros((count, *each.shape[1:])) for each in made)
            self._kept, self._times = (frames, motion, kept), scenes.t.new_zeros((count, self.truths))
        first = block % self._slots * _BLOCK
        for tensor, new in zip((*self._kept, self._times), (*made, scenes.t), strict=True):
            tensor[first : first + _BLOCK] = new
        self._held[block % self._slots] = block

    def _cut(self, slots: Sequence[int], picks: Sequence[Pick], size: tuple[int, int]) -> Batch:
        """A sample for each pick, all at once, by gathering each pixel from its source."""
        assert self._kept is not None
        assert self._times is not None
        frames, motion, shares = self._kept
        height, width = self.frame
        turns = [pick.turned and size[1] <= height and size[0] <= width for pick in picks]
        rows, colours = [], []
        for slot, pick, turned in zip(slots, picks, turns, strict=True):
            high, wide = size[::-1] if turned else size
            top, left = int(pick.down * (height - high + 1)), int(pick.across * (width - wide + 1))
            # Where the first pixel comes from, and how far a step down and a step across lead.
            start = top + (high - 1) * pick.mirrored[1], left + (wide - 1) * pick.mirrored[0]
            steps = width * (-1 if pick.mirrored[1] else 1), -1 if pick.mirrored[0] else 1
            rows.append(
                (
                    *(slot, self._truth(pick.truth), start[0] * width + start[1], steps[turned], steps[1 - turned]),
                    *((self.truths + 1, 0) if pick.backwards else (0, self.truths + 1)),
                    *((1, 0) if turned else (0, 1)),
                    *((1, 0) if pick.backwards else (0, 1)),
                    *pick.order,
                )
            )
            signs = [-1.0 if each != pick.backwards else 1.0 for each in pick.mirrored]
            colours.append((pick.black, *pick.white, *(signs[::-1] if turned else signs), float(pick.backwards)))
        device = frames.device
        table = torch.tensor(rows).to(device, non_blocking=True)
        shown = torch.tensor(colours).to(device, non_blocking=True)
        place, truth = table[:, 0].view(-1, 1, 1, 1), table[:, 1].view(-1, 1, 1, 1)
        y = torch.arange(size[0], device=device).view(1, -1, 1)
        x = torch.arange(size[1], device=device).view(1, 1, -1)
        places = table[:, 2].view(-1, 1, 1) + y * table[:, 3].view(-1, 1, 1) + x * table[:, 4].view(-1, 1, 1)
        places = places.unsqueeze(1)
        moments = torch.stack((table[:, 5], table[:, 1] + 1, table[:, 6])).view(3, -1, 1, 1, 1)
        seen = frames.flatten(3)[place, moments, table[:, 11:].view(-1, 3, 1, 1), places].float()
        black, white = shown[:, :1, None, None], shown[:, 1:4, None, None]
        seen = seen * ((white - black) / 255) + black
        moved = motion.flatten(3)[place, truth, table[:, 7:9].view(-1, 2, 1, 1), places].float()
        moved = moved * shown[:, 4:6, None, None]
        order = torch.cat((table[:, 9:11], torch.full_like(table[:, :1], 2)), dim=1).view(-1, 3, 1, 1)
        known = shares.flatten(3)[place, truth, order, places].float() / 255
        t = self._times[table[:, 0], table[:, 1]].view(-1, 1, 1, 1)
        back = shown[:, 6].view(-1, 1, 1, 1)
        return as_batch(seen, moved, known, back + t * (1 - 2 * back))
