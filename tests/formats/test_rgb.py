from collections.abc import Sequence

import numpy as np
import pytest
import torch
import vapoursynth as vs
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrife.engine.transfer.host import dtype_of
from vsrife.formats.colour import ChromaLocation, Colour, ColourOverrides, Matrix, Range, colour_of
from vsrife.formats.pixel_format import Family, PixelFormat
from vsrife.formats.rgb import difference, show_alpha, to_rgb

core = vs.core

# resize brings integer chroma to luma's size in 16 bits before it goes on in floats: off by up to half a code value of
# those, times the largest coefficient (about 2), twice. The floats differ by the order of their sums.
INTEGER_TOLERANCE, FLOAT_TOLERANCE = 6e-5, 4e-6


def noise(fmt: PixelFormat, width: int, height: int, seed: int = 0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    planes = []
    for plane in range(fmt.planes):
        size = fmt.plane_size(plane, width, height)[::-1]
        if fmt.float_samples:
            low = -0.5 if plane and fmt.family is Family.YUV else 0.0
            planes.append((generator.random(size) + low).astype(np.float16 if fmt.bits == 16 else np.float32))
        else:
            kind = np.uint8 if fmt.bits == 8 else np.uint16
            planes.append(generator.integers(0, int(fmt.peak) + 1, size).astype(kind))
    return planes


def clip_of(format_id: int, planes: Sequence[np.ndarray]) -> vs.VideoNode:
    height, width = planes[0].shape

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        for index, plane in enumerate(planes):
            np.asarray(frame[index])[:] = plane
        return frame

    blank = core.std.BlankClip(format=format_id, width=width, height=height, length=1)
    return blank.std.ModifyFrame(blank, fill)


def by_resize(format_id: int, planes: Sequence[np.ndarray], **arguments: object) -> np.ndarray:
    gray = len(planes) == 1
    clip = clip_of(format_id, planes).resize.Bilinear(format=vs.GRAYS if gray else vs.RGBS, **arguments)
    frame = clip.get_frame(0)
    rgb = np.stack([np.asarray(frame[plane]) for plane in range(1 if gray else 3)])
    return np.repeat(rgb, 3, axis=0) if gray else rgb


def ours(format_id: int, planes: Sequence[np.ndarray], overrides: ColourOverrides, **props: int) -> np.ndarray:
    fmt = PixelFormat.from_vs_id(format_id)
    height, width = planes[0].shape
    colour = colour_of({"_Matrix": 1, **props}, fmt, width, height, overrides)
    rgb = to_rgb([torch.from_numpy(plane) for plane in planes], fmt, colour, width=width, height=height)
    assert rgb.shape == (1, 3, height, width)
    assert rgb.dtype is torch.float32
    return rgb[0].numpy()


def fmt_id(subsampling_w: int, subsampling_h: int, bits: int = 8) -> int:
    return core.query_video_format(vs.YUV, vs.INTEGER, bits, subsampling_w, subsampling_h).id


YUV_CASES = [
    (vs.YUV420P8, 34, 18),
    (vs.YUV420P8, 2, 2),
    (vs.YUV420P10, 34, 18),
    (vs.YUV422P16, 34, 17),
    (vs.YUV440P8, 33, 18),
    (vs.YUV411P8, 36, 17),
    (vs.YUV410P8, 36, 20),
    (fmt_id(2, 1, 12), 36, 18),
    (vs.YUV444P12, 33, 17),
    (vs.YUV444P8, 1, 1),
    (vs.YUV420PS, 34, 18),
    (vs.YUV444PH, 33, 17),
]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("format_id", "width", "height"), YUV_CASES)
def test_yuv_is_what_resize_makes_of_it(format_id: int, width: int, height: int, full: bool) -> None:
    fmt = PixelFormat.from_vs_id(format_id)
    planes = noise(fmt, width, height)
    for location in ChromaLocation if fmt.subsampled else [ChromaLocation.LEFT]:
        overrides = ColourOverrides(range=Range(full), chroma=location if fmt.subsampled else None)
        expected = by_resize(format_id, planes, matrix_in=1, range_in=int(full), chromaloc_in=int(location))
        tolerance = FLOAT_TOLERANCE if fmt.float_samples else INTEGER_TOLERANCE
        np.testing.assert_allclose(ours(format_id, planes, overrides), expected.clip(0, 1), rtol=0, atol=tolerance)


