"""The kernels as functions of tensors: what they take, checked, and turned into launches.

`loader` runs a launch on a GPU; the tests run the same sources on the host. Each kernel has a definition in plain
torch.

Every tensor is on the launcher's device, and work is queued on torch's current stream of it. Nothing is allocated and
nothing waits, so that launches may be captured into a CUDA graph; but the first launch of a variant compiles and loads
it, and must not be captured. Tensors are used as they lie: the caller keeps them until the work is done, or gives them
up on the same stream. Wrong shapes, types and layouts raise ValueError.
"""

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

from vsrife.engine.backend.cuda.kernels import formulas
from vsrife.engine.backend.cuda.kernels import launch as values
from vsrife.engine.backend.cuda.kernels.launch import Launch, plane_of
from vsrife.engine.backend.cuda.kernels.pair import PairMemory
from vsrife.engine.backend.cuda.kernels.planes import PlaneWriter, plane_sizes, sample_type
from vsrife.engine.backend.cuda.kernels.variants import Blocks, Variant
from vsrife.engine.backend.level import Level
from vsrife.formats.colour import ChromaLocation, Colour
from vsrife.formats.pixel_format import PixelFormat

__all__ = ["CELL_WEIGHTS", "SLOPE", "Kernels", "Synthesis"]

SLOPE: Final = 0.2
"""Of leaky ReLU."""

CELL_WEIGHTS: Final = (2, 5, 1)
"""Of R, G and B in `signature_sums`."""

_SYNTHESIS_TILE = 64, 16
_STILL_BLOCK = 8
_THREADS = 256


def _need(condition: bool, text: str) -> None:
    if not condition:
        raise ValueError(text)


def _dense(tensor: Tensor, name: str) -> None:
    """That a tensor is [1, C, h, w] in channels-last memory without gaps, aligned to 16 bytes."""
    shape = tensor.shape
    if len(shape) != 4 or shape[0] != 1 or not tensor.is_contiguous(memory_format=torch.channels_last):
        raise ValueError(f"{name} must be [1, C, h, w], channels-last, not {tuple(shape)}, {tensor.stride()}")
    if tensor.data_ptr() % 16:
        raise ValueError(f"{name} must begin at a multiple of 16 bytes")


