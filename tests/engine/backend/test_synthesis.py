import math
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrife.engine.backend import synthesis
from vsrife.engine.backend.synthesis import synthesize
from vsrife.engine.transfer.host import dtype_of
from vsrife.formats.colour import ChromaLocation
from vsrife.formats.pixel_format import Family, PixelFormat
from vsrife.network.flow_and_mask import FlowAndMask
from vsrife.network.warp import backward_warp

GRAY8 = PixelFormat(family=Family.GRAY, float_samples=False, bits=8)
GRAY16 = PixelFormat(family=Family.GRAY, float_samples=False, bits=16)
GRAYS = PixelFormat(family=Family.GRAY, float_samples=True, bits=32)
RGBS = PixelFormat(family=Family.RGB, float_samples=True, bits=32)
EDGE_FLOWS = [0.0, -0.5, 0.25, 3.0, -7.75, 1e4, -1e9, math.inf, -math.inf, math.nan]


def yuv(subsampling_w: int, subsampling_h: int, *, bits: int = 8, float_samples: bool = False) -> PixelFormat:
    return PixelFormat(
        family=Family.YUV,
        float_samples=float_samples,
        bits=bits,
        subsampling_w=subsampling_w,
        subsampling_h=subsampling_h,
    )


def noise(fmt: PixelFormat, width: int, height: int, seed: int) -> list[torch.Tensor]:
    """Planes as a host frame has them: rows farther apart than they are long, rubbish in between."""
    generator = torch.Generator().manual_seed(seed)
    planes = []
    for plane in range(fmt.planes):
        w, h = fmt.plane_size(plane, width, height)
        if fmt.float_samples:
            memory = torch.rand((h, w + 13), generator=generator) - (0.5 if plane and fmt.family is Family.YUV else 0.0)
        else:
            memory = torch.randint(0, int(fmt.peak) + 1, (h, w + 13), generator=generator, dtype=torch.int32)
        planes.append(memory.to(dtype_of(fmt))[:, :w])
    return planes


def uniform(
    width: int, height: int, flow: Sequence[float], mask: float, canvas: tuple[int, int] | None = None
) -> FlowAndMask:
    canvas_height, canvas_width = canvas or (height, width)
    motion = FlowAndMask(
        flow=torch.full((1, 4, canvas_height, canvas_width), 1e3),
        mask=torch.full((1, 1, canvas_height, canvas_width), 0.3),
    )
    motion.flow[:, :, :height, :width] = torch.tensor(flow).view(1, 4, 1, 1)
    motion.mask[:, :, :height, :width] = mask
    return motion


def random_motion(width: int, height: int, seed: int, reach: float = 4.0) -> FlowAndMask:
    generator = torch.Generator().manual_seed(seed)
    flow = torch.randn((1, 4, height, width), generator=generator) * reach
    return FlowAndMask(flow=flow, mask=torch.rand((1, 1, height, width), generator=generator))


