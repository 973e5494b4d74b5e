"""What each block of a network reads, at the block's own resolution, in plain torch: the twin of the gather kernel.

`interpolate(scale_factor=1/s)` of a factor s = 2, 4, 8, ... is the mean of the 2x2 pixels at the centre of each s x s
cell. So a block needs the warped sources at those pixels alone, and the flow there and nowhere else. The output is that
of vsrife.network.ifnet, which warps, joins and reduces whole pictures; only sums are taken in another order.

Rows are made a band at a time, so that what lies between the steps stays in a CPU's cache.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from vsrife.engine.backend.level import FLOW, MASK, Level, upsampled, widened
from vsrife.network.flow_and_mask import FlowAndMask

__all__ = ["Gather", "motion_of"]


def _fractions(factor: int, device: torch.device) -> Tensor:
    """Where the rows of a grid ``factor`` times as fine lie between two of the coarse grid, from 0 to 1; [factor]."""
    return (torch.arange(factor, device=device) + 0.5) / factor


def _between(padded: Tensor, fractions: Tensor, first: int, count: int) -> Tensor:
    """``count`` rows of a finer grid, from ``first`` on: [C, count, w] of `level.widened` [C, h + 2, w].

    fractions: of the finer rows that lie between two coarse ones, [P]; half of as many lie before the first one. One of
        them alone: both grids are one.
    """
    each = len(fractions)
    if each == 1:
        return padded[:, 1 + first : 1 + first + count]
    begin = first + each // 2
    gaps = slice(begin // each, (begin + count - 1) // each + 1)
    upper, lower = padded[:, gaps, None], padded[:, gaps.start + 1 : gaps.stop + 1, None]
    rows = torch.lerp(upper, lower, fractions[:, None]).flatten(1, 2)
    return rows[:, begin - gaps.start * each :][:, :count]


class Gather:
    """The input of one block, a band of rows at a time."""

    def __init__(
        self,
        left: Tensor,
        right: Tensor,
        time: float,
        levels: Sequence[Level],
        *,
        scale: int,
        adds_masks: bool,
        swapped: bool = False,  # noqa: ARG002 - for samplers that keep the pairs
    ) -> None:
        """left, right: packed sources [1, C, H, W], of any memory format (channels-last is read fastest).

        time: of the new frame, 0..1.
        levels: of the blocks before, none for the first block.
        scale: canvas pixels per pixel of this block: 1, 2, 4, ... 64.
        adds_masks: whether the mask so far is the sum of the levels' or the last one's.
        """
        self._left, self._right, self._time = left, right, time
        self._scale = scale
        self._per_cell = 1 if scale == 1 else 2
        height, width = left.shape[2:]
        # As network.warp has it: the sampler's own coordinates are -1 and 1 at the first and last pixel's centre.
        self._x, self._y = (
            self._read(torch.linspace(-1.0, 1.0, length, device=left.device)) for length in (width, height)
        )
        self._per_pixel = 1 / max((width - 1) / 2, 0.5), 1 / max((height - 1) / 2, 0.5)
        self._flows = [
            (self._read(level.wide_flow), self._read(_fractions(level.scale, left.device))) for level in levels
        ]
        self._masks = [self._resized(level, slice(FLOW, MASK)) for level in (levels if adds_masks else levels[-1:])]
        handed = [level for level in levels[-1:] if level.channels > MASK]
        self._hidden = [self._resized(level, slice(MASK, None)) for level in handed]
        self.total: Tensor | None = None
        """Once all rows are made: the flow of all levels at every pixel [4, H, W], where this block sees them all."""
        if scale == 1 and levels:
            self.total = torch.empty((FLOW, height, width), device=left.device)

    def into(self, out: Tensor, first: int, above: Tensor | None = None) -> None:
        """Write the block's rows from ``first`` on into ``out`` [1, K, rows, w], K channels as `convolutions.Layout`
        has them; what is beyond those that there are becomes zero.

        above: row ``first`` [1, K, 1, w] where it has been made before; it is copied.
        """
        if above is not None:
            out[:, :, :1] = above
            out, first = out[:, :, 1:], first + 1
        rows, channels = out.shape[2], self._left.shape[1]
        flow = None
        if self._flows:
            points = first * self._per_cell, rows * self._per_cell
            flow = _total(_between(*part, *points) for part in self._flows)
            if self.total is not None:
                self.total[:, first : first + rows] = flow
        self._sample(self._left, None if flow is None else flow[0:2], first, out[0, :channels])
        self._sample(self._right, None if flow is None else flow[2:4], first, out[0, channels : 2 * channels])
        tail = out[0, 2 * channels :]
        tail[0] = self._time
        used = 1
        if flow is not None:
            tail[1] = _total(_between(*mask, first, rows) for mask in self._masks)[0]
            torch.div(self._mean(flow), self._scale, out=tail[2:6])
            used = 6
            for hidden, fractions in self._hidden:
                used += len(hidden)
                tail[6:used] = _between(hidden, fractions, first, rows)
        tail[used:] = 0.0

    def _read(self, numbers: Tensor) -> Tensor:
        """Of numbers [..., n * scale], those that cells are means of: all at scale 1, else the middle two of each."""
        if self._scale <= 2:
            return numbers
        middle = self._scale // 2
        cells = numbers.reshape(*numbers.shape[:-1], -1, self._scale)
        return cells[..., middle - 1 : middle + 1].flatten(-2)

    def _mean(self, points: Tensor) -> Tensor:
        """Means [..., h, w] of points [..., 2 h, 2 w], or the points themselves where there is one for each."""
        if self._scale == 1:
            return points
        across = points[..., 0::2] + points[..., 1::2]
        return across[..., 0::2, :].add_(across[..., 1::2, :]).mul_(0.25)

    def _sample(self, source: Tensor, flow: Tensor | None, first: int, out: Tensor) -> None:
        """Write into ``out`` [C, rows, w] the means of the source's samples at the points, moved by ``flow``."""
        rows = out.shape[1]
        if flow is None:
            cells = source[0, :, first * self._scale : (first + rows) * self._scale]
            across = self._read(cells)
            down = self._read(across.transpose(1, 2)).transpose(1, 2)
            out.copy_(self._mean(down))
            return
        # torch samples one batch entry on one thread: as entries, the upper and the lower half of the rows.
        parts = 2 if rows % 2 == 0 and torch.get_num_threads() > 1 else 1
        grid = flow.new_empty((*flow.shape[1:], 2))
        torch.add(self._x, flow[0], alpha=self._per_pixel[0], out=grid[..., 0])
        points = slice(first * self._per_cell, (first + rows) * self._per_cell)
        torch.add(self._y[points, None], flow[1], alpha=self._per_pixel[1], out=grid[..., 1])
        samples = functional.grid_sample(
            source.float().expand(parts, -1, -1, -1),
            grid.view(parts, -1, *grid.shape[1:]),
            mode="bilinear",
            padding_mode="border",
            align_corners=True,
        )
        for part, half in zip(samples, out.chunk(parts, 1), strict=True):
            half.copy_(self._mean(part))

    def _resized(self, level: Level, channels: slice) -> tuple[Tensor, Tensor]:
        """Channels of a level at this block's width, and where its rows lie. One bilinear resize to the block's
        resolution gives the means of the canvas' pixels, exactly.
        """
        factor = level.scale // self._scale
        return widened(level.planes[:, channels], factor), _fractions(factor, level.planes.device)


