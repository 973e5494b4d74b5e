"""Colour augmentation, the same for all frames of a sample: permuted channels, other black and white levels."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import torch
from torch import Tensor

__all__ = ["Colours"]

_EXCHANGED: Final = 0.5  # share of the samples whose channels are permuted
_LEVELLED: Final = 0.5  # share of the samples whose black and white levels change
_BLACK, _WHITE = (0.0, 0.08), (0.8, 1.0)  # ranges of the new levels; nothing is clipped
_TINT: Final = 0.04  # largest difference between the white levels of channels


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Colours:
    """The augmentation of N samples. order: int [N, 3], the source of each channel. black: float [N], white: float
    [N, 3], what 0 and 1 become after that.
    """

    order: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    black: np.ndarray[tuple[int], np.dtype[np.float32]]
    white: np.ndarray[tuple[int, int], np.dtype[np.float32]]

    @classmethod
    def drawn(cls, random: np.random.Generator, count: int, share: float = 1.0) -> Self:
        """Random augmentations. share: of the samples that may change at all."""
        chosen = random.random((3, count)) < np.array([[share], [_EXCHANGED], [_LEVELLED]])
        same = np.tile(np.arange(3), (count, 1))
        order = random.permuted(same, axis=1)
        black = random.uniform(*_BLACK, count)
        white = random.uniform(*_WHITE, (count, 1)) - random.uniform(0, _TINT, (count, 3))
        levelled = chosen[0] & chosen[2]
        return cls(
            order=np.where((chosen[0] & chosen[1])[:, None], order, same),
            black=np.where(levelled, black, 0).astype(np.float32),
            white=np.where(levelled[:, None], white, 1).astype(np.float32),
        )

    def frames(self, frames: Tensor) -> Tensor:
        """Apply it to frames, float32 [N, F, 3, H, W] in 0..1 on any device. Returns a new tensor."""
        order = torch.from_numpy(self.order).to(frames.device, non_blocking=True)
        black = torch.from_numpy(self.black).to(frames.device, non_blocking=True).view(-1, 1, 1, 1, 1)
        white = torch.from_numpy(self.white).to(frames.device, non_blocking=True).view(-1, 1, 3, 1, 1)
        exchanged = frames.gather(2, order.view(-1, 1, 3, 1, 1).expand_as(frames))
        return exchanged * (white - black) + black