def equal(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    return all(a.dtype is b.dtype and torch.equal(a.float(), b.float()) for a, b in zip(one, other, strict=True))


@st.composite
def formats(draw: st.DrawFn, *, floats: bool = True) -> PixelFormat:
    family = draw(st.sampled_from(list(Family)))
    float_samples = floats and draw(st.booleans())
    return PixelFormat(
        family=family,
        float_samples=float_samples,
        bits=draw(st.sampled_from([16, 32]) if float_samples else st.integers(8, 16)),
        subsampling_w=draw(st.integers(0, 4)) if family is Family.YUV else 0,
        subsampling_h=draw(st.integers(0, 4)) if family is Family.YUV else 0,
    )


@st.composite
def pictures(draw: st.DrawFn, *, floats: bool = True) -> tuple[PixelFormat, int, int]:
    fmt = draw(formats(floats=floats))
    return fmt, draw(st.integers(1, 6)) << fmt.subsampling_w, draw(st.integers(1, 6)) << fmt.subsampling_h


locations = st.sampled_from(list(ChromaLocation))


@settings(deadline=None)
@given(
    pictures(), locations, st.integers(0, 99), st.lists(st.sampled_from(EDGE_FLOWS), min_size=4, max_size=4), st.data()
)
def test_one_colour_stays_that_colour_under_any_motion(
    picture: tuple[PixelFormat, int, int], location: ChromaLocation, seed: int, flow: list[float], data: st.DataObject
) -> None:
    fmt, width, height = picture
    values = st.floats(-2, 2, width=16) if fmt.float_samples else st.integers(0, int(fmt.peak))
    planes = [
        torch.full(fmt.plane_size(plane, width, height)[::-1], data.draw(values)).to(dtype_of(fmt))
        for plane in range(fmt.planes)
    ]
    motion = random_motion(width, height, seed)
    motion.flow[0, :, 0, 0] = torch.tensor(flow)
    motion.mask[0, 0, -1, -1] = data.draw(st.sampled_from([0.0, 1.0, 2.0, -1.0, math.nan]))
    assert equal(synthesize(planes, planes, motion, fmt, chroma=location, width=width, height=height), planes)


@settings(deadline=None)
@given(pictures(), locations, st.integers(0, 99), st.booleans())
def test_no_motion_and_one_frame_is_that_frame(
    picture: tuple[PixelFormat, int, int], location: ChromaLocation, seed: int, first: bool
) -> None:
    fmt, width, height = picture
    frames = noise(fmt, width, height, seed), noise(fmt, width, height, seed + 1)
    motion = uniform(width, height, [0.0] * 4, float(first), canvas=(height + 5, width + 3))
    result = synthesize(*frames, motion, fmt, chroma=location, width=width, height=height)
    assert equal(result, frames[0] if first else frames[1])


@settings(deadline=None)
@given(pictures(), locations, st.integers(0, 99), st.integers(-3, 3), st.integers(-3, 3), st.booleans())
def test_whole_steps_move_every_plane_bit_for_bit(
    picture: tuple[PixelFormat, int, int], location: ChromaLocation, seed: int, dx: int, dy: int, first: bool
) -> None:
    fmt, width, height = picture
    frames = noise(fmt, width, height, seed), noise(fmt, width, height, seed + 1)
    step = [float(dx << fmt.subsampling_w), float(dy << fmt.subsampling_h)]
    elsewhere = [9.0, -9.0]
    motion = uniform(
        width, height, step + elsewhere if first else elsewhere + step, float(first), (height + 4, width + 4)
    )
    result = synthesize(*frames, motion, fmt, chroma=location, width=width, height=height)
    for index, (plane, source) in enumerate(zip(result, frames[0] if first else frames[1], strict=True)):
        scale = (1, 1) if index or not fmt.subsampled else (1 << fmt.subsampling_w, 1 << fmt.subsampling_h)
        x = (torch.arange(plane.shape[1]) + dx * scale[0]).clamp(0, plane.shape[1] - 1)
        y = (torch.arange(plane.shape[0]) + dy * scale[1]).clamp(0, plane.shape[0] - 1)
        assert torch.equal(plane.float(), source.float()[y][:, x])


@pytest.mark.parametrize("width", [641, 8192])
def test_16_bit_noise_that_does_not_move_is_untouched_at_any_width(width: int) -> None:
    frames = noise(GRAY16, width, 9, 1), noise(GRAY16, width, 9, 2)
    result = synthesize(*frames, uniform(width, 9, [0.0] * 4, 1.0), GRAY16, width=width, height=9)
    assert equal(result, frames[0])


def test_a_fraction_is_as_exact_at_the_far_end_of_8192() -> None:
    ramp = [(torch.arange(8192).remainder(64) * 1000).to(torch.int32).expand(3, -1).contiguous().to(torch.uint16)]
    result = synthesize(ramp, ramp, uniform(8192, 3, [0.25, 0, 0.25, 0], 0.5), GRAY16, width=8192, height=3)
    expected = ramp[0].float()[:, 8128:8191] + 250
    assert torch.equal(result[0].float()[:, 8128:8191], expected)


def reference(
    left: torch.Tensor, right: torch.Tensor, flow: torch.Tensor, mask: torch.Tensor, subsampling: tuple[int, int],
    location: ChromaLocation,
) -> list[list[float]]:  # fmt: skip
    """The definition in plain Python: one plane, doubles, no vector in sight."""
    factors = 1 << subsampling[0], 1 << subsampling[1]
    site = location.offset(*subsampling)
    height, width = flow.shape[1:]

    def window(axis: int, index: int) -> list[tuple[int, float]]:
        """Luma samples under a chroma sample as wide as `factor`, each with the share of the window it fills."""
        factor, size = factors[axis], (width, height)[axis]
        centre = index * factor + site[axis]
        low, high = centre - factor / 2, centre + factor / 2
        shares = []
        for sample in range(math.floor(low), math.ceil(high) + 1):
            share = min(high, sample + 0.5) - max(low, sample - 0.5)
            if share > 0:
                shares.append((min(max(sample, 0), size - 1), share / factor))
        return shares

    def mean(field: torch.Tensor, x: int, y: int) -> float:
        return sum(
            float(field[row, column]) * down * across for row, down in window(1, y) for column, across in window(0, x)
        )

    def sample(plane: torch.Tensor, x: float, y: float) -> float:
        h, w = plane.shape
        x, y = min(max(x, 0), w - 1), min(max(y, 0), h - 1)
        x0, y0 = math.floor(x), math.floor(y)
        x1, y1 = min(x0 + 1, w - 1), min(y0 + 1, h - 1)
        top = float(plane[y0, x0]) * (1 - x + x0) + float(plane[y0, x1]) * (x - x0)
        bottom = float(plane[y1, x0]) * (1 - x + x0) + float(plane[y1, x1]) * (x - x0)
        return top * (1 - y + y0) + bottom * (y - y0)

    rows = []
    for y in range(left.shape[0]):
        row = []
        for x in range(left.shape[1]):
            f = [mean(flow[component], x, y) / factors[component % 2] for component in range(4)]
            weight = mean(mask[0], x, y)
            row.append(weight * sample(left, x + f[0], y + f[1]) + (1 - weight) * sample(right, x + f[2], y + f[3]))
        rows.append(row)
    return rows


@pytest.mark.parametrize("location", list(ChromaLocation))
@pytest.mark.parametrize(
    ("subsampling", "width", "height"),
    [((1, 1), 10, 8), ((1, 0), 6, 5), ((2, 0), 12, 3), ((0, 1), 5, 6), ((2, 2), 8, 8), ((3, 1), 16, 4), ((1, 1), 2, 2)],
)
def test_every_plane_is_what_the_definition_gives(
    subsampling: tuple[int, int], width: int, height: int, location: ChromaLocation
) -> None:
    fmt = yuv(*subsampling, bits=32, float_samples=True)
    frames = noise(fmt, width, height, 3), noise(fmt, width, height, 4)
    motion = random_motion(width, height, 5, reach=2.5)
    result = synthesize(*frames, motion, fmt, chroma=location, width=width, height=height)
    for index, plane in enumerate(result):
        steps = subsampling if index else (0, 0)
        expected = reference(frames[0][index], frames[1][index], motion.flow[0], motion.mask[0], steps, location)
        torch.testing.assert_close(plane, torch.tensor(expected), rtol=0, atol=2e-6)


@pytest.mark.parametrize(("width", "height"), [(33, 17), (1, 1), (64, 48), (641, 31)])
def test_rgb_is_the_networks_own_merge(width: int, height: int) -> None:
    frames = noise(RGBS, width, height, 6), noise(RGBS, width, height, 7)
    motion = random_motion(width, height, 8)
    result = torch.stack(synthesize(*frames, motion, RGBS, width=width, height=height))[None]
    left, right = (torch.stack(frame)[None] for frame in frames)

    def merge(warp: object) -> torch.Tensor:
        return motion.mask * warp(left, motion.flow[:, :2]) + (1 - motion.mask) * warp(right, motion.flow[:, 2:])  # type: ignore[operator]

    def exact(image: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        """The same sampler in doubles."""
        x = torch.arange(width, dtype=torch.float64) + flow[:, 0].double()
        y = torch.arange(height, dtype=torch.float64)[:, None] + flow[:, 1].double()
        grid = torch.stack((x * 2 / max(width - 1, 1) - 1, y * 2 / max(height - 1, 1) - 1), dim=-1)
        return F.grid_sample(image.double(), grid, padding_mode="border", align_corners=True)

    torch.testing.assert_close(result.double(), merge(exact), rtol=0, atol=1e-6)
    # In floats the network's sampler is off by about size * 1e-7 of a pixel, which noise shows in full.
    torch.testing.assert_close(result, merge(backward_warp), rtol=0, atol=2e-7 * max(width, 40))


def test_a_flow_beyond_the_picture_ends_at_its_edge_not_in_the_padding() -> None:
    white = [torch.full((18, 34), 235), torch.full((9, 17), 128), torch.full((9, 17), 128)]
    white = [plane.to(torch.uint8) for plane in white]
    motion = uniform(34, 18, [30.0, 15.0, 1e6, -1e6], 0.5, canvas=(64, 64))
    assert equal(synthesize(white, white, motion, yuv(1, 1), width=34, height=18), white)


@pytest.mark.parametrize("location", list(ChromaLocation))
@pytest.mark.parametrize("subsampling", [(1, 1), (1, 0), (0, 1), (2, 2), (4, 3)])
def test_chroma_reads_flow_and_mask_where_its_samples_are(
    subsampling: tuple[int, int], location: ChromaLocation
) -> None:
    # The mask climbs from left to right and top to bottom; left is 1 and right 0, so the answer is the mask itself.
    fmt = yuv(*subsampling, bits=32, float_samples=True)
    width, height = 6 << subsampling[0], 5 << subsampling[1]
    slope = (torch.arange(width)[None] / width + torch.arange(height)[:, None] / height) / 2
    motion = FlowAndMask(flow=torch.zeros(1, 4, height, width), mask=slope[None, None])
    ones = [torch.ones(fmt.plane_size(plane, width, height)[::-1]) for plane in range(3)]
    zeros = [torch.zeros_like(plane) for plane in ones]
    result = synthesize(ones, zeros, motion, fmt, chroma=location, width=width, height=height)
    x, y = location.offset(*subsampling)
    across = (torch.arange(6)[None] * (1 << subsampling[0]) + x) / width
    down = (torch.arange(5)[:, None] * (1 << subsampling[1]) + y) / height
    expected = (across + down) / 2
    for plane in result[1:]:
        torch.testing.assert_close(plane[1:-1, 1:-1], expected[1:-1, 1:-1], rtol=0, atol=1e-6)
    torch.testing.assert_close(result[0], slope, rtol=0, atol=1e-6)


def test_an_alpha_plane_is_one_more_gray_picture() -> None:
    fmt = yuv(1, 1, bits=10)
    motion = random_motion(34, 18, 9)
    frames = noise(fmt, 34, 18, 10), noise(fmt, 34, 18, 11)
    gray10 = PixelFormat(family=Family.GRAY, float_samples=False, bits=10)
    whole = synthesize(*frames, motion, fmt, width=34, height=18)
    alone = synthesize(frames[0][:1], frames[1][:1], motion, gray10, width=34, height=18)
    assert equal(alone, whole[:1])


@settings(deadline=None, max_examples=30)
@given(pictures(), locations, st.integers(0, 99))
def test_planes_given_are_written_and_nothing_beside_them(
    picture: tuple[PixelFormat, int, int], location: ChromaLocation, seed: int
) -> None:
    fmt, width, height = picture
    frames = noise(fmt, width, height, seed), noise(fmt, width, height, seed + 1)
    before = [[plane.clone() for plane in frame] for frame in frames]
    motion = random_motion(width, height, seed)
    fresh = synthesize(*frames, motion, fmt, chroma=location, width=width, height=height)
    memory = [torch.full((plane.shape[0], plane.shape[1] + 9), 77.0).to(plane.dtype) for plane in fresh]
    views = [whole[:, : plane.shape[1]] for whole, plane in zip(memory, fresh, strict=True)]
    returned = synthesize(*frames, motion, fmt, chroma=location, width=width, height=height, out=views)
    assert all(one is other for one, other in zip(returned, views, strict=True))
    assert equal(views, fresh)
    assert all(bool((whole[:, -9:].float() == 77).all()) for whole in memory)
    assert all(equal(frame, copy) for frame, copy in zip(frames, before, strict=True))


@pytest.mark.parametrize("fmt", [yuv(1, 1), yuv(0, 0, bits=16), RGBS])
def test_bands_leave_no_trace(fmt: PixelFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = noise(fmt, 66, 34, 12), noise(fmt, 66, 34, 13)
    motion = random_motion(66, 34, 14)
    whole = synthesize(*frames, motion, fmt, width=66, height=34)
    for samples in (1, 66 * 5, 33 * 7):
        monkeypatch.setattr(synthesis, "_CPU_BAND", samples)
        banded = synthesize(*frames, motion, fmt, width=66, height=34)
        # A band may end inside a vector of the processor: a float may differ in its last bit, a code value hardly.
        for one, other in zip(banded, whole, strict=True):
            torch.testing.assert_close(one.float(), other.float(), rtol=0, atol=1e-6 if fmt.float_samples else 1)


def test_integers_are_rounded_to_nearest_halves_to_even() -> None:
    left, right = (
        [torch.tensor([[0, 1, 2, 255]], dtype=torch.uint8)],
        [torch.tensor([[1, 2, 5, 255]], dtype=torch.uint8)],
    )
    result = synthesize(left, right, uniform(4, 1, [0.0] * 4, 0.5), GRAY8, width=4, height=1)
    assert result[0].tolist() == [[0, 2, 4, 255]]
    result = synthesize(left, right, uniform(4, 1, [0.0] * 4, 0.25), GRAY8, width=4, height=1)
    assert result[0].tolist() == [[1, 2, 4, 255]]


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize(
    ("bad", "counts_as"), [(math.nan, 0.0), (math.inf, 65504.0), (-math.inf, -65504.0), (3.5, 3.5), (-0.25, -0.25)]
)
def test_floats_are_not_clamped_and_bad_ones_stay_where_they_are(bits: int, bad: float, counts_as: float) -> None:
    fmt = PixelFormat(family=Family.GRAY, float_samples=True, bits=bits)
    left = [torch.full((9, 9), 0.5, dtype=dtype_of(fmt))]
    right = [plane.clone() for plane in left]
    left[0][4, 4] = bad
    there = synthesize(left, right, uniform(9, 9, [0.0] * 4, 1.0), fmt, width=9, height=9)[0]
    assert float(there[4, 4]) == counts_as
    assert int((there != 0.5).sum()) == 1
    # Seen through a mask of 0 or between samples it must not become NaN.
    unseen = synthesize(left, right, uniform(9, 9, [0.0] * 4, 0.0), fmt, width=9, height=9)[0]
    assert bool((unseen == 0.5).all())
    between = synthesize(left, right, uniform(9, 9, [0.5, 0.5, 0.0, 0.0], 1.0), fmt, width=9, height=9)[0]
    assert bool(torch.isfinite(between).all())
    assert int((between != 0.5).sum()) == 4


def test_a_bad_flow_is_no_motion_and_a_bad_mask_one_half() -> None:
    left, right = noise(GRAYS, 33, 17, 15), noise(GRAYS, 33, 17, 16)
    motion = uniform(33, 17, [math.nan] * 4, math.nan)
    result = synthesize(left, right, motion, GRAYS, width=33, height=17)
    torch.testing.assert_close(result[0], (left[0] + right[0]) / 2, rtol=0, atol=1e-6)
