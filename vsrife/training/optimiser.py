"""How the weights change: AdamW, a learning rate that warms up and falls as a cosine, an average that follows."""

import math
from typing import Final

import torch
from torch import Tensor

from vsrife.training.config import Optimiser

__all__ = ["BETAS", "Descent", "rate_at"]

BETAS: Final = (0.9, 0.999)


def rate_at(step: int, steps: int, asked: Optimiser) -> float:
    """The learning rate of a step, the first being 0: linear from near 0 to `rate`, then half a cosine to `least`."""
    if step < asked.warm_up:
        return asked.rate * (step + 1) / asked.warm_up
    share = (step - asked.warm_up) / max(1, steps - asked.warm_up)
    return asked.least + (asked.rate - asked.least) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


class Descent:
    """AdamW on one row of weights, and its moving average.

    first, second: the moments of the gradient, like `row`. average: float32, like `row`. step: how many were made.
    """

    def __init__(self, row: Tensor, asked: Optimiser) -> None:
        self._row = row
        self._asked = asked
        self._adam = torch.optim.AdamW([row], lr=asked.rate, betas=BETAS, weight_decay=asked.decay, fused=True)
        # The state is made here and not at the first step, so that one that was kept can be put into it.
        self.first, self.second = torch.zeros_like(row.data), torch.zeros_like(row.data)
        count = torch.zeros((), device=row.device)
        self._adam.state[row] = {"step": count, "exp_avg": self.first, "exp_avg_sq": self.second}
        self.average = row.detach().clone()
        self.step = 0

    def set_step(self, step: int) -> None:
        """Go on as if so many steps were made."""
        self.step = step
        self._adam.state[self._row]["step"].fill_(step)

    @torch.no_grad()
    def descend(self, rate: float) -> Tensor:
        """One step along the row's gradient, limited to the norm `clip`; returns the norm it had before, on its device.

        The gradient is taken away. The average follows: slowly where many steps were made, faster at the beginning.
        """
        gradient = self._row.grad
        assert gradient is not None
        norm: Tensor = torch.linalg.vector_norm(gradient)
        gradient.mul_((self._asked.clip / (norm + 1e-6)).clamp(max=1.0))
        self._adam.param_groups[0]["lr"] = rate
        self._adam.step()
        self._row.grad = None
        self.step += 1
        self.average.lerp_(self._row.detach(), 1 - min(self._asked.ema, self.step / (self.step + 9)))
        return norm
