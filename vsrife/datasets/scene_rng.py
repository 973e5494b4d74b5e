"""Random numbers for synthetic scenes, generated on the host so that a seed gives the same scene on every device."""

import math
from typing import Final

import numpy as np
import torch
from torch import Tensor

__all__ = ["GOLDEN", "SceneRng", "mixed_seed"]

GOLDEN: Final = 0.6180339887498949
"""The golden ratio: the fractional parts of its multiples are evenly distributed, in any run of numbers."""

_LARGEST: Final = 2**63 - 1


def mixed_seed(*numbers: int) -> int:
    """One seed from several numbers of at least 0."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) & _LARGEST


class SceneRng:
    """Random numbers on `device`; the same seed and calls give the same numbers."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        self._host = torch.Generator().manual_seed(seed)
        self._local: torch.Generator | None = None
        self._seed = seed

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform from `low` to `high`."""
        return self._placed(torch.rand(shape, generator=self._host) * (high - low) + low)

    def normal(self, *shape: int) -> Tensor:
        """Normal with mean 0 and deviation 1."""
        return self._placed(torch.randn(shape, generator=self._host))

    def exponential(self, *shape: int, mean: float) -> Tensor:
        """Exponential with this mean."""
        return self._placed(-mean * torch.log1p(-torch.rand(shape, generator=self._host)))

    def integers(self, *shape: int, high: int) -> Tensor:
        """int64 from 0 to `high` - 1."""
        return self._placed(torch.randint(high, shape, generator=self._host))

    def number(self, high: int) -> int:
        """An int from 0 to `high` - 1."""
        return int(torch.randint(high, (), generator=self._host))

    def chance(self, *shape: int, of: float) -> Tensor:
        """Booleans that are true with probability `of`."""
        return self._placed(torch.rand(shape, generator=self._host) < of)

    def chosen(self, count: int, *, of: float) -> Tensor:
        """Indices below `count`, each chosen with probability `of`: int64, ascending; the host has their number."""
        return self._placed((torch.rand(count, generator=self._host) < of).nonzero()[:, 0])

    def order(self, count: int) -> Tensor:
        """A permutation, int64."""
        return self._placed(torch.randperm(count, generator=self._host))

    def direction(self, count: int) -> Tensor:
        """Unit vectors [count, 2]."""
        angle = self.uniform(count, high=2 * math.pi)
        return torch.stack((angle.cos(), angle.sin()), dim=1)

    def noise(self, *shape: int) -> Tensor:
        """As `normal`, generated on the device itself, for images. The numbers depend on the kind of device."""
        if self._local is None:
            self._local = torch.Generator(self.device).manual_seed(self._seed)
        return torch.randn(shape, generator=self._local, device=self.device)

    def _placed(self, numbers: Tensor) -> Tensor:
        return numbers.to(self.device, non_blocking=True)
