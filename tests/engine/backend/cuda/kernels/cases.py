"""What every kernel is compared on with its twin, and how: shared by the tests on the host and those on a GPU.

A check makes fresh inputs, runs the kernel through its public function on `device`, and the twin on the CPU. Outputs
begin as rubbish, and what lies beside them must stay as it was.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from vsrife.engine.backend.cuda.kernels import Kernels, PlacedPlanes, new_pair
from vsrife.engine.backend.level import Level
from vsrife.engine.backend.synthesis import synthesize
from vsrife.engine.transfer.host import dtype_of
from vsrife.formats.colour import ChromaLocation, Colour, Matrix
from vsrife.formats.pixel_format import Family, PixelFormat
from vsrife.formats.rgb import to_rgb
from vsrife.network.flow_and_mask import FlowAndMask
from vsrife.network.warp import backward_warp
from vsrife.scene import duplicates
from vsrife.scene import signature as signatures
from vsrife.scene.block_sums import sample_bits

from .inputs import (
    BRAIN,
    FLOAT,
    HALF,
    NETS,
    ROUNDING,
    Net,
    channels_last,
    exact_warp,
    generator_of,
    gray,
    level_of,
    of_type,
    on,
    planes_of,
    resized,
    rgb,
    step_of,
    yuv,
)

# convert


@dataclass(frozen=True, kw_only=True)
class Convert:
    fmt: PixelFormat
    size: tuple[int, int]  # width, height
    pad: tuple[int, int] = (0, 0)
    matrix: Matrix = Matrix.BT709
    full: bool = False
    chroma: ChromaLocation = ChromaLocation.LEFT
    linear: bool = False
    dtype: torch.dtype = FLOAT
    channels: int = 4


CONVERT = [
    *(Convert(fmt=yuv(1, 1), size=size, pad=pad, channels=8, dtype=HALF)
      for size, pad in [((66, 34), (62, 30)), ((2, 2), (0, 0)), ((642, 6), (30, 2)), ((6, 642), (2, 0))]),
    *(Convert(fmt=yuv(1, 1, 10), size=(38, 22), pad=(1, 1), chroma=chroma, dtype=BRAIN, channels=12)
      for chroma in ChromaLocation),
    *(Convert(fmt=yuv(across, down, 16), size=(48, 32), chroma=chroma)
      for across, down in [(1, 0), (0, 1), (2, 2), (2, 0), (4, 3), (3, 4)]
      for chroma in (ChromaLocation.LEFT, ChromaLocation.CENTER, ChromaLocation.BOTTOM)),
    *(Convert(fmt=yuv(0, 0, bits), size=(21, 13), pad=(11, 3), matrix=matrix, full=full)
      for matrix in Matrix if matrix is not Matrix.RGB for full in (False, True) for bits in (8, 12)),
    *(Convert(fmt=yuv(1, 1, bits, floats=True), size=(34, 18), full=True, linear=linear)
      for bits in (16, 32) for linear in (False, True)),
    *(Convert(fmt=fmt, size=(33, 17), pad=(31, 47), matrix=Matrix.RGB, full=True, linear=linear)
      for fmt in (gray(), gray(16), gray(16, floats=True), gray(32, floats=True), rgb(), rgb(10), rgb(16),
                  rgb(16, floats=True), rgb(32, floats=True))
      for linear in (False, True)),
    *(Convert(fmt=rgb(), size=size, matrix=Matrix.RGB, full=full) for size in [(1, 1), (1, 9), (9, 1)]
      for full in (False, True)),
]  # fmt: skip


def check_convert(kernels: Kernels, device: torch.device, case: Convert) -> None:
    width, height = case.size
    canvas = height + case.pad[1], width + case.pad[0]
    colour = Colour(matrix=case.matrix, full_range=case.full, chroma=case.chroma, transfer=8 if case.linear else 2)
    planes = planes_of(case.fmt, width, height, case)
    out = channels_last(case.channels, *canvas, case.dtype, device)
    kernels.convert(on(device, planes), case.fmt, colour, width=width, height=height, out=out)
    expected = torch.zeros((1, case.channels, *canvas))
    expected[:, :3] = to_rgb(planes, case.fmt, colour, width=width, height=height, pad_to=canvas)
    # Beside the rounding to the type: sums and powers of float32, of which limited range leaves a little more.
    torch.testing.assert_close(out.cpu().float(), expected, rtol=0, atol=ROUNDING[case.dtype] + 2e-6)
    assert bool((out[:, 3:] == 0).all())
    assert bool((out[:, :, height:] == 0).all())
    assert bool((out[:, :, :, width:] == 0).all())


# gather


@dataclass(frozen=True, kw_only=True)
class Gather:
    net: Net
    canvas: tuple[int, int]  # height, width
    block: int  # which of the net's blocks reads: there are levels of those before it
    scales: tuple[int, ...] | None = None  # of the blocks; None: the net's own
    reach: float = 3.0
    exact: bool = False  # whether it is compared with a warp in doubles
    nan: float = 0.0
    first_row: int = 0
    rows: int | None = None


GATHER = [
    # Every block of every layout. Groups A and B answer at half of what their block reads.
    *(Gather(net=NETS[name], canvas=(64, 192), block=block)
      for name, blocks in [("C", range(4)), ("E", (0, 2, 3)), ("G", range(4)), ("I", (1, 3)), ("J", range(5)),
                           ("J-lite", (4,)), ("ends in 2", (1, 3)), ("ends in 4", (1,))]
      for block in blocks),
    *(Gather(net=NETS["A"], canvas=(64, 96), block=block, scales=(8, 4, 2, 1)) for block in range(4)),
    # The types of numbers.
    *(Gather(net=of_type(NETS[name], dtype), canvas=(32, 96), block=len(NETS[name].scales) - 1, reach=reach)
      for name, dtype in [("C", HALF), ("E", BRAIN), ("E", HALF), ("J", BRAIN)] for reach in (2.0, 300.0)),
    Gather(net=of_type(NETS["J"], HALF), canvas=(64, 96), block=2),
    # Canvases of any multiple, motion that leaves them, flow that is no number.
    *(Gather(net=NETS["G"], canvas=canvas, block=block, reach=reach)
      for canvas in [(16, 16), (16, 272), (208, 16)] for block in (1, 3) for reach in (1.0, 1e3, 1e30)),
    *(Gather(net=NETS["J"], canvas=(96, 160), block=block, nan=0.05) for block in (2, 4)),
    # Past pixel 2000 the place must still be exact, and then it is compared with doubles.
    Gather(net=NETS["G"], canvas=(16, 4096), block=3, reach=10.0, exact=True),
    Gather(net=NETS["G"], canvas=(2176, 16), block=2, reach=10.0, exact=True),
    # A width that no run of pixels divides.
    *(Gather(net=Net(scales=(2,), shuffled=False, adds_masks=True), canvas=(6, width), block=1, scales=(2, 1))
      for width in (2, 18, 70)),
    # Bands.
    *(Gather(net=NETS["J"], canvas=(96, 160), block=block, first_row=first, rows=rows)
      for block, first, rows in [(4, 0, 30), (4, 17, 1), (4, 40, 56), (3, 7, 22), (2, 5, 3), (0, 1, 4)]),
]  # fmt: skip


def check_gather(kernels: Kernels, device: torch.device, case: Gather) -> None:
    net, (height, width) = case.net, case.canvas
    blocks = case.scales or net.scales
    scale = blocks[case.block]
    hidden = net.hidden if case.block else 0
    levels = [
        level_of(each, case.canvas, net, case.reach, case, hidden=net.hidden, device=device, nan=case.nan)
        for each in net.scales[: case.block]
    ]
    generator = generator_of("sources", case)
    left, right = (
        torch.rand((1, height, width, net.channels), generator=generator).to(net.dtype).permute(0, 3, 1, 2)
        for _ in range(2)
    )
    here = left.to(device), right.to(device)
    time = 0.375
    pair = new_pair(device)
    kernels.set_pair(pair, *here, time)
    rows = height // scale if case.rows is None else case.rows
    used = 2 * net.channels + (6 + hidden if levels else 1)
    memory = channels_last(-(-used // 8) * 8, rows + 2, width // scale, net.dtype, device)
    kernels.gather(
        pair, levels, scale, memory[:, :, 1:-1], canvas=case.canvas, channels=net.channels,
        adds_masks=net.adds_masks, hidden=hidden, first_row=case.first_row,
    )  # fmt: skip
    assert bool(memory[:, :, [0, -1]].isnan().all()), "rows beside the band were written"
    expected = expected_input(left, right, time, levels, case, hidden)[:, :, case.first_row :][:, :, :rows]
    result = memory[:, :, 1:-1].cpu().float()
    assert bool((result[:, used:] == 0).all())
    near = 1e-6 if case.exact else 2e-7 * max(width, height, 40)  # the sampler's own coordinates
    near += ROUNDING[net.dtype] + 16 * ROUNDING[FLOAT] * min(case.reach, 65536.0)
    sources = 2 * net.channels
    torch.testing.assert_close(result[:, :sources], expected[:, :sources], rtol=0, atol=near)
    relative = ROUNDING[net.dtype] + 1e-6
    near = 1e-5 + 1e-6 * case.reach
    torch.testing.assert_close(result[:, sources:used], expected[:, sources:], rtol=relative, atol=near, equal_nan=True)


def expected_input(
    left: Tensor, right: Tensor, time: float, levels: Sequence[Level], case: Gather, hidden: int
) -> Tensor:
    """As IFNet.step has it, with channels in the order of `Kernels.gather`."""
    scale = (case.scales or case.net.scales)[case.block]
    images = [left.float().contiguous(), right.float().contiguous()]
    warp = exact_warp if case.exact else backward_warp
    if not levels:
        small = [resized(image, 1 / scale) for image in images]
        return torch.cat([*small, torch.full_like(small[0][:, :1], time)], 1)
    step = step_of(levels, case.net, hidden)
    # What cannot be a movement is none; an infinite one ends at the border.
    moved = torch.nan_to_num(step.flow, nan=0.0).clamp(-65536.0, 65536.0)
    small = [resized(warp(image, moved[:, at : at + 2]), 1 / scale) for image, at in zip(images, (0, 2), strict=True)]
    small += [torch.full_like(small[0][:, :1], time), resized(step.mask, 1 / scale)]
    small.append(resized(step.flow, 1 / scale) / scale)
    if step.hidden is not None:
        small.append(resized(step.hidden, 1 / scale))
    return torch.cat(small, 1)


# synthesis


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    fmt: PixelFormat
    size: tuple[int, int]  # width, height
    net: Net = NETS["G"]
    chroma: ChromaLocation = ChromaLocation.LEFT
    reach: float = 3.0
    nan: float = 0.0


SYNTHESIS = [
    *(Synthesis(fmt=yuv(1, 1), size=size, net=of_type(NETS["J"], HALF))
      for size in [(130, 34), (2, 2), (64, 16), (62, 70), (258, 2), (2, 66)]),
    *(Synthesis(fmt=yuv(1, 1, 32, floats=True), size=(134, 38), chroma=chroma) for chroma in ChromaLocation),
    *(Synthesis(fmt=yuv(across, down, 32, floats=True), size=(160, 48), chroma=chroma)
      for across, down in [(1, 0), (0, 1), (4, 3)]
      for chroma in (ChromaLocation.TOP_LEFT, ChromaLocation.CENTER, ChromaLocation.BOTTOM)),
    Synthesis(fmt=yuv(2, 0, 16), size=(100, 19)),
    *(Synthesis(fmt=fmt, size=(71, 37))
      for fmt in (gray(), gray(16), gray(32, floats=True), rgb(), rgb(10), rgb(16, floats=True), yuv(0, 0, 12))),
    *(Synthesis(fmt=gray(), size=size) for size in [(1, 1), (1, 40), (99, 1), (641, 3)]),
    *(Synthesis(fmt=yuv(1, 1, 8), size=(70, 38), net=net)
      for net in (NETS["A"], of_type(NETS["C"], BRAIN), Net(scales=(64, 32, 16, 8, 4)))),
    *(Synthesis(fmt=fmt, size=size, net=NETS[name])
      for name in ("ends in 2", "ends in 4") for fmt, size in [(yuv(1, 1), (134, 70)), (gray(), (99, 5))]),
    *(Synthesis(fmt=yuv(1, 1, 32, floats=True), size=(70, 38), reach=reach, nan=nan)
      for reach, nan in [(300.0, 0.0), (1e30, 0.0), (3.0, 0.05)]),
    Synthesis(fmt=gray(32, floats=True), size=(4100, 5), reach=10.0),
]  # fmt: skip


def check_synthesis(kernels: Kernels, device: torch.device, case: Synthesis) -> None:
    fmt, net, (width, height) = case.fmt, case.net, case.size
    step = 2 * max(net.scales) if net.shuffled else max(net.scales)
    canvas = -(-height // step) * step, -(-width // step) * step
    levels = [
        level_of(scale, canvas, net, case.reach, case, hidden=0, device=device, nan=case.nan) for scale in net.scales
    ]
    left, right = (planes_of(fmt, width, height, (case, side)) for side in range(2))
    memory = [torch.full((h, w + 7), 77, dtype=torch.int32).to(dtype_of(fmt)).to(device)
              for w, h in (fmt.plane_size(plane, width, height) for plane in range(fmt.planes))]  # fmt: skip
    out = [each[:, 2:-5] for each in memory]
    kernels.synthesize(
        levels, on(device, left), on(device, right), fmt, chroma=case.chroma, width=width, height=height,
        adds_masks=net.adds_masks, out=out,
    )  # fmt: skip
    whole = step_of(levels, net, 0)
    motion = FlowAndMask(flow=whole.flow, mask=torch.sigmoid(whole.mask))
    expected = synthesize(left, right, motion, fmt, chroma=case.chroma, width=width, height=height)
    # A flow is off by its own rounding, so is the sample; a whole number at a half may then fall to either side.
    moved = 4 * ROUNDING[FLOAT] * min(case.reach * 8, 65536.0)
    for plane, there, twin in zip(memory, out, expected, strict=True):
        assert bool((plane[:, :2].float() == 77).all())
        assert bool((plane[:, -5:].float() == 77).all())
        one, other = there.cpu().float(), twin.float()
        if fmt.float_samples:
            # Infinities count as 65504, beside which a weight of 1e-7 is seen.
            atol = (moved + 4e-7) * float(torch.cat((one.abs(), other.abs())).max().clamp(min=1.0))
            torch.testing.assert_close(one, other, rtol=2 * ROUNDING[twin.dtype], atol=atol)
        else:
            assert float((one - other).abs().max()) <= 1 + math.ceil(fmt.peak * moved)
            assert float((one - other).abs().mean()) <= 0.02 + fmt.peak * moved


STILLNESS = [yuv(1, 1, 16), yuv(2, 1), rgb(16), gray(32, floats=True)]


def check_stillness(kernels: Kernels, device: torch.device, fmt: PixelFormat, first: bool) -> None:
    """No motion and a mask that is all one frame give that frame, bit for bit; so do steps of whole samples."""
    width, height = 150 << fmt.subsampling_w, 21 << fmt.subsampling_h
    canvas = -(-height // 2) * 2 + 2, -(-width // 2) * 2 + 2
    left, right = (planes_of(fmt, width, height, side, bad=False) for side in range(2))
    if fmt.float_samples:  # numbers whose difference is not exact
        left, right = [plane / 3 for plane in left], [plane * 7 for plane in right]
    for dx, dy in [(0, 0), (3, -2)]:
        raw = torch.zeros((canvas[0] // 2, canvas[1] // 2, 4, 8))
        raw[..., 0:4:2] = dx << fmt.subsampling_w
        raw[..., 1:4:2] = dy << fmt.subsampling_h
        raw[..., 4] = 200.0 if first else -200.0
        level = Level(raw=raw.view(1, *raw.shape[:2], 32).to(device).permute(0, 3, 1, 2), scale=1, side=2, channels=5)
        out = on(device, [torch.zeros_like(plane) for plane in left])
        kernels.synthesize(
            [level], on(device, left), on(device, right), fmt, width=width, height=height, adds_masks=False, out=out
        )
        for index, (made, source) in enumerate(zip(out, left if first else right, strict=True)):
            factor = (1, 1) if index else (1 << fmt.subsampling_w, 1 << fmt.subsampling_h)
            x = (torch.arange(source.shape[1]) + dx * factor[0]).clamp(0, source.shape[1] - 1)
            y = (torch.arange(source.shape[0]) + dy * factor[1]).clamp(0, source.shape[0] - 1)
            assert torch.equal(made.cpu().float(), source.float()[y][:, x])


def check_placed(kernels: Kernels, device: torch.device, fmt: PixelFormat) -> None:
    """Planes that are kept are read where they lie, whichever were read before them."""
    width, height = 34, 18
    raw = torch.zeros((1, 10, 18, 32), device=device)
    raw.view(1, 10, 18, 4, 8)[..., 4] = 200.0  # all of the left frame
    level = Level(raw=raw.permute(0, 3, 1, 2), scale=1, side=2, channels=5)
    synthesis = kernels.synthesis([level], fmt, width=width, height=height, adds_masks=False)
    sources = [PlacedPlanes(on(device, planes_of(fmt, width, height, side, bad=False))) for side in range(2)]
    out = on(device, [torch.zeros_like(plane) for plane in sources[0]])
    found = set()
    for left, right in (sources, sources[::-1], sources):
        synthesis(left, right, out)
        assert all(map(torch.equal, out, left))
        found |= {left.places, right.places}
    assert len(found) == 2
    small = PlacedPlanes(plane[:-1] for plane in sources[0])
    with pytest.raises(ValueError, match="planes must be"):
        synthesis(small, sources[0], out)
    assert small.places is None


def check_halves(kernels: Kernels, device: torch.device) -> None:
    """Whole numbers are rounded to nearest, halves to even, and end at the peak."""
    left, right = (
        [torch.tensor([row, row[::-1]], dtype=torch.uint8, device=device)] for row in ([0, 1, 2, 255], [1, 2, 5, 254])
    )
    right[0][1] = torch.tensor([255, 3, 2, 1], dtype=torch.uint8)
    raw = torch.zeros((1, 2, 4, 8), device=device).view(1, 1, 2, 32).permute(0, 3, 1, 2)
    out = [torch.zeros_like(left[0])]
    level = Level(raw=raw, scale=1, side=2, channels=5)
    kernels.synthesize([level], left, right, gray(), width=4, height=2, adds_masks=False, out=out)
    assert out[0].tolist() == [[0, 2, 4, 254], [255, 2, 2, 0]]


# epilogue


@dataclass(frozen=True, kw_only=True)
class Epilogue:
    shape: tuple[int, int, int]  # channels, height, width
    dtype: torch.dtype
    residual: bool
    slopes: bool
    rows: int = 0  # of each part but the last; 0 for none


EPILOGUE = [
    Epilogue(shape=shape, dtype=dtype, residual=residual, slopes=slopes)
    for dtype, shapes in {
        HALF: [((32, 17, 9), True, False), ((240, 5, 3), False, True), ((7, 1, 1), True, False)],
        BRAIN: [((48, 17, 9), True, False), ((90, 4, 7), True, True)],
        FLOAT: [((64, 3, 11), True, False), ((45, 3, 3), False, True)],
    }.items()
    for shape, residual, slopes in shapes
] + [
    Epilogue(shape=(32, 17, 9), dtype=HALF, residual=False, slopes=False, rows=4),
    Epilogue(shape=(24, 9, 5), dtype=BRAIN, residual=False, slopes=True, rows=3),
    Epilogue(shape=(7, 5, 3), dtype=FLOAT, residual=True, slopes=False, rows=4),
    Epilogue(shape=(64, 67, 3), dtype=FLOAT, residual=True, slopes=True, rows=1),  # more than one launch's
]  # fmt: skip


def check_epilogue(kernels: Kernels, device: torch.device, case: Epilogue) -> None:
    generator = generator_of(case)
    channels, height, width = case.shape

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(case.dtype)

    y, residual = (noise(1, height, width, channels).permute(0, 3, 1, 2) for _ in range(2))
    bias, slopes = noise(channels), noise(channels)
    expected = y.float() + bias.float().view(-1, 1, 1)
    if case.residual:
        expected = expected + residual.float()
    slope = slopes.float().view(-1, 1, 1) if case.slopes else torch.tensor(0.2)
    expected = torch.where(expected < 0, expected * slope, expected).to(case.dtype)
    made = y.to(device).clone()
    parts: tuple[Tensor, ...] = ()
    if case.rows:
        parts = tuple(part.clone() for part in made.split(case.rows, 2))
        made.fill_(math.nan)
    kernels.epilogue(
        made,
        bias.to(device),
        residual.to(device) if case.residual else None,
        slopes.to(device) if case.slopes else None,
        parts,
    )
    assert torch.equal(made.cpu(), expected)


# measures


@dataclass(frozen=True, kw_only=True)
class Measure:
    fmt: PixelFormat
    size: tuple[int, int]  # width, height


MEASURES = [
    Measure(fmt=fmt, size=size)
    for fmt in (yuv(1, 1), yuv(1, 0, 10), rgb(16), yuv(1, 1, 16, floats=True), rgb(32, floats=True))
    for size in [(70, 38), (2, 2), (642, 18), (18, 642), (1284, 56)]
]


def check_signature(kernels: Kernels, device: torch.device, case: Measure) -> None:
    planes = planes_of(case.fmt, *case.size, case)
    used = planes if case.fmt.family is Family.RGB else planes[:1]
    for cells in (64, signatures.CELLS):
        _check_sums(kernels, device, case, used, cells)


def _check_sums(kernels: Kernels, device: torch.device, case: Measure, used: Sequence[Tensor], cells: int) -> None:
    height, width = used[0].shape
    cell = signatures.cell_of(height, width, cells)
    sums = torch.full((-(-height // cell), -(-width // cell)), -1, dtype=torch.int64, device=device)
    kernels.signature_sums(on(device, used), cell, sums)
    weights = (2, 5, 1) if len(used) == 3 else (1,)
    # What `signature` makes of its sums is division alone.
    peak = (1 << sample_bits(used[0], case.fmt.bits)) - 1
    sides = [np.minimum(cell, length - cell * np.arange(-(-length // cell))) for length in (height, width)]
    scale = np.multiply.outer(*sides) * (sum(weights) * peak)
    means = (2 * 65535 * sums.cpu().numpy() + scale) // (2 * scale)
    assert np.array_equal(means, signatures.signature(used, case.fmt.bits, cells=cells))


def limits_of(planes: Sequence[Tensor], bits: int, threshold: float) -> list[tuple[int, int, int, int]]:
    limits = []
    for plane in planes:
        height, width = plane.shape
        depth = sample_bits(plane, bits)
        across, down = (min(8, width), width % 8 or 8), (min(8, height), height % 8 or 8)
        limits.append(tuple(duplicates._limit(across[x] * down[y], depth, threshold) for y in (0, 1) for x in (0, 1)))
    return limits


def check_still(kernels: Kernels, device: torch.device, case: Measure) -> None:
    left = planes_of(case.fmt, *case.size, case)
    changed = {"as it is": left}
    for name, (plane, y, x) in {"first": (0, 0, 0), "last": (-1, -1, -1)}.items():
        right = [each.clone() for each in left]
        old = right[plane].float()[y, x]
        new = torch.nan_to_num(old, 0.5, 0.5, 0.5).clamp(0.1, 0.9) - 0.05 if case.fmt.float_samples else old // 2 + 1
        right[plane].view(right[plane].dtype)[y, x] = new.item() if case.fmt.float_samples else int(new)
        changed[name] = right
    changed["noise"] = planes_of(case.fmt, *case.size, "other")
    changed["a little"] = [
        (plane.float() * 0.999).to(plane.dtype) if case.fmt.float_samples
        else (plane.to(torch.int32) ^ 1).to(plane.dtype)
        for plane in left
    ]  # fmt: skip
    moved = torch.full((1,), 9, dtype=torch.int32, device=device)
    found = set()
    for right in changed.values():
        for threshold in (-1.0, 8.0, 42.0, 60.0, 120.0, math.inf):
            kernels.still(on(device, left), on(device, right), limits_of(left, case.fmt.bits, threshold), moved)
            expected = duplicates.is_still(left, right, case.fmt.bits, threshold)
            assert moved.item() == (not expected)
            found.add(expected)
    assert found == {False, True}
