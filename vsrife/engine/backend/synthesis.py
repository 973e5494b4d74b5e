"""The new frame from the clip's own planes: ``mask * warp(left) + (1 - mask) * warp(right)``, plane by plane.

The formula is linear in the samples, so it needs no RGB: each plane is warped at its own size and depth, in float32,
and rounded once. What a network draws on top, in RGB, is brought to the planes as a difference, so that where it draws
nothing they stay as they are. This is the definition, in plain torch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from vsrife.formats.colour import ChromaLocation
from vsrife.formats.pixel_format import PixelFormat
from vsrife.network.flow_and_mask import FlowAndMask

__all__ = ["Part", "synthesize", "synthesize_mean"]

_LARGEST_HALF: Final = 65504.0
_CPU_BAND, _DEVICE_BAND = 1 << 18, 1 << 21
"""A plane is made in bands of about this many samples: its temporaries stay in a CPU's cache, and small on a GPU."""
_FARTHEST: Final = 65536.0
"""Flow is held to this many samples either way: farther is beyond any picture, and must still fit an integer."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Part:
    """One picture, of which the mean is the new frame.

    motion: on a canvas at least as large as the picture.
    added: float32 [planes, h, w], what is added to the blend in code values of the format, all planes at luma's size;
        None for nothing.
    """

    motion: FlowAndMask
    added: Tensor | None = None


def synthesize(
    left: Sequence[Tensor],
    right: Sequence[Tensor],
    motion: FlowAndMask,
    fmt: PixelFormat,
    *,
    chroma: ChromaLocation = ChromaLocation.LEFT,
    width: int,
    height: int,
    out: Sequence[Tensor] | None = None,
) -> list[Tensor]:
    """The frame between `left` and `right` that `motion` describes.

    left, right: `fmt.planes` tensors [h, w] of the format's own dtype and sizes, rows of any stride, samples adjacent.
    motion: on a canvas at least `width` x `height`; what lies right of or below the picture is not read. Same device as
        the planes.
    out: where to write, shaped and typed like `left` and sharing no memory with it or `right`; None makes new tensors.
    Returns the planes written.

    A place outside the picture takes its nearest edge sample (the picture's edge, not the canvas's). Chroma planes use
    the flow and mask averaged over the luma samples that a chroma sample stands for, given its location, the flow
    divided by the subsampling. Integers are rounded to nearest (halves to even) and held to 0..peak. Floats are not
    clamped, so chroma and highlights keep their range, but in the sources NaN counts as 0 and infinity as 65504 with
    its sign. NaN in the flow counts as no motion, in the mask as one half.
    """
    parts = [Part(motion=motion)]
    return synthesize_mean(left, right, parts, fmt, chroma=chroma, width=width, height=height, out=out)


def synthesize_mean(
    left: Sequence[Tensor],
    right: Sequence[Tensor],
    parts: Sequence[Part],
    fmt: PixelFormat,
    *,
    chroma: ChromaLocation = ChromaLocation.LEFT,
    width: int,
    height: int,
    out: Sequence[Tensor] | None = None,
) -> list[Tensor]:
    """The mean of the pictures that `parts` describe: each as by `synthesize`, with what it adds; rounded once."""
    planes = [torch.empty_like(plane) for plane in left] if out is None else list(out)
    full = [plane for plane in range(fmt.planes) if plane == 0 or not fmt.subsampled]
    small = [plane for plane in range(fmt.planes) if plane not in full]
    views = [_View.of(part, width, height) for part in parts]
    _synthesize_planes(left, right, views, fmt, planes, full)
    if small:
        site = chroma.offset(fmt.subsampling_w, fmt.subsampling_h)
        _synthesize_planes(left, right, [view.at_sites(fmt, site) for view in views], fmt, planes, small)
    return planes


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _View:
    """A part for planes of one size: flow [4, h, w] in samples, mask [1, h, w], added [planes, h, w]."""

    flow: Tensor
    mask: Tensor
    added: Tensor | None

    @classmethod
    def of(cls, part: Part, width: int, height: int) -> "_View":
        """For planes of the picture's own size."""
        flow, mask = (field[0, :, :height, :width] for field in (part.motion.flow, part.motion.mask))
        return cls(flow=flow, mask=mask, added=part.added)

    def at_sites(self, fmt: PixelFormat, site: tuple[float, float]) -> "_View":
        """The same for chroma planes."""
        flow = _at_sites(self.flow, fmt, site)
        flow[0::2] /= 1 << fmt.subsampling_w
        flow[1::2] /= 1 << fmt.subsampling_h
        added = None if self.added is None else _at_sites(self.added, fmt, site)
        return _View(flow=flow, mask=_at_sites(self.mask, fmt, site), added=added)


def _synthesize_planes(
    left: Sequence[Tensor],
    right: Sequence[Tensor],
    views: Sequence[_View],
    fmt: PixelFormat,
    out: Sequence[Tensor],
    indices: Sequence[int],
) -> None:
    """Make the planes of `indices`, all of one size, which is that of the views."""
    for rows in _bands(out[indices[0]]):
        totals = _blended(left, right, views[0], fmt, rows, indices)
        for view in views[1:]:
            for total, blend in zip(totals, _blended(left, right, view, fmt, rows, indices), strict=True):
                total += blend
        for index, total in zip(indices, totals, strict=True):
            if len(views) > 1:
                total /= len(views)
            if not fmt.float_samples:
                total.round_().clamp_(0.0, fmt.peak)
            out[index][rows].copy_(total)


