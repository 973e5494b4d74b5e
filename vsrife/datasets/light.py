"""What happens to synthetic frames beside motion: light that drifts, noise, one scene fading into another."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from vsrife.datasets.scene_rng import SceneRng

__all__ = ["Changes", "draw_changes"]

_GAIN: Final = 0.25  # change of brightness between the inputs, at most
_GAMMA: Final = 0.2
_NOISE: Final = 0.025  # deviation, at most


@dataclass(frozen=True, kw_only=True, eq=False)
class Changes:
    """Of N scenes: gain and gamma [N, 1, 1, 1], their change from left to right; noise [N, 1, 1, 1], its deviation;
    partner [N], the scene that each fades into, itself for most; followed [N, 1, 1, 1], 0 where a scene fades, as its
    flow is that of two pictures.
    """

    gain: Tensor
    gamma: Tensor
    noise: Tensor
    partner: Tensor
    followed: Tensor

    def lit(self, picture: Tensor, t: Tensor) -> Tensor:
        """The picture in the light of time t [N], and faded."""
        t = t.view(-1, 1, 1, 1)
        mixed = picture + (picture[self.partner] - picture) * t
        drifted = mixed.clamp(min=1e-4) ** (1 + self.gamma * (t - 0.5)) * (1 + self.gain * (t - 0.5))
        return torch.where((self.gain == 0) & (self.gamma == 0), mixed, drifted).clamp_(0.0, 1.0)

    def noisy(self, rng: SceneRng, picture: Tensor) -> Tensor:
        """With noise, where a scene has any."""
        return (picture + rng.noise(*picture.shape) * self.noise).clamp_(0.0, 1.0)


def draw_changes(rng: SceneRng, count: int, drifting: float, noisy: float, faded: float) -> Changes:
    """Each share as in `SyntheticSettings`."""
    shape = (count, 1, 1, 1)
    drifts = rng.chance(*shape, of=drifting)
    fades = rng.chance(count, of=faded)
    itself = torch.arange(count, device=rng.device)
    partner = torch.where(fades, itself.roll(1), itself)
    return Changes(
        gain=rng.uniform(*shape, low=-_GAIN, high=_GAIN) * drifts,
        gamma=rng.uniform(*shape, low=-_GAMMA, high=_GAMMA) * drifts,
        noise=rng.uniform(*shape, high=_NOISE) * rng.chance(*shape, of=noisy),
        partner=partner,
        followed=(partner == itself).float().view(shape),
    )