@pytest.mark.parametrize("matrix", [matrix for matrix in Matrix if matrix is not Matrix.RGB])
@pytest.mark.parametrize("full", [False, True])
def test_every_matrix_is_what_resize_makes_of_it(matrix: Matrix, full: bool) -> None:
    planes = noise(PixelFormat.from_vs_id(vs.YUV444P10), 33, 17)
    expected = by_resize(vs.YUV444P10, planes, matrix_in=int(matrix), range_in=int(full))
    result = ours(vs.YUV444P10, planes, ColourOverrides(matrix=matrix, range=Range(full)))
    np.testing.assert_allclose(result, expected.clip(0, 1), rtol=0, atol=FLOAT_TOLERANCE)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("format_id", "width", "height"),
    [
        (vs.GRAY8, 641, 361),
        (vs.GRAY16, 33, 17),
        (vs.GRAYS, 1, 1),
        (vs.GRAYH, 33, 17),
        (vs.RGB24, 33, 17),
        (vs.RGB30, 34, 18),
        (vs.RGB48, 2, 2),
        (vs.RGBS, 33, 17),
        (vs.RGBH, 33, 17),
    ],
)
def test_gray_and_rgb_are_what_resize_makes_of_them(format_id: int, width: int, height: int, full: bool) -> None:
    planes = noise(PixelFormat.from_vs_id(format_id), width, height)
    expected = by_resize(format_id, planes, range_in=int(full))
    result = ours(format_id, planes, ColourOverrides(range=Range(full)))
    np.testing.assert_allclose(result, expected.clip(0, 1), rtol=0, atol=FLOAT_TOLERANCE)


def test_linear_light_is_encoded() -> None:
    planes = noise(PixelFormat.from_vs_id(vs.RGBS), 64, 32)
    planes = [plane**4 for plane in planes]  # most of it dark, where the curve has its straight part
    transfers = {"transfer_in": 8, "transfer": 13, "primaries_in": 1, "primaries": 1}
    expected = by_resize(vs.RGBS, planes, approximate_gamma=0, **transfers)
    np.testing.assert_allclose(ours(vs.RGBS, planes, ColourOverrides(), _Transfer=8), expected, rtol=0, atol=2e-5)
    gray = ours(vs.GRAYS, planes[:1], ColourOverrides(), _Transfer=8)
    np.testing.assert_allclose(gray, np.repeat(expected[:1], 3, axis=0), rtol=0, atol=2e-5)


@pytest.mark.parametrize("location", list(ChromaLocation))
@pytest.mark.parametrize("subsampling", [(3, 0), (0, 3), (4, 4), (2, 3)])
def test_a_slope_of_chroma_stays_where_it_is_at_any_subsampling(
    subsampling: tuple[int, int], location: ChromaLocation
) -> None:
    # resize stops at a factor of 4. A slope sampled where the chroma samples are is the slope itself between them.
    fmt = PixelFormat(
        family=Family.YUV, float_samples=True, bits=32, subsampling_w=subsampling[0], subsampling_h=subsampling[1]
    )
    across, down = 1 << subsampling[0], 1 << subsampling[1]
    width, height = 6 * across, 5 * down
    x0, y0 = location.offset(*subsampling)
    slope = lambda x, y: (0.002 * x + 0.003 * y) - 0.2  # noqa: E731
    blue = slope(torch.arange(6)[None] * across + x0, torch.arange(5)[:, None] * down + y0).float()
    planes = [torch.full((height, width), 0.5), blue, torch.zeros_like(blue)]
    colour = Colour(matrix=Matrix.BT709, full_range=True, chroma=location)
    rgb = to_rgb(planes, fmt, colour, width=width, height=height)[0]
    expected = 0.5 + slope(torch.arange(width)[None], torch.arange(height)[:, None]) * 2 * (1 - 0.0722)
    inside = (slice(down, height - down), slice(across, width - across))
    torch.testing.assert_close(rgb[2][inside], expected[inside], rtol=0, atol=2e-6)


