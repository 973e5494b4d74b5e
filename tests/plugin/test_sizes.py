"""Odd sizes, every format, every rate: the new frame lies where it should, sample by sample."""

from fractions import Fraction

import numpy as np
import pytest
import vapoursynth as vs

from vsrife.engine.interpolator import Interpolator

from .clips import samples

core = vs.core
DTYPES = {(vs.INTEGER, 1): np.uint8, (vs.INTEGER, 2): np.uint16, (vs.FLOAT, 2): np.float16, (vs.FLOAT, 4): np.float32}
HALF, SINGLE = "half", "single"


def format_of(family, depth, subsampling=(0, 0)):
    sample, bits = (vs.FLOAT, 16 if depth == HALF else 32) if isinstance(depth, str) else (vs.INTEGER, depth)
    return core.query_video_format(family, sample, bits, *subsampling)


def arrays(format, width, height, seed):
    """Planes of noise over the whole range of the format."""
    rng = np.random.default_rng(seed)
    dtype = DTYPES[format.sample_type, format.bytes_per_sample]
    for plane in range(format.num_planes):
        down, across = (format.subsampling_h, format.subsampling_w) if plane else (0, 0)
        shape = (height >> down, width >> across)
        if format.sample_type == vs.INTEGER:
            yield rng.integers(0, 1 << format.bits_per_sample, shape).astype(dtype)
        else:
            yield rng.uniform(-0.5 if plane and format.color_family == vs.YUV else 0, 1, shape).astype(dtype)


def clip_of(frames, format, width, height, **options):
    """A clip of given planes, one list a frame."""
    blank = core.std.BlankClip(format=format.id, width=width, height=height, length=len(frames), **options)

    def fill(n, f):
        made = f.copy()
        for plane, values in zip(made, frames[n], strict=True):
            np.asarray(plane)[...] = values
        return made

    return blank.std.ModifyFrame(blank, fill)


def rife(clip, model, **options):
    return core.rife.RIFE(clip, model=model, device="cpu", **{"skip": 0, "sc": 0, **options})


def mean(left, right):
    """The average, rounded as the format rounds: integers to even halves, halves to their own grid."""
    exact = (left.astype(np.float64) + right.astype(np.float64)) / 2
    return (np.rint(exact) if left.dtype.kind == "u" else exact.astype(np.float32)).astype(left.dtype)


