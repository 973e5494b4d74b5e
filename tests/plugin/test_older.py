"""The networks before 4.0 through core.rife.RIFE: the paper's and the 3.x line, from files."""

import hashlib
import random
import shutil
from fractions import Fraction

import numpy as np
import pytest
import torch
import vapoursynth as vs
from safetensors.torch import save_file

from tests.network.legacy.networks import KINDS, small
from vsrife.models import store

from .clips import digest, samples, textured, with_props

core = vs.core

FILES = {"rife_large_2r": "RIFE-Large"}
"""The file name of the network that has the shapes of another one."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The file of a small network of a kind."""
    folder = tmp_path_factory.mktemp("older")

    def file(kind):
        path = folder / f"{FILES.get(kind, kind.replace(' ', '-'))}.safetensors"
        if not path.exists():
            save_file({key: value.contiguous() for key, value in small(kind).state_dict().items()}, path)
        return str(path)

    return file


def rife(clip, model, **options):
    return core.rife.RIFE(clip, model=model, device="cpu", **{"skip": 0, "sc": 0, "precision": "float32", **options})


def rgb_of(frame):
    return torch.from_numpy(np.stack(samples(frame)))[None]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_runs_and_gives_what_its_definition_gives(model, kind):
    clip = textured(2, 128, 64, vs.RGBS, step=2.0)
    with torch.inference_mode():
        expected = small(kind).frame(*(rgb_of(clip.get_frame(n)) for n in range(2)), Fraction(1, 2))
    made = rife(clip, model(kind)).get_frame(1)
    assert made.props["RifeKind"] == "interpolated"
    assert (rgb_of(made) - expected).abs().max() < 1e-4


def test_large_and_rife_are_told_by_their_names(model, tmp_path):
    """The same weights, and another answer."""
    clip = textured(2, 128, 64, vs.RGBS)
    save_file(small("rife_large_2r").state_dict(), tmp_path / "rife.safetensors")
    answers = [
        rgb_of(rife(clip, name).get_frame(1)) for name in (model("rife_large_2r"), str(tmp_path / "rife.safetensors"))
    ]
    assert (answers[0] - answers[1]).abs().max() > 0.01


@pytest.mark.parametrize(
    ("kind", "multi", "format"),
    [
        ("rife", 2.5, vs.YUV422P10),
        ("rife", 4, vs.GRAY16),
        ("3.8", 4, vs.YUV420P8),
        ("3.1", 3, vs.RGB24),
        ("3.5", Fraction(7, 3), vs.YUV444PH),
    ],
)
def test_frame_n_is_the_same_in_any_order(model, kind, multi, format):
    source = textured(4, 70, 50, format)
    expected = digest(rife(source, model(kind), multi=multi))
    assert len(set(expected.values())) > len(source)
    order = list(range(len(expected)))
    random.Random(3).shuffle(order)
    assert digest(rife(source, model(kind), multi=multi), order) == expected
    clip = rife(source, model(kind), multi=multi)
    futures = [(n, clip.get_frame_async(n)) for n in order]
    at_once = {n: b"".join(plane.tobytes() for plane in samples(future.result(60))) for n, future in futures}
    assert {n: hashlib.sha256(data).digest() for n, data in at_once.items()} == expected


@pytest.mark.parametrize("kind", ["rife", "3.1", "3.5", "3.8"])
def test_four_times_is_twice_of_twice(model, kind):
    source = textured(3, 70, 50, vs.YUV420P8)
    four = rife(source, model(kind), multi=4)
    twice = rife(rife(source, model(kind)), model(kind))
    for n in range(8):
        for one, other in zip(samples(four.get_frame(n)), samples(twice.get_frame(n)), strict=True):
            assert np.array_equal(one, other), n


