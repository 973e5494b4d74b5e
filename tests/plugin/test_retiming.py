"""retime=1: held drawings become even motion, all else stays as it is."""

import subprocess
from collections import Counter
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given, settings
from hypothesis import strategies as st

import vsrife
from tests.conftest import ROOT
from vsrife.scene.retiming import Run, longest_run, progress, run_at, window

from .clips import digest, samples, scene, textured, with_props
from .test_pauses import duration, lasting

F = Fraction
core = vs.core
DATA = ROOT.parent / "shared" / "data"


def drawn(held, width=70, height=50, format=vs.YUV420P8, step=3, **rate):
    """A clip whose frame n shows drawing held[n], which is that frame of `textured`."""
    drawings = textured(max(held) + 1, width, height, format, step, **rate)
    return core.std.Splice([drawings[k] for k in held])


def rife(clip, model, **options):
    options.setdefault("multi", 1)
    options.setdefault("retime", 1)
    options.setdefault("sc", 0)
    return core.rife.RIFE(clip, model=model, device="cpu", **options)


def kinds(clip):
    return [str(frame.props["RifeKind"]) for frame in clip.frames()]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(samples(a), samples(b), strict=True))


def runs_of(held):
    """(first, after) of each drawing."""
    found, at = [], 0
    for _, group in groupby(held):
        length = len(list(group))
        found.append((at, at + length))
        at += length
    return found


def found(differences, longest=4):
    """run_at of each frame of a clip whose pairs differ by these mean squares, of 255."""
    shares = {k: each / 255**2 for k, each in enumerate(differences)}
    frames = len(differences) + 1
    return [run_at(n, longest, frames, {k: shares[k] for k in window(n, longest, frames)}) for n in range(frames)]


class TestRule:
    def test_the_longest_run_is_a_sixth_of_a_second(self):
        rates = {None: 4, F(12): 4, F(24000, 1001): 4, F(25): 4, F(30): 5, F(50): 8, F(60): 10, F(240): 10}
        assert {fps: longest_run(fps) for fps in rates} == rates

    def test_twos_threes_and_a_mixture(self):
        assert found([0, 90, 0, 90, 0]) == [(0, 2), (0, 2), (2, 4), (2, 4), None, None]
        assert found([0, 0, 90, 0, 0, 90, 0, 0])[:6] == [(0, 3)] * 3 + [(3, 6)] * 3
        assert found([0, 90, 0, 0, 90, 0, 90, 0, 0]) == [(0, 2)] * 2 + [(2, 5)] * 3 + [(5, 7)] * 2 + [None] * 3

    def test_noise_of_a_coder_is_no_motion(self):
        runs = found([40, 400, 7, 900, 100, 500, 0, 410, 90])
        assert runs == [(0, 2)] * 2 + [(2, 4)] * 2 + [(4, 6)] * 2 + [(6, 8)] * 2 + [None] * 2

    def test_a_film_on_ones_has_no_runs(self):
        strobe = [9000, 300, 500, 9000, 400, 500, 9000]
        for differences in ([90] * 12, [90, 30] * 4, strobe, [0] * 12, [5, 0] * 6):
            assert set(found(differences)) == {None}

    def test_a_run_alone_is_left(self):
        assert set(found([90, 90, 90, 0, 90, 90, 90, 90])) == {None}
        assert set(found([90] * 4 + [0] + [90] * 4 + [0, 0] + [90] * 5)) == {None}

    def test_a_pause_is_none(self):
        pause = [0, 90, 0, 90, *[0] * 7, 90, 0, 90, 0, 90]
        assert found(pause)[:4] == [(0, 2)] * 2 + [(2, 4)] * 2
        assert found(pause)[4:12] == [None] * 8
        noisy = [0, 900, 0, 900, 0, 0, 5, 0, 6, 0, 5, 0, 900, 0, 900, 0, 900]
        assert found(noisy)[4:13] == [None] * 9

    @settings(deadline=None, max_examples=150)
    @given(st.lists(st.integers(0, 500), min_size=1, max_size=40), st.integers(2, 6))
    def test_all_frames_of_a_run_agree_on_it(self, differences, longest):
        for n, run in enumerate(found(differences, longest)):
            if run is not None:
                assert run.first <= n < run.after <= run.first + longest
                assert {found(differences, longest)[k] for k in range(*run)} == {run}

    def test_progress_is_by_the_frames_own_lengths(self):
        lengths = {4: F(1, 10), 5: F(3, 10)}
        assert progress(Run(4, 6), 4, F(1, 2), lengths.get) == F(1, 8)
        assert progress(Run(4, 6), 5, F(1, 3), lengths.get) == F(1, 2)
        assert progress(Run(4, 7), 5, F(1, 2), lengths.get) == F(1, 2)  # one has none: all alike


