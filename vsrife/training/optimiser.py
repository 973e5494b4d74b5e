"""AdamW with gradient clipping and a moving average of the weights, and the learning rate schedule."""

import math
from typing import Final

import torch
from torch import Tensor

from vsrife.training.config import Optimiser

__all__ = ["BETAS", "AdamWWithEma", "rate_at"]

BETAS: Final = (0.9, 0.999)


def rate_at(step: int, steps: int, settings: Optimiser) -> float:
    """The learning rate of step `step` of 0 to `steps` - 1: linear warm-up to `rate`, then half a cosine to `least`."""
    if step < settings.warm_up:
        return settings.rate * (step + 1) / settings.warm_up
    share = (step - settings.warm_up) / max(1, steps - settings.warm_up)
    return settings.least + (settings.rate - settings.least) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


class AdamWWithEma:
    """AdamW on one flat tensor of parameters, and an exponential moving average of these.

    exp_avg, exp_avg_sq: the moments of the gradient, as torch calls them, shaped like `flat`.
    ema: the moving average of the parameters, float32, shaped like `flat`.
    step_count: the number of steps that were made.
    """

    def __init__(self, flat: Tensor, settings: Optimiser) -> None:
        self._flat = flat
        self._settings = settings
        self._adam = torch.optim.AdamW([flat], lr=settings.rate, betas=BETAS, weight_decay=settings.decay, fused=True)
        # The state is created here and not at the first step, so that a checkpoint can be loaded into it.
        self.exp_avg, self.exp_avg_sq = torch.zeros_like(flat.data), torch.zeros_like(flat.data)
        count = torch.zeros((), device=flat.device)
        self._adam.state[flat] = {"step": count, "exp_avg": self.exp_avg, "exp_avg_sq": self.exp_avg_sq}
        self.ema = flat.detach().clone()
        self.step_count = 0

    def set_step_count(self, step_count: int) -> None:
        """Continue as if so many steps had been made."""
        self.step_count = step_count
        self._adam.state[self._flat]["step"].fill_(step_count)

    @torch.no_grad()
    def step(self, rate: float) -> Tensor:
        """One step with the gradient in `flat.grad`, its norm clipped to `clip`. Returns the norm before clipping, on
        the device.

        Sets `flat.grad` to None. The decay of the moving average rises with the step to its final value `ema`.
        """
        gradient = self._flat.grad
        assert gradient is not None
        norm: Tensor = torch.linalg.vector_norm(gradient)
        gradient.mul_((self._settings.clip / (norm + 1e-6)).clamp(max=1.0))
        self._adam.param_groups[0]["lr"] = rate
        self._adam.step()
        self._flat.grad = None
        self.step_count += 1
        self.ema.lerp_(self._flat.detach(), 1 - min(self._settings.ema, self.step_count / (self.step_count + 9)))
        return norm