def check(model, format, width, height, *, multi=2):
    frames = [list(arrays(format, width, height, seed)) for seed in (1, 2, 3)]
    out = rife(clip_of(frames, format, width, height), model, multi=multi)
    assert (out.width, out.height, out.format.id) == (width, height, format.id)
    for n in (1, 3):
        with out.get_frame(n) as frame:
            assert frame.props["RifeKind"] == "interpolated"
            expected = [mean(a, b) for a, b in zip(frames[n // 2], frames[n // 2 + 1], strict=True)]
            for made, right in zip(samples(frame), expected, strict=True):
                if format.sample_type == vs.INTEGER:
                    assert np.array_equal(made, right)
                else:
                    assert np.abs(made.astype(float) - right).max() <= (1e-3 if format.bits_per_sample == 16 else 1e-6)
    with out.get_frame(2) as frame:
        assert all(np.array_equal(a, b) for a, b in zip(samples(frame), frames[1], strict=True))


@pytest.mark.parametrize("depth", [8, 16, HALF, SINGLE])
@pytest.mark.parametrize("family", [vs.GRAY, vs.YUV, vs.RGB], ids=["Gray", "YUV444", "RGB"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (33, 17), (1, 70), (70, 1)])
def test_odd_sizes(average_model, width, height, family, depth):
    check(average_model, format_of(family, depth), width, height)


@pytest.mark.parametrize("depth", [8, 10, SINGLE])
@pytest.mark.parametrize(("width", "height"), [(2, 2), (34, 18), (2, 66)])
def test_small_subsampled_sizes(average_model, width, height, depth):
    check(average_model, format_of(vs.YUV, depth, (1, 1)), width, height)


@pytest.mark.parametrize("depth", [8, 9, 10, 12, 14, 16, HALF, SINGLE])
@pytest.mark.parametrize(
    ("family", "subsampling"), [(vs.GRAY, (0, 0)), (vs.RGB, (0, 0)), (vs.YUV, (1, 1))], ids=["Gray", "RGB", "YUV420"]
)
def test_every_depth(average_model, family, subsampling, depth):
    check(average_model, format_of(family, depth, subsampling), 70, 38)


@pytest.mark.parametrize(
    "subsampling", [(2, 2), (2, 0), (1, 0), (0, 1), (0, 2), (3, 0), (1, 2), (4, 4)], ids="ssw{0[0]}ssh{0[1]}".format
)
def test_every_subsampling(average_model, subsampling):
    across, down = (1 << each for each in subsampling)
    check(average_model, format_of(vs.YUV, 8, subsampling), 5 * across, 7 * down)
    check(average_model, format_of(vs.YUV, SINGLE, subsampling), 3 * across, 3 * down)


def test_large_odd_size(average_model):
    check(average_model, format_of(vs.RGB, 8), 641, 361)


@pytest.mark.parametrize(("width", "height"), [(8192, 8), (8, 8192)])
def test_very_wide_and_very_high(average_model, width, height):
    check(average_model, format_of(vs.YUV, 16, (1, 1)), width, height)


@pytest.mark.parametrize("scale", [0.25, 0.5, 2, 4])
def test_odd_sizes_at_every_scale(moving_model, scale):
    """Padding is the network's own affair at each scale: the output never shrinks, and a flat picture stays flat."""
    format = format_of(vs.RGB, 8)
    flat = [[np.full((17, 33), value, np.uint8) for value in (40, 90, 200)]] * 2
    frame = rife(clip_of(flat, format, 33, 17), moving_model, scale=scale).get_frame(1)
    assert [np.unique(plane).tolist() for plane in samples(frame)] == [[40], [90], [200]]


def wave_frame(format, width, height):
    """Planes of smooth texture."""
    for values in arrays(format, width, height, 5):
        y, x = np.mgrid[: values.shape[0], : values.shape[1]]
        smooth = 0.5 + 0.3 * np.sin(x / 9) * np.cos(y / 7)
        levels = np.rint(smooth * ((1 << format.bits_per_sample) - 1)) if values.dtype.kind == "u" else smooth
        yield levels.astype(values.dtype)


@pytest.mark.parametrize("format", [vs.YUV420P8, vs.YUV420P10, vs.RGB24, vs.GRAY16, vs.RGBS, vs.YUV444PH])
class TestStillPicture:
    def still(self, format, model, **options):
        format = core.get_video_format(format)
        frame = list(wave_frame(format, 70, 50))
        out = core.rife.RIFE(clip_of([frame] * 3, format, 70, 50), multi=4, model=model, device="cpu", sc=0, **options)
        made = [out.get_frame(n) for n in (1, 2, 3, 5)]
        return format, frame, {each.props["RifeKind"] for each in made}, [samples(each) for each in made]

    def test_is_copied_as_it_is(self, average_model, format):
        _, frame, kinds, made = self.still(format, average_model)
        assert kinds == {"duplicate"}
        assert all(np.array_equal(a, b) for planes in made for a, b in zip(planes, frame, strict=True))

    def test_is_the_same_where_nothing_moves(self, average_model, format):
        _, frame, kinds, made = self.still(format, average_model, skip=0)
        assert kinds == {"interpolated"}
        assert all(np.array_equal(a, b) for planes in made for a, b in zip(planes, frame, strict=True))

    def test_does_not_flicker_through_an_official_network(self, official_model, format):
        format, frame, kinds, made = self.still(format, official_model, skip=0)
        assert kinds == {"interpolated"}
        peak = (1 << format.bits_per_sample) - 1 if format.sample_type == vs.INTEGER else 1.0
        for planes in made:
            for new, still in zip(planes, frame, strict=True):
                assert abs(new.astype(float).mean() - still.astype(float).mean()) <= peak / 255
                assert np.abs(new.astype(float) - still).max() <= peak * 0.05


class TestFloatsOutOfRange:
    FORMATS = (
        format_of(vs.RGB, SINGLE),
        format_of(vs.RGB, HALF),
        format_of(vs.YUV, SINGLE, (1, 1)),
        format_of(vs.GRAY, HALF),
    )

    @pytest.mark.parametrize("format", FORMATS, ids=lambda each: each.name)
    def test_highlights_and_negative_light_are_kept(self, average_model, format):
        frames = [list(arrays(format, 34, 18, seed)) for seed in (1, 2)]
        for planes, offset in zip(frames, (3, 5), strict=True):
            for plane in planes:
                plane[:9] += offset
                plane[9:] -= offset
        made = samples(rife(clip_of(frames, format, 34, 18), average_model).get_frame(1))
        for plane, a, b in zip(made, *frames, strict=True):
            assert np.abs(plane.astype(float) - (a.astype(float) + b) / 2).max() < 5e-3

    @pytest.mark.parametrize("format", FORMATS, ids=lambda each: each.name)
    @pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
    def test_one_odd_sample_spoils_no_other(self, average_model, format, odd):
        frames = [list(arrays(format, 70, 38, seed)) for seed in (1, 2)]
        clean = [[plane.copy() for plane in planes] for planes in frames]
        for plane in frames[0]:
            plane[5, 7] = odd
        made = samples(rife(clip_of(frames, format, 70, 38), average_model).get_frame(1))
        for plane, a, b in zip(made, *clean, strict=True):
            assert np.isfinite(plane).all()
            gap = np.abs(plane.astype(float) - (a.astype(float) + b) / 2)
            gap[5, 7] = 0
            assert gap.max() < 2e-3

    @pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
    def test_the_network_does_not_spread_it_either(self, moving_model, odd):
        format = format_of(vs.RGB, SINGLE)
        frames = [list(arrays(format, 70, 38, seed)) for seed in (1, 1)]
        for plane in frames[0]:
            plane[5, 7] = odd
        made = samples(rife(clip_of(frames, format, 70, 38), moving_model).get_frame(1))
        for plane in made:
            assert np.isfinite(plane).all()
            assert plane.std() > 0.1
            assert (np.abs(plane) < 1.5).mean() > 0.99

    def test_a_frame_of_nothing_but_nan_is_black_and_finite(self, moving_model):
        format = format_of(vs.RGB, SINGLE)
        frames = [[np.full((18, 34), value, np.float32)] * 3 for value in (np.nan, 0.5)]
        made = samples(rife(clip_of(frames, format, 34, 18), moving_model).get_frame(1))
        assert all(np.isfinite(plane).all() and plane.min() >= 0 and plane.max() <= 0.5 for plane in made)


RATES = [
    (Fraction(24000, 1001), {"fps_num": 60, "fps_den": 1}, Fraction(1001, 400)),
    (Fraction(50), {"fps_num": 60, "fps_den": 1}, Fraction(6, 5)),
    (Fraction(24), {"multi": 2.5}, Fraction(5, 2)),
    (Fraction(24), {"factor_num": 5, "factor_den": 2}, Fraction(5, 2)),
    (Fraction(60), {"fps_num": 24, "fps_den": 1}, Fraction(2, 5)),
]


@pytest.mark.parametrize(("fps", "options", "ratio"), RATES, ids=lambda value: str(value))
def test_index_and_time_are_exact(average_model, monkeypatch, fps, options, ratio):
    asked = []

    def note(_self, left, right, t, *_into):
        asked.append((left.number, right.number, t))

    monkeypatch.setattr(Interpolator, "interpolate", note)
    source = core.std.BlankClip(
        length=30, width=16, height=16, format=vs.GRAY8, fpsnum=fps.numerator, fpsden=fps.denominator
    )
    out = rife(source, average_model, **options)
    assert out.fps == fps * ratio
    assert len(out) == -(-30 * ratio.numerator // ratio.denominator)
    expected = []
    for n in range(len(out)):
        out.get_frame(n)
        left, rest = divmod(n * ratio.denominator, ratio.numerator)
        if rest and left < 29:
            expected.append((left, left + 1, Fraction(rest, ratio.numerator)))
    assert asked == expected
    assert len(asked) > 4


@pytest.mark.parametrize(("fps", "options", "ratio"), RATES[:3] + RATES[4:], ids=lambda value: str(value))
def test_a_moving_square_moves_steadily(official_model, fps, options, ratio):
    """4.0 on a square that moves 6 pixels a frame: its centre is where the time says, and never goes back."""
    length = 5 if ratio > 1 else 11
    frames = []
    for k in range(length):
        plane = np.full((64, 128), 30, np.uint8)
        plane[20:44, 10 + 6 * k : 34 + 6 * k] = 220
        frames.append([plane])
    format = core.get_video_format(vs.GRAY8)
    clip = clip_of(frames, format, 128, 64, fpsnum=fps.numerator, fpsden=fps.denominator)
    out = rife(clip, official_model, **options)
    x = np.arange(128)
    centres = []
    for n in range(len(out)):
        position = n / ratio
        if position > length - 1:
            break
        weight = samples(out.get_frame(n))[0].astype(float) - 30
        centres.append((weight.sum(0) * x).sum() / weight.sum())
        assert centres[-1] == pytest.approx(21.5 + 6 * float(position), abs=0.5), n
    assert len(centres) >= 5
    assert all(np.diff(centres) > 0)
