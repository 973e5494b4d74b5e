"""The networks before 4.0 in the engine: against their definition, in every kind of format, at any time."""

import math
import weakref
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from tests.network.legacy.networks import KINDS, PAPER, V3, small
from vsrife.cache import Cache
from vsrife.engine import interpolator as interpolators
from vsrife.engine.backend.synthesis import synthesize
from vsrife.engine.interpolator import Interpolator
from vsrife.engine.networks import Network
from vsrife.engine.picture import Layer, Picture
from vsrife.errors import ArgumentError
from vsrife.formats.colour import LUMA_WEIGHTS, ChromaLocation, Colour, Matrix
from vsrife.formats.pixel_format import Family, PixelFormat
from vsrife.formats.rgb import to_rgb

CPU = torch.device("cpu")
HALF, QUARTER = Fraction(1, 2), Fraction(1, 4)
WIDTH, HEIGHT = 96, 64
RGBS = PixelFormat(family=Family.RGB, float_samples=True, bits=32)
RGB24 = PixelFormat(family=Family.RGB, float_samples=False, bits=8)
GRAYS = PixelFormat(family=Family.GRAY, float_samples=True, bits=32)
YUV444PS = PixelFormat(family=Family.YUV, float_samples=True, bits=32)
YUV420P8 = PixelFormat(family=Family.YUV, float_samples=False, bits=8, subsampling_w=1, subsampling_h=1)
REFINED = [kind for kind in KINDS if kind == "3.1" or (kind in PAPER and PAPER[kind].context)]


@pytest.fixture(autouse=True)
def nothing_left():
    """The cache is the process's, and other tests look into it."""
    yield
    interpolators.drop_cached()


