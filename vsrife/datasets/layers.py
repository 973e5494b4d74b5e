"""Layers of synthetic scenes: their pictures, and how they look at several times."""

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from vsrife.datasets.bank import CUTOUT, TILE, Bank
from vsrife.datasets.layer_motion import Camera, LayerMotion, draw_motion, pixel_places
from vsrife.datasets.lettering import draw_credits, draw_signs
from vsrife.datasets.scene_rng import SceneRng
from vsrife.datasets.shapes import draw_alpha

__all__ = ["Layers", "Look", "draw_backgrounds", "draw_cards", "draw_pictures"]

_SPRITES: Final = 0.45  # share of the cards that are cut-out pictures, if the bank has any
_TRANSLUCENT: Final = 0.05

_CELL: Final = 8  # pixels between the places at which the extent of a layer is sampled

_POINTS: Final = (
    (0, 0),
    (1, 1),
    (0, 1),
    (1, 0),
)  # the four points of a pixel, by row and column of a grid twice as fine
_BLURRED: Final = (
    0,
    1,
    2,
    3,
    3,
    2,
    1,
    0,
)  # which of them each moment of an exposure takes: each is early once and late


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """Layers as they look at F times. pictures: [M, 4, F, H, W], R, G, B times alpha, then alpha; way: [M, 2, F, H, W],
    u of `LayerMotion` at each pixel.
    """

    pictures: Tensor
    way: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Layers:
    """M layers, of any scenes.

    texture: float32 [M, 4, T, T], R, G, B times alpha, then alpha; or [M, 3, T, T], which is opaque and goes on beyond
    its edges mirrored. to_texture: [M, 2, 3], from places at t = 1/2 to the texture's -1..1.
    """

    texture: Tensor
    to_texture: Tensor
    motion: LayerMotion

    def look(self, height: int, width: int, times: Tensor, shutter: Tensor | None) -> Look:
        """At each of `times` [M, F].

        A pixel is the mean of four points in it, so that the picture is as sharp at every t, whatever the motion. With
        `shutter` [M], the share of the way between the inputs that an exposure lasts, it is that of eight moments.
        """
        return self._look(pixel_places(height, width, times.device, border=1), times, shutter)

    def trimmed_look(self, height: int, width: int, times: Tensor, shutter: Tensor | None) -> Look:
        """As `look`, for layers with alpha, but each is drawn only where there is anything of it; elsewhere `pictures`
        and `way` are 0. Where that is has to be known on the host, which on a GPU would wait for it.
        """
        pixels = pixel_places(height, width, times.device, border=1)
        count, frames = times.shape
        pictures = times.new_zeros((count, 4, frames, height, width))
        way = times.new_zeros((count, 2, frames, height, width))
        for layer in range(count):
            one = self._only(layer)
            lasting = None if shutter is None else shutter[layer : layer + 1]
            place = one._extent(height, width, times[layer : layer + 1], lasting)
            if place is None:
                continue
            top, bottom, left, right = place
            window = pixels[:, :, top : bottom + 2, left : right + 2]
            seen = one._look(window, times[layer : layer + 1], lasting)
            pictures[layer, :, :, top:bottom, left:right] = seen.pictures[0]
            way[layer, :, :, top:bottom, left:right] = seen.way[0]
        return Look(pictures=pictures, way=way)

    def _only(self, layer: int) -> "Layers":
        part = slice(layer, layer + 1)
        return Layers(texture=self.texture[part], to_texture=self.to_texture[part], motion=self.motion.only(part))

    def _extent(
        self, height: int, width: int, times: Tensor, shutter: Tensor | None
    ) -> tuple[int, int, int, int] | None:
        """Rows and columns, from and to, outside of which nothing of the one layer is seen at any of `times` [1, F];
        None where nothing is seen at all.
        """
        alpha = self.texture[0, 3] > 0
        ends = [alpha.any(axis).nonzero()[:, 0] for axis in (0, 1)]  # columns, rows
        if not len(ends[0]):
            return None
        y = torch.arange(0, height + _CELL - 1, _CELL, device=times.device) - (height - 1) / 2
        x = torch.arange(0, width + _CELL - 1, _CELL, device=times.device) - (width - 1) / 2
        cells = torch.stack((x.expand(len(y), -1), y.view(-1, 1).expand(-1, len(x)))).unsqueeze(0)
        places = self.motion.origins(cells, times)
        grid = self._on_texture(places)
        seen = torch.ones_like(cells[0, 0], dtype=torch.bool).expand(times.shape[1], -1, -1)
        blur = 0.0
        if shutter is not None:
            blur = float(self._on_texture(self.motion.displacement(places), shifted=False).abs().amax() * shutter)
        for axis, texels in enumerate(ends):
            unit = 2 / (alpha.shape[1 - axis] - 1)
            along = grid[0, axis]
            # Anything between the sampled places is at most one cell away from them.
            room = float(along.diff(dim=1).abs().amax() + along.diff(dim=2).abs().amax()) + blur + unit
            first, last = float(texels[0]) * unit - 1 - room, float(texels[-1]) * unit - 1 + room
            seen = seen & (along > first) & (along < last)
        rows, columns = (seen.any(0).any(axis).nonzero()[:, 0] for axis in (1, 0))
        if not len(rows):
            return None
        return (
            max(0, (int(rows[0]) - 1) * _CELL),
            min(height, (int(rows[-1]) + 1) * _CELL),
            max(0, (int(columns[0]) - 1) * _CELL),
            min(width, (int(columns[-1]) + 1) * _CELL),
        )

    def _look(self, pixels: Tensor, times: Tensor, shutter: Tensor | None) -> Look:
        """At `pixels` [1, 2, h + 2, w + 2], which have one more around those that are drawn."""
        places = self.motion.origins(pixels, times)
        way = self.motion.displacement(places[..., 1:-1, 1:-1])
        # Places change smoothly, so those of the four points lie between the pixels'; the border makes that hold there.
        grid = self._on_texture(places).flatten(1, 2)
        grid = interpolate(grid, scale_factor=2, mode="bilinear")[:, :, 2:-2, 2:-2]
        points = [grid[:, :, row::2, column::2].view(way.shape) for row, column in _POINTS]
        if shutter is not None:
            step = self._on_texture(way, shifted=False) * (2 * shutter).view(-1, 1, 1, 1, 1)
            last = len(_BLURRED) - 1
            points = [points[point] + step * (n / last - 0.5) for n, point in enumerate(_BLURRED)]
        seen = self._sampled(points[0])
        for point in points[1:]:
            seen += self._sampled(point)
        seen /= len(points)
        if self.texture.shape[1] == 3:
            seen = torch.cat((seen, torch.ones_like(seen[:, :1])), dim=1)
        return Look(pictures=seen, way=way)

    def _on_texture(self, places: Tensor, *, shifted: bool = True) -> Tensor:
        """Places, or vectors, [M, 2, F, h, w] in the texture's -1..1."""
        m = self.to_texture[:, :, :, None, None, None]
        x, y = places[:, 0], places[:, 1]
        rows = [torch.addcmul(m[:, row, 0] * x, m[:, row, 1], y) for row in range(2)]
        if shifted:
            rows = [row + m[:, index, 2] for index, row in enumerate(rows)]
        return torch.stack(rows, dim=1)

    def _sampled(self, grid: Tensor) -> Tensor:
        """The texture at [M, 2, F, h, w] of -1..1: [M, channels, F, h, w]."""
        beyond = "reflection" if self.texture.shape[1] == 3 else "zeros"
        rows = grid.flatten(2, 3).permute(0, 2, 3, 1)
        seen = grid_sample(self.texture, rows, mode="bilinear", padding_mode=beyond, align_corners=True)
        return seen.view(len(grid), -1, *grid.shape[2:])