def _blended(
    left: Sequence[Tensor], right: Sequence[Tensor], view: _View, fmt: PixelFormat, rows: slice, indices: Sequence[int]
) -> list[Tensor]:
    """A band of the planes of `indices` as one view has it, float32, not rounded."""
    weight = torch.nan_to_num(view.mask[0, rows], nan=0.5).clamp_(0.0, 1.0)
    size = left[indices[0]].shape
    from_left = _Sampler(size, view.flow[0:2, rows], rows.start)
    from_right = _Sampler(size, view.flow[2:4, rows], rows.start)
    bands = []
    for index in indices:
        # lerp gives either end exactly at weights 0 and 1, and a constant stays that constant.
        band = torch.lerp(from_right(right[index], fmt), from_left(left[index], fmt), weight)
        if view.added is not None:
            band += view.added[index, rows]
        bands.append(band)
    return bands


def _bands(plane: Tensor) -> Iterator[slice]:
    """The rows of a plane, a band at a time."""
    height, width = plane.shape
    step = max(1, (_CPU_BAND if plane.device.type == "cpu" else _DEVICE_BAND) // width)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


class _Sampler:
    """Bilinear samples of planes of one size, at the places that a band of flow points to.

    A place is a whole sample plus a fraction, and the fraction is the flow's alone. So it is as exact at 8192 wide as
    at 64, no motion gives the plane itself, and a flow of whole samples moves it bit for bit, at any depth. (torch's
    grid_sample takes places divided by the picture's size. In float32 that is off by up to 1/850 sample at 8192 wide,
    and changes 16-bit noise that does not move by 32 code values.)
    """

    def __init__(self, size: Sequence[int], flow: Tensor, top: int) -> None:
        height, width = size
        rows, columns = flow.shape[1:]
        flow = torch.nan_to_num(flow, nan=0.0).clamp_(-_FARTHEST, _FARTHEST)
        whole = flow.floor()
        self._across, self._down = flow.sub_(whole)
        x, y = whole.to(torch.int32)
        x += torch.arange(columns, dtype=torch.int32, device=flow.device)
        y += torch.arange(top, top + rows, dtype=torch.int32, device=flow.device)[:, None]
        self._columns = x.clamp(0, width - 1), x.add_(1).clamp_(0, width - 1)
        self._rows = y.clamp(0, height - 1), y.add_(1).clamp_(0, height - 1)

    def __call__(self, plane: Tensor, fmt: PixelFormat) -> Tensor:
        """The samples, float32, shaped like the band."""
        upper, lower = (torch.lerp(*self._pair(plane, row, fmt), self._across) for row in self._rows)
        return torch.lerp(upper, lower, self._down)

    def _pair(self, plane: Tensor, row: Tensor, fmt: PixelFormat) -> tuple[Tensor, Tensor]:
        """The samples left and right of each place, on one of its two rows."""
        height, width = plane.shape
        stride = plane.stride(0)
        # The plane's memory as one line: rows of a host frame are farther apart than they are long, and it need not be
        # copied. Bits are fetched, not numbers, since unsigned 16-bit tensors have few operations on a GPU.
        memory = plane.as_strided((stride * (height - 1) + width,), (1,))
        bits = memory.view(torch.int16) if plane.dtype is torch.uint16 else memory
        start = row * stride
        first, second = (
            bits.index_select(0, (start + column).view(-1)).view(plane.dtype).view(row.shape).float()
            for column in self._columns
        )
        if fmt.float_samples:
            for samples in (first, second):
                torch.nan_to_num_(samples, nan=0.0, posinf=_LARGEST_HALF, neginf=-_LARGEST_HALF)
        return first, second


def _at_sites(fields: Tensor, fmt: PixelFormat, site: tuple[float, float]) -> Tensor:
    """Means of fields [C, H, W] over the luma samples each chroma sample stands for: new [C, H >> ssh, W >> ssw]."""
    return _averaged(_averaged(fields, 1, fmt.subsampling_h, site[1]), 2, fmt.subsampling_w, site[0])


def _averaged(fields: Tensor, axis: int, subsampling: int, site: float) -> Tensor:
    """Means along one axis over windows as wide as a chroma sample (1 << subsampling), centred on it; edges repeated.

    site: place of the first chroma sample, in samples of the field. A window centred on a sample ends in the middle of
        two others, which count half. (On real clips this gives U and V up to 0.03 dB more than the field's value at the
        site, or than windows that ignore the site.)
    """
    if subsampling == 0:
        return fields.clone()
    factor, size = 1 << subsampling, fields.shape[axis]
    count = size >> subsampling
    start = site - (factor - 1) / 2
    if start.is_integer():
        weights = [1.0] * factor
    else:
        start -= 0.5
        weights = [0.5, *[1.0] * (factor - 1), 0.5]
    total = fields.new_zeros([count if dim == axis else length for dim, length in enumerate(fields.shape)])
    for tap, weight in enumerate(weights, int(start)):
        # Windows low..high - 1 have this tap inside the field; before and after them it falls on the edge.
        low, high = max(0, -(tap // factor)), min(count, (size - 1 - tap) // factor + 1)
        inside = fields[(slice(None),) * axis + (slice(low * factor + tap, None, factor),)]
        total.narrow(axis, low, high - low).add_(inside.narrow(axis, 0, high - low), alpha=weight / factor)
        total.narrow(axis, 0, low).add_(fields.narrow(axis, 0, 1), alpha=weight / factor)
        total.narrow(axis, high, count - high).add_(fields.narrow(axis, size - 1, 1), alpha=weight / factor)
    return total
