"""The network's input: padded RGB in 0..1 from planes of any format; and the residual of a refine network for planes.

No sample of the output is made from that input, so it may be clamped, encoded and padded; the output frame is made from
the clip's own planes. What a refine network adds to its input is converted to a difference of the planes.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from vsrife.formats.colour import LUMA_WEIGHTS, ChromaLocation, Colour, Matrix
from vsrife.formats.pixel_format import Family, PixelFormat

__all__ = ["difference", "show_alpha", "to_rgb"]

_LARGEST_HALF: Final = 65504.0
_LIFT: Final = 0.25
"""Distance of the picture's black from the black that it is composited over. 1/8 to 1/2 work equally well."""

_ALPHA: Final = Colour(matrix=Matrix.RGB, full_range=True, chroma=ChromaLocation.LEFT)


def to_rgb(
    planes: Sequence[Tensor],
    fmt: PixelFormat,
    colour: Colour,
    *,
    width: int,
    height: int,
    pad_to: tuple[int, int] | None = None,
) -> Tensor:
    """The network's input for a frame.

    planes: `fmt.planes` tensors [h, w] of the format's own dtype and sizes, any strides, on one device.
    pad_to: (height, width) of the canvas, at least the picture's; None for no padding.
    Returns a new contiguous float32 [1, 3, Hp, Wp] on that device: R, G, B in 0..1, zeros right of and below the
    picture.

    Samples outside 0..1 after the matrix are clamped; NaN counts as 0 (no light, or no chroma), infinity as the largest
    half. Linear light is encoded with sRGB's curve. Chroma is upsampled to luma's size bilinearly, with regard to its
    location and with repeated edges. Gray is repeated three times.
    """
    canvas_height, canvas_width = pad_to or (height, width)
    rgb = torch.zeros((1, 3, canvas_height, canvas_width), dtype=torch.float32, device=planes[0].device)
    picture = rgb[0, :, :height, :width]
    if fmt.family is Family.YUV:
        offset = colour.chroma.offset(fmt.subsampling_w, fmt.subsampling_h)
        luma = _normalised(planes[0], fmt, colour, chroma=False)
        blue, red = (
            _upsampled(_normalised(plane, fmt, colour, chroma=True), fmt, offset, width, height) for plane in planes[1:]
        )
        _decode(luma, blue, red, colour.matrix, picture)
    else:
        for plane, channel in zip(planes, picture if fmt.planes == 3 else picture[:1], strict=True):
            channel.copy_(_normalised(plane, fmt, colour, chroma=False))
    used = picture if fmt.planes == 3 else picture[:1]
    used.clamp_(0.0, 1.0)
    if colour.linear:
        used.copy_(_encoded(used))
    if fmt.planes == 1:
        picture[1:] = picture[:1]
    return rgb


def show_alpha(view: Tensor, alpha: Tensor, fmt: PixelFormat) -> None:
    """Composite a picture over black with its alpha, in place, so that the network sees what moves in the alpha alone.

    view: [1, 3, H, W] of floats as `to_rgb` makes it, any strides. alpha: a plane [h, w] of `fmt`, which is Gray, of
    full range and of the picture's size; H and W are at least as large. The picture is scaled to 0.25..1 before, so
    that every colour of it, black too, differs from the background.
    """
    height, width = alpha.shape
    weight = _normalised(alpha, fmt, _ALPHA, chroma=False).clamp_(0.0, 1.0).to(view.dtype)
    view[..., :height, :width].mul_(1.0 - _LIFT).add_(_LIFT).mul_(weight)


def difference(before: Tensor, after: Tensor, fmt: PixelFormat, colour: Colour) -> Tensor:
    """The difference of a picture's planes that corresponds to a change of its RGB from `before` to `after`.

    before, after: float32 [3, h, w], R, G, B in 0..1 as from `to_rgb`.
    Returns float32 [fmt.planes, h, w] in code values of the format, every plane at luma's size; 0 where the two are
    equal. For Gray it is the mean of the three.
    """
    if colour.linear:
        before, after = _light(before), _light(after)
    change = after - before
    if fmt.family is Family.YUV:
        change = _encode(change, colour.matrix)
    elif fmt.planes == 1:
        change = change.mean(0, keepdim=True)
    luma, chroma = (_range(fmt, colour, chroma=chroma)[1] for chroma in (False, fmt.family is Family.YUV))
    change[:1] *= luma
    change[1:] *= chroma
    return change


