"""tools/scenes: cases are what their labels say, detectors see them in order, and verdicts are counted right."""

import os
import subprocess
import sys
from functools import cached_property

import numpy as np
import pytest
import vapoursynth as vs
from PIL import Image, ImageFont

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

SEED = 3


@pytest.fixture
def parts(tool):
    """A module of tools/scenes by its name."""
    return lambda name: tool(f"scenes.{name}")


def textured(seed, height, width):
    """A picture of its own for each seed, smooth enough to be followed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 12, width // 12, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def scrolling(seed, count):
    wide = textured(seed, 96, 160 + 2 * count)
    return [wide[:, 2 * k : 2 * k + 160] for k in range(count)]


@pytest.fixture
def material(parts, tmp_path):
    """Two clips of two scenes of 14 frames each, photos, textures and cut-outs; the text is the real one."""
    m = parts("material")

    class Small(m.Material):
        @cached_property
        def clips(self):
            return [
                m.Clip(
                    name=name,
                    path=tmp_path / name,
                    frames=np.stack(scrolling(seed, 14) + scrolling(seed + 1, 14)),
                    cuts=(13,),
                )
                for name, seed in (("one", 10), ("two", 20))
            ]

        @cached_property
        def photos(self):
            return [textured(seed, 480, 720) for seed in range(30, 33)]

        @cached_property
        def textures(self):
            return [textured(seed, 384, 400) for seed in range(40, 43)]

        @cached_property
        def sprites(self):
            sprites = [Image.fromarray(textured(seed, 96, 120)).convert("RGBA") for seed in range(50, 53)]
            for sprite in sprites:
                sprite.putalpha(Image.linear_gradient("L").resize(sprite.size))
            return sprites

    return Small(tmp_path, "held", tmp_path)


@pytest.fixture
def needs_fonts():
    try:
        ImageFont.truetype("DejaVuSans.ttf", 12)
    except OSError:
        pytest.skip("the DejaVu fonts are not installed")


@pytest.fixture(autouse=True)
def few(monkeypatch, parts):
    """Rows of a few cases."""
    for name in ("screens", "stills", "things"):
        monkeypatch.setattr(parts(name), "COUNT", 3)
    monkeypatch.setattr(parts("rows"), "CUTS", 3)
    monkeypatch.setattr(parts("rows"), "OTHERS", 4)


def made(parts, material, name):
    rows = parts("rows")
    row = next(row for row in rows.ROWS if row.name == name)
    return row, rows.cases_of(row, material, SEED)


def differ(case):
    return float(np.abs(case.frames[3].astype(float) - case.frames[4]).mean())


def test_every_row_has_a_name_of_its_own(parts):
    names = [row.name for row in parts("rows").ROWS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("odd-size", (7, 179, 317, 3), np.uint8),
        ("dark-4-10bit", (7, 136, 320), np.uint16),
        ("pq-5", (7, 136, 320, 3), np.uint16),
        ("clips-on-threes", (7, 180, 320, 3), np.uint8),
        ("pan-33", (7, 180, 320, 3), np.uint8),
    ],
)
def test_a_row_has_cuts_and_others_of_one_size(parts, material, name, shape, dtype):
    row, cases = made(parts, material, name)
    assert {case.cut for case in cases} == {True, False}
    for case in cases:
        assert (case.frames.shape, case.frames.dtype) == (shape, dtype)
        assert case.frames.max() < 1 << row.bits


@pytest.mark.parametrize("name", ["lyrics", "things", "scroll-8"])
@pytest.mark.usefixtures("needs_fonts")
def test_a_seed_gives_the_same_cases(parts, material, name):
    first, second = (made(parts, material, name)[1] for _ in range(2))
    assert [case.name for case in first] == [case.name for case in second]
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(first, second, strict=True))


@pytest.mark.usefixtures("needs_fonts")
def test_a_page_that_changes_differs_and_a_cursor_hardly_does(parts, material):
    _, cases = made(parts, material, "pages")
    assert min(differ(case) for case in cases if case.cut) > 0.5
    assert max(differ(case) for case in cases if case.name.startswith("cursor")) < 0.5


def test_held_drawings_change_at_frame_4_alone(parts, material):
    _, cases = made(parts, material, "clips-on-threes")
    for case in cases:
        still = [bool(np.array_equal(a, b)) for a, b in zip(case.frames[:-1], case.frames[1:], strict=True)]
        assert still == [False, True, True, False, True, True] or "13" in case.name or case.name.split()[1] < "4"


def test_windows_stop_at_a_clip_s_ends(material):
    clip = material.clips[0]
    assert clip.window(0) == [0, 0, 0, 0, 1, 2, 3]
    assert clip.window(25, 2) == [19, 21, 23, 25, 27, 27, 27]


def test_pairs_across_a_cut_are_no_pairs_within_a_scene(material):
    clip = material.clips[0]
    assert clip.across(2) == [12, 13]
    assert set(clip.across(4)) | set(clip.within(4)) == set(range(24))
    assert not set(clip.across(4)) & set(clip.within(4))


def test_joined_scenes_differ_and_go_on_to_the_join(parts, material):
    shots = parts("shots").Shots(material, np.random.default_rng(SEED))
    for window in shots.joined(20):
        left, right = window.places[:4], window.places[4:]
        assert len({(clip.name, clip.scene(n)) for clip, n in left}) == 1
        assert len({(clip.name, clip.scene(n)) for clip, n in right}) == 1
        assert (left[3][0].name, left[3][0].scene(left[3][1])) != (right[0][0].name, right[0][0].scene(right[0][1]))


@pytest.mark.parametrize("kind", ["LIGHT", "CAMERA"])
@pytest.mark.parametrize("cut", [False, True])
def test_effects_keep_count_and_depth(parts, kind, cut):
    effects = parts("effects")
    frames = np.stack(scrolling(1, 7))[:, :90, :150]
    size = (90, 150) if kind == "LIGHT" else (60, 100)
    for effect in getattr(effects, kind).values():
        changed = effect(frames, effects.Draw(rng=np.random.default_rng(SEED), cut=cut))
        assert (changed.shape, changed.dtype) == ((7, *size, 3), np.uint8)


@pytest.mark.usefixtures("needs_fonts")
def test_what_lies_over_stays_over_the_cut(parts, material):
    effects = parts("effects")
    frames = np.stack(scrolling(1, 4) + scrolling(2, 3))
    for name, rows in (("overlay-quarter", 24), ("overlay-two-fifths", 38)):
        covered = effects.OVERLAYS[name](frames, np.random.default_rng(SEED), material)
        assert (covered[:, -rows:] == covered[0, -rows:]).all()
        assert np.array_equal(covered[:, :-rows], frames[:, :-rows])


def test_signals_have_their_standards_values(parts):
    effects = parts("effects")
    grey = np.array([[[[0, 0, 0], [255, 255, 255]]]], dtype=np.uint8)
    assert effects.darkened(grey, 1.0, 8).ravel().tolist() == [16, 235]
    assert effects.darkened(grey, 0.08, 10).ravel().tolist() == [64, 134]
    # SMPTE ST 2084: 100 cd/m2 is at 0.5081 of the signal, 10000 at 1.
    assert effects.pq(grey, 100, 10).ravel()[-1] == round(0.5081 * 1023)
    assert effects.pq(grey, 10000, 10).ravel()[-1] == 1023


def shard(parts, frames, cut, **facts):
    known = {"bits": 8, "transfer": "bt709", "limited": False, "apart": False} | facts
    return parts("case").Shard(row="r", frames=frames, cut=np.array(cut), name=np.array(["n"] * len(cut)), **known)


def test_a_case_comes_back_as_it_was_saved_with_cuts_first(parts, tmp_path):
    case = parts("case")
    frames = np.random.default_rng(SEED).integers(0, 1024, (2, 7, 18, 26), dtype=np.uint16)
    row = case.Row(name="r", make=lambda m, r: iter(()), bits=10, limited=True, apart=True)
    cases = [case.Case(name=str(k), cut=bool(k), frames=frames[k]) for k in range(2)]
    found = case.load(case.save(tmp_path, row, cases))
    assert (found.row, found.bits, found.limited, found.apart) == ("r", 10, True, True)
    assert found.cut.tolist() == [True, False]
    assert np.array_equal(found.frames, frames[::-1])


@pytest.mark.parametrize(("shape", "bits"), [((18, 27), 8), ((19, 26, 3), 8), ((18, 26, 3), 10)])
def test_clips_hold_the_cases_in_order(parts, shape, bits):
    footage = parts("footage")
    # Case k's frame i is grey of 16 + 8 k + 32 i / 7: each frame tells what it is.
    levels = 16 + 100 * np.arange(2)[:, None] + 10 * np.arange(7)
    frames = np.broadcast_to((levels << (bits - 8))[(...,) + (None,) * len(shape)], (2, 7, *shape))
    cases = shard(
        parts, frames.astype(np.uint8 if bits == 8 else np.uint16), [True, False], bits=bits, limited=len(shape) == 2
    )
    two = footage.pairs(cases)
    assert [np.asarray(two.get_frame(n)[0])[0, 0] >> (bits - 8) for n in range(4)] == [46, 56, 146, 156]
    whole, numbers = footage.sequences(cases)
    assert whole.format.id == vs.YUV420P8
    seen = [int(np.asarray(whole.get_frame(n)[0])[0, 0]) for n in numbers]
    assert seen == ([56, 156] if len(shape) == 2 else [64, 150])
    first = [int(np.asarray(whole.get_frame(n)[0])[0, 0]) for n in (0, footage.PADDING[0])]
    assert first[0] == first[1]


def test_counts_and_f1(parts):
    results = parts("results")
    truth, called = np.array([1, 1, 1, 0, 0], bool), np.array([1, 1, 0, 1, 0], bool)
    counts = results.counted(truth, called)
    assert (counts.cuts, counts.found, counts.others, counts.false) == (3, 2, 2, 1)
    assert counts.f1 == pytest.approx(2 / 3)
    assert counts.text() == "67 % · 1 · 0.667"
    assert results.counted(truth[3:], called[3:]).text() == "– · 1 · –"
    assert results.counted(truth[:3], called[:3]).text() == "67 % · – · –"


def test_verdicts_are_kept_and_told(parts, tmp_path):
    results, verdicts = parts("results"), parts("detectors").Verdicts
    frames = np.zeros((4, 7, 2, 2), np.uint8)
    path = tmp_path / "half-name.json"
    cases = shard(parts, frames, [True, True, False, False])
    results.Kept(path).add(cases, verdicts(cut=np.array([1, 0, 1, 0], bool), score=np.array([0.9, 0.4, 0.4, 0.1])))
    kept = results.Kept(path)
    assert list(results.side_by_side({"name": kept}, ["r"], apart=False)) == [
        "| row | cuts | not | name |",
        "|---|---:|---:|---|",
        "| r | 2 | 2 | 50 % · 1 · 0.500 |",
        "| **all** | 2 | 2 | 50 % · 1 · 0.500 |",
    ]
    assert len(list(results.side_by_side({"name": kept}, ["r"], apart=True))) == 2
    assert list(results.score_table(kept, ["r"]))[1:] == [
        "| r | cuts | 2 | 1 | 0.40 | 0.41 | 0.65 | 0.89 | 0.90 |",
        "| r | not | 2 | 1 | 0.10 | 0.11 | 0.25 | 0.39 | 0.40 |",
    ]
    # At 0.4 both pairs of that score are called cuts: two cuts, one false. At 0.9 one is found and none false.
    threshold, counts = results.best(kept)
    assert threshold == pytest.approx(0.4)
    assert counts.f1 == pytest.approx(0.8)


def test_the_cost_over_films(average_model):
    """In a process of its own: the filter makes no frames any more afterwards."""
    if not hasattr(vs.core, "bs"):
        pytest.skip("needs vapoursynth-bestsource to read clips")
    program = """
import sys
from pathlib import Path
from scenes import films
films.WIDTH, films.HEIGHT, films.TIMED = 96, 64, 2
print(*films.film_table([Path(sys.argv[1])] * 2, sys.argv[2]), sep="\\n")
"""
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'tools'}:{ROOT}"}
    command = [sys.executable, "-c", program, ROOT / "examples" / "clip.mp4", average_model]
    lines = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.splitlines()
    assert lines[0].startswith("A new frame takes ")
    pairs = len(vs.core.bs.VideoSource(str(ROOT / "examples" / "clip.mp4"), cachemode=0)) - 1
    assert [line.split(" | ")[:2] for line in lines[-3:]] == [
        *[["| clip.mp4", str(pairs)]] * 2,
        ["| all", str(2 * pairs)],
    ]