def _tiles(size: int, tile: int) -> int:
    return -(-size // tile)


def _argument(level: Level) -> values.Level:
    """A level as the kernels see it."""
    _dense(level.raw, "a level")
    _, channels, height, width = level.raw.shape
    stride, rest = divmod(channels, level.side * level.side)
    _need(
        stride % 8 == 0 and rest == 0,
        f"a level's channels ({channels}) must be {level.side * level.side} times 8 or 16",
    )
    return values.Level(level.raw.data_ptr(), width * level.side, height * level.side, stride)


def _blocks(levels: Sequence[Level], *, adds_masks: bool, hidden: int) -> Blocks:
    _need(len({(level.side, level.raw.dtype) for level in levels}) <= 1, "levels must be of one network")
    _need(hidden in (0, 8), f"hidden ({hidden}) must be 0 or 8")
    if levels and hidden:
        last = _argument(levels[-1])
        _need(last.stride >= 16, f"the last level has {last.stride} numbers a pixel, and no hidden channels")
    return Blocks(
        scales=tuple(level.scale for level in levels),
        shuffled=bool(levels) and levels[0].side == 2,
        adds_masks=adds_masks,
        hidden=hidden,
    )


class Kernels:
    """All kernels, run by `launcher`. Any number of threads may use it at once."""

    def __init__(self, launcher: Callable[[Launch], None]) -> None:
        self._launch = launcher

    def convert(
        self,
        planes: Sequence[Tensor],
        fmt: PixelFormat,
        colour: Colour,
        *,
        width: int,
        height: int,
        out: Tensor,
    ) -> None:
        """Make `out` what the network sees of a frame: `vsrife.formats.rgb.to_rgb`.

        planes: `fmt.planes` tensors [h, w] of the format's own type and sizes, rows of any stride.
        out: [1, C, Hp, Wp] channels-last, C a multiple of 4, half, bfloat16 or float32. R, G, B become channels 0 to 2;
            every other channel, and all right of and below the picture, becomes 0.
        """
        _dense(out, "out")
        _, channels, canvas_height, canvas_width = out.shape
        _need(width <= canvas_width and height <= canvas_height, "the picture must lie within the canvas")
        if channels % 4:
            raise ValueError(f"channels ({channels}) must be a multiple of 4")
        arguments = values.ConvertArguments.from_buffer_copy(_conversion(fmt, colour, width, height))
        arguments.out, arguments.canvas_width, arguments.canvas_height = out.data_ptr(), canvas_width, canvas_height
        PlaneWriter(fmt, plane_sizes(fmt, width, height), arguments, "planes")(planes)
        across, down = 64, _THREADS // 64
        self._launch(
            Launch(
                variant=Variant.convert(planes[0].dtype, out.dtype, channels),
                function="convert",
                grid=(_tiles(canvas_width, across), _tiles(canvas_height, down), 1),
                block=(across, down, 1),
                arguments=arguments,
            )
        )

    def set_pair(self, pair: PairMemory, left: Tensor, right: Tensor, time: float) -> None:
        """Let later launches that read `pair` (of `new_pair`) see these packed sources and this time, 0..1."""
        for source in (left, right):
            _dense(source, "a packed source")
        _need(left.shape == right.shape and left.dtype is right.dtype, "both sources must be of one shape and type")
        values_of_pair = pair.pair
        values_of_pair.left, values_of_pair.right, values_of_pair.time = left.data_ptr(), right.data_ptr(), time
        self._launch(pair.launch)

    def gather(
        self,
        pair: PairMemory,
        levels: Sequence[Level],
        scale: int,
        out: Tensor,
        *,
        canvas: tuple[int, int],
        channels: int,
        adds_masks: bool,
        hidden: int = 0,
        first_row: int = 0,
    ) -> None:
        """Make rows of a block's input: what `IFNet.step` resizes and joins, in another order of channels.

        pair: of `set_pair`: two packed sources [1, channels, *canvas] of `out`'s type.
        levels: of the blocks before, coarse to fine; none for the first block.
        scale: canvas pixels per cell of this block: 1, or a power of two up to half of the levels' finest.
        canvas: (height, width), multiples of `scale`.
        adds_masks, hidden: see `Blocks`.
        out: [1, K, rows, width / scale] channels-last: the block's rows `first_row` to `first_row + rows - 1`. Channels
            are the left source (`channels`), the right one, time, and with levels mask, flow (4, in cells) and hidden;
            then zeros up to a multiple of 8, which is K.
        """
        _dense(out, "out")
        blocks = _blocks(levels, adds_masks=adds_masks, hidden=hidden if levels else 0)
        height, width = canvas
        used = 2 * channels + (6 + blocks.hidden if levels else 1)
        _need(out.shape[1] == _tiles(used, 8) * 8, f"out must have {_tiles(used, 8) * 8} channels, not {out.shape[1]}")
        _need(width % scale == 0 and height % scale == 0, f"canvas ({width}x{height}) must be multiples of {scale}")
        rows = out.shape[2]
        _need(
            out.shape[3] * scale == width and 0 <= first_row <= height // scale - rows, "out must be rows of the block"
        )
        for level in levels:
            _check_level(level, canvas, out.dtype)
        runs = bool(levels) and scale == 1
        tile_width, tile_height = (64, 16) if runs else (16, 4)
        arguments = values.gather_arguments(
            [_argument(level) for level in levels], pair=pair.memory.data_ptr(), out=out.data_ptr(), canvas_width=width,
            canvas_height=height, width=out.shape[3], first_row=first_row, rows=rows,
        )  # fmt: skip
        self._launch(
            Launch(
                variant=Variant.gather(out.dtype, channels, scale, blocks),
                function="gather",
                grid=(_tiles(out.shape[3], tile_width), _tiles(rows, tile_height), 1),
                block=(_THREADS if runs else _THREADS // 2, 1, 1),
                arguments=arguments,
            )
        )

    def synthesize(
        self,
        levels: Sequence[Level],
        left: Sequence[Tensor],
        right: Sequence[Tensor],
        fmt: PixelFormat,
        *,
        chroma: ChromaLocation = ChromaLocation.LEFT,
        width: int,
        height: int,
        adds_masks: bool,
        out: Sequence[Tensor],
    ) -> None:
        """Write the frame between two frames, see `Synthesis`: a launch that is not kept."""
        self.synthesis(levels, fmt, chroma=chroma, width=width, height=height, adds_masks=adds_masks)(left, right, out)

    def synthesis(
        self,
        levels: Sequence[Level],
        fmt: PixelFormat,
        *,
        chroma: ChromaLocation = ChromaLocation.LEFT,
        width: int,
        height: int,
        adds_masks: bool,
    ) -> "Synthesis":
        """What writes frames of one format and size from the levels.

        levels: of all blocks, on a canvas at least `width` x `height`.
        """
        _need(bool(levels), "levels must not be empty")
        finest = _argument(levels[-1])
        canvas = finest.height * levels[-1].scale, finest.width * levels[-1].scale
        for level in levels:
            _check_level(level, canvas, levels[-1].raw.dtype)
        _need(width <= canvas[1] and height <= canvas[0], "the picture must lie within the canvas")
        subsampling = (fmt.subsampling_w, fmt.subsampling_h)
        across, down = (
            values.Window(*formulas.window_of(log2, site))
            for log2, site in zip(subsampling, chroma.offset(*subsampling), strict=True)
        )
        arguments = values.synthesis_arguments(
            [_argument(level) for level in levels], fmt.planes,
            width=width, height=height, peak=fmt.peak, across=across, down=down,
        )  # fmt: skip
        blocks = _blocks(levels, adds_masks=adds_masks, hidden=0)
        tile_width, tile_height = _SYNTHESIS_TILE
        launch = Launch(
            variant=Variant.synthesis(
                levels[0].raw.dtype,
                sample_type(fmt),
                fmt.planes,
                subsampling,
                blocks,
            ),
            function="synthesize",
            grid=(_tiles(width, tile_width), _tiles(height, tile_height), 1),
            block=(_THREADS, 1, 1),
            arguments=arguments,
        )
        return Synthesis(self._launch, launch, fmt, width, height)

    def epilogue(
        self,
        y: Tensor,
        bias: Tensor,
        residual: Tensor | None = None,
        slopes: Tensor | None = None,
        parts: Sequence[Tensor] = (),
    ) -> None:
        """In place: the leaky ReLU (slope 0.2) of y + bias + residual, in float32, rounded once.

        y, residual: [1, C, h, w] channels-last of one shape and type, not the same memory.
        bias: [C] of that type. slopes: [C] of that type, PReLU's instead of 0.2.
        parts: where there are any, their rows from top to bottom are taken for y, which is written only; like y except
            for their heights, which are equal except for the last, which is at most as high.
        """
        _dense(y, "y")
        channels = y.shape[1]
        if len(parts) > values.MOST_PARTS:
            for first in range(0, len(parts), values.MOST_PARTS):
                group = parts[first : first + values.MOST_PARTS]
                top = first * parts[0].shape[2]
                rows = slice(top, top + sum(part.shape[2] for part in group))
                self.epilogue(y[:, :, rows], bias, None if residual is None else residual[:, :, rows], slopes, group)
            return
        tops = range(0, y.shape[2], parts[0].shape[2]) if parts else ()
        _need(len(tops) == len(parts), f"parts must be {len(tops)}, not {len(parts)}")
        for top, part in zip(tops, parts, strict=True):
            _dense(part, "a part")
            height = min(parts[0].shape[2], y.shape[2] - top)
            good = part.shape == (1, channels, height, y.shape[3]) and part.dtype is y.dtype
            _need(good, f"a part of y's rows from {top} on must be {height} of them, not {tuple(part.shape)}")
        if residual is not None:
            _dense(residual, "residual")
            _need(residual.shape == y.shape and residual.dtype is y.dtype, "residual must be as y is")
        for vector in (bias,) if slopes is None else (bias, slopes):
            if vector.shape != (channels,) or vector.dtype is not y.dtype or not vector.is_contiguous():
                raise ValueError(f"bias and slopes must be [{channels}] of y's type")
            _need(vector.data_ptr() % 16 == 0, "bias and slopes must begin at a multiple of 16 bytes")
        variant = Variant.epilogue(
            y.dtype, channels, residual=residual is not None, slopes=slopes is not None, joins=bool(parts)
        )
        vector_size = int(dict(variant.defines)["VECTOR"])
        vectors = y.numel() // vector_size
        arguments = (values.JoiningArguments if parts else values.EpilogueArguments)(
            y=y.data_ptr(), bias=bias.data_ptr(), residual=None if residual is None else residual.data_ptr(),
            slopes=None if slopes is None else slopes.data_ptr(), vectors=vectors, per_pixel=channels // vector_size,
            slope=SLOPE,
        )  # fmt: skip
        if parts:
            arguments.per_part = parts[0].numel() // vector_size
            arguments.parts = type(arguments.parts)(*(part.data_ptr() for part in parts))
        self._launch(
            Launch(
                variant=variant,
                function="epilogue",
                grid=(_tiles(vectors, _THREADS), 1, 1),
                block=(_THREADS, 1, 1),
                arguments=arguments,
            )
        )

    def signature_sums(self, planes: Sequence[Tensor], cell: int, sums: Tensor) -> None:
        """Write the sums that `vsrife.scene.signature` divides: of each cell's samples, planes weighed.

        planes: luma alone, or R, G and B; [h, w] of uint8, uint16, float16 or float32, rows of any stride.
        cell: side of a cell. sums: int64 [ceil(h / cell), ceil(w / cell)], contiguous.
        """
        height, width = planes[0].shape
        rows, columns = _tiles(height, cell), _tiles(width, cell)
        good = sums.shape == (rows, columns) and sums.dtype is torch.int64 and sums.is_contiguous()
        _need(good, f"sums must be contiguous int64 [{rows}, {columns}]")
        _need(len(planes) in (1, 3) and all(plane.shape == (height, width) for plane in planes), "1 or 3 like planes")
        weights = CELL_WEIGHTS if len(planes) == len(CELL_WEIGHTS) else (1,)
        arguments = values.SumsArguments(
            planes=(values.Plane * 3)(*map(plane_of, planes)), weights=(ctypes.c_uint * 3)(*weights),
            sums=sums.data_ptr(), count=len(planes), width=width, height=height, cell=cell,
        )  # fmt: skip
        self._launch(
            Launch(
                variant=Variant.measures(planes[0].dtype),
                function="signature_sums",
                grid=(columns, rows, 1),
                block=(_THREADS, 1, 1),
                arguments=arguments,
            )
        )

    def still(
        self,
        left: Sequence[Tensor],
        right: Sequence[Tensor],
        limits: Sequence[tuple[int, int, int, int]],
        moved: Tensor,
    ) -> None:
        """Write 0 to `moved` (int32, one number) if `vsrife.scene.duplicates.is_still` holds of the two frames, else 1.

        left, right: planes [h, w] of uint8, uint16, float16 or float32, rows of any stride.
        limits: for each plane, the largest sum of squared differences of a block of 8 x 8, of one that the right edge
            cuts, the bottom edge, both.
        """
        count = len(left)
        _need(len(right) == count == len(limits) and 1 <= count <= 3, "1 to 3 planes, with limits for each")
        _need(moved.dtype is torch.int32 and moved.numel() == 1, "moved must be one int32")
        for a, b in zip(left, right, strict=True):
            _need(a.shape == b.shape and a.dtype is b.dtype is left[0].dtype, "planes must be of one shape and type")
        moved.zero_()
        arguments = values.StillArguments(
            left=(values.Plane * 3)(*map(plane_of, left)),
            right=(values.Plane * 3)(*map(plane_of, right)),
            width=(ctypes.c_int * 3)(*(plane.shape[1] for plane in left)),
            height=(ctypes.c_int * 3)(*(plane.shape[0] for plane in left)),
            limits=(ctypes.c_ulonglong * 4 * 3)(*((ctypes.c_ulonglong * 4)(*each) for each in limits)),
            moved=moved.data_ptr(),
        )
        across = _tiles(max(plane.shape[1] for plane in left), _THREADS)
        down = _tiles(max(plane.shape[0] for plane in left), _STILL_BLOCK)
        self._launch(
            Launch(
                variant=Variant.measures(left[0].dtype),
                function="still",
                grid=(across, down, count),
                block=(_THREADS, 1, 1),
                arguments=arguments,
            )
        )


@functools.lru_cache(maxsize=64)
def _conversion(fmt: PixelFormat, colour: Colour, width: int, height: int) -> values.ConvertArguments:
    """What does not change from frame to frame."""
    chroma_width, chroma_height = fmt.plane_size(1, width, height)
    site_x, site_y = colour.chroma.offset(fmt.subsampling_w, fmt.subsampling_h)
    luma_zero, luma_unit = formulas.range_of(fmt, colour, chroma=False)
    chroma_zero, chroma_unit = formulas.range_of(fmt, colour, chroma=True)
    return values.ConvertArguments(
        width=width, height=height, family=formulas.family_of(fmt, colour), linear=int(colour.linear),
        chroma_width=chroma_width, chroma_height=chroma_height, site_x=site_x, site_y=site_y,
        step_x=0.5**fmt.subsampling_w, step_y=0.5**fmt.subsampling_h, luma_zero=luma_zero, luma_unit=luma_unit,
        chroma_zero=chroma_zero, chroma_unit=chroma_unit, **formulas.matrix_of(colour.matrix),
    )  # fmt: skip


class Synthesis:
    """Writes frames between two frames: `vsrife.engine.backend.synthesis.synthesize` of the levels' whole motion.

    Levels, sizes and the rest of the arguments are laid out once, see `Kernels.synthesis`; a call writes where the
    planes are. For one thread at a time, while the levels' memory is theirs.
    """

    def __init__(
        self, launcher: Callable[[Launch], None], launch: Launch, fmt: PixelFormat, width: int, height: int
    ) -> None:
        self._launcher = launcher
        self._launch = launch
        sizes = plane_sizes(fmt, width, height)
        self._writers = [PlaneWriter(fmt, sizes, launch.arguments, field) for field in ("left", "right", "out")]

    def __call__(self, left: Sequence[Tensor], right: Sequence[Tensor], out: Sequence[Tensor]) -> None:
        """left, right, out: `PixelFormat.planes` tensors [h, w] of the format's own type and sizes, rows of any stride;
        `out` shares no memory with the others. Planes that are read again and again are best `PlacedPlanes`.
        """
        for write, planes in zip(self._writers, (left, right, out), strict=True):
            write(planes)
        self._launcher(self._launch)


def _check_level(level: Level, canvas: tuple[int, int], dtype: torch.dtype) -> None:
    argument = _argument(level)
    size = argument.height * level.scale, argument.width * level.scale
    _need(size == canvas, f"a level at scale {level.scale} covers {size}, not the canvas {canvas}")
    _need(level.raw.dtype is dtype, f"a level must be {dtype}, not {level.raw.dtype}")
