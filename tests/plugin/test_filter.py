"""What comes out of core.rife.RIFE: which frame, which pixels, which properties."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import vapoursynth as vs

from .clips import numbered, samples, scene, textured, with_props

core = vs.core


def rife(clip, model, **options):
    options.setdefault("skip", 0)
    options.setdefault("sc", 0)
    return core.rife.RIFE(clip, model=model, device="cpu", **options)


def test_doubling_puts_the_average_between_two_frames(average_model):
    out = rife(numbered(4), average_model, multi=2)
    assert (len(out), out.fps, out.format.id, out.width, out.height) == (8, Fraction(48), vs.YUV420P8, 64, 32)
    levels = [int(samples(out.get_frame(n))[0][0, 0]) for n in range(8)]
    assert levels == [0, 5, 10, 15, 20, 25, 30, 30]
    kinds = [out.get_frame(n).props["RifeKind"] for n in range(8)]
    assert kinds == ["source", "interpolated"] * 3 + ["source", "repeat"]


@pytest.mark.parametrize("multi", [2, 2.5, Fraction(1001, 400), 3, 1, 0.5, Fraction(2, 3)])
def test_every_output_frame_is_the_one_the_timeline_names(average_model, multi):
    ratio = Fraction(multi)
    out = rife(numbered(7), average_model, multi=multi)
    assert len(out) == -(-7 * ratio.numerator // ratio.denominator)
    for n in range(len(out)):
        position = n / ratio
        left = int(position)
        frame = out.get_frame(n)
        expected = left * 10 if position == left or left == 6 else left * 10 + 5
        assert int(samples(frame)[0][3, 5]) == expected, n


@pytest.mark.parametrize("format", [vs.YUV420P8, vs.YUV422P10, vs.RGB24, vs.GRAY16, vs.RGBS, vs.YUV444PH])
def test_frames_at_source_times_are_the_source_frames(moving_model, format):
    source = with_props(textured(3, 70, 50, format), {1: {"Note": "kept", "_Matrix": 6}} if format != vs.RGB24 else {})
    out = rife(source, moving_model, multi=2)
    for n in range(3):
        a, b = source.get_frame(n), out.get_frame(2 * n)
        assert all(np.array_equal(x, y) for x, y in zip(samples(a), samples(b), strict=True))
        changed = {"_DurationNum", "_DurationDen", "RifeKind"}
        assert {k: v for k, v in a.props.items() if k not in changed} == {
            k: v for k, v in b.props.items() if k not in changed
        }


def test_a_new_frame_lies_between_and_depends_on_t(moving_model):
    out = rife(textured(2), moving_model, multi=4)
    planes = [samples(out.get_frame(n))[0].astype(int) for n in range(4)]
    assert all(np.abs(a - b).max() > 2 for a, b in itertools.pairwise(planes))


class TestProperties:
    def test_of_a_new_frame_are_the_left_ones_but_for_those_of_time(self, average_model):
        left = {"_PictType": "I", "_AbsoluteTime": 2.0, "Hdr": 7, "_Matrix": 1, "_MP_IMAGE": "opaque"}
        right = {"_PictType": "P", "_AbsoluteTime": 3.0, "Hdr": 8, "_Matrix": 1}
        out = rife(with_props(numbered(2), {0: left, 1: right}), average_model, multi=4)
        props = out.get_frame(1).props
        assert props["Hdr"] == 7
        assert props["_MP_IMAGE"] == "opaque"
        assert "_PictType" not in props
        assert props["_AbsoluteTime"] == 2.25
        assert (props["_DurationNum"], props["_DurationDen"]) == (1, 96)
        assert out.get_frame(0).props["_PictType"] == "I"
        assert out.get_frame(0).props["_AbsoluteTime"] == 2.0
        assert out.get_frame(5).props["_AbsoluteTime"] == pytest.approx(3 + 0.25 / 24)  # held: by its own duration
        whole = with_props(numbered(2), {0: {"_AbsoluteTime": 2}, 1: {"_AbsoluteTime": 3}})
        assert rife(whole, average_model, multi=4).get_frame(1).props["_AbsoluteTime"] == 2.25

    def test_a_picture_type_stays_on_frames_at_source_times_alone(self, average_model):
        still = core.std.BlankClip(format=vs.YUV420P8, width=70, height=50, length=2, keep=False)
        source = with_props(still + numbered(3, 70, 50), {1: {"_SceneChangeNext": 1}}).std.SetFrameProps(_PictType="B")
        frames = list(rife(source, average_model, multi=3, sc=1, skip=1).frames())
        kinds = [f.props["RifeKind"] for f in frames]
        assert set(kinds) == {"source", "interpolated", "duplicate", "scenechange", "repeat"}
        assert [f.props.get("_PictType") for f in frames] == ["B" if kind == "source" else None for kind in kinds]

    def test_durations_of_a_varying_rate_keep_their_total(self, average_model):
        spans = [Fraction(1, 30), Fraction(1, 10), Fraction(1001, 24000), Fraction(1, 25), Fraction(3, 50)]
        named = {k: {"_DurationNum": d.numerator, "_DurationDen": d.denominator} for k, d in enumerate(spans)}
        source = with_props(numbered(5, fpsnum=0, fpsden=1), named)
        for multi in (2, 2.5, Fraction(1001, 400), 0.5, 0.75):
            out = rife(source, average_model, multi=multi)
            total = sum(Fraction(f.props["_DurationNum"], f.props["_DurationDen"]) for f in out.frames())
            assert total == sum(spans), multi

    def test_durations_that_nobody_knows_stay_missing(self, average_model):
        source = with_props(
            numbered(3, fpsnum=0, fpsden=1), {n: {"_DurationNum": None, "_DurationDen": None} for n in range(3)}
        )
        out = rife(source, average_model, multi=2)
        assert out.fps == 0
        assert all("_DurationNum" not in out.get_frame(n).props for n in range(6))

    @pytest.mark.parametrize("broken", [{"_DurationNum": 0}, {"_DurationNum": -5}, {"_DurationDen": None}])
    def test_durations_that_make_no_sense_fall_back_to_the_rate(self, average_model, broken):
        out = rife(with_props(numbered(2), {0: broken}), average_model, multi=2)
        props = out.get_frame(0).props
        assert Fraction(props["_DurationNum"], props["_DurationDen"]) == Fraction(1, 48)

    @pytest.mark.parametrize(
        ("rate", "first", "told"),
        [
            (24, {"_DurationNum": 1, "_DurationDen": 20}, "though its rate varies: each of them counts as 1/24 s"),
            (24, {}, None),
            (0, {}, "and it has no frame rate"),
        ],
    )
    def test_a_clip_that_mostly_lacks_durations_is_one_line_of_the_log(self, average_model, logged, rate, first, told):
        bare = {n: {"_DurationNum": None, "_DurationDen": None} for n in range(1, 8)}
        source = with_props(numbered(8, fpsnum=rate, fpsden=1), {0: first} | bare)
        list(rife(source, average_model, multi=2).frames())
        list(rife(source, average_model, multi=2).frames())  # a player evaluates its script at every seek
        lines = [line for line in logged if "no duration" in line]
        assert len(lines) == (told is not None)
        assert told is None or (lines[0].startswith("RIFE: many frames of the clip") and told in lines[0])

    def test_alpha_is_warped_with_the_picture(self, average_model, moving_model):
        clip = textured(2, format=vs.RGB24)
        alpha = textured(2, format=vs.GRAY8)
        both = core.std.ClipToProp(clip, alpha, prop="_Alpha")
        mean = rife(both, average_model, multi=2).get_frame(1).props["_Alpha"]
        ends = [samples(alpha.get_frame(n))[0].astype(float) for n in (0, 1)]
        assert np.abs(samples(mean)[0] - (ends[0] + ends[1]) / 2).max() <= 0.5
        moved = samples(rife(both, moving_model, multi=2).get_frame(1).props["_Alpha"])[0]
        assert moved.shape == (64, 96)
        assert np.abs(moved.astype(int) - samples(mean)[0]).max() > 2

    def test_alpha_of_another_size_is_left_alone(self, average_model):
        clip = core.std.ClipToProp(numbered(2), numbered(2, 16, 16, vs.GRAY8), prop="_Alpha")
        frame = rife(clip, average_model, multi=2).get_frame(1)
        assert samples(frame.props["_Alpha"])[0].tolist() == [[0] * 16] * 16


class TestAlpha:
    """Straight alpha: the network sees a picture as far as its alpha lets it be seen."""

    LETTERS = vs.core.text.Text(
        vs.core.std.BlankClip(format=vs.GRAY8, width=120, height=100, length=1), "TITLE", alignment=5, scale=2
    )

    def title(self, fmt, length=4, step=10, width=321, height=182):
        """Letters that move to the right over nothing."""
        letters = samples(self.LETTERS.get_frame(0))[0].astype(float) / 255
        letters[letters < 0.5] = 0.0  # the box that they are written on
        base = core.std.BlankClip(format=fmt, width=width, height=height, length=length, fpsnum=25, keep=False)
        peak = 1.0 if base.format.sample_type == vs.FLOAT else (1 << base.format.bits_per_sample) - 1

        def draw(n, f):
            made = f.copy()
            np.asarray(made[0])[40:140, 20 + step * n : 140 + step * n] = letters * peak
            return made

        return base.std.ModifyFrame(base, draw)

    def centre(self, alpha):
        plane = samples(alpha)[0].astype(float)
        return (plane.sum(0) * np.arange(plane.shape[1])).sum() / plane.sum()

    @pytest.mark.parametrize(
        ("fmt", "colour", "alpha"),
        [
            (vs.RGB24, [255, 255, 255], vs.GRAY8),
            (vs.RGB24, [0, 0, 0], vs.GRAY8),
            (vs.RGB24, [64, 64, 64], vs.GRAY8),
            (vs.RGB24, [0, 0, 128], vs.GRAY8),
            (vs.RGBS, [1.0, 0.0, 0.5], vs.GRAYS),
            (vs.YUV444P16, [126 << 8, 128 << 8, 128 << 8], vs.GRAY16),
            (vs.YUV444PH, [0.0, 0.0, 0.0], vs.GRAYH),
            (vs.GRAY16, [65535], vs.GRAY10),
        ],
    )
    def test_letters_that_are_in_the_alpha_alone_move(self, official_model, fmt, colour, alpha):
        title = self.title(alpha)
        plain = core.std.BlankClip(format=fmt, width=321, height=182, length=4, fpsnum=25, color=colour)
        out = rife(core.std.ClipToProp(plain, title, prop="_Alpha"), official_model, multi=2)
        middle = out.get_frame(3)
        expected = (self.centre(title.get_frame(1)) + self.centre(title.get_frame(2))) / 2
        assert abs(self.centre(middle.props["_Alpha"]) - expected) < 0.5
        steps = np.sort(samples(middle.props["_Alpha"])[0].astype(float).ravel())[::-1]
        half = np.sort(samples(title.get_frame(1))[0].astype(float).ravel())[::-1]
        lit = int((half > 0).sum())
        assert steps[:lit].sum() > 0.9 * steps.sum()  # as many samples as the letters have, and not two faint copies
        for one, other in zip(samples(middle), samples(plain.get_frame(0)), strict=True):
            assert np.array_equal(one, other)

    @pytest.mark.parametrize("alpha", [vs.GRAY8, vs.GRAY10, vs.GRAYS])
    @pytest.mark.parametrize("fmt", [vs.YUV420P8, vs.RGB24, vs.GRAYS])
    def test_an_alpha_that_is_white_everywhere_changes_nothing(self, moving_model, fmt, alpha):
        source = textured(3, 70, 50, fmt)
        white = core.std.BlankClip(format=alpha, width=70, height=50, length=3, color=self.peak(alpha))
        without = [samples(f) for f in rife(source, moving_model, multi=3).frames()]
        clip = rife(core.std.ClipToProp(source, white, prop="_Alpha"), moving_model, multi=3)
        for n, frame in enumerate(clip.frames()):
            assert all(map(np.array_equal, samples(frame), without[n])), n
            assert (samples(frame.props["_Alpha"])[0] == self.peak(alpha)).all()

    def peak(self, fmt):
        return {vs.GRAY8: 255, vs.GRAY10: 1023, vs.GRAYS: 1.0}[fmt]

    def test_one_sample_below_white_is_seen(self, moving_model):
        source = textured(2, 70, 50)
        hole = core.std.BlankClip(format=vs.GRAY8, width=70, height=50, length=2, color=255)

        def pierce(n, f):
            made = f.copy()
            np.asarray(made[0])[49, 69] = 254 if n == 1 else 255
            return made

        pierced = core.std.ClipToProp(source, hole.std.ModifyFrame(hole, pierce), prop="_Alpha")
        white = rife(core.std.ClipToProp(source, hole, prop="_Alpha"), moving_model, multi=2)
        made = rife(pierced, moving_model, multi=2)
        assert not np.array_equal(samples(made.get_frame(1))[0], samples(white.get_frame(1))[0])

    @pytest.mark.parametrize(
        ("left", "right"),
        [(vs.GRAY32, vs.GRAY32), (vs.GRAY8, vs.GRAY16), (vs.GRAY16, vs.GRAYH), (vs.RGB24, vs.RGB24), (vs.GRAY8, None)],
    )
    def test_alphas_that_do_not_belong_together_are_left_alone(self, moving_model, left, right):
        """The left one's is kept, and the picture is made as without one."""
        source = textured(2, 70, 50)
        alphas = [
            core.std.BlankClip(format=fmt, width=70, height=50, length=2, color=[7] * (3 if fmt == vs.RGB24 else 1))
            for fmt in (left, right or left)
        ]
        carrying = [source.std.ClipToProp(alpha, prop="_Alpha")[n] for n, alpha in enumerate(alphas)]
        made = rife(carrying[0] + (carrying[1] if right else source[1]), moving_model, multi=2).get_frame(1)
        assert made.props["_Alpha"].format.id == left
        assert (samples(made.props["_Alpha"])[0] == 7).all()
        for one, other in zip(samples(made), samples(rife(source, moving_model, multi=2).get_frame(1)), strict=True):
            assert np.array_equal(one, other)

    def test_how_a_frame_is_seen_does_not_depend_on_who_asked_first(self, moving_model):
        """Frame 1 has an alpha that its right neighbour has too and its left one has not."""
        source = textured(3, 70, 50)
        with_alpha = core.std.ClipToProp(source, textured(3, 70, 50, vs.GRAY8, step=-2.0), prop="_Alpha")
        clip = source[:1] + with_alpha[1:]
        ways = []
        for order in ((1, 3), (3, 1)):
            out = rife(clip, moving_model, multi=2)
            ways.append({n: [plane.tobytes() for plane in samples(out.get_frame(n))] for n in order})
        assert ways[0] == ways[1]
        alone = rife(source, moving_model, multi=2).get_frame(1)
        assert [plane.tobytes() for plane in samples(alone)] == ways[0][1]