@st.composite
def pictures(draw: st.DrawFn) -> tuple[PixelFormat, int, int, list[torch.Tensor], tuple[int, int]]:
    """A format, a size, planes of one value each, a canvas."""
    family = draw(st.sampled_from(list(Family)))
    float_samples = draw(st.booleans())
    fmt = PixelFormat(
        family=family,
        float_samples=float_samples,
        bits=draw(st.sampled_from([16, 32]) if float_samples else st.integers(8, 16)),
        subsampling_w=draw(st.integers(0, 4)) if family is Family.YUV else 0,
        subsampling_h=draw(st.integers(0, 4)) if family is Family.YUV else 0,
    )
    width, height = (draw(st.integers(1, 5)) << log2 for log2 in (fmt.subsampling_w, fmt.subsampling_h))
    values = st.floats(-2, 2, width=16) if float_samples else st.integers(0, int(fmt.peak))
    planes = [
        torch.full(fmt.plane_size(plane, width, height)[::-1], draw(values), dtype=torch.float32).to(dtype_of(fmt))
        for plane in range(fmt.planes)
    ]
    return fmt, width, height, planes, (height + draw(st.integers(0, 9)), width + draw(st.integers(0, 9)))


@settings(deadline=None)
@given(pictures(), st.sampled_from(list(ChromaLocation)), st.booleans(), st.sampled_from([1, 2, 8]))
def test_one_colour_stays_one_colour_on_a_canvas_of_zeros(
    picture: tuple[PixelFormat, int, int, list[torch.Tensor], tuple[int, int]],
    location: ChromaLocation,
    full: bool,
    transfer: int,
) -> None:
    fmt, width, height, planes, canvas = picture
    matrix = Matrix.BT709 if fmt.family is Family.YUV else Matrix.RGB
    colour = Colour(matrix=matrix, full_range=full, chroma=location, transfer=transfer)
    rgb = to_rgb(planes, fmt, colour, width=width, height=height, pad_to=canvas)
    assert rgb.shape == (1, 3, *canvas)
    assert rgb.is_contiguous()
    inside = rgb[0, :, :height, :width]
    # The samples left over when a plane is cut into the processor's vectors may differ in the last bit.
    torch.testing.assert_close(inside, inside[:, :1, :1].expand_as(inside), rtol=0, atol=1e-6)
    assert 0 <= float(rgb.min()) <= float(rgb.max()) <= 1
    assert float(rgb[..., height:, :].abs().sum()) == float(rgb[..., width:].abs().sum()) == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf"), 7.0, -7.0])
@pytest.mark.parametrize("kind", [torch.float16, torch.float32])
@pytest.mark.parametrize("transfer", [2, 8])
def test_bad_floats_stay_where_they_are(bad: float, kind: torch.dtype, transfer: int) -> None:
    bits = 16 if kind is torch.float16 else 32
    for family, spread in ((Family.RGB, 0), (Family.YUV, 0), (Family.YUV, 1), (Family.GRAY, 0)):
        fmt = PixelFormat(family=family, float_samples=True, bits=bits, subsampling_w=spread, subsampling_h=spread)
        colour = Colour(
            matrix=Matrix.BT709 if family is Family.YUV else Matrix.RGB,
            full_range=True,
            chroma=ChromaLocation.LEFT,
            transfer=transfer,
        )
        planes = [torch.full(fmt.plane_size(p, 16, 12)[::-1], 0.25, dtype=kind) for p in range(fmt.planes)]
        good = to_rgb(planes, fmt, colour, width=16, height=12)
        for plane in planes:
            plane[plane.shape[0] // 2, plane.shape[1] // 2] = bad
        rgb = to_rgb(planes, fmt, colour, width=16, height=12)
        assert bool(torch.isfinite(rgb).all())
        assert 0 <= float(rgb.min()) <= float(rgb.max()) <= 1
        changed = (rgb != good).any(dim=1).sum()
        assert 0 < changed <= (16 if spread else 1)
    black = to_rgb([torch.full((2, 3), float("nan"))], PixelFormat.from_vs_id(vs.GRAYS), colour, width=3, height=2)
    assert float(black.abs().max()) == 0


def test_planes_may_have_any_strides() -> None:
    fmt = PixelFormat.from_vs_id(vs.YUV420P10)
    planes = [torch.from_numpy(plane) for plane in noise(fmt, 34, 18)]
    strided = [torch.zeros((p.shape[0], 64), dtype=p.dtype)[:, : p.shape[1]] for p in planes]
    for plane, target in zip(planes, strided, strict=True):
        target.copy_(plane)
    colour = colour_of({}, fmt, 34, 18)
    results = [to_rgb(p, fmt, colour, width=34, height=18, pad_to=(64, 64)) for p in (planes, strided)]
    assert torch.equal(*results)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [each for each in Matrix if each is not Matrix.RGB])
