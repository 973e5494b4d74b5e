"""Pauses in a clip of varying rate: what is one, and what comes out of core.rife.RIFE."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import vapoursynth as vs

from vsrife.plugin.pauses import DEFAULT_PAUSE, around, share_of, usual_span

from .clips import digest, numbered, samples, textured, with_props

F = Fraction
core = vs.core


def rife(clip, model, **options):
    options.setdefault("skip", 0)
    return core.rife.RIFE(clip, model=model, device="cpu", sc=0, **options)


def lasting(clip, durations):
    named = {k: {"_DurationNum": d.numerator, "_DurationDen": d.denominator} for k, d in enumerate(durations)}
    return with_props(clip, named)


def duration(frame):
    return F(frame.props["_DurationNum"], frame.props["_DurationDen"])


MS = F(1, 1000)


class TestRule:
    @pytest.mark.parametrize(
        ("own", "others", "usual"),
        [
            (4000, [33, 33, 33, 33], 33),
            (4000, [33], 33),
            (500, [40, 60, 42, 40], 40),
            (4000, [4000, 33, 5000, 33], 33),  # two pauses, one after the other
            (4000, [4000, 33], 33),
            (4000, [1, 33, 33, 33], 33),  # one frame that is hardly there is not the usual one
            (200, [33, 33, 33, 33], 33),
            (199, [33, 33, 33, 33], None),
            (250, [100, 100, 100, 100], None),  # not far longer
            (300, [100, 100, 100, 100], 100),
            (2000, [2000, 2000, 2000, 2000], None),  # a slow clip
            (2000, [500, 500, 500, 500], 500),
            (2000, [], None),
            (40, [1, 1, 1, 1], None),
        ],
    )
    def test_what_is_a_pause(self, own, others, usual):
        found = usual_span(own * MS, [other * MS for other in others], DEFAULT_PAUSE)
        assert found == (None if usual is None else usual * MS)

    def test_0_is_never_and_1_second_is_from_there_on(self):
        assert usual_span(F(9), [F(1, 30)], F(0)) is None
        assert usual_span(F(9, 10), [F(1, 30)], F(1)) is None
        assert usual_span(F(1), [F(1, 30)], F(1)) == F(1, 30)

    def test_the_frames_that_are_looked_at(self):
        assert list(around(5, 100)) == [3, 4, 5, 6, 7]
        assert list(around(0, 100)) == [0, 1, 2]
        assert list(around(2, 3)) == [0, 1, 2]

    def test_motion_is_at_the_end_and_even(self):
        own, span = F(4), F(1, 25)
        assert [share_of(t, own, span) for t in (F(0), F(1, 2), F(99, 100))] == [0, 0, 0]
        assert share_of(1 - span / own / 4, own, span) == F(3, 4)


@pytest.mark.parametrize("multi", [2, 2.5, 8, 250])
@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_pause_is_held_and_then_moves_in_the_usual_span(average_model, multi, place):
    spans = [33 * MS] * 8
    spans[place] = 4000 * MS
    source = lasting(numbered(8, fpsnum=30, fpsden=1), spans)
    out = rife(source, average_model, multi=multi)
    ratio = F(multi)
    assert len(out) == -(-8 * ratio.numerator // ratio.denominator)
    assert out.fps == 30 * ratio
    frames = list(out.frames())
    assert sum(map(duration, frames)) == sum(spans)
    for n, frame in enumerate(frames):
        left, t = divmod(n / ratio, 1)
        moving = t > 0 and left < 7 and (left != place or t * 4000 > 4000 - 33)
        kind = "interpolated" if moving else "repeat" if t else "source"
        assert (frame.props["RifeKind"], samples(frame)[0][0, 0]) == (kind, 10 * left + 5 * moving), n


def test_a_pause_moves_as_any_other_frame_does_at_its_end(moving_model):
    """The frame at t = .5 of the usual span is the one at t = .5 of a clip without the pause."""
    spans = [33 * MS] * 4
    plain = rife(lasting(textured(4, 70, 50), spans), moving_model, multi=4)
    spans[1] = 33 * 40 * MS
    out = rife(lasting(textured(4, 70, 50), spans), moving_model, multi=160)
    for quarter in (1, 2, 3):
        a, b = plain.get_frame(4 + quarter), out.get_frame(160 + 156 + quarter)
        assert all(np.array_equal(x, y) for x, y in zip(samples(a), samples(b), strict=True))


def test_times_go_on_through_a_pause(average_model):
    spans = [33 * MS, 33 * MS, 990 * MS, 33 * MS, 33 * MS]
    starts = [float(each) for each in itertools.accumulate(spans, initial=0)]
    source = with_props(lasting(numbered(5), spans), {k: {"_AbsoluteTime": starts[k]} for k in range(5)})
    out = rife(source, average_model, multi=2)
    assert out.get_frame(5).props["RifeKind"] == "repeat"
    assert out.get_frame(5).props["_AbsoluteTime"] == pytest.approx((starts[2] + starts[3]) / 2)


@pytest.mark.parametrize("rate", [(1, 2), (4, 1), (24000, 1001)])
def test_a_constant_rate_is_no_pause_and_asks_for_nothing_more(average_model, rate):
    asked = []
    clip = numbered(6, fpsnum=rate[0], fpsden=rate[1])
    out = rife(clip.std.ModifyFrame(clip, lambda n, f: asked.append(n) or f), average_model, multi=2)
    assert out.get_frame(5).props["RifeKind"] == "interpolated"
    assert sorted(asked) == [2, 3]
    assert digest(rife(clip, average_model, multi=2)) == digest(rife(clip, average_model, multi=2, pause=0))


def test_an_argument_turns_it_off_or_sets_the_length(average_model):
    spans = [33 * MS, 33 * MS, 990 * MS, 33 * MS, 33 * MS]
    source = lasting(numbered(5), spans)
    for pause, kind in ((0, "interpolated"), (1, "interpolated"), (0.99, "repeat"), (0.1, "repeat")):
        assert rife(source, average_model, multi=2, pause=pause).get_frame(5).props["RifeKind"] == kind
    with pytest.raises(vs.Error, match=r"pause \(-1\) must be seconds from 0 to 86400; at 0 no frame is a pause"):
        rife(source, average_model, pause=-1)


def test_a_stream_is_asked_for_no_more_than_it_shows(average_model):
    asked = []
    stream = core.std.BlankClip(length=(1 << 27) - 1, fpsnum=0, fpsden=1, width=64, height=32, format=vs.YUV420P8)

    def long_one(n, f):
        made = f.copy()
        made.props["_DurationNum"], made.props["_DurationDen"] = (4000 if n == 5 else 33), 1000
        asked.append(n)
        return made

    out = rife(stream.std.ModifyFrame(stream, long_one), average_model, multi=2)
    kinds = {n: out.get_frame(n).props["RifeKind"] for n in (10, 11, 13)}
    assert kinds == {10: "source", 11: "repeat", 13: "interpolated"}
    assert sorted(set(asked)) == [5, 6, 7]


def test_any_order_and_any_number_of_threads_give_the_same(moving_model):
    spans = [33 * MS, 500 * MS, 33 * MS, 700 * MS, 900 * MS, 33 * MS, 33 * MS]
    whole = digest(rife(lasting(textured(7), spans), moving_model, multi=40))
    out = rife(lasting(textured(7), spans), moving_model, multi=40)
    order = sorted(range(len(out)), key=lambda n: n * 7919 % 281)
    flying = [(n, out.get_frame_async(n)) for n in order]
    found = {n: [plane.tobytes() for plane in samples(future.result())] for n, future in flying}
    again = digest(out, order)
    assert again == whole
    assert len(found) == len(whole)


def test_a_source_frame_that_fails_beside_a_pause_fails_the_frame_and_no_other(average_model):
    spans = [33 * MS, 33 * MS, 990 * MS, 33 * MS, 33 * MS]

    def broken(n, f):
        if n == 0:
            raise ValueError("cannot be read")
        return f

    source = lasting(numbered(5), spans)
    out = rife(source.std.ModifyFrame(source, broken), average_model, multi=2)
    with pytest.raises(vs.Error):
        out.get_frame(5)
    assert out.get_frame(7).props["RifeKind"] == "interpolated"
