"""The pictures of synthetic scenes as stacks of tiles, so that a batch is gathered in one step."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from vsrife.datasets.text import SIGN, Text, make_text
from vsrife.errors import ArgumentError

__all__ = ["CUTOUT", "TILE", "Bank", "make_bank"]

TILE: Final = 512
"""Side of a background tile."""

CUTOUT: Final = SIGN
"""Side of a cut-out tile. Its outermost 2 pixels are transparent, so that nothing ends at the edge of the tile."""

_MOST_TILES: Final = 4  # of one picture, at most
_SHARES: Final = (1.0, 0.5, 0.25)  # of a cut-out tile that its picture fills; the smaller ones avoid aliasing


@dataclass(frozen=True, kw_only=True, eq=False)
class Bank:
    """backgrounds: uint8 [P, 3, TILE, TILE]; cutouts: uint8 [S, 4, CUTOUT, CUTOUT], R, G, B times alpha, then alpha.
    S may be 0. All on one device.
    """

    backgrounds: Tensor
    cutouts: Tensor
    text: Text

    def to(self, device: torch.device) -> "Bank":
        """The same tiles on another device."""
        return Bank(backgrounds=self.backgrounds.to(device), cutouts=self.cutouts.to(device), text=self.text.to(device))


def make_bank(pictures: Iterable[Tensor], cutouts: Iterable[Tensor] = ()) -> Bank:
    """Tiles of `pictures` (uint8 [3, h, w]) and of `cutouts` (uint8 [4, h, w], alpha last, not premultiplied).

    A picture gives one tile of its middle with its shorter side resized to 512, two if its aspect ratio is 4:3 or more,
    and two more at its original size if that is larger. A cut-out gives three tiles, in which its size is at most 256,
    128 and 64 pixels. The text is invented and the same for all banks. Raises ArgumentError if there is no picture,
    RifeError without Pillow.
    """
    tiles = [tile for picture in pictures for tile in _background_tiles(picture)]
    if not tiles:
        raise ArgumentError(
            "pictures (none) must be at least one; give a folder or a pack with photographs or textures"
        )
    cards = [card for cutout in cutouts for card in _cutout_tiles(cutout)]
    return Bank(
        backgrounds=torch.stack(tiles),
        cutouts=torch.stack(cards) if cards else torch.zeros((0, 4, CUTOUT, CUTOUT), dtype=torch.uint8),
        text=make_text(),
    )


def _background_tiles(picture: Tensor) -> list[Tensor]:
    height, width = picture.shape[1:]
    factor = TILE / min(height, width)
    small = _resized(picture, max(TILE, round(height * factor)), max(TILE, round(width * factor)))
    spare = max(small.shape[1:]) - TILE
    places = [0, spare] if spare >= TILE / 3 else [spare // 2]
    tiles = [_cut(small, min(at, small.shape[1] - TILE), min(at, small.shape[2] - TILE)) for at in places]
    if min(height, width) >= TILE * 1.25:
        down, across = height - TILE, width - TILE
        tiles += [_cut(picture, down // 4, across // 4), _cut(picture, down * 3 // 4, across * 3 // 4)]
    return tiles[:_MOST_TILES]


def _cutout_tiles(cutout: Tensor) -> list[Tensor]:
    height, width = cutout.shape[1:]
    straight = cutout.float()
    multiplied = torch.cat((straight[:3] * (straight[3:] / 255), straight[3:]))
    tiles = []
    for share in _SHARES:
        factor = (CUTOUT - 4) * share / max(height, width)
        small = _resized(multiplied, max(1, round(height * factor)), max(1, round(width * factor)))
        left, top = (CUTOUT - small.shape[2]) // 2, (CUTOUT - small.shape[1]) // 2
        room = (left, CUTOUT - small.shape[2] - left, top, CUTOUT - small.shape[1] - top)
        tiles.append(pad(small.round().clamp(0, 255).to(torch.uint8), room))
    return tiles


def _resized(picture: Tensor, height: int, width: int) -> Tensor:
    if tuple(picture.shape[1:]) == (height, width):
        return picture
    return interpolate(picture.unsqueeze(0), (height, width), mode="bilinear", antialias=True)[0]


def _cut(picture: Tensor, top: int, left: int) -> Tensor:
    return picture[:, top : top + TILE, left : left + TILE]