def draw_backgrounds(rng: SceneRng, bank: Bank, camera: Camera, picture: float) -> Layers:
    """The rearmost layer of each scene: a picture that fills the view, 0.6 to 2 of its pixels to one of the frame."""
    count = len(camera.distance)
    density = 0.6 * torch.exp(rng.uniform(count, high=math.log(2.0 / 0.6)))
    centre = rng.uniform(count, 2, low=-0.5, high=0.5) * (TILE - density[:, None] * picture).clamp(min=0.0)
    return Layers(
        texture=_coloured(rng, bank.backgrounds[rng.integers(count, high=len(bank.backgrounds))]),
        to_texture=_mapping(rng, density, centre, torch.zeros_like(centre), TILE),
        motion=draw_motion(rng, camera, picture, None),
    )


def draw_cards(rng: SceneRng, bank: Bank, camera: Camera, picture: float, lettered: float, scrolled: Tensor) -> Layers:
    """A layer before the background for each entry of `camera`, as `draw_pictures`, with its own place and motion.
    `scrolled`: [n], the numbers of those that are credits: text that fills the view and moves evenly up or along.
    """
    count = len(camera.distance)
    texture, text = draw_pictures(rng, bank, count, lettered)
    density = (rng.uniform(count, low=0.9, high=1.9) * (256 / picture)).clamp(max=2.0)
    centre = rng.uniform(count, 2, low=-0.5, high=0.5) * picture
    to_texture = _mapping(rng, density, torch.zeros_like(centre), centre, CUTOUT, text)
    motion = draw_motion(rng, camera, picture, centre)
    if len(scrolled):
        texture[scrolled] = draw_credits(rng, bank.text, len(scrolled))
        scale = rng.uniform(len(scrolled), 1, 1, low=0.8, high=1.3) * (256 / picture * 2 / (CUTOUT - 1))
        to_texture[scrolled] = torch.eye(2, 3, device=rng.device) * scale
        motion = motion.sliding(scrolled, _scrolling(rng, len(scrolled), picture) * camera.amount)
    return Layers(texture=texture, to_texture=to_texture, motion=motion)


