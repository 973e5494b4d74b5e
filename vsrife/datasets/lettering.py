"""Text as the texture of layers that move: signs, and credits."""

from typing import Final

import torch
from torch import Tensor

from vsrife.datasets.scene_rng import SceneRng
from vsrife.datasets.text import PAGES, SIGN, Text

__all__ = ["bright_colours", "draw_credits", "draw_signs"]

_BOARDS: Final = 0.45  # share of the signs that are written on a board, not cut out of nothing
_PICTURED: Final = 0.3  # share of the letters, and of the boards, that are filled with a picture


def draw_signs(rng: SceneRng, text: Text, tiles: Tensor) -> Tensor:
    """A sign for each of `tiles` [n, 3, SIGN, SIGN]: letters of one colour or filled with the tile, half of them on a
    board of which they stand out. [n, 4, SIGN, SIGN], R, G, B times alpha, then alpha.
    """
    count = len(tiles)
    shape = (count, 1, 1, 1)
    chosen = rng.integers(count, high=len(text.signs))
    letters = text.signs[chosen].unsqueeze(1).float() / 255
    half = (text.sizes[chosen] / 2 + rng.uniform(count, 1, low=3.0, high=20.0)).clamp(max=SIGN / 2 - 4)
    board = _rectangle(half) * rng.chance(*shape, of=_BOARDS)
    ink = rng.uniform(count, 3, 1, 1)
    # Half the range away from the ink, dark on bright or bright on dark.
    away = torch.where(ink.mean(1, keepdim=True) < 0.5, 0.5, -0.5)
    ground = (ink + away + rng.uniform(count, 3, 1, 1, low=-0.2, high=0.2)).clamp(0.0, 1.0)
    plain = rng.uniform(*shape)
    ink = torch.where(plain < _PICTURED, tiles, ink)
    ground = torch.where(plain > 1 - _PICTURED, 0.5 * (ground + tiles), ground)
    behind = board * (1 - letters)
    return torch.cat((ink * letters + ground * behind, letters + behind), dim=1)


def draw_credits(rng: SceneRng, text: Text, count: int) -> Tensor:
    """Pages of bright text, as `draw_signs`."""
    letters = text.signs[rng.integers(count, high=PAGES)].unsqueeze(1).float() / 255
    return torch.cat((bright_colours(rng, count) * letters, letters), dim=1)


def bright_colours(rng: SceneRng, count: int) -> Tensor:
    """Of writing over a scene: mostly white, some yellow, some of any bright colour. [count, 3, 1, 1]."""
    kind = rng.uniform(count, 1, 1, 1)
    white = rng.uniform(count, 1, 1, 1, low=0.8, high=1.0)
    any_bright = rng.uniform(count, 3, 1, 1, low=0.6, high=1.0)
    yellow = torch.cat((white, 0.9 * white, 0.25 * white), dim=1)
    return torch.where(kind < 0.6, white, torch.where(kind < 0.8, yellow, any_bright))


def _rectangle(half: Tensor) -> Tensor:
    """Alpha [n, 1, SIGN, SIGN] of rectangles of half the size [n, 2], width and height, in the middle."""
    along = (torch.arange(SIGN, device=half.device) - (SIGN - 1) / 2).abs()
    x, y = along - half[:, 0].view(-1, 1, 1, 1), along.view(-1, 1) - half[:, 1].view(-1, 1, 1, 1)
    return (0.5 - torch.maximum(x, y)).clamp(0.0, 1.0)
