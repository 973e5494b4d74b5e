"""The call itself: what each wrong argument is told, and that each right one has its effect."""

import re
from fractions import Fraction

import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.hosts.processes import python
from vsrife.engine.interpolator import Interpolator

from .clips import numbered, samples, scene, textured, with_props

RATES = "60 is fps_num=60, fps_den=1 and 59.94 is fps_num=60000, fps_den=1001"

core = vs.core
INF, NAN = float("inf"), float("nan")
NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="tells what a machine without a GPU is told")


def blank(format=vs.YUV420P8, length=4, **options):
    return core.std.BlankClip(format=format, width=64, height=32, length=length, **{"fpsnum": 24, **options})


def message_of(clip, **options) -> str:
    """The error of a call, which must be one line with the prefix once."""
    with pytest.raises(vs.Error) as caught:
        core.rife.RIFE(clip, **options)
    text = str(caught.value)
    assert text.startswith("RIFE: ")
    assert text.count("RIFE:") == 1
    assert "\n" not in text
    assert "Traceback" not in text
    assert "Error:" not in text
    return text


A_NUMBER = r"must be a number above 0, such as 2, 2\.5 or Fraction\(1001, 400\)"
WHOLE = r"must be a whole number from 1 to 9007199254740991; "
PLACES = r'must be "auto", "cpu", "cuda", "cuda:1" or another device of torch'

WRONG = [
    *[({"multi": value}, A_NUMBER + "$") for value in (0, -1, -0.5, INF, NAN)],
    *[({"multi": value}, A_NUMBER + r", of a numerator and denominator below 2\^63$") for value in (1e300, 1e-40)],
    ({"factor_num": 0, "factor_den": 1}, WHOLE + "2.5 is factor_num=5, factor_den=2$"),
    ({"factor_num": -3, "factor_den": 1}, WHOLE),
    ({"factor_num": NAN, "factor_den": 1}, WHOLE),
    ({"factor_num": 2.5, "factor_den": 1}, WHOLE + "pass multi=2.5 instead of factor_num and factor_den$"),
    ({"factor_den": 0, "factor_num": 1}, WHOLE),
    ({"factor_den": 1.5, "factor_num": 1}, WHOLE),
    ({"fps_num": 59.94, "fps_den": 1}, WHOLE + "pass fps_num=60000, fps_den=1001$"),
    ({"fps_num": INF, "fps_den": 1}, WHOLE + f"{RATES}$"),
    ({"fps_den": 0, "fps_num": 60}, WHOLE),
    ({"fps_den": -1, "fps_num": 60}, WHOLE),
    ({"factor_den": 5}, "must come with factor_num, which is missing"),
    ({"fps_den": 1}, "must come with fps_num, which is missing"),
    ({"multi": 2, "factor_num": 5}, r"and factor_num \(5\) must not be passed together: each sets the frame rate; "),
    ({"multi": 2, "fps_den": 1}, r"and fps_den \(1\) must not be passed together"),
    ({"factor_num": 2, "fps_num": 60}, r"and fps_num \(60\) must not be passed together"),
    ({"multi": 2, "factor_num": 5, "factor_den": 2, "fps_num": 60, "fps_den": 1}, r"and factor_num \(5\) must not"),
    ({"model": "4.99"}, r"did you mean 4\.\d+\? names: default, 3\.1, .*4\.0, 4\.1, .*4\.26\.heavy$"),
    ({"model": "rife"}, r"must be a model's name or a checkpoint file; names: default, 3\.1, "),
    ({"model": ""}, r"must be a name or a file; for the names: python -m vsrife models$"),
    (
        {"model": "no such.pkl"},
        r"must be a file that exists, or a model's name; for the names: python -m vsrife models$",
    ),
    ({"model": "../../x"}, r"must be a model's name or a file that ends in \.pkl, "),
    *[({"scale": value}, "must be 0.25, 0.5, 1, 2 or 4; 0.5 suits 2160p") for value in (0, 3, -1, 0.3, NAN, INF)],
    *[
        ({name: value}, r"\) must be 0 or 1$")
        for name in ("ensemble", "sc", "skip")
        for value in (2, -1, 0.5, NAN, INF)
    ],
    *[
        ({"sc_threshold": value}, "must be a cut score from 0 to 1; leave it out for the default$")
        for value in (-0.1, 1.1, NAN, INF)
    ],
    *[
        ({"skip_threshold": value}, "must be a PSNR from 0 to 120 decibels; leave it out for 60$")
        for value in (-1, 121, NAN, INF)
    ],
    *[({"device": value}, PLACES + "$") for value in ("", "cuda:-1", "xpu7x", "cpus")],
    *[
        ({"device": value}, PLACES + rf"; did you mean {meant}\?$")
        for value, meant in (
            ("gpu", "cuda"),
            ("CPU", "cpu"),
            ("Cuda:1", "cuda:1"),
            ("cuda0", "cuda:0"),
            ("AUTO", "auto"),
        )
    ],
    ({"device": "0"}, PLACES + '; for GPU 0 pass "cuda:0"$'),
    ({"device": "meta"}, r'cannot be used here \(.+\); try device="cpu"$'),
    ({"device": "cpu:1"}, r'out of range; the CPU is one device: pass device="cpu"$'),
    *[({"precision": value}, r"must be one of auto, float32, float16, bfloat16") for value in ("", "int8", "fp8")],
    ({"precision": "fp16"}, r"did you mean float16\?$"),
    ({"precision": "single"}, r"did you mean float32\?$"),
    ({"matrix_in": "bt601"}, r"must be one of 709 \(1\), fcc \(4\), .*2020ncl \(9\); did you mean 170m\?$"),
    ({"matrix_in": "ictcp"}, r"; ictcp is not supported: it works on cone responses"),
    ({"matrix_in": "10"}, r"; 2020cl is not supported: constant luminance"),
    ({"matrix_in": "rgb"}, r"must be a matrix of YUV for a YUV420P8 clip; take one of 709 \(1\), "),
    ({"matrix_in": ""}, "must be a name or H.273 number"),
    ({"range_in": "tv"}, r"must be one of limited \(0\), full \(1\); did you mean limited\?$"),
    ({"range_in": "2"}, r"must be one of limited \(0\), full \(1\)$"),
    ({"chromaloc_in": "middle"}, r"must be one of left \(0\), center \(1\), top_left \(2\), .*bottom \(5\)$"),
    ({"chromaloc_in": "6"}, r"must be one of left \(0\), "),
]