@pytest.mark.parametrize("bits", [16, 32])
def test_a_difference_added_to_the_planes_is_seen(matrix: Matrix, full: bool, bits: int) -> None:
    fmt = PixelFormat(family=Family.YUV, float_samples=bits == 32, bits=bits)
    check_difference(fmt, Colour(matrix=matrix, full_range=full or bits == 32, chroma=ChromaLocation.LEFT))


@pytest.mark.parametrize("transfer", [2, 8])
@pytest.mark.parametrize("family", [Family.RGB, Family.GRAY])
@pytest.mark.parametrize("bits", [12, 32])
def test_a_difference_of_rgb_and_gray_is_seen(family: Family, transfer: int, bits: int) -> None:
    fmt = PixelFormat(family=family, float_samples=bits == 32, bits=bits)
    colour = Colour(matrix=Matrix.RGB, full_range=True, chroma=ChromaLocation.LEFT, transfer=transfer)
    check_difference(fmt, colour)


def check_difference(fmt: PixelFormat, colour: Colour) -> None:
    """Planes of little colour, a change that stays within 0..1, and what is seen of the planes with it added."""
    generator = np.random.default_rng(3)
    unit = 1.0 if fmt.float_samples else fmt.peak
    planes = []
    for plane in range(fmt.planes):
        middle = 0.0 if plane and fmt.family is Family.YUV and fmt.float_samples else 0.5
        planes.append(torch.from_numpy(unit * (middle + generator.uniform(-0.05, 0.05, (18, 34)))))
    kind = torch.float32 if fmt.float_samples else torch.uint16

    def seen(planes: Sequence[torch.Tensor]) -> torch.Tensor:
        codes = [(plane if fmt.float_samples else plane.round()).to(kind) for plane in planes]
        return to_rgb(codes, fmt, colour, width=34, height=18)[0]

    before = seen(planes)
    change = torch.from_numpy(generator.uniform(-0.1, 0.1, before.shape)).float()
    after = before + (change[:1] if fmt.planes == 1 else change)
    assert after.min() > 0.05
    assert after.max() < 0.95
    added = difference(before, after, fmt, colour)
    assert added.shape == (fmt.planes, 18, 34)
    step = 2e-6 if fmt.float_samples else 4 / unit
    assert (seen([plane + more for plane, more in zip(planes, added, strict=True)]) - after).abs().max() < step
    assert not difference(before, before, fmt, colour).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("format_id", [vs.GRAY8, vs.GRAY10, vs.GRAY16, vs.GRAYH, vs.GRAYS])
def test_an_alpha_lays_the_picture_over_black_that_no_colour_of_it_has(format_id: int, dtype: torch.dtype) -> None:
    fmt = PixelFormat.from_vs_id(format_id)
    generator = torch.Generator().manual_seed(1)
    picture = torch.rand((3, 7, 11), generator=generator).to(dtype)
    picture[:, 2:4, 3:6] = 0.0
    weight = torch.rand((7, 11), generator=generator, dtype=torch.float64)
    weight[:2], weight[5:] = 0.0, 1.0
    if fmt.float_samples:
        alpha = weight.to(torch.float16 if fmt.bits == 16 else torch.float32)
        given = alpha.double().clamp(0.0, 1.0)
        alpha[0, :3] = torch.tensor([-0.5, float("nan"), float("-inf")])
        alpha[6, :2] = torch.tensor([1.5, float("inf")])
    else:
        codes = (weight * fmt.peak).round()
        alpha, given = codes.to(torch.uint8 if fmt.bits == 8 else torch.uint16), codes / fmt.peak
    view = torch.full((1, 4, 16, 12), 0.5, dtype=dtype).to(memory_format=torch.channels_last)
    view[0, :3, :7, :11] = picture
    show_alpha(view[:, :3], alpha, fmt)
    expected = (0.25 + 0.75 * picture.double()) * given
    assert (view[0, :3, :7, :11].double() - expected).abs().max() < (1e-6 if dtype == torch.float32 else 1e-3)
    rest = view.clone()
    rest[0, :3, :7, :11] = 0.5
    assert bool((rest == 0.5).all())