def _total(parts: Iterable[Tensor]) -> Tensor:
    """The sum of tensors; where there are two or more, made in the first, which is a new one then."""
    first, *others = parts
    for other in others:
        first += other
    return first


def motion_of(levels: Sequence[Level], *, adds_masks: bool, band: int, before: Tensor | None = None) -> FlowAndMask:
    """The flow and the mask at every pixel of the canvas, made about ``band`` pixels at a time.

    before: `Gather.total` of all levels but the last, if it is known; the flow is made in its memory.
    """
    height, width = (length * levels[0].scale for length in levels[0].planes.shape[2:])
    if before is None:
        flow = torch.empty((1, FLOW, height, width), device=levels[0].planes.device)
        parts = [(level.wide_flow, _fractions(level.scale, flow.device)) for level in levels]
        step = max(1, band // width)
        for top in range(0, height, step):
            count = min(step, height - top)
            flow[0, :, top : top + count] = _total(_between(*part, top, count) for part in parts)
    else:
        last = levels[-1]
        flow = before[None].add_(upsampled(last.planes[:, :FLOW], last.scale), alpha=last.scale)
    masks = [upsampled(level.planes[:, FLOW:MASK], level.scale) for level in (levels if adds_masks else levels[-1:])]
    return FlowAndMask(flow=flow, mask=torch.sigmoid(masks[0] if len(masks) == 1 else torch.stack(masks).sum(0)))