PATTERNS = {
    "twos": [0, 0, 1, 1, 2, 2, 3, 3, 4, 4],
    "threes": [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3],
    "fours": [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2],
    "mixed": [0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4],
}


@pytest.mark.parametrize(
    ("multi", "format"),
    [(1, vs.YUV420P8), (2, vs.YUV444P10), (2.5, vs.RGBS), (0.5, vs.GRAY16), (1.5, vs.YUV420P8)],
)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_drawings_become_even_motion(moving_model, pattern, format, multi):
    """Each output is, to the bit, what RIFE makes of the drawings themselves at its time."""
    held, ratio = PATTERNS[pattern], F(multi)
    clip = drawn(held, format=format)
    out = rife(clip, moving_model, multi=multi)
    assert (len(out), out.fps) == (-(-len(held) * ratio.numerator // ratio.denominator), 24 * ratio)
    last = held[-1]
    checked = 0
    for n, frame in enumerate(out.frames()):
        left, t = divmod(n / ratio, 1)
        first, after = next(run for run in runs_of(held) if run[0] <= left < run[1])
        on = (left + t - first) / (after - first)
        assert duration(frame) == min(1 / ratio, len(held) - n / ratio) / 24
        if held[left] == last or on == 0:
            assert same(frame, clip.get_frame(left))
            assert frame.props["RifeKind"] in ("source", "repeat", "duplicate")
        else:
            assert frame.props["RifeKind"] == "interpolated"
            if checked < 6:
                checked += 1
                pair = textured(last + 1, 70, 50, format, 3)[held[left] : held[left] + 2]
                alone = core.rife.RIFE(pair, multi=on.denominator, model=moving_model, device="cpu", sc=0, skip=0)
                assert same(frame, alone.get_frame(on.numerator)), n


def test_a_pause_stays_and_moves_as_without(moving_model):
    held = [0, 0, 1, 1, *[2] * 9, 3, 3, 4, 4, 5, 5]
    for multi in (1, 2, 3):
        out, plain = (rife(drawn(held), moving_model, multi=multi, retime=retime) for retime in (1, 0))
        for n in range(4 * multi, 13 * multi):
            assert same(out.get_frame(n), plain.get_frame(n))
            assert out.get_frame(n).props["RifeKind"] == plain.get_frame(n).props["RifeKind"]
        assert out.get_frame(multi).props["RifeKind"] == out.get_frame(14 * multi).props["RifeKind"] == "interpolated"


def test_a_film_on_ones_is_left_as_it_is(moving_model):
    clip = textured(12, 70, 50)
    slow = textured(12, 70, 50, step=0.25)
    repeated = core.std.Splice([clip[:5], clip[4], clip[5:]])  # a frame that a recorder made twice
    for film in (clip, slow, repeated, core.std.Loop(clip[0], 8)):
        assert digest(rife(film, moving_model)) == digest(film)
        for multi in (2, 2.5):
            assert digest(rife(film, moving_model, multi=multi)) == digest(
                rife(film, moving_model, multi=multi, retime=0)
            )


@pytest.mark.parametrize("sc", [0, 1])
def test_a_cut_ends_a_run(moving_model, sc):
    """The last drawing before a cut stays, with the properties' word or the detector's."""
    before, after = scene(1, 3), scene(2, 3)
    clip = core.std.Splice([each[k // 2] for each in (before, after) for k in range(6)])
    if not sc:
        clip = with_props(clip, {5: {"_SceneChangeNext": 1}, 6: {"_SceneChangePrev": 1}})
        clip = with_props(
            clip, {n: {"_SceneChangeNext": 0, "_SceneChangePrev": 0} for n in (0, 1, 2, 3, 4, 7, 8, 9, 10, 11)}
        )
    out = rife(clip, moving_model, sc=1)
    assert (
        kinds(out) == ["source", "interpolated"] * 2 + ["source"] * 2 + ["source", "interpolated"] * 2 + ["source"] * 2
    )
    assert digest(out)[5] == digest(clip)[5]
    for multi in (1, 2):
        marks = [
            (f.props.get("_SceneChangePrev"), f.props.get("_SceneChangeNext"))
            for f in rife(clip, moving_model, multi=multi, sc=1).frames()
        ]
        assert [n for n, (_, ends) in enumerate(marks) if ends == 1] == [6 * multi - 1]
        assert [n for n, (starts, _) in enumerate(marks) if starts == 1] == [6 * multi]
        assert all(starts is not None for starts, _ in marks[1:])
        assert all(ends is not None for _, ends in marks[:-1])


def test_frames_that_mean_different_things_are_not_blended(moving_model, logged):
    clip = with_props(drawn([0, 0, 1, 1, 2, 2, 3, 3]), {n: {"_Transfer": 16} for n in (0, 1, 3, 4, 5, 6, 7)})
    out = rife(with_props(clip, {2: {"_Transfer": 1}}), moving_model)
    assert kinds(out) == ["source"] * 5 + ["interpolated"] + ["source"] * 2
    assert any("source frames 0 and 2 are not blended" in line for line in logged)


def test_drawings_whose_alpha_moves_on_are_none(moving_model):
    """Colours on twos, a title in the alpha on ones: the title must not be replaced by a made one."""
    clip = drawn([0, 0, 1, 1, 2, 2, 3, 3])
    alpha = core.std.ShufflePlanes(textured(8, clip.width, clip.height, step=4), 0, vs.GRAY)
    out = rife(core.std.ClipToProp(clip, alpha), moving_model)
    assert kinds(out) == ["source"] * 8
    assert digest(out.std.PropToClip()) == digest(alpha)


def test_fields_and_interlaced_frames_in_a_run_are_refused(moving_model):
    clip = drawn([0, 0, 1, 1, 2, 2, 3, 3])
    with pytest.raises(vs.Error, match="source frame 3 is interlaced"):
        rife(with_props(clip, {3: {"_FieldBased": 2}}), moving_model).get_frame(3)
    fields = with_props(clip, {n: {"_Field": n % 2} for n in range(8)})
    with pytest.raises(vs.Error, match="fields of both parities"):
        rife(fields, moving_model).get_frame(3)


def test_durations_and_properties_are_those_of_the_moment(moving_model):
    held = [0, 0, 1, 1, 2, 2, 3, 3]
    spans = [F(1, 10), F(1, 30), F(1, 20), F(1, 20), F(1, 10), F(1, 10), F(1, 10), F(1, 10)]
    props = {n: {"Number": n, "_AbsoluteTime": float(sum(spans[:n]))} for n in range(8)}
    clip = with_props(lasting(drawn(held), spans), props)
    frames = list(rife(clip, moving_model).frames())
    assert [duration(f) for f in frames] == spans
    assert [f.props["Number"] for f in frames] == list(range(8))
    assert [f.props["_AbsoluteTime"] for f in frames] == [float(sum(spans[:n])) for n in range(8)]
    even = core.rife.RIFE(textured(4, 70, 50, step=3), multi=4, model=moving_model, device="cpu", sc=0, skip=0)
    assert same(frames[1], even.get_frame(3))  # 1/10 of 4/30 s
    assert same(frames[3], even.get_frame(6))


def test_a_pause_of_a_varying_rate_ends_a_run(moving_model):
    held = [0, 0, 1, 1, 2, 2, 3, 3]
    spans = [F(1, 24)] * 3 + [F(2)] + [F(1, 24)] * 4
    out = rife(lasting(drawn(held), spans), moving_model)
    assert kinds(out) == ["source", "interpolated", "source", "source", "source", "interpolated", "source", "source"]


def test_with_a_constant_rate(moving_model):
    clip = lasting(drawn([0, 0, 1, 1, 2, 2, 3, 3]), [F(1, 20)] * 8)
    rate = {"fps_num": 40, "fps_den": 1, "cfr": 1}
    out = core.rife.RIFE(clip, retime=1, model=moving_model, device="cpu", sc=0, **rate)
    even = core.rife.RIFE(textured(4, 70, 50, step=3), multi=4, model=moving_model, device="cpu", sc=0, skip=0)
    assert len(out) == 16
    assert all(same(out.get_frame(n), even.get_frame(n)) for n in range(12))


def test_any_order_and_any_number_of_threads_give_the_same(moving_model):
    clip = drawn([0, 0, 1, 1, 1, 2, 2, 3, 3, *[4] * 6, 5, 5, 6, 6, 6, 7, 7])
    whole = digest(rife(clip, moving_model, multi=3))
    out = rife(clip, moving_model, multi=3)
    flying = [(n, out.get_frame_async(n)) for n in sorted(whole, key=lambda n: n * 37 % 61)]
    for _, future in flying:
        future.result()
    assert digest(out, reversed(range(len(out)))) == whole
    for n in (1, 20, 40, 58):
        assert digest(rife(clip, moving_model, multi=3), [n]) == {n: whole[n]}  # a filter that has seen nothing else


def test_a_film_is_asked_for_a_bounded_window_once(moving_model):
    asked = Counter()
    clip = textured(60, 32, 32)
    out = rife(clip.std.ModifyFrame(clip, lambda n, f: asked.update([n]) or f), moving_model)
    out.get_frame(30)
    assert set(asked) == set(range(22, 39))


def test_a_player_s_clip_is_shown_as_it_is_and_a_line_says_so(average_model, logged):
    asked = []
    stream = core.std.BlankClip(length=(1 << 27) - 1, fpsnum=0, fpsden=1, width=64, height=32, format=vs.YUV420P8)
    out = rife(stream.std.ModifyFrame(stream, lambda n, f: asked.append(n) or f), average_model, multi=2)
    assert out.get_frame(21).props["RifeKind"] == "duplicate"
    assert sorted(set(asked)) == [10, 11]
    assert any("retime has no effect here" in line for line in logged)


def test_the_typed_call_takes_it(moving_model):
    out = vsrife.RIFE(drawn([0, 0, 1, 1, 2, 2]), multi=1, retime=True, model=moving_model, device="cpu", sc=False)
    assert kinds(out) == ["source", "interpolated"] * 2 + ["source"] * 2


def coded(clip, encoder, crf, file: Path):
    """``clip`` through an encoder of ffmpeg and back."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    quiet = ["-x265-params", "log-level=none"] if encoder == "libx265" else []
    command = [ffmpeg, "-v", "error", "-f", "yuv4mpegpipe", "-i", "-", "-c:v", encoder, "-crf", str(crf), *quiet, file]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        clip.output(process.stdin, y4m=True)
    assert process.returncode == 0
    return core.bs.VideoSource(str(file), cachemode=0)


@pytest.mark.slow
@pytest.mark.parametrize(("encoder", "crf"), [("libx264", 18), ("libx264", 28), ("libx265", 28)])
def test_coded_twos_are_found_and_coded_ones_left(moving_model, tmp_path, encoder, crf):
    path = DATA / "clips_train" / "big-buck-bunny-trailer.mp4"
    if not path.exists():
        pytest.skip(f"needs {path}")
    ones = core.bs.VideoSource(str(path), cachemode=0)[300:348].resize.Bicubic(320, 180)
    twos = core.std.Interleave([ones[::2], ones[::2]]).std.AssumeFPS(ones)
    coded_ones = coded(ones, encoder, crf, tmp_path / "ones.mkv")
    assert set(kinds(rife(coded_ones, moving_model))) == {"source"}
    made = kinds(rife(coded(twos, encoder, crf, tmp_path / "twos.mkv"), moving_model))
    assert made[::2] == ["source"] * 24
    assert made[1::2].count("interpolated") >= 22