class TestScenes:
    def marks(self, out):
        return [(f.props.get("_SceneChangePrev"), f.props.get("_SceneChangeNext")) for f in out.frames()]

    def test_preset_cut_is_honoured_and_moved_to_the_output_timeline(self, average_model):
        source = with_props(numbered(4), {1: {"_SceneChangeNext": 1}, 2: {"_SceneChangePrev": 1}})
        for n in (0, 3):
            source = with_props(source, {n: {"_SceneChangeNext": 0, "_SceneChangePrev": 0}})
        out = rife(source, average_model, multi=3, sc=1)
        levels = [int(samples(f)[0][0, 0]) for f in out.frames()]
        assert levels[3:6] == [10, 10, 10]
        assert levels[6] == 20
        marks = self.marks(out)
        assert [n for n, (_, after) in enumerate(marks) if after == 1] == [5]
        assert [n for n, (before, _) in enumerate(marks) if before == 1] == [6]

    @pytest.mark.parametrize("multi", [2, 2.5, Fraction(7, 3)])
    def test_the_detector_cuts_where_nobody_has_said_and_writes_its_score(self, average_model, multi):
        out = rife(scene(1) + scene(2), average_model, multi=multi, sc=1)
        ratio = Fraction(multi)
        last = max(n for n in range(len(out)) if n / ratio < 3)
        marks = self.marks(out)
        assert [n for n, (_, after) in enumerate(marks) if after == 1] == [last]
        assert [n for n, (before, _) in enumerate(marks) if before == 1] == [last + 1]
        kinds = [f.props["RifeKind"] for f in out.frames()]
        assert {kinds[n] for n in range(len(out)) if 2 < n / ratio < 3} == {"scenechange"}
        scores = [f.props.get("RifeSceneScore") for f in out.frames()]
        assert all(
            (score is not None) == (kind in ("interpolated", "scenechange"))
            for score, kind in zip(scores, kinds, strict=True)
        )
        assert max(score for score in scores if score is not None) < 1

    @pytest.mark.parametrize(
        ("after", "before", "cut", "by_props_alone"),
        [
            (1, None, True, True),
            (None, 1, True, True),
            (1, 1, True, True),
            (1, 0, False, True),
            (0, 1, False, True),
            (0, 0, False, False),
            (0, None, False, False),
            (None, 0, False, False),
        ],
    )
    def test_a_preset_1_is_a_cut_unless_the_other_side_denies_it(
        self, average_model, after, before, cut, by_props_alone
    ):
        moving = scene(1, 4)
        preset = with_props(moving, {1: {"_SceneChangeNext": after}, 2: {"_SceneChangePrev": before}})
        for options, expected in (({}, cut), ({"sc_threshold": 1}, by_props_alone)):
            frame = rife(preset, average_model, multi=2, sc=1, **options).get_frame(3)
            assert frame.props["RifeKind"] == ("scenechange" if expected else "interpolated")
            assert ("RifeSceneScore" in frame.props) is not expected

    @pytest.mark.parametrize("preset", [{"_SceneChangeNext": 0}, {"_SceneChangePrev": 0}])
    def test_a_preset_0_never_stops_the_detector(self, average_model, preset):
        both = with_props(scene(1) + scene(2), dict.fromkeys(range(6), preset))
        assert rife(both, average_model, multi=2, sc=1).get_frame(5).props["RifeKind"] == "scenechange"

    PRESETS = (
        ({"_SceneChangeNext": 1}, {}, 1),
        ({}, {"_SceneChangePrev": 1}, 1),
        ({"_SceneChangeNext": 0}, {"_SceneChangePrev": 1}, 1),
        ({"_SceneChangeNext": 0}, {}, 0),
        ({}, {"_SceneChangePrev": 0}, 0),
        ({}, {}, None),
    )

    @pytest.mark.parametrize(("before", "after", "expected"), PRESETS)
    def test_a_pair_that_cannot_be_judged_is_marked_by_its_properties_alone(
        self, average_model, before, after, expected
    ):
        """docs/timeline.md: frame 2 is there, frame 1 has a matrix that is not taken."""
        source = with_props(numbered(4), {1: {"_Matrix": 14, **before}, 2: after})
        assert rife(source, average_model, multi=2, sc=1).get_frame(4).props.get("_SceneChangePrev") == expected

    @pytest.mark.parametrize(("multi", "n"), [("2", 40), ("1", 20)])
    @pytest.mark.parametrize("own", [1, 0, None])
    def test_of_a_player_s_clip_and_at_ratio_1_a_frame_s_own_properties_count(self, average_model, multi, n, own):
        length = (1 << 27) - 1 if multi == "2" else 30
        stream = core.std.BlankClip(length=length, width=64, height=32, format=vs.YUV420P8, fpsnum=0, fpsden=1)
        presets = {19: {"_SceneChangeNext": 1}, 20: {"_SceneChangePrev": own}}
        out = rife(with_props(stream, presets), average_model, multi=multi, sc=1)
        assert out.get_frame(n).props.get("_SceneChangePrev") == own

    def cuts(self, clip, model):
        """The pairs of ``clip`` that are cuts, as the source frames left of them; and that they are marked so."""
        out = rife(clip, model, multi=2, sc=1)
        found = [n for n in range(len(clip) - 1) if out.get_frame(2 * n + 1).props["RifeKind"] == "scenechange"]
        marks = self.marks(out)
        assert [n // 2 for n, (_, after) in enumerate(marks[:-1]) if after == 1] == found
        return found

    def test_results_that_are_edited_and_interpolated_again_are_cut_where_the_scenes_change(self, average_model):
        def result(*seeds):
            return rife(core.std.Splice([scene(seed, 4) for seed in seeds]), average_model, multi=2, sc=1)

        one, two, three = result(1), result(5), result(1, 5, 4)  # three has its cuts after 7 and 15
        assert self.cuts(three, average_model) == [7, 15]
        assert self.cuts(one[:5] + two[2:7], average_model) == [4]
        assert self.cuts(three.std.Reverse(), average_model) == [7, 15]
        assert self.cuts(three[2:12], average_model) == [5]
        assert self.cuts(three[1:8] + three[16:20], average_model) == [6]  # the scene between was taken out
        assert self.cuts(three[:8] + one[6:], average_model) == []  # the same scene goes on
        assert self.cuts(scene(1, 4) + two, average_model) == [3]
        assert self.cuts(three[::2], average_model) == [3, 7]

    def test_off_neither_reads_nor_detects(self, average_model):
        out = rife(with_props(numbered(3), {0: {"_SceneChangeNext": 1}}), average_model, multi=2, sc=0)
        assert int(samples(out.get_frame(1))[0][0, 0]) == 5
        assert self.marks(out) == [(None, None)] * 6

    def test_still_pairs_are_copied(self, average_model):
        still = core.std.Loop(textured(1), 3)
        out = core.rife.RIFE(still, multi=2, model=average_model, device="cpu")
        assert [f.props["RifeKind"] for f in out.frames()][:4] == ["source", "duplicate"] * 2
        out = core.rife.RIFE(still, multi=2, model=average_model, device="cpu", skip=0)
        assert out.get_frame(1).props["RifeKind"] == "interpolated"

    @pytest.mark.parametrize("multi", [0.5, Fraction(2, 5), 0.75])
    @pytest.mark.parametrize("first", [5, 6])
    def test_below_1_a_cut_is_found_also_where_no_frame_lies_between(self, average_model, multi, first):
        source = scene(1, first) + scene(2, 6)
        out = rife(source, average_model, multi=multi, sc=1)
        before = max(n for n in range(len(out)) if n / Fraction(multi) < first)
        marks = self.marks(out)
        assert [n for n, (_, after) in enumerate(marks) if after == 1] == [before]
        assert [n for n, (prev, _) in enumerate(marks) if prev == 1] == [before + 1]

    def test_below_1_a_cut_after_the_last_output_is_none(self, average_model):
        source = with_props(numbered(4), {2: {"_SceneChangeNext": 1}, 3: {"_SceneChangePrev": 1}})
        marks = self.marks(rife(source, average_model, multi=0.5, sc=1))
        assert marks[-1] == (0, None)

    def test_a_frame_does_not_fail_because_of_the_one_before_it(self, average_model):
        for wrong in ({"_FieldBased": 2}, {"_Matrix": 14}, {"_Range": 7}):
            out = rife(with_props(numbered(4), {1: wrong}), average_model, multi=2, sc=1)
            for n in (0, 4, 5, 6):
                assert out.get_frame(n).props["RifeKind"] in ("source", "interpolated")
            with pytest.raises(vs.Error, match="RIFE: frame 3: "):
                out.get_frame(3)

    @pytest.mark.parametrize("fmt", [vs.YUV420P8, vs.YUV420P10, vs.YUV444PS, vs.RGBS])
    def test_a_change_of_colour_alone_is_not_still(self, average_model, fmt):
        def change(n, f):
            made = f.copy()
            for plane in range(1, 3):
                values = np.asarray(made[plane])
                values[4:8, 4:8] = (-0.4, 0.3)[n] if fmt in (vs.YUV444PS, vs.RGBS) else (60, 90)[n]
            return made

        flat = core.std.BlankClip(width=64, height=48, format=fmt, length=2, keep=False)
        clip = flat.std.ModifyFrame(flat, change)
        assert rife(clip, average_model, multi=2, skip=1).get_frame(1).props["RifeKind"] == "interpolated"
        assert rife(flat, average_model, multi=2, skip=1).get_frame(1).props["RifeKind"] == "duplicate"

    def test_an_alpha_that_changes_is_not_still(self, average_model):
        still = core.std.Loop(textured(1, format=vs.RGB24), 2)
        out = rife(
            core.std.ClipToProp(still, textured(2, format=vs.GRAY8), prop="_Alpha"), average_model, multi=2, skip=1
        )
        assert out.get_frame(1).props["RifeKind"] == "interpolated"


class TestColour:
    """Pairs whose tags differ: tests/formats/test_agreement.py has all the rules."""

    SAID = (
        ("_Matrix", 1, 9, 'matrix_in="709"'),
        ("_Range", 0, 1, 'range_in="limited"'),
        ("_ChromaLocation", 0, 2, 'chromaloc_in="left"'),
        ("_Transfer", 1, 16, "clip.std.SetFrameProps(_Transfer=1)"),
        ("_Primaries", 1, 9, "clip.std.SetFrameProps(_Primaries=1)"),
    )

    @pytest.mark.parametrize("sc", [0, 1])
    @pytest.mark.parametrize(("prop", "one", "other", "way_out"), SAID)
    def test_what_changes_the_meaning_of_samples_parts_two_frames_and_is_logged_once(
        self, average_model, logged, prop, one, other, way_out, sc
    ):
        tags = {n: {prop: one if n < 3 else other} for n in range(6)} | {5: {prop: one}}
        for _ in range(2):  # a player evaluates its script at every seek
            out = rife(with_props(numbered(6, 70, 50), tags), average_model, multi=2, sc=sc)
            kinds = [f.props["RifeKind"] for f in out.frames()]
            assert [n for n, kind in enumerate(kinds) if kind == "scenechange"] == [5, 9]
        there, back = [line for line in logged if "not blended" in line]
        assert there.startswith("RIFE: source frames 2 and 3 are not blended")
        assert f"{prop} is {one}" in there
        assert f"and {other}" in there
        assert there.endswith(f"pass {way_out}")
        assert "source frames 4 and 5" in back  # the other way round is another thing to mend

    @pytest.mark.parametrize(
        ("fmt", "tags"),
        [
            (vs.YUV420P8, {"_Matrix": 9, "_Range": 1, "_ChromaLocation": 2, "_Primaries": 9}),
            (vs.YUV422P10, {"_Matrix": 4, "_Transfer": 8, "_ChromaLocation": 1}),
            (vs.RGBS, {"_Transfer": 8, "_Primaries": 1}),
            (vs.RGB24, {"_Range": 0, "_Transfer": 13}),
            (vs.GRAY16, {"_Range": 1, "_Transfer": 8}),
        ],
    )
    def test_a_frame_that_has_lost_its_tags_is_seen_as_its_neighbours_are(self, moving_model, fmt, tags):
        source = textured(5, 70, 50, fmt)
        whole = with_props(source, dict.fromkeys(range(5), tags))
        lost = with_props(source, dict.fromkeys((0, 1, 3, 4), tags))
        expected = [samples(f) for f in rife(whole, moving_model, multi=3).frames()]
        for order in (range(15), reversed(range(15)), (5, 8, 4, 7)):
            out = rife(lost, moving_model, multi=3)
            for n in order:
                frame = out.get_frame(n)
                assert frame.props["RifeKind"] != "scenechange"
                assert all(map(np.array_equal, samples(frame), expected[n])), n

    def test_how_a_frame_is_seen_does_not_depend_on_who_asked_first(self, moving_model):
        """Frame 2 says nothing: between 1 and 2 it is as frame 1 says, between 2 and 3 by the rules for its size."""
        source = with_props(textured(4, 70, 50), {n: {"_Matrix": 9, "_Range": 1} for n in (0, 1)})
        ways = []
        for order in (range(8), (5, 3, 1), (3, 5)):
            out = rife(source, moving_model, multi=2)
            ways.append({n: [plane.tobytes() for plane in samples(out.get_frame(n))] for n in order})
        assert all(way[n] == ways[0][n] for way in ways for n in way)
        by_size = rife(textured(4, 70, 50), moving_model, multi=2).get_frame(5)
        assert [plane.tobytes() for plane in samples(by_size)] == ways[0][5]

    def test_an_argument_blends_what_tags_would_part(self, average_model, logged):
        tags = {0: {"_Matrix": 1, "_Range": 0}, 1: {"_Matrix": 9, "_Range": 1}}
        out = rife(with_props(numbered(2), tags), average_model, multi=2, matrix_in="709", range_in="full")
        assert out.get_frame(1).props["RifeKind"] == "interpolated"
        assert not [line for line in logged if "blended" in line]

    def test_a_new_frame_keeps_the_left_one_s_tags(self, average_model):
        out = rife(with_props(numbered(3), {1: {"_Matrix": 1}}), average_model, multi=2)
        assert [out.get_frame(n).props.get("_Matrix") for n in (1, 3)] == [None, 1]


class TestRequests:
    def recorded(self, clip):
        asked = []

        def note(n, f):
            asked.append(n)
            return f

        return clip.std.ModifyFrame(clip, note), asked

    def test_a_frame_at_a_source_time_does_not_ask_for_its_right_neighbour(self, average_model):
        source, asked = self.recorded(numbered(6))
        out = rife(source, average_model, multi=2)
        out.get_frame(4)
        assert asked == [2]

    def test_with_scenes_the_first_frame_after_a_boundary_asks_for_the_one_before(self, average_model):
        source, asked = self.recorded(numbered(6))
        out = core.rife.RIFE(source, multi=2, model=average_model, device="cpu")
        out.get_frame(4)
        assert sorted(asked) == [1, 2]

    def test_a_player_s_clip_is_never_asked_for_the_past(self, average_model):
        stream = core.std.BlankClip(length=(1 << 27) - 1, fpsnum=0, fpsden=1, width=64, height=32, format=vs.YUV420P8)
        source, asked = self.recorded(stream)
        out = core.rife.RIFE(source, multi=2, model=average_model, device="cpu")
        assert len(out) == 2 * ((1 << 27) - 1)
        for n in (20, 21, 22):
            out.get_frame(n)
        assert sorted(set(asked)) == [10, 11]

    def test_a_player_s_clip_with_a_rate_is_one_too(self, average_model):
        stream = core.std.BlankClip(length=(1 << 27) - 1, fpsnum=10, fpsden=1, width=64, height=32, format=vs.YUV420P8)
        source, asked = self.recorded(stream)
        for options in ({"fps_num": 240, "fps_den": 1}, {"multi": 24}):
            out = core.rife.RIFE(source, model=average_model, device="cpu", **options)
            assert (len(out), out.fps) == (2**31 - 1, 240)
            for n in (480, 481):
                props = out.get_frame(n).props
                assert Fraction(props["_DurationNum"], props["_DurationDen"]) == Fraction(1, 240)
        assert sorted(set(asked)) == [20, 21]

    @pytest.mark.parametrize("multi", ["2.0000001", "1.9999999", "2.4999999"])
    @pytest.mark.parametrize("length", [7, (1 << 27) - 1])
    def test_a_ratio_a_hair_off_passes_source_frames_on(self, average_model, multi, length):
        rate = {"fpsnum": 0, "fpsden": 1} if length > 7 else {}
        clip = core.std.BlankClip(length=length, width=64, height=32, format=vs.YUV420P8, keep=True, **rate)
        source, asked = self.recorded(clip)
        out = rife(source, average_model, multi=multi)
        simple = Fraction(round(2 * Fraction(multi)), 2)
        for k in range(2, 7, 2):
            n = int(k * simple)
            asked.clear()
            assert out.get_frame(n).props["RifeKind"] == "source"
            assert asked == [k]
        assert length > 7 or len(out) == -(-7 * simple.numerator // simple.denominator)

    def test_the_tail_holds_the_last_frame_without_asking_beyond(self, average_model):
        source, asked = self.recorded(numbered(3))
        out = rife(source, average_model, multi=4)
        assert int(samples(out.get_frame(11))[0][0, 0]) == 20
        assert asked == [2]


class TestFields:
    def test_interlaced_frames_are_refused_by_name(self, average_model):
        out = rife(numbered(3).std.SetFieldBased(2), average_model, multi=2)
        for n in (0, 1):
            with pytest.raises(
                vs.Error, match=rf"RIFE: frame {n}: source frame 0 is interlaced .*clip\.std\.SetFieldBased\(0\)"
            ):
                out.get_frame(n)

    @pytest.mark.parametrize("multi", [2, 2.5, Fraction(2, 3)])
    def test_interlaced_frames_in_mid_stream_are_said_by_the_first_output_made_of_one(self, average_model, multi):
        out = rife(with_props(numbered(9, 70, 50), {5: {"_FieldBased": 1}}), average_model, multi=multi, sc=1)
        for n in range(len(out)):
            if 4 < n / Fraction(multi) < 6:
                with pytest.raises(vs.Error, match=r"source frame 5 is interlaced \(_FieldBased 1\)"):
                    out.get_frame(n)
            else:
                out.get_frame(n).close()

    @pytest.mark.parametrize("tff", [True, False])
    def test_both_parities_as_one_clip_are_refused(self, average_model, tff):
        fields = numbered(6, 70, 52, vs.YUV422P10).std.SeparateFields(tff=tff)
        for options in ({"sc": 1}, {"sc": 0}):
            out = rife(fields, average_model, multi=2, **options)
            assert out.get_frame(4).props["RifeKind"] == "source"
            with pytest.raises(vs.Error) as caught:
                out.get_frame(5)
            pair = "1 and 0" if tff else "0 and 1"
            assert f"source frames 2 and 3 are fields of both parities (_Field {pair})" in str(caught.value)
            for way_out in (fields.std.SelectEvery(2, 0), fields.std.SetFieldBased(0)):
                assert rife(way_out, average_model, multi=2, **options).get_frame(5).props["RifeKind"] == "interpolated"

    def test_a_field_beside_a_frame_says_nothing_of_parity(self, average_model):
        source = with_props(numbered(4), {0: {"_Field": 1}, 2: {"_Field": 0}})
        out = rife(source, average_model, multi=2)
        assert [out.get_frame(n).props["RifeKind"] for n in (1, 3, 5)] == ["interpolated"] * 3

    def test_where_nothing_is_blended_fields_pass(self, average_model):
        fields = numbered(4).std.SeparateFields(tff=True)
        for multi in (1, 0.5):
            assert len(list(rife(fields, average_model, multi=multi, sc=0).frames())) == len(fields) * Fraction(multi)
