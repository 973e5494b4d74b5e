"""How one layer of a synthetic scene moves, and where each pixel of a frame lies on it.

A point that is at x at t = 1/2 is at x + (2t - 1) u(x) at time t: straight and even, so the frame at t is what an
interpolator can know. u(x) = A x + b + e(x): an affine part and a smooth field e, which holds elastic and projective
bending. Places are pixels from the centre of the picture. Going back from a pixel to x needs an inverse: the affine
part has one in closed form, the field is settled by iteration, which converges as its gradient is below `STEEPEST`.
"""

from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from vsrife.datasets.scene_rng import SceneRng

__all__ = ["STEEPEST", "Camera", "LayerMotion", "distances", "draw_camera", "draw_motion", "pixel_places"]

STEEPEST: Final = 0.2
"""Largest gradient of a field. With an affine part below 0.2 the iteration gains a factor of 4 a step."""

_NODES: Final = 64  # of a field, each way; between them it is bilinear
_REACH: Final = 0.8  # half the width of a field's domain, of the picture's longer side; beyond it is constant
_COARSE: Final = 3  # pixels between the places where the inverse is first sought
_COARSE_STEPS: Final = 5


def pixel_places(height: int, width: int, device: torch.device, *, border: int = 0) -> Tensor:
    """Place (x, y) of each pixel from the picture's centre: [1, 2, height + 2 border, width + 2 border]."""
    x = torch.arange(-border, width + border, device=device) - (width - 1) / 2
    y = torch.arange(-border, height + border, device=device) - (height - 1) / 2
    return torch.stack((x.expand(len(y), -1), y.view(-1, 1).expand(-1, len(x)))).unsqueeze(0)


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerMotion:
    """N motions.

    linear: [N, 2, 2], entries of size below about 0.1; shift: [N, 2] pixels; field: [N, 2, nodes, nodes] pixels, over
    -reach..reach pixels each way. `shift` and `field` are half of what happens between the two inputs.
    """

    linear: Tensor
    shift: Tensor
    field: Tensor
    reach: float

    def only(self, part: slice) -> "LayerMotion":
        """Some of the motions, as views."""
        return replace(self, linear=self.linear[part], shift=self.shift[part], field=self.field[part])

    def sliding(self, which: Tensor, shift: Tensor) -> "LayerMotion":
        """The same motions, but those named by number, [n], are nothing but a shift [n, 2]."""
        return LayerMotion(
            linear=self.linear.index_fill(0, which, 0.0),
            shift=self.shift.index_copy(0, which, shift),
            field=self.field.index_fill(0, which, 0.0),
            reach=self.reach,
        )

    def displacement(self, places: Tensor) -> Tensor:
        """The vector u at places [N, 2, F, h, w]: the same shape, in pixels."""
        return _affine(self.linear.unsqueeze(1), places) + self.shift[:, :, None, None, None] + self._bend(places)

    def origins(self, pixels: Tensor, times: Tensor) -> Tensor:
        """Where at t = 1/2 that was which is at `pixels` [1, 2, h, w] at each of `times` [N, F]: [N, 2, F, h, w].

        Within two hundredths of a pixel for the fields that `draw_motion` makes; exact at t = 1/2.
        """
        factor = 2 * times - 1
        inverse = _inverse(factor[:, :, None, None] * self.linear.unsqueeze(1))
        factor = factor[:, None, :, None, None]
        shift = factor * self.shift[:, :, None, None, None]
        # The field is smooth, so a coarse answer, enlarged, is near enough for the last step at full resolution.
        height, width = pixels.shape[-2:]
        small = interpolate(pixels, (-(-height // _COARSE), -(-width // _COARSE)), mode="bilinear").unsqueeze(2) - shift
        bend = factor * self._bend(_affine(inverse, small))
        for _ in range(_COARSE_STEPS):
            bend = factor * self._bend(_affine(inverse, small - bend))
        bend = interpolate(bend.flatten(1, 2), (height, width), mode="bilinear").view(*bend.shape[:3], height, width)
        unbent = pixels.unsqueeze(2) - shift
        bend = factor * self._bend(_affine(inverse, unbent - bend))
        return _affine(inverse, unbent - bend)

    def _bend(self, places: Tensor) -> Tensor:
        grid = (places / self.reach).flatten(2, 3).permute(0, 2, 3, 1)
        bend = grid_sample(self.field, grid, mode="bilinear", padding_mode="border", align_corners=True)
        return bend.view(places.shape)


def _affine(matrices: Tensor, places: Tensor) -> Tensor:
    """Places [N, 2, F, h, w] times matrices [N, F or 1, 2, 2]. Spelt out: products this small are slower as products,
    and may be rounded to fewer bits.
    """
    m = matrices[:, :, :, :, None, None]
    x, y = places[:, 0], places[:, 1]
    rows = [torch.addcmul(m[:, :, row, 0] * x, m[:, :, row, 1], y) for row in range(2)]
    return torch.stack(rows, dim=1)


def _inverse(linear: Tensor) -> Tensor:
    """Of 1 + linear, [..., 2, 2]."""
    a, b, c, d = 1 + linear[..., 0, 0], linear[..., 0, 1], linear[..., 1, 0], 1 + linear[..., 1, 1]
    adjugate = torch.stack((d, -b, -c, a), dim=-1).view_as(linear)
    return adjugate / (a * d - b * c)[..., None, None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Camera:
    """What a whole scene shares. distance: [N], pixels between the inputs; shift and linear: as in `LayerMotion`.

    amount: of all that moves, of what is usual.
    """

    distance: Tensor
    shift: Tensor
    linear: Tensor
    amount: float

    def of(self, scenes: Tensor) -> "Camera":
        """An entry for each of the scenes [M] named by number."""
        return replace(self, distance=self.distance[scenes], shift=self.shift[scenes], linear=self.linear[scenes])


def distances(rng: SceneRng, count: int, picture: float) -> Tensor:
    """Pixels between the two inputs: 15 % about none, 50 % mostly small, 25 % to 20, 10 % from 20 to 80, at 256 px."""
    kind = rng.uniform(count)
    small, middle = rng.exponential(count, mean=6.0), rng.uniform(count, high=20.0)
    large, none = rng.uniform(count, low=20.0, high=80.0), rng.uniform(count, high=0.5)
    chosen = torch.where(kind < 0.5, small.clamp(max=40.0), middle)
    chosen = torch.where(kind > 0.75, large, chosen)
    return torch.where(kind > 0.85, none, chosen) * (picture / 256)


def draw_camera(rng: SceneRng, count: int, picture: float, amount: float = 1.0) -> Camera:
    """Motion of the scene as a whole. picture: the longer side, pixels. amount: of what is usual for a picture of that
    size, for all layers. A still camera neither turns nor zooms.
    """
    distance = distances(rng, count, picture)
    linear = _linear(rng, count, (distance > 0.5 * picture / 256) & rng.chance(count, of=0.6))
    shift = rng.direction(count) * (distance / 2)[:, None]
    return Camera(distance=distance * amount, shift=shift * amount, linear=linear * amount, amount=amount)


def draw_motion(rng: SceneRng, camera: Camera, picture: float, centre: Tensor | None) -> LayerMotion:
    """Of one layer for each entry of `camera`. `centre`: [N, 2], what it turns about; None for backgrounds, which move
    as the camera does and bend a little.
    """
    count = len(camera.distance)
    shift, linear, distance = camera.shift, camera.linear, camera.distance
    if centre is None:
        bent = rng.chance(count, of=0.4)
    else:
        parallax = rng.uniform(count, low=0.7, high=1.7)
        own = distances(rng, count, picture) * rng.chance(count, of=0.65)
        shift = shift * parallax[:, None] + rng.direction(count) * (own / 2 * camera.amount)[:, None]
        turning = _linear(rng, count, (own > 0.5) & rng.chance(count, of=0.6)) * camera.amount
        # Its own turning is about its own place, the camera's about the picture's middle.
        shift = shift - (turning * centre[:, None]).sum(2)
        linear, distance = linear + turning, distance + own * camera.amount
        bent = rng.chance(count, of=0.5)
    size = rng.exponential(count, mean=2.0) * (bent & (distance > 0.5)) * (camera.amount * picture / 256)
    reach = _REACH * picture
    return LayerMotion(linear=linear, shift=shift, field=_field(rng, size, reach), reach=reach)


def _linear(rng: SceneRng, count: int, moving: Tensor) -> Tensor:
    """Zoom, turn and shear of up to a tenth from t = 1/2 to either input: a linear path, not a true rotation."""
    amount = (rng.normal(4, count) * 0.03).clamp(-0.09, 0.09) * moving
    zoom, turn, stretch, shear = amount[0], amount[1], amount[2] * 0.3, amount[3] * 0.3
    rows = torch.stack((zoom + stretch, shear - turn, shear + turn, zoom - stretch), dim=1)
    return rows.view(count, 2, 2)


def _field(rng: SceneRng, size: Tensor, reach: float) -> Tensor:
    """Elastic bending, pixels of deviation `size` [N], plus perspective: what lies to one side moves more."""
    count = len(size)
    knots = rng.normal(count, 2, 7, 7)
    field = interpolate(knots, (_NODES, _NODES), mode="bicubic", align_corners=True) * size.view(-1, 1, 1, 1)
    along = torch.linspace(-1.0, 1.0, _NODES, device=rng.device)
    nodes = torch.stack((along.expand(_NODES, -1), along.view(-1, 1).expand(-1, _NODES))).unsqueeze(0)
    tilt = rng.normal(count, 2) * 0.02 * reach * (size > 0)[:, None]
    field = field + nodes * (nodes * tilt[:, :, None, None]).sum(1, keepdim=True)
    spacing = 2 * reach / (_NODES - 1)
    across = (field[:, :, :, 1:] - field[:, :, :, :-1]).abs().amax((1, 2, 3))
    down = (field[:, :, 1:] - field[:, :, :-1]).abs().amax((1, 2, 3))
    steepest = torch.maximum(across, down) * (2.0 / spacing)  # the norm of the gradient is at most twice an entry
    return field * (STEEPEST / steepest.clamp(min=STEEPEST)).view(-1, 1, 1, 1)
