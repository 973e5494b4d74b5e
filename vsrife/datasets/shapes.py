"""Procedural cut-outs: the alpha of synthetic layers that are no sprites."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vsrife.datasets.scene_rng import SceneRng

__all__ = ["draw_alpha"]

_SIDES: Final = 6  # of a polygon, at most


@dataclass(frozen=True, kw_only=True, eq=False)
class _Plane:
    """Where n shapes are drawn. place: [2, S, S], pixels from the middle. x, y: [n, S, S], the same, turned.

    long, short: [n, 1, 1], half the size of each shape. Distances from a shape's edge are pixels, negative inside.
    """

    place: Tensor
    x: Tensor
    y: Tensor
    long: Tensor
    short: Tensor


def draw_alpha(rng: SceneRng, count: int, size: int) -> Tensor:
    """Alpha [count, 1, size, size] in 0..1: ellipses, rings, convex polygons, bars with holes, fences of lines 1 to 4
    px wide, single lines and blobs, as many of each, in random order, with edges 0.5 to 1.5 px soft, clear borders.
    """
    along = torch.arange(size, device=rng.device) - (size - 1) / 2
    place = torch.stack((along.expand(size, -1), along.view(-1, 1).expand(-1, size)))
    largest = 0.46 * size
    parts = []
    # Where there are fewer cards than kinds, any kinds that follow each other in the list.
    first = rng.number(len(_SHAPES)) if count < len(_SHAPES) else 0
    for kind, shape in enumerate((*_SHAPES[first:], *_SHAPES[:first])):
        number = (count + kind) // len(_SHAPES)
        if not number:
            continue
        cosine, sine = (part.view(-1, 1, 1) for part in rng.direction(number).unbind(1))
        # Sizes even on a logarithmic scale: from a ball far away to what fills the view.
        long = largest * torch.exp(rng.uniform(number, 1, 1, low=math.log(0.08), high=0.0))
        plane = _Plane(
            place=place,
            x=cosine * place[0] + sine * place[1],
            y=cosine * place[1] - sine * place[0],
            long=long,
            short=long * rng.uniform(number, 1, 1, low=0.35),
        )
        parts.append(shape(rng, plane))
    distance = torch.cat(parts)[rng.order(count)].unsqueeze(1)
    edge = torch.maximum(place[0].abs(), place[1].abs()) - largest
    soft = rng.uniform(count, 1, 1, 1, low=0.5, high=1.5)
    return (0.5 - torch.maximum(distance, edge) / soft).clamp_(0.0, 1.0)


def _ellipse(_: SceneRng, plane: _Plane) -> Tensor:
    return ((plane.x / plane.long) ** 2 + (plane.y / plane.short) ** 2).sqrt().sub(1.0) * plane.short


def _ring(rng: SceneRng, plane: _Plane) -> Tensor:
    outside = _ellipse(rng, plane)
    return torch.maximum(outside, -(outside + plane.short * rng.uniform(len(outside), 1, 1, low=0.2, high=0.7)))


def _polygon(rng: SceneRng, plane: _Plane) -> Tensor:
    """Of 3 to 6 sides."""
    count = len(plane.long)
    turn = rng.uniform(count, 1, high=2 * math.pi)
    sides = rng.integers(count, 1, high=_SIDES - 2) + 3
    step = torch.arange(_SIDES, device=rng.device) % sides  # sides beyond the count repeat earlier ones
    angle = turn + (step + rng.uniform(count, 1, low=-0.15, high=0.15)) * (2 * math.pi / sides)
    reach = rng.uniform(count, _SIDES, low=0.4, high=0.8).gather(1, step) * plane.long.view(-1, 1)
    cosine, sine = angle.cos(), angle.sin()
    distance = torch.full((1, 1, 1), -torch.inf, device=rng.device)
    for side in range(_SIDES):  # one at a time: all at once would be six pictures
        x, y, off = (part[:, side].view(-1, 1, 1) for part in (cosine, sine, reach))
        distance = torch.maximum(distance, x * plane.place[0] + y * plane.place[1] - off)
    return distance


def _window(rng: SceneRng, plane: _Plane) -> Tensor:
    """A bar with a hole."""
    bar = torch.maximum(plane.x.abs() - plane.long, plane.y.abs() - plane.short)
    hole = _Plane(place=plane.place, x=plane.x, y=plane.y, long=plane.short * 0.8, short=plane.short)
    return torch.maximum(bar, -_polygon(rng, hole))


def _fence(rng: SceneRng, plane: _Plane) -> Tensor:
    """Lines side by side, all over."""
    half = rng.uniform(len(plane.long), 1, 1, low=0.5, high=2.0)
    period = half * rng.uniform(len(plane.long), 1, 1, low=4.0, high=16.0)
    return (torch.remainder(plane.x, period) - period / 2).abs() - half


def _line(rng: SceneRng, plane: _Plane) -> Tensor:
    half = rng.uniform(len(plane.long), 1, 1, low=0.5, high=2.0)
    return torch.maximum(plane.x.abs() - half, plane.y.abs() - plane.long)


def _blob(rng: SceneRng, plane: _Plane) -> Tensor:
    """Where smooth noise is high, within a circle."""
    size = plane.place.shape[1:]
    noise = interpolate(rng.normal(len(plane.long), 1, 9, 9), tuple(size), mode="bicubic", align_corners=True)[:, 0]
    return torch.maximum((0.3 - noise) * (size[0] / 16), (plane.x**2 + plane.y**2).sqrt() - plane.long)


_SHAPES: Final[tuple[Callable[[SceneRng, _Plane], Tensor], ...]] = (
    *(_fence, _line, _ring, _window),
    *(_blob, _ellipse, _polygon, _polygon),
)