@pytest.mark.parametrize("kind", ["3.1", "3.8"])
def test_alpha_goes_through_the_middles(model, kind):
    source = textured(3, 70, 50, vs.YUV420P8)
    alpha = textured(3, 70, 50, vs.GRAY8, step=-2.0)
    clip = source.std.ClipToProp(alpha, prop="_Alpha")
    four = rife(clip, model(kind), multi=4)
    twice = rife(rife(clip, model(kind)), model(kind))
    seen = [samples(four.get_frame(n).props["_Alpha"])[0] for n in range(8)]
    assert np.array_equal(seen[0], samples(alpha.get_frame(0))[0])
    assert len({each.tobytes() for each in seen[:5]}) == 5
    for n, each in enumerate(seen):
        assert np.array_equal(each, samples(twice.get_frame(n).props["_Alpha"])[0]), n


def test_rife_m_takes_any_time_itself(model):
    """Two thirds of a pair are two thirds, not the nearest of 64ths."""
    clip = textured(2, 128, 64, vs.RGBS, step=2.0)
    frames = [rgb_of(clip.get_frame(n)) for n in range(2)]
    with torch.inference_mode():
        exact, near = (small("rife_m").frame(*frames, t) for t in (Fraction(2, 3), Fraction(43, 64)))
    made = rgb_of(rife(clip, model("rife_m"), multi=3).get_frame(2))
    assert (made - exact).abs().max() < 1e-4
    assert (near - exact).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["3.1", "3.5"])
def test_an_ensemble_that_is_not_taken_is_an_error(model, kind):
    with pytest.raises(vs.Error, match=r"RIFE: ensemble \(1\) must be 0 for this model"):
        rife(textured(2, 64, 64), model(kind), ensemble=1)


def test_two_t_is_the_ensemble_of_the_paper(model):
    clip = textured(2, 128, 64, vs.RGBS, step=2.0)
    with torch.inference_mode():
        expected = small("rife").frame(*(rgb_of(clip.get_frame(n)) for n in range(2)), Fraction(1, 2), ensemble=True)
    assert (rgb_of(rife(clip, model("rife"), ensemble=1).get_frame(1)) - expected).abs().max() < 1e-4


def test_rife_large_is_recognised_by_its_metadata_too(model, tmp_path):
    clip = textured(2, 128, 64, vs.RGBS)
    path = str(tmp_path / "flownet.safetensors")
    save_file(small("rife_large_2r").state_dict(), path, {"variant": "large"})
    named = rife(clip, model("rife_large_2r")).get_frame(1)
    assert torch.equal(rgb_of(rife(clip, path).get_frame(1)), rgb_of(named))


def test_a_name_of_the_3_x_line_runs_once_it_is_there(shared, monkeypatch, tmp_path):
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path))
    clip = textured(2, 64, 64)
    with pytest.raises(vs.Error, match=r"model \(3\.8\) is not on this machine; run: .* models fetch 3\.8"):
        rife(clip, "3.8")
    shutil.copy(shared / "weights" / "flownet_v3.8.pkl", tmp_path)
    assert rife(clip, "3.8").get_frame(1).props["RifeKind"] == "interpolated"


def test_the_official_3_8_beats_the_average(shared):
    """A picture that moves by 6 pixels, in the format that clips have."""
    clip = textured(3, 128, 96, vs.YUV420P8, step=6.0)
    made = rife(clip[::2], str(shared / "weights" / "flownet_v3.8.pkl")).get_frame(1)
    truth, *ends = (samples(clip.get_frame(n))[0].astype(float) for n in (1, 0, 2))
    inner = np.s_[16:-16, 16:-16]

    def error(luma):
        return float(np.mean((luma - truth)[inner] ** 2))

    assert error(samples(made)[0]) < error((ends[0] + ends[1]) / 2) / 20


def test_cuts_and_marks_are_those_of_any_model(model):
    clip = with_props(textured(4, 70, 50), {1: {"_SceneChangeNext": 1}, 2: {"_SceneChangePrev": 1}})
    out = core.rife.RIFE(clip, model=model("3.8"), device="cpu", multi=4)
    kinds = [out.get_frame(n).props["RifeKind"] for n in range(16)]
    assert kinds[5:8] == ["scenechange"] * 3
    assert kinds[1:4] == ["interpolated"] * 3