def waves(number, width=WIDTH, height=HEIGHT):
    """float32 RGB [3, h, w] from 0.2 to 0.8, moving with ``number``."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x = x - 3.0 * number
    return torch.stack([0.5 + 0.2 * torch.sin(x / 7 + c) + 0.1 * torch.cos(y / 5 + x / 11 - c) for c in range(3)])


def colour(fmt, matrix=Matrix.BT709, **changes):
    matrix = matrix if fmt.family is Family.YUV else Matrix.RGB
    return Colour(
        **{
            "matrix": matrix,
            "full_range": fmt.family is not Family.YUV or fmt.float_samples,
            "chroma": ChromaLocation.LEFT,
            "transfer": 2,
            **changes,
        }
    )


def picture(planes, fmt, number, meaning=None, alpha=None):
    height, width = planes[0].shape
    layer = Layer(format=fmt, colour=meaning or colour(fmt), views=tuple(planes))
    beside = alpha and Layer(format=alpha[0], colour=colour(alpha[0]), views=(alpha[1],), is_alpha=True)
    return Picture(number=number, width=width, height=height, layers=(layer,) if beside is None else (layer, beside))


def interpolator_of(kind, *, width=WIDTH, height=HEIGHT, scale=1.0, ensemble=False):
    net = Network.of(small(kind), CPU, torch.float32)
    return Interpolator(net, width, height, scale=scale, ensemble=ensemble)


def made(interpolator, left, right, t):
    into = replace(
        left,
        layers=tuple(
            replace(layer, views=tuple(torch.zeros_like(view) for view in layer.views)) for layer in left.layers
        ),
    )
    with torch.inference_mode():
        interpolator.interpolate(left, right, t, into)
    return into


def rgb_pair():
    return [picture(waves(number), RGBS, number) for number in range(2)]


@pytest.mark.parametrize("t", [HALF, QUARTER, Fraction(1, 3)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_of_float_rgb_is_that_of_the_definition(kind, t):
    left, right = rgb_pair()
    with torch.inference_mode():
        expected = small(kind).frame(waves(0)[None], waves(1)[None], t)[0]
    result = torch.stack(made(interpolator_of(kind), left, right, t).image.views)
    assert (expected - waves(0)).abs().max() > 0.01
    # Places are exact in the engine and coordinates over the size in the definition: 1e-5 of white a step, which the
    # random networks of a chain of middles make more of.
    assert (result - expected).abs().max() < (1e-4 if t == HALF or kind == "rife_m" else 3e-3)


@pytest.mark.parametrize(("kind", "scale"), [("rife", 0.5), ("3.1", 0.5), ("3.8", 2.0)])
def test_scales(kind, scale):
    frames = [waves(number, 128, 64) for number in range(2)]
    with torch.inference_mode():
        expected = small(kind).frame(frames[0][None], frames[1][None], HALF, scale=scale)[0]
    interpolator = interpolator_of(kind, width=128, height=64, scale=scale)
    pair = [picture(frame, RGBS, number) for number, frame in enumerate(frames)]
    result = torch.stack(made(interpolator, *pair, HALF).image.views)
    assert (result - expected).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["rife", "rife_m", "3.8"])
def test_the_ensemble_is_that_of_the_definition(kind):
    left, right = rgb_pair()
    with torch.inference_mode():
        expected, plain = (small(kind).frame(waves(0)[None], waves(1)[None], HALF, ensemble=each) for each in (1, 0))
    result = torch.stack(made(interpolator_of(kind, ensemble=True), left, right, HALF).image.views)
    assert (result - expected[0]).abs().max() < 1e-4
    assert (expected - plain).abs().max() > 1e-3


def test_an_average_of_two_pictures_is_rounded_once():
    """Each of two would be rounded for itself otherwise, and their mean be off by up to a whole code value."""
    codes = [(255 * waves(number)).round() for number in range(2)]
    exact = made(
        interpolator_of("rife", ensemble=True), *(picture(c / 255, RGBS, n) for n, c in enumerate(codes)), HALF
    )
    bytes_ = made(
        interpolator_of("rife", ensemble=True), *(picture(c.byte(), RGB24, n) for n, c in enumerate(codes)), HALF
    )
    difference = torch.stack(bytes_.image.views) - 255 * torch.stack(exact.image.views)
    assert 0.4 < difference.abs().max() < 0.501


def to_yuv(rgb, matrix):
    if matrix is Matrix.YCGCO:
        red, green, blue = rgb
        return torch.stack((red / 4 + green / 2 + blue / 4, green / 2 - red / 4 - blue / 4, red / 2 - blue / 2))
    kr, kb = LUMA_WEIGHTS[matrix]
    luma = kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2]
    return torch.stack((luma, (rgb[2] - luma) / (2 - 2 * kb), (rgb[0] - luma) / (2 - 2 * kr)))


@pytest.mark.parametrize("matrix", [Matrix.BT709, Matrix.BT2020NCL, Matrix.YCGCO])
@pytest.mark.parametrize("kind", REFINED)
def test_what_is_drawn_reaches_the_planes_of_yuv(kind, matrix):
    meaning = colour(YUV444PS, matrix)
    pair = [picture(to_yuv(waves(number), matrix), YUV444PS, number, meaning) for number in range(2)]
    planes = made(interpolator_of(kind), *pair, HALF).image.views
    seen = to_rgb(planes, YUV444PS, meaning, width=WIDTH, height=HEIGHT)[0]
    with torch.inference_mode():
        expected = small(kind).frame(waves(0)[None], waves(1)[None], HALF)[0]
    assert (seen - expected).abs().max() < 2e-4


@pytest.mark.parametrize("kind", ["rife", "rife_large_2r", "3.1", "3.5"])
@pytest.mark.parametrize("size", [(90, 50), (34, 18), (2, 2), (130, 68)], ids=str)
def test_any_size_and_subsampled_planes(kind, size):
    """Bytes of 4:2:0 differ from the same frames of floats in their rounding alone."""
    width, height = size
    luma = [(200 * waves(number, width, height)[0]).round() for number in range(2)]
    chroma = [(200 * waves(number, width // 2, height // 2)[1:]).round() for number in range(2)]
    floats = PixelFormat(family=Family.YUV, float_samples=True, bits=32, subsampling_w=1, subsampling_h=1)
    bytes_, numbers = [], []
    for number in range(2):
        planes = [luma[number], *chroma[number]]
        meaning = colour(YUV420P8, full_range=True)
        bytes_.append(picture([plane.byte() for plane in planes], YUV420P8, number, meaning))
        offsets = (0, 128, 128)
        exact = [(plane - zero) / 255 for plane, zero in zip(planes, offsets, strict=True)]
        numbers.append(picture(exact, floats, number))
    codes = made(interpolator_of(kind, width=width, height=height), *bytes_, HALF).image.views
    exact = made(interpolator_of(kind, width=width, height=height), *numbers, HALF).image.views
    for plane, other, zero in zip(codes, exact, (0, 128, 128), strict=True):
        assert (plane - (255 * other + zero).clamp(0, 255)).abs().max() < 0.51


def drawing(amount):
    """A network that moves nothing it can help, and adds ``amount`` of white everywhere."""
    net = small("rife")
    for key, value in net.named_parameters():
        if ".lastconv." in key or key.startswith("unet.conv."):
            value.data.zero_()
    net.get_parameter("unet.conv.bias").data.fill_(math.log((1 + amount) / (1 - amount)))
    return Interpolator(Network.of(net, CPU, torch.float32), WIDTH, HEIGHT, scale=1.0, ensemble=False)


@pytest.mark.parametrize(("value", "amount", "expected"), [(3.5, 0.9, 3.5), (0.25, 0.9, 1.0), (0.25, 0.5, 0.75)])
def test_what_is_drawn_ends_at_white_and_highlights_stay(value, amount, expected):
    planes = torch.full((3, HEIGHT, WIDTH), value)
    result = made(drawing(amount), picture(planes, RGBS, 0), picture(planes, RGBS, 1), HALF)
    assert torch.allclose(torch.stack(result.image.views), torch.tensor(expected), atol=1e-5)


def test_linear_light_is_drawn_upon_as_it_is_seen():
    """0.5 of sRGB is 0.2140 of light, 0.8 is 0.6038 (IEC 61966-2-1)."""
    planes, linear = torch.full((3, HEIGHT, WIDTH), 0.21404), colour(RGBS, transfer=8)
    result = made(drawing(0.3), picture(planes, RGBS, 0, linear), picture(planes, RGBS, 1, linear), HALF)
    assert torch.allclose(torch.stack(result.image.views), torch.tensor(0.60383), atol=1e-4)


@pytest.mark.parametrize(
    ("limited", "added"), [(False, (51.0, 0.0, 0.0)), (True, (43.8, 0.0, 0.0))], ids=["full", "limited"]
)
def test_what_is_drawn_is_in_the_code_values_of_the_range(limited, added):
    planes = [torch.full((HEIGHT >> n, WIDTH >> n), 100, dtype=torch.uint8) for n in (0, 1, 1)]
    meaning = colour(YUV420P8, full_range=not limited)
    result = made(drawing(0.2), picture(planes, YUV420P8, 0, meaning), picture(planes, YUV420P8, 1, meaning), HALF)
    # Some of the colour may lie beyond RGB's 0..1, where nothing more can be drawn: 100 in all planes does not.
    for plane, more in zip(result.image.views, added, strict=True):
        assert (plane == round(100 + more)).all()


@pytest.mark.parametrize("kind", REFINED)
@pytest.mark.parametrize("size", [(1, 1), (33, 17), (90, 50)], ids=str)
def test_what_is_drawn_at_the_edge_knows_no_black_beyond_it(kind, size):
    """Nothing is lighter than white: the network's view is merged as the planes are, without the canvas' padding."""
    planes = torch.full((3, size[1], size[0]), 0.8)
    pair = [picture(planes, RGBS, number) for number in range(2)]
    result = torch.stack(made(interpolator_of(kind, width=size[0], height=size[1]), *pair, HALF).image.views)
    assert result.isfinite().all()
    assert result.min() >= -1e-5
    assert result.max() <= 1 + 1e-5


def test_alpha_is_moved_but_not_drawn_upon():
    grays = [waves(number)[0] for number in range(2)]
    alphas = [waves(number)[1] for number in range(2)]
    result = made(
        interpolator_of("rife"), *(picture([grays[n]], GRAYS, n, alpha=(GRAYS, alphas[n])) for n in range(2)), HALF
    )
    with torch.inference_mode():
        (prediction,) = small("rife").interpolate(*(gray.expand(1, 3, -1, -1) for gray in grays))
    size = {"width": WIDTH, "height": HEIGHT}
    moved = [synthesize(planes[:1], planes[1:], prediction.motion, GRAYS, **size)[0] for planes in (alphas, grays)]
    assert torch.allclose(result.layers[1].views[0], moved[0], atol=1e-5)
    assert (result.image.views[0] - moved[1]).abs().max() > 0.05


@pytest.mark.parametrize("t", [HALF, QUARTER], ids=str)
@pytest.mark.parametrize("kind", ["rife", "rife_m", "3.8"])
def test_a_picture_seen_by_its_alpha_is_moved_by_what_is_seen_and_not_drawn_upon(kind, t):
    """A plain picture: all that moves is in its alpha."""
    plain = torch.full((HEIGHT, WIDTH), 0.5)
    alphas = [waves(number)[1] for number in range(2)]
    pair = [replace(picture([plain], GRAYS, n, alpha=(GRAYS, alphas[n])), see_through=True) for n in range(2)]
    result = made(interpolator_of(kind), *pair, t)
    assert torch.equal(result.image.views[0], plain)  # nothing of the black is drawn onto it
    seen = [picture([alpha * (0.25 + 0.75 * 0.5)], GRAYS, n, alpha=(GRAYS, alpha)) for n, alpha in enumerate(alphas)]
    expected = made(interpolator_of(kind), *seen, t)
    if t == HALF or kind == "rife_m":
        assert torch.allclose(result.layers[1].views[0], expected.layers[1].views[0], atol=1e-5)
    unseen = made(interpolator_of(kind), *(replace(each, see_through=False) for each in pair), t)
    assert (result.layers[1].views[0] - unseen.layers[1].views[0]).abs().max() > 0.01


@pytest.mark.parametrize("kind", ["3.1", "3.5", "3.8", "rife"])
def test_four_times_is_twice_of_twice_to_the_bit(kind):
    codes = [(255 * waves(number, 90, 50)).byte() for number in range(2)]
    left, right = (picture(codes[number], RGB24, number) for number in range(2))
    four = interpolator_of(kind, width=90, height=50)
    middle = made(interpolator_of(kind, width=90, height=50), left, right, HALF)
    again = interpolator_of(kind, width=90, height=50)
    for t, pair in ((QUARTER, (left, replace(middle, number=7))), (3 * QUARTER, (replace(middle, number=7), right))):
        twice = made(again, *pair, HALF)
        assert all(map(torch.equal, made(four, left, right, t).image.views, twice.image.views))


@pytest.fixture
def runs(monkeypatch):
    """How often a network is run."""
    count = []
    plain = interpolators.LegacyEstimator.field

    def counted(self, *arguments):
        count.append(1)
        return plain(self, *arguments)

    monkeypatch.setattr(interpolators.LegacyEstimator, "field", counted)
    return count


@pytest.mark.parametrize(
    ("kind", "times", "expected"),
    [("3.8", (1, 2, 3), 3), ("3.8", (3, 1, 2), 3), ("rife", (2,), 1), ("rife_m", (1,), 1)],
)
def test_no_middle_is_made_twice(kind, times, expected, runs):
    interpolator, pair = interpolator_of(kind), rgb_pair()
    for t in times:
        made(interpolator, *pair, Fraction(t, 4))
    assert len(runs) == expected


def test_middles_are_dropped_with_their_interpolator_and_belong_to_their_pair():
    interpolator = interpolator_of("3.8")
    pictures = [picture(waves(number), RGBS, number) for number in range(3)]
    first = made(interpolator, pictures[0], pictures[1], QUARTER)
    second = made(interpolator, pictures[1], pictures[2], QUARTER)
    assert not torch.equal(first.image.views[0], second.image.views[0])
    kept = [key for key in interpolators.cached_sources._values if key.serial == interpolator._serial]
    assert {key.time for key in kept} == {0, QUARTER, HALF}
    interpolator.close()
    assert not [key for key in interpolators.cached_sources._values if key.serial == interpolator._serial]


def test_a_frame_that_ends_after_its_interpolator_leaves_nothing_behind(monkeypatch):
    interpolator, pair = interpolator_of("3.8"), rgb_pair()
    plain = interpolators.LegacyEstimator.field

    def closing(self, *arguments):
        interpolator.close()
        return plain(self, *arguments)

    monkeypatch.setattr(interpolators.LegacyEstimator, "field", closing)
    made(interpolator, *pair, QUARTER)
    assert not [key for key in interpolators.cached_sources._values if key.serial == interpolator._serial]


@pytest.mark.parametrize(("kind", "expected"), [("3.8", 4), ("rife_m", 2)])
def test_a_frame_holds_what_it_was_made_of_until_it_is_done(kind, expected, monkeypatch):
    """A device may still read it then, and the cache may have dropped it: here it keeps nothing."""
    made_of, alive = [], []
    pack, release = Interpolator.pack, interpolators.release

    def noted(self, *arguments):
        packed = pack(self, *arguments)
        made_of.append(weakref.ref(packed))
        return packed

    def counted(*arguments):
        alive.append(sum(each() is not None for each in made_of))
        release(*arguments)

    monkeypatch.setattr(interpolators, "cached_sources", Cache(0, at_least=lambda: 0))
    monkeypatch.setattr(Interpolator, "pack", noted)
    monkeypatch.setattr(interpolators, "release", counted)
    made(interpolator_of(kind), *rgb_pair(), QUARTER)
    # A quarter is the middle of the left frame and the half, which is the middle of both frames.
    assert alive == [len(made_of)]
    assert len(made_of) >= expected
    assert not any(each() is not None for each in made_of)


@pytest.mark.parametrize("kind", ["3.1", "3.5"])
def test_an_ensemble_where_there_is_none_is_an_error(kind):
    with pytest.raises(ArgumentError, match=r"ensemble \(1\) must be 0 for this model"):
        interpolator_of(kind, ensemble=True)


def test_every_kind_is_covered():
    assert {"rife", "rife_m", "rife_large_2r"} <= set(PAPER)
    assert {"3.1", "3.5", "3.8"} == set(V3)