def _encode(rgb: Tensor, matrix: Matrix) -> Tensor:
    """R, G, B [3, h, w] to Y, Cb, Cr (or Y, Cg, Co): the inverse of `_decode`."""
    red, green, blue = rgb
    if matrix is Matrix.YCGCO:
        ends = (red + blue) / 2
        return torch.stack(((ends + green) / 2, (green - ends) / 2, (red - blue) / 2))
    kr, kb = LUMA_WEIGHTS[matrix]
    luma = kr * red + (1.0 - kr - kb) * green + kb * blue
    return torch.stack((luma, (blue - luma) / (2.0 * (1.0 - kb)), (red - luma) / (2.0 * (1.0 - kr))))


def _normalised(plane: Tensor, fmt: PixelFormat, colour: Colour, *, chroma: bool) -> Tensor:
    """A plane as float32: 0..1, or -0.5..0.5 for chroma, by the format's depth and range. Samples out of range are not
    clamped, and all are finite.
    """
    if fmt.float_samples:
        return torch.nan_to_num(plane.float(), nan=0.0, posinf=_LARGEST_HALF, neginf=-_LARGEST_HALF)
    zero, span = _range(fmt, colour, chroma=chroma)
    return plane.float().sub_(zero).mul_(1.0 / span)


def _range(fmt: PixelFormat, colour: Colour, *, chroma: bool) -> tuple[int, int]:
    """The code value of 0, and the number of code values from 0 to 1."""
    if fmt.float_samples:
        return 0, 1
    unit = 1 << (fmt.bits - 8)
    if colour.full_range:
        return 128 * unit if chroma else 0, (1 << fmt.bits) - 1
    # YCgCo is computed from R, G and B of limited range, so its chroma has their span.
    wide = chroma and colour.matrix is not Matrix.YCGCO
    return (128 if chroma else 16) * unit, (224 if wide else 219) * unit


def _decode(luma: Tensor, blue: Tensor, red: Tensor, matrix: Matrix, rgb: Tensor) -> None:
    """Y, Cb, Cr (or Y, Cg, Co) of luma's size to R, G, B, written to `rgb` [3, h, w]."""
    if matrix is Matrix.YCGCO:
        green, orange = blue, red
        torch.add(luma, green, out=rgb[1])
        rest = luma - green
        torch.add(rest, orange, out=rgb[0])
        torch.sub(rest, orange, out=rgb[2])
        return
    kr, kb = LUMA_WEIGHTS[matrix]
    kg = 1.0 - kr - kb
    torch.add(luma, red, alpha=2.0 * (1.0 - kr), out=rgb[0])
    torch.add(luma, blue, alpha=2.0 * (1.0 - kb), out=rgb[2])
    torch.add(luma, blue, alpha=-2.0 * (1.0 - kb) * kb / kg, out=rgb[1])
    rgb[1].add_(red, alpha=-2.0 * (1.0 - kr) * kr / kg)


def _upsampled(plane: Tensor, fmt: PixelFormat, offset: tuple[float, float], width: int, height: int) -> Tensor:
    """A chroma plane at luma's size: bilinear between the positions of its samples, with repeated edges."""
    plane = _stretched(plane, 0, fmt.subsampling_h, offset[1], height)
    return _stretched(plane, 1, fmt.subsampling_w, offset[0], width)


def _stretched(plane: Tensor, axis: int, subsampling: int, offset: float, size: int) -> Tensor:
    if subsampling == 0:
        return plane
    place = (torch.arange(size, dtype=torch.float32, device=plane.device) - offset) / (1 << subsampling)
    place.clamp_(0.0, plane.shape[axis] - 1.0)
    before = place.to(torch.int64)
    after = (before + 1).clamp_(max=plane.shape[axis] - 1)
    weight = place - before
    return torch.lerp(
        plane.index_select(axis, before), plane.index_select(axis, after), weight if axis == 1 else weight[:, None]
    )


def _encoded(light: Tensor) -> Tensor:
    """Linear light to the curve of sRGB (IEC 61966-2-1), 0..1 to 0..1."""
    return torch.where(light <= 0.0031308, light * 12.92, light.clamp(min=0.0031308).pow(1 / 2.4) * 1.055 - 0.055)


def _light(encoded: Tensor) -> Tensor:
    """The inverse of `_encoded`, 0..1 to 0..1."""
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055).clamp(min=0.0).pow(2.4))
