"""Cuts as the filter finds them, with the official 4.0: made scenes of every kind, and labelled cuts of real clips."""

import json
import random

import numpy as np
import pytest
import vapoursynth as vs

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

core = vs.core
LABELS = json.loads((ROOT / "tests" / "data" / "cut_labels.json").read_text())
WORDS = ("motion", "frame", "video", "signal", "between", "network", "layer", "flow", "mask", "pixel", "scene", "rate",
         "time", "light", "colour", "memory")  # fmt: skip


def kinds(clip, model, **arguments):
    """The kind of the frame in the middle of each pair."""
    out = core.rife.RIFE(clip, model=model, device="cpu", **arguments)
    return [str(out.get_frame(n).props["RifeKind"]) for n in range(1, 2 * len(clip) - 2, 2)]


def drawn(draw, length, width=640, height=360, color=40, format=vs.GRAY8):
    base = core.std.BlankClip(width=width, height=height, format=format, length=length, fpsnum=24, color=color)

    def frame(n, f):
        made = f.copy()
        draw(n, np.asarray(made[0]))
        return made

    return base.std.ModifyFrame(base, frame)


def page(seed, lines, scale):
    """A page of random words with the same line breaks, dark on light."""
    rnd = random.Random(seed)
    text = "\n".join("- " + " ".join(rnd.choice(WORDS) for _ in range(rnd.randint(2, 6))) for _ in range(lines))
    clip = core.std.BlankClip(width=642, height=358, format=vs.GRAY8, length=1, fpsnum=30, color=16)
    return core.text.Text(clip, text, alignment=7, scale=scale).std.Invert()


def clip_of(shared, part, name):
    path = shared / "data" / part / name
    if not hasattr(core, "bs") or not path.is_file():
        pytest.skip(f"needs vapoursynth-bestsource and {name}, which are not here")
    return core.bs.VideoSource(str(path), cachemode=0)


@pytest.mark.parametrize("size", [(16, 24), (40, 40), (80, 60)])
@pytest.mark.parametrize("step", [24, -40])
def test_one_thing_that_moves_over_plain_ground_is_no_cut(official_model, size, step):
    def draw(n, samples):
        x = 300 + n * step
        samples[110 : 110 + size[1], x : x + size[0]] = 200

    assert "scenechange" not in kinds(drawn(draw, 7), official_model)


@pytest.mark.parametrize(("lines", "scale"), [(3, 2), (20, 1)])
def test_pages_of_text_that_change_are_cuts(official_model, lines, scale):
    pages = core.std.Splice([page(seed, lines, scale) for seed in range(4)])
    assert kinds(pages.resize.Point(format=vs.YUV420P8, matrix_s="709"), official_model) == ["scenechange"] * 3


@pytest.mark.parametrize("step", [3, 20])
def test_a_page_that_scrolls_has_none(official_model, step):
    text = page(1, 40, 1)
    tall = core.std.StackVertical([text, page(2, 40, 1)])
    views = [tall.std.CropAbs(642, 320, 0, step * n) for n in range(4)]
    assert "scenechange" not in kinds(core.std.Splice(views), official_model)


@pytest.mark.parametrize(
    ("part", "name", "first", "last"),
    [("eval", "bikes.mp4", 126, 142), ("eval", "city.mpg", 110, 120), ("train", "tears-of-steel.webm", 1120, 1130)],
)
@pytest.mark.parametrize("look", ["as it is", "dark", "panel"])
def test_labelled_cuts(official_model, shared, part, name, first, last, look):
    clip = clip_of(shared, f"clips_{part}", name)[first : last + 1]
    clip = clip.resize.Bicubic(322, 182, format=vs.YUV420P10, matrix_in_s="709", matrix_s="709")
    if look == "dark":
        clip = clip.std.Expr(["x 64 - 0.06 * 64 +", "x 512 - 0.06 * 512 +"])
    elif look == "panel":
        panel = core.std.Loop(clip[0].std.FlipHorizontal().std.Crop(top=110), len(clip))
        clip = core.std.StackVertical([clip.std.Crop(bottom=72), panel])
    found = [first + n for n, kind in enumerate(kinds(clip, official_model, scale=2.0)) if kind == "scenechange"]
    assert found == [n for n in LABELS[part][name] if first <= n < last]


def test_a_verdict_is_the_same_at_every_time_and_in_any_order(official_model, shared):
    clip = clip_of(shared, "clips_eval", "bikes.mp4")[134:139].resize.Bicubic(256, 110, format=vs.YUV420P8)
    out = core.rife.RIFE(clip, multi=4, model=official_model, device="cpu")
    scores = {n: out.get_frame(n).props.get("RifeSceneScore") for n in reversed(range(16))}
    again = core.rife.RIFE(clip, multi=4, model=official_model, device="cpu")
    for pair in range(4):
        found = {scores[4 * pair + k] for k in (1, 2, 3)}
        assert len(found) == 1
        assert again.get_frame(4 * pair + 2).props["RifeSceneScore"] in found