def draw_pictures(rng: SceneRng, bank: Bank, count: int, lettered: float) -> tuple[Tensor, Tensor]:
    """Cut-out pictures, procedural shapes filled with a picture, and, a share `lettered` of all, text: as
    `Layers.texture`, with alpha; and [count], which of them are text, which is not to be mirrored.
    """
    alpha = draw_alpha(rng, count, CUTOUT)
    top, left = (rng.number(TILE - CUTOUT + 1) for _ in range(2))  # one place for all: the pictures differ
    tiles = bank.backgrounds[
        rng.integers(count, high=len(bank.backgrounds)), :, top : top + CUTOUT, left : left + CUTOUT
    ]
    tiles = _coloured(rng, tiles)
    texture = torch.cat((tiles * alpha, alpha), dim=1)
    if len(bank.cutouts):
        sprites = bank.cutouts[rng.integers(count, high=len(bank.cutouts))].float() / 255
        texture = torch.where(rng.chance(count, 1, 1, 1, of=_SPRITES), sprites, texture)
    written = rng.chosen(count, of=lettered)
    if len(written):
        texture[written] = draw_signs(rng, bank.text, tiles[written])
    opacity = rng.uniform(count, 1, 1, 1, low=0.3, high=0.8)
    texture = texture * torch.where(rng.chance(count, 1, 1, 1, of=_TRANSLUCENT), opacity, 1.0)
    return texture, torch.zeros(count, dtype=torch.bool, device=rng.device).index_fill(0, written, True)


def _scrolling(rng: SceneRng, count: int, picture: float) -> Tensor:
    """Half the way of credits between the inputs [count, 2]: up, or, one in four, to the left, as a crawl."""
    way = rng.uniform(count, low=-8.0, high=-0.5) * (picture / 256)
    along = rng.chance(count, of=0.25)
    return torch.stack((way * along, way * ~along), dim=1)


def _coloured(rng: SceneRng, tiles: Tensor) -> Tensor:
    """Tiles uint8 [M, 3, T, T] in changed colours, 0..1."""
    gain = rng.uniform(len(tiles), 1, 1, 1, low=0.6, high=1.15) / 255
    tint = rng.uniform(len(tiles), 3, 1, 1, low=0.85, high=1.15)
    return (tiles.float() * (gain * tint)).clamp_(max=1.0)


def _mapping(
    rng: SceneRng, density: Tensor, centre: Tensor, place: Tensor, size: int, text: Tensor | None = None
) -> Tensor:
    """From places to a texture's -1..1: `density` [M] texels to a pixel, turned by any angle or not at all, half of
    those that are no `text` [M] mirrored; `place` [M, 2] of the picture falls on `centre` [M, 2] texels from the
    texture's middle.
    """
    axis = rng.direction(len(density))
    mirrored = rng.chance(len(density), of=0.5)
    mirror = torch.where(mirrored if text is None else mirrored & ~text, -1.0, 1.0)
    # Pictures are mostly upright in clips, and so are three in four of these.
    upright = rng.chance(len(density), of=0.75)
    cosine, sine = torch.where(upright, 1.0, axis[:, 0]), torch.where(upright, 0.0, axis[:, 1])
    rows = torch.stack((cosine * mirror, -sine, sine * mirror, cosine), dim=1).view(-1, 2, 2) * density.view(-1, 1, 1)
    shift = centre - (rows * place[:, None]).sum(2)
    return torch.cat((rows, shift[:, :, None]), dim=2) * (2 / (size - 1))
