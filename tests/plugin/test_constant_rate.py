"""cfr=1: a clip of varying rate becomes one of a constant rate, every frame right in time."""

import itertools
from fractions import Fraction
from math import ceil

import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given, settings
from hypothesis import strategies as st

import vsrife
from vsrife.errors import ArgumentError
from vsrife.plugin.constant_rate import ConstantRateTiming
from vsrife.plugin.pauses import DEFAULT_PAUSE, around, share_of, usual_span

from .clips import digest, numbered, samples, scene, textured, with_props
from .test_pauses import duration, lasting

F = Fraction
core = vs.core
PHONE = [F(40, 1000), F(60, 1000), F(417, 10000)]


def rife(clip, model, **options):
    options.setdefault("skip", 0)
    options.setdefault("sc", 0)
    return core.rife.RIFE(clip, model=model, device="cpu", cfr=1, **options)


def expected(source, time):
    """Left frame, and how far on, of a clip of these durations at ``time``, its pauses held."""
    starts = list(itertools.accumulate(source, initial=F(0)))
    left = max(k for k in range(len(source)) if starts[k] <= time)
    if left + 1 == len(source):
        return left, F(0)
    own = source[left]
    t = (time - starts[left]) / own
    near = [source[k] for k in around(left, len(source)) if k != left]
    span = usual_span(own, near, DEFAULT_PAUSE)
    return left, t if span is None else share_of(t, own, span)


class TestArithmetic:
    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(
            st.builds(F, st.integers(1, 5000), st.sampled_from([1000, 90000, 24000, 15360, 1_000_003])), min_size=1
        ),
        st.sampled_from([F(60), F(24000, 1001), F(60000, 1001), F(7, 3), F(1000)]),
    )
    def test_every_output_shows_its_own_time(self, source, rate):
        timing = ConstantRateTiming(rate, source, fps=None, cause="fps_num (60)")
        starts = list(itertools.accumulate(source, initial=F(0)))
        assert timing.length in (ceil(starts[-1] * rate), ceil((starts[-1] + F(1, 10**9)) * rate))
        before = F(0)
        for n in range(min(timing.length, 300)):
            moment = timing.at(n)
            own = source[moment.left]
            shown = starts[moment.left] + moment.t * own
            assert abs(shown - n / rate) <= F(5, 8000) + F(1, 10**9), n
            assert shown >= before
            assert moment.right in (None, moment.left + 1)
            assert (moment.right is None) == (moment.t == 0 or moment.left + 1 == len(source))
            assert timing.duration(n, lambda _: None) == 1 / rate
            needed = timing.needs(n, scenes=False)
            assert list(needed) == [moment.left, *([moment.right] if moment.right else [])]
            assert set(needed) <= set(timing.needs(n, scenes=True))
            before = shown
        arrived = [k for n in range(timing.length) for k in timing.boundaries_before(n)] if timing.length < 500 else []
        assert arrived == list(range(len(arrived)))

    def test_a_constant_clip_in_milliseconds_passes_its_frames_on(self):
        exact = [F(k * 1001, 24000) for k in range(200)]
        rounded = [F(round(1000 * time), 1000) for time in exact]
        source = [b - a for a, b in itertools.pairwise(rounded)]
        timing = ConstantRateTiming(F(24000, 1001), source, fps=None, cause="")
        assert [timing.at(n)[:2] for n in range(199)] == [(n, None) for n in range(199)]
        double = ConstantRateTiming(F(48000, 1001), source, fps=None, cause="")
        assert [double.at(2 * n)[:2] for n in range(199)] == [(n, None) for n in range(199)]
        assert all(abs(double.at(2 * n + 1).t - F(1, 2)) < F(1, 40) for n in range(198))

    def test_two_hours_end_where_they_should(self):
        source = [F(1001, 24000), F(1001, 30000), F(417, 10000)] * 60_000
        timing = ConstantRateTiming(F(60), source, fps=None, cause="")
        assert timing.length == ceil(sum(source) * 60)
        assert timing.at(timing.length - 1).left == len(source) - 1

    def test_wild_durations_do_not_overflow(self):
        source = [F(2**31 - 1, 3), F(1, 2**31 - 1), F(10**9), F(7, 10**9 + 7)]
        timing = ConstantRateTiming(F(1, 1000), source, fps=None, cause="")
        assert timing.length == ceil(sum(source) / 1000)
        with pytest.raises(ArgumentError, match=r"fps_num \(60\) must make at most 2147483647 frames of \d"):
            ConstantRateTiming(F(60), source, fps=None, cause="fps_num (60)")


@pytest.mark.parametrize("fps", [(60, 1), (60000, 1001), (25, 1), (10, 1)])
def test_a_phone_clip_with_a_pause_becomes_constant_and_right_in_time(average_model, moving_model, fps):
    """40, 60 and 41.7 ms, and one frame of 4 s."""
    spans = PHONE * 5 + [F(4)] + PHONE * 3
    rate = F(*fps)
    clip = lasting(numbered(len(spans), fpsnum=21, fpsden=1), spans)
    out = rife(clip, average_model, fps_num=fps[0], fps_den=fps[1])
    assert out.fps == rate
    assert len(out) == ceil(sum(spans) * rate)
    for n, frame in enumerate(out.frames()):
        left, t = expected(spans, n / rate)
        assert duration(frame) == 1 / rate
        level = samples(frame)[0][0, 0]
        between = 0 < t < 1
        near = min(t, 1 - t) * spans[left] <= F(5, 8000)  # a source frame passed on, early or late by less than 1 ms
        assert level == (10 * left + 5 * between) % 256 or (
            near and level in (10 * left % 256, (10 * left + 10) % 256)
        ), n
    assert out.get_frame(len(out) - 1).props["RifeKind"] in ("repeat", "source")


