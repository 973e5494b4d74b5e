"""Soft shadows and lights that pass over a synthetic scene: they move, what they fall on moves in its own way."""

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from vsrife.datasets.layer_motion import distances, pixel_places
from vsrife.datasets.scene_rng import SceneRng

__all__ = ["Shades", "draw_shades"]

_DARKEST: Final = 1.0  # powers of e by which a shadow darkens, at most
_BRIGHTEST: Final = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Shades:
    """One for each of some scenes, n of a batch, whose numbers are `scenes` [n].

    centre, shift: [n, 2], place at t = 1/2 and half the way between the inputs, pixels. across, down: [n, 2], from a
    place to the ellipse's own -1..1. soft: [n, 1, 1, 1], width of its edge, of its radius. power: [n, 1, 1, 1].
    """

    scenes: Tensor
    centre: Tensor
    shift: Tensor
    across: Tensor
    down: Tensor
    soft: Tensor
    power: Tensor

    def fall(self, picture: Tensor, times: Tensor) -> Tensor:
        """Change `picture` [N, 3, F, H, W] at `times` [N, F] in place, and tell how much of each pixel is still of its
        surface's own colour: [N, 1, F, H, W].
        """
        own = torch.ones_like(picture[:, :1])
        if len(self.scenes):
            height, width = picture.shape[-2:]
            power = self._power(height, width, times[self.scenes])
            picture[self.scenes] = (picture[self.scenes] * power.exp()).clamp_(max=1.0)
            own[self.scenes] = power.abs().neg().exp()
        return own

    def _power(self, height: int, width: int, times: Tensor) -> Tensor:
        """By which power of e each pixel is brighter, [n, 1, F, H, W]."""
        centre = self.centre[:, :, None] + self.shift[:, :, None] * (2 * times - 1)[:, None]
        away = pixel_places(height, width, times.device).unsqueeze(2) - centre[:, :, :, None, None]
        across, down = ((away * axis[:, :, None, None, None]).sum(1, keepdim=True) for axis in (self.across, self.down))
        inward = (1 - (across.square() + down.square()).sqrt()) / self.soft.unsqueeze(2)
        return torch.sigmoid(4 * inward) * self.power.unsqueeze(2)


def draw_shades(rng: SceneRng, count: int, picture: float, shaded: float) -> Shades:
    """For a share `shaded` of `count` scenes. picture: the longer side, pixels."""
    scenes = rng.chosen(count, of=shaded)
    count = len(scenes)
    shape = (count, 1, 1, 1)
    radius = picture * torch.exp(rng.uniform(count, 2, low=math.log(0.06), high=math.log(0.6)))
    axis = rng.direction(count)
    turned = torch.stack((-axis[:, 1], axis[:, 0]), dim=1)
    dark = rng.chance(*shape, of=0.7)
    strength = rng.uniform(*shape, low=0.25, high=1.0)
    return Shades(
        scenes=scenes,
        centre=rng.uniform(count, 2, low=-0.5, high=0.5) * picture,
        shift=rng.direction(count) * (distances(rng, count, picture) / 2)[:, None],
        across=axis / radius[:, :1],
        down=turned / radius[:, 1:],
        soft=rng.uniform(*shape, low=0.2, high=1.0),
        power=strength * torch.where(dark, -_DARKEST, _BRIGHTEST),
    )