@pytest.mark.parametrize(("options", "expected"), WRONG, ids=[str(options)[:60] for options, _ in WRONG])
def test_a_wrong_argument_is_named_with_its_value_and_the_way_out(average_model, options, expected):
    text = message_of(blank(), **{"model": average_model, "device": "cpu", **options})
    name, value = next(iter(options.items()))
    value = str(int(value)) if isinstance(value, float) and value == int(value if abs(value) < 1e9 else 0) else value
    assert f"{name} ({value})" in text
    assert re.search(expected, text), text


@NO_GPU
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:3"])
def test_cuda_without_a_gpu(average_model, device):
    text = message_of(blank(), model=average_model, device=device)
    assert re.search(rf'device \({device}\) cannot be used: .+; try device="cpu"$', text)


def test_a_device_beyond_the_last_one(average_model, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    text = message_of(blank(), model=average_model, device="cuda:3")
    assert text == "RIFE: device (cuda:3) out of range; 1 device, counted from cuda:0"


@pytest.mark.parametrize("device", ["mps", "vulkan", "hpu"])
def test_a_device_of_another_torch_says_why_in_a_few_words(average_model, device):
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has it")
    text = message_of(blank(), model=average_model, device=device)
    assert re.search(rf'device \({device}\) cannot be used here \([^()]*\S\); try device="cpu"$', text), text
    assert len(text) < 200


class TestClip:
    def test_no_video_clip_is_the_core_s_error(self):
        for clip in (None, [blank(), blank()], core.std.BlankAudio(), 5, "clip"):
            text = message_of(clip)
            assert text.startswith("RIFE: argument clip "), text

    def test_variable_format_and_size(self):
        other = core.std.BlankClip(format=vs.YUV420P8, width=32, height=32, length=2)
        sizes = core.std.Splice([blank(), other], mismatch=True)
        formats = core.std.Splice([blank(), blank(vs.RGB24)], mismatch=True)
        assert message_of(formats) == (
            "RIFE: clip must have a constant format; convert it with clip.resize.Bicubic(format=vs.YUV420P8)"
        )
        assert message_of(sizes) == (
            "RIFE: clip must have a constant size; scale it with clip.resize.Bicubic(width=1920, height=1080)"
        )

    @pytest.mark.parametrize(
        ("family", "bits", "subsampling", "name", "remedy"),
        [
            (vs.GRAY, 32, (0, 0), "Gray32", "vs.GRAY16"),
            (vs.YUV, 32, (1, 1), "YUV420P32", "vs.YUV420P16"),
            (vs.RGB, 17, (0, 0), "RGB51", "vs.RGB48"),
            (vs.YUV, 24, (2, 0), "YUV411P24", "vs.YUV411P16"),
        ],
    )
    def test_a_format_that_is_not_taken(self, family, bits, subsampling, name, remedy):
        format = core.query_video_format(family, vs.INTEGER, bits, *subsampling)
        text = message_of(blank(format.id))
        assert f"clip ({name}) must have 8 to 16 bit integer, half or single float samples" in text
        assert f"format={remedy} " in text
        assert getattr(vs, remedy.removeprefix("vs."), None) is not None

    @pytest.mark.parametrize("multi", [2, 2.5, 3, 1, Fraction(1, 3)])
    @pytest.mark.parametrize("frames", [1, 2])
    def test_one_and_two_frames(self, average_model, frames, multi):
        out = core.rife.RIFE(numbered(frames), multi=multi, model=average_model, device="cpu", sc=0)
        ratio = Fraction(multi)
        assert len(out) == -(-frames * ratio.numerator // ratio.denominator)
        last = frames - 1
        for n, frame in enumerate(out.frames()):
            position = n / ratio
            level = int(position) * 10 + (5 if position < last and position.denominator > 1 else 0)
            assert int(samples(frame)[0][0, 0]) == level
            assert frame.props["RifeKind"] == (
                "source" if position.denominator == 1 else "interpolated" if position < last else "repeat"
            )

    @pytest.mark.parametrize("options", [{}, {"multi": 1.5}, {"factor_num": 3, "factor_den": 2}])
    def test_more_frames_than_vapoursynth_can_count(self, average_model, options):
        clip = core.std.BlankClip(format=vs.GRAY8, width=16, height=16, length=2**31 - 1, keep=True)
        text = message_of(clip, model=average_model, **options)
        cause = " and ".join(f"{k} ({v})" for k, v in options.items()) or "multi (2)"
        assert text.startswith(f"RIFE: {cause} and clip (2147483647 frames) must make at most 2147483647 frames, not ")
        assert text.endswith("; trim the clip or pass multi=1 or less")
        assert len(core.rife.RIFE(clip, multi=1, model=average_model, device="cpu")) == 2**31 - 1

    def test_target_fps_of_a_clip_without_a_rate(self, average_model):
        text = message_of(blank(fpsnum=0, fpsden=1), model=average_model, fps_num=60, fps_den=1)
        assert text == (
            "RIFE: fps_num (60) and fps_den (1) must come with a clip whose frame rate is known, and this clip's is "
            "not; pass multi= instead; or, where its frames have durations, cfr=1 beside it; or say the rate "
            "first, if it is constant: clip.std.AssumeFPS(fpsnum=24000, fpsden=1001)"
        )
        rated = blank(fpsnum=0, fpsden=1).std.AssumeFPS(fpsnum=24000, fpsden=1001)
        assert core.rife.RIFE(rated, fps_num=60, fps_den=1, model=average_model, device="cpu").fps == 60

    @pytest.mark.parametrize(
        ("format", "option", "expected"),
        [
            (vs.GRAY8, {"matrix_in": "709"}, "for a Gray8 clip, which has no matrix; leave it out"),
            (vs.RGB24, {"matrix_in": "709"}, "must be a matrix of RGB for a RGB24 clip; leave it out"),
            (vs.RGBS, {"range_in": "limited"}, "must be full for a RGBS clip: floats are 0 to 1; leave it out"),
            (vs.YUV444P8, {"chromaloc_in": "left"}, "for a YUV444P8 clip, which is not subsampled; leave it out"),
        ],
    )
    def test_an_override_that_this_format_would_ignore(self, average_model, format, option, expected):
        text = message_of(blank(format), model=average_model, **option)
        (name, value), *_ = option.items()
        assert f"{name} ({value}) must" in text
        assert text.endswith(expected)


def test_unknown_keywords_and_kinds_are_the_core_s_errors():
    assert message_of(blank(), mutli=2) == "RIFE: Function does not take argument(s) named mutli"
    assert "multi" in message_of(blank(), multi=[2, 3])


def test_a_model_that_must_be_fetched_gives_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("VSRIFE_MODELS", str(tmp_path))
    text = message_of(blank(), model="4.25", device="cpu")
    assert "model (4.25) is not on this machine; run: python -m vsrife models fetch 4.25 (brings https://" in text
    assert str(tmp_path / "flownet_v4.25.pkl") in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["5/2", "2,5", "", "/opt/rife/models/rife-v4.6"])
def test_text_that_is_no_number_is_refused_by_vapoursynth(text):
    with pytest.raises(ValueError, match="could not convert string to float"):
        core.rife.RIFE(blank(), multi=text)


def test_a_file_that_is_no_model_is_named(tmp_path):
    page = tmp_path / "flownet.pkl"
    page.write_text("<!DOCTYPE html><title>404</title>")
    text = message_of(blank(), model=str(page), device="cpu")
    assert str(page) in text
    assert "web page" in text


def test_ensemble_on_a_network_that_has_none(tmp_path):
    from safetensors.torch import save_file

    from vsrife.network.architecture import Architecture, Head, Trunk
    from vsrife.network.ifnet import IFNet

    network = IFNet(
        Architecture(
            widths=(8, 8, 8, 8),
            scales=(8, 4, 2, 1),
            trunk=Trunk.RESIDUAL,
            outputs=52,
            head=Head.CLAMPED,
            head_width=4,
            features=4,
        )
    )
    path = tmp_path / "hands over.safetensors"
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    assert "ensemble (1) must be 0 for this model" in message_of(blank(), model=str(path), device="cpu", ensemble=1)
    assert len(core.rife.RIFE(blank(), model=str(path), device="cpu")) == 8


def luma(clip, model, n=1, **options):
    made = core.rife.RIFE(clip, model=model, device="cpu", **{"skip": 0, "sc": 0, **options}).get_frame(n)
    assert made.props["RifeKind"] == "interpolated"
    return samples(made)[0].astype(np.float64)


class TestEffects:
    """Every option changes the picture, in the direction that it should."""

    def test_model(self, average_model, moving_model):
        clip = textured(2)
        mean = sum(samples(f)[0].astype(float) for f in clip.frames()) / 2
        assert np.abs(luma(clip, average_model) - mean).max() <= 0.5
        assert np.abs(luma(clip, moving_model) - mean).max() > 5

    def test_multi_sets_the_time(self, moving_model, monkeypatch):
        seen = []
        inner = Interpolator.interpolate

        def note(self, left, right, t, *rest):
            seen.append((left.number, right.number, t))
            return inner(self, left, right, t, *rest)

        monkeypatch.setattr(Interpolator, "interpolate", note)
        clip = textured(2)
        at = [luma(clip, moving_model, n, multi=10 / 3) for n in (1, 2, 3)]
        assert seen == [(0, 1, Fraction(3, 10)), (0, 1, Fraction(6, 10)), (0, 1, Fraction(9, 10))]
        assert np.abs(at[0] - at[1]).max() > 1
        assert np.abs(at[1] - at[2]).max() > 1

    @pytest.mark.parametrize("scale", [0.25, 0.5, 2, 4])
    def test_scale(self, moving_model, scale):
        clip = textured(2)
        assert np.abs(luma(clip, moving_model, scale=scale) - luma(clip, moving_model)).max() > 2

    def test_ensemble_makes_both_directions_of_time_equal(self, moving_model):
        clip = textured(2)
        back = clip.std.Reverse()
        gap = {e: np.abs(luma(clip, moving_model, ensemble=e) - luma(back, moving_model, ensemble=e)) for e in (0, 1)}
        assert gap[0].max() > 5
        assert gap[1].max() <= 1

    def test_precision_loses_what_its_bits_lose(self, moving_model):
        clip = textured(2, format=vs.GRAYS)
        exact = luma(clip, moving_model, precision="float32")
        error = {p: np.abs(luma(clip, moving_model, precision=p) - exact).mean() for p in ("float16", "bfloat16")}
        assert 0 < error["float16"] < error["bfloat16"] < 0.05
        assert np.array_equal(luma(clip, moving_model), exact), "the default on a CPU is float32"
        assert np.array_equal(luma(clip, moving_model, precision="auto"), exact)

    def kinds(self, clip, model, **options):
        out = core.rife.RIFE(clip, model=model, device="cpu", **options)
        return {out.get_frame(n).props["RifeKind"] for n in range(len(out) - 2) if n % 2}

    def test_sc_and_its_threshold(self, average_model):
        clip = scene(1)
        assert self.kinds(clip, average_model, sc_threshold=1) == {"interpolated"}
        assert self.kinds(clip, average_model) == {"interpolated"}
        assert self.kinds(clip, average_model, sc_threshold=0) == {"scenechange"}
        preset = with_props(clip, {0: {"_SceneChangeNext": 1}, 1: {"_SceneChangeNext": 1}})
        assert self.kinds(preset, average_model) == {"scenechange"}
        assert self.kinds(preset, average_model, sc=0) == {"interpolated"}

    def test_skip_and_its_threshold(self, average_model):
        clip = with_props(core.std.Splice([blank(color=[v, 128, 128], length=1) for v in (100, 101, 102)]), {})
        assert self.kinds(clip, average_model, sc=0, skip_threshold=120) == {"interpolated"}
        assert self.kinds(clip, average_model, sc=0) == {"interpolated"}
        assert self.kinds(clip, average_model, sc=0, skip_threshold=40) == {"duplicate"}
        still = blank()
        assert self.kinds(still, average_model, sc=0) == {"duplicate"}
        assert self.kinds(still, average_model, sc=0, skip_threshold=120) == {"duplicate"}
        assert self.kinds(still, average_model, sc=0, skip=0) == {"interpolated"}

    @pytest.mark.parametrize(
        ("option", "value", "prop", "number", "other"),
        [
            ("matrix_in", "2020ncl", "_Matrix", 9, 7),
            ("matrix_in", "8", "_Matrix", 8, 1),
            ("range_in", "full", "_Range", 1, 0),
            ("range_in", "limited", "_Range", 0, 1),
            ("chromaloc_in", "bottom", "_ChromaLocation", 5, 0),
            ("chromaloc_in", "2", "_ChromaLocation", 2, 1),
        ],
    )
    def test_colour_overrides_win_over_the_props(self, moving_model, option, value, prop, number, other):
        """An override is as good as the property, and is not the same as the property it replaces."""
        clip = textured(2)
        named = [with_props(clip, {0: {prop: each}, 1: {prop: each}}) for each in (number, other)]

        def planes(clip, **options):
            out = core.rife.RIFE(clip, model=moving_model, device="cpu", skip=0, sc=0, **options)
            return samples(out.get_frame(1))

        wanted, different = planes(named[0]), planes(named[1])
        given = planes(named[1], **{option: value})
        assert all(np.array_equal(a, b) for a, b in zip(given, wanted, strict=True))
        assert not all(np.array_equal(a, b) for a, b in zip(given, different, strict=True))


class TestInstallation:
    CALL = """
import vapoursynth as vs
clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=32, length=2)
{before}
try:
    vs.core.rife.RIFE(clip)
except vs.Error as error:
    print(error)
"""

    def test_the_peer_of_the_same_import_name_is_named(self, tmp_path):
        facts = tmp_path / "vsrife-5.7.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: vsrife\nVersion: 5.7.0\n")
        done = python(self.CALL.format(before=""), PYTHONPATH=tmp_path)
        text = done.stdout
        assert text.startswith(
            "RIFE: PyPI's vsrife 5.7.0 is installed and shares the import name of vapoursynth-rife; "
        )
        assert "`pip uninstall -y vsrife`" in text
        assert text.count("\n") == 1

    def test_the_peer_in_our_place_is_named(self):
        hide = "import sys, types\nsys.modules['vsrife'] = types.ModuleType('vsrife')"
        text = python(self.CALL.format(before=hide)).stdout
        assert text.startswith(
            "RIFE: cannot import its Python package (ModuleNotFoundError: No module named 'vsrife.plugin"
        )
        assert "if PyPI's vsrife is installed, which has the same import name" in text
        assert text.count("\n") == 1

    def test_a_missing_dependency_is_named_with_the_command(self):
        hide = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in ("torch", "pooch") else found(name, package)
"""
        done = python(self.CALL.format(before=hide) + "print('torch' in sys.modules)")
        assert done.stdout == "RIFE: needs torch, pooch, not installed here; run `pip install torch pooch`\nFalse\n"