def test_between_frames_the_motion_is_that_of_the_time(moving_model):
    """Of a clip of 1/10 s a frame, and the same pictures of uneven lengths: equal where their times in a frame are."""
    clip = textured(4, 70, 50)
    even = core.rife.RIFE(lasting(clip, [F(1, 10)] * 4), model=moving_model, device="cpu", sc=0, skip=0, multi=4)
    uneven = rife(lasting(clip, [F(1, 10), F(2, 10), F(1, 10), F(1, 10)]), moving_model, fps_num=20, fps_den=1)
    for n, same in {0: 0, 1: 2, 2: 4, 3: 5, 4: 6, 5: 7, 6: 8, 7: 10, 8: 12}.items():
        a, b = uneven.get_frame(n), even.get_frame(same)
        assert a.props["RifeKind"] == b.props["RifeKind"]
        assert all(np.array_equal(x, y) for x, y in zip(samples(a), samples(b), strict=True)), n


def test_any_order_and_a_new_filter_give_the_same(moving_model):
    clip = lasting(textured(9), PHONE * 3)
    out = rife(clip, moving_model, fps_num=60, fps_den=1)
    whole = digest(out)
    flying = [(n, out.get_frame_async(n)) for n in reversed(range(len(out)))]
    for _, future in flying:
        future.result()
    assert digest(rife(clip, moving_model, fps_num=60, fps_den=1), sorted(whole, key=lambda n: n * 7 % 11)) == whole


def test_scenes_are_marked_on_the_new_timeline(average_model):
    spans = [F(40, 1000), F(60, 1000), F(417, 10000)] * 2
    out = rife(lasting(scene(1) + scene(2), spans), average_model, fps_num=60, fps_den=1, sc=1)
    cut = sum(spans[:3]) * 60
    marks = [(f.props.get("_SceneChangePrev"), f.props.get("_SceneChangeNext")) for f in out.frames()]
    assert [n for n, (_, after) in enumerate(marks) if after == 1] == [ceil(cut) - 1]
    assert [n for n, (before, _) in enumerate(marks) if before == 1] == [ceil(cut)]


def test_a_clip_without_a_rate_and_a_last_frame_without_a_duration(average_model):
    clip = lasting(numbered(4, fpsnum=0, fpsden=1), [F(1, 20)] * 4)
    out = rife(clip, average_model, fps_num=40, fps_den=1)
    assert (len(out), out.fps) == (8, 40)
    bare = with_props(clip, {3: {"_DurationNum": None, "_DurationDen": None}})
    assert len(rife(bare, average_model, fps_num=40, fps_den=1)) == 8
    known = with_props(numbered(4, fpsnum=10, fpsden=1), {3: {"_DurationNum": 0}})
    assert len(rife(known, average_model, fps_num=20, fps_den=1)) == 8
    assert len(rife(with_props(numbered(1), {0: {"_DurationNum": 0}}), average_model, fps_num=48, fps_den=1)) == 2


def test_it_reads_each_frame_once_and_then_only_what_it_shows(average_model):
    asked = []
    clip = numbered(6)
    out = rife(clip.std.ModifyFrame(clip, lambda n, f: asked.append(n) or f), average_model, fps_num=48, fps_den=1)
    assert asked == list(range(6))
    asked.clear()
    assert out.get_frame(4).props["RifeKind"] == "source"
    assert set(asked) <= {2}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, r"cfr \(1\) must come with fps_num and fps_den, the constant rate to make"),
        ({"multi": 2}, r"cfr \(1\) must come with fps_num and fps_den"),
        ({"factor_num": 5, "factor_den": 2}, r"cfr \(1\) must come with fps_num and fps_den"),
        ({"fps_num": 60, "fps_den": 1, "multi": 2}, r"multi \(2\) and fps_num \(60\) must not be passed together"),
    ],
)
def test_a_rate_is_needed(average_model, options, text):
    with pytest.raises(vs.Error, match=f"RIFE: {text}"):
        rife(numbered(3), average_model, **options)


def test_what_cannot_be_made_constant_is_one_line(average_model):
    rate = {"fps_num": 60, "fps_den": 1}
    stream = core.std.BlankClip(length=(1 << 27) - 1, fpsnum=25, fpsden=1, width=64, height=32, format=vs.YUV420P8)
    with pytest.raises(
        vs.Error, match=r"RIFE: cfr \(1\) must come with a clip of known length, .* \(134217727 frames\)"
    ):
        rife(stream, average_model, **rate)
    with pytest.raises(vs.Error, match=r"RIFE: cfr \(1\) must come with .* durations, and source frame 1 has none"):
        rife(with_props(numbered(4), {1: {"_DurationNum": None}}), average_model, **rate)

    def broken(n, f):
        if n == 2:
            raise ValueError("cannot be read")
        return f

    with pytest.raises(vs.Error, match=r"RIFE: source frame 2: .*cannot be read"):
        rife(numbered(4).std.ModifyFrame(numbered(4), broken), average_model, **rate)


def test_the_typed_call_takes_it(average_model):
    out = vsrife.RIFE(numbered(4), fps_num=48, fps_den=1, cfr=True, model=average_model, device="cpu")
    assert (len(out), out.fps) == (8, 48)
