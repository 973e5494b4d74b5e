"""Scripts written for the RIFE-ncnn-Vulkan plugin, whose namespace and function we share: their arguments run, and mean
what they meant.
"""

import logging
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs

import vsrife
from tests import standin
from tests.network import small
from vsrife.engine import device
from vsrife.models import catalogue, ncnn

from .clips import samples, textured

core = vs.core
NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="tells what a machine without a GPU is told")

FOLDER = "/opt/rife/models/rife-v4.6_ensembleFalse"

# Sets of arguments that public scripts, programs and answers in threads pass to core.rife.RIFE of the other plugin,
# gathered from repositories and issues; values that a program fills in are such as it does.
PUBLIC = [
    {},
    {"list_gpu": True},
    {"model": 0, "sc": True},
    {"model": 0, "sc": True, "uhd": True},
    {"model": 0, "gpu_id": 0, "gpu_thread": 2, "tta": False, "uhd": False, "sc": False, "list_gpu": False},
    {"model": 3, "gpu_thread": 2},
    {"model": 5, "fps_num": 4, "fps_den": 1, "gpu_thread": 2},
    {"model": 8, "tta": True, "uhd": False},
    {"model": 9, "multiplier": 2, "gpu_id": 0, "gpu_thread": 4, "tta": False, "uhd": False, "skip": True, "sc": True},
    {"model": 9, "sc": True, "skip": False, "multiplier": 8},
    {"model": 9, "sc": True, "factor_num": 8, "factor_den": 1},
    {"model": 9, "gpu_thread": 16, "tta": False, "uhd": False, "sc": True, "factor_num": 5, "factor_den": 2},
    {"model": 9, "factor_num": 2, "gpu_id": 0, "gpu_thread": 4, "tta": False, "uhd": False, "skip": False, "sc": False},
    {"model": 9, "factor_num": 2, "gpu_id": 0, "gpu_thread": 4, "tta": False, "uhd": False, "skip": True, "sc": True},
    {"model": 11, "tta": False, "uhd": False},
    {"model": 19, "factor_num": 5, "factor_den": 2, "gpu_id": 1, "gpu_thread": 3, "sc": True, "skip": True},
    {"model": "21", "factor_num": 2, "skip": True, "uhd": False, "tta": False, "skip_threshold": 60, "sc": True},
    {"model": 21, "factor_num": 2, "factor_den": 1, "gpu_id": 0, "gpu_thread": 2, "tta": False, "uhd": False,
     "sc": True, "skip": True, "skip_threshold": 60.0},
    {"model": 22, "factor_num": 4, "tta": False, "uhd": False, "gpu_id": 0},
    {"model": 23, "factor_num": 2, "factor_den": 1, "gpu_id": 0, "gpu_thread": 2, "sc": True, "skip": True,
     "skip_threshold": 60.0},
    {"model": 24, "factor_num": 60, "factor_den": 24, "gpu_id": 0, "gpu_thread": 2, "sc": False, "skip": False,
     "skip_threshold": 60.0},
    {"model": 37, "gpu_thread": 1, "sc": True},
    {"model": 41, "factor_num": 2, "factor_den": 1, "gpu_id": 0, "gpu_thread": 2, "tta": False, "uhd": False,
     "sc": True, "skip": True, "skip_threshold": 60.0},
    {"model": 43, "gpu_thread": 5, "factor_num": 4, "factor_den": 2, "gpu_id": 0, "tta": False, "uhd": False,
     "skip": True, "sc": False},
    {"model": 45, "gpu_thread": 2, "factor_num": 2, "factor_den": 1},
    {"model": 47, "multiplier": 2, "gpu_id": 0, "gpu_thread": 1, "tta": "0", "uhd": "1", "sc": "1"},
    {"model": 63, "factor_num": 3, "factor_den": 1, "gpu_id": 0, "gpu_thread": 2, "sc": True, "skip": False,
     "skip_threshold": 60.0},
    {"model": 65, "gpu_thread": 1},
    {"model": 72, "sc": True, "uhd": True},
    {"factor_num": 2},
    {"multiplier": 3},
    {"fps_num": 60000, "fps_den": 1001},
    {"fps_num": 60, "fps_den": 1, "gpu_id": 0, "gpu_thread": 1, "tta": False, "uhd": False, "sc": False},
    {"model": 0, "fps_num": 48, "fps_den": 1, "gpu_id": 0, "gpu_thread": 2, "tta": False, "uhd": False, "sc": True},
    {"fps_num": 48000, "fps_den": 1001, "model_path": "rife-v4.4_ensembleFalse_fastTrue", "gpu_id": 0,
     "gpu_thread": 3, "tta": False, "uhd": False, "sc": True},
    {"fps_num": 120, "fps_den": 1, "model_path": FOLDER, "gpu_id": 0},
    {"fps_num": 60, "fps_den": 1, "model_path": "", "gpu_id": -1},
    {"model_path": "models/rife-v4.26_ensembleFalse", "fps_num": 60000, "fps_den": 1001, "sc": True},
    {"model_path": "models/rife-v4.22_ensembleFalse", "factor_num": 2, "factor_den": 1, "gpu_id": 0, "gpu_thread": 2,
     "tta": False, "uhd": False, "sc": True, "skip": True, "skip_threshold": 60.0},
    {"model_path": "models/rife-v4.22_lite_ensembleFalse", "factor_num": 2, "gpu_thread": 1},
    {"model_path": "plugins/models/rife-v4.26-heavy", "factor_num": 2, "gpu_id": 0, "gpu_thread": 2, "sc": False},
    {"model_path": "rife-v4.25-lite_ensembleFalse", "factor_num": 5, "factor_den": 2, "gpu_thread": 4},
    {"model_path": "/Applications/SVP.app/rife/rife-v4", "factor_num": 2, "factor_den": 1, "gpu_id": 0,
     "gpu_thread": 2, "tta": False, "sc": True, "scale": 0.5},
    {"model": 9, "model_path": r"C:\rife\rife-v4.6", "fps_num": 120, "fps_den": 1, "gpu_id": 0, "gpu_thread": 3,
     "tta": False, "uhd": True},
    {"factor_num": 5, "factor_den": 2, "model_path": FOLDER, "gpu_id": None, "gpu_thread": 2, "tta": False,
     "uhd": False, "sc": True},
    {"factor_num": 3, "model_path": "C:\\tools\\rife-v2.3\\", "gpu_id": 0, "gpu_thread": 1, "tta": True, "uhd": True,
     "sc": False},
    {"multiplier": 2.5, "model_path": FOLDER, "gpu_id": 0, "gpu_thread": 4, "tta": False, "uhd": False, "sc": True},
    {"factor_num": 2500, "factor_den": 1000, "model": 23, "gpu_id": 0, "tta": False, "uhd": False, "sc": True},
    {"model": 70, "factor_num": 2, "factor_den": 1, "gpu_thread": 2},
]  # fmt: skip

WHAT_WAS_NEVER_THEIRS = [
    # Of each the reason is in docs/coming-from.md.
    ({"factor": 2.5, "gpu_id": 0}, "does not take argument(s) named factor"),
    ({"factor_num": 2, "factor_den": 1, "trt": True}, "does not take argument(s) named trt"),
    ({"model": "rife.25", "factor_num": 2}, "model (rife.25) must be a model's name"),
    ({"model": 4.27, "factor_num": 2}, "model (4.27) must be a model's name or a checkpoint file; did you mean 4.26?"),
    ({"model_path": "/opt/models"}, "model_path (/opt/models) must be a folder whose name tells the network"),
]


@pytest.fixture
def only_4_0(average_model, tmp_path, monkeypatch) -> Path:
    """A cache folder in which a small network stands for 4.0, and nothing for any other."""
    folder = tmp_path / "models"
    standin.put(Path(average_model), folder)
    monkeypatch.setenv(standin.FOLDER_VARIABLE, str(folder))
    monkeypatch.setattr(catalogue, "CATALOGUE", standin.with_stand_in())
    return folder


def clip(format=vs.RGBS, length=7, **size):
    return core.std.BlankClip(
        **{"width": 70, "height": 50, "format": format, "length": length, "fpsnum": 24000, "fpsden": 1001} | size
    )


def error_of(**options) -> str:
    with pytest.raises(vs.Error) as caught:
        core.rife.RIFE(clip(), **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_table_is_of_many_sets():
    assert len(PUBLIC) == len({str(each) for each in PUBLIC}) >= 40


@NO_GPU
@pytest.mark.parametrize("options", PUBLIC, ids=[str(options)[:70] for options in PUBLIC])
def test_public_sets_of_arguments_run(only_4_0, logged, options):
    made = core.rife.RIFE(clip(), **options)
    frame = made.get_frame(1)
    assert ("RifeKind" in frame.props) != bool(options.get("list_gpu"))
    assert all("\n" not in line for line in logged)
    expected = (
        Fraction(1)
        if options.get("list_gpu")
        else Fraction(options["factor_num"], options.get("factor_den", 1))
        if "factor_num" in options
        else Fraction(options["fps_num"], options["fps_den"]) / Fraction(24000, 1001)
        if "fps_num" in options
        else Fraction(str(options.get("multiplier", 2)))
    )
    assert made.fps == Fraction(24000, 1001) * expected


@pytest.mark.parametrize(("options", "expected"), WHAT_WAS_NEVER_THEIRS)
def test_what_was_never_theirs_is_one_line(only_4_0, options, expected):
    assert expected in error_of(**options)


def test_arguments_without_names_are_in_our_order(only_4_0, logged):
    """Theirs begin with the model, and VapourSynth does not tell a plugin which had a name."""
    made = core.rife.RIFE(clip(), 9)
    assert made.num_frames == 63
    (line,) = [line for line in logged if "multi" in line]
    assert line == (
        "RIFE: multi (9) makes 9 frames of one; for the network of that number in the ncnn plugin pass model=9 by name"
    )
    with pytest.raises(vs.Error) as caught:
        core.rife.RIFE(clip(), 9, 2.0, 0, 2, False, False, True)
    assert str(caught.value) == (
        "RIFE: multi (9) and factor_num (2) must not be passed together: each sets the frame rate; remove one of them, "
        "or write the names: the first argument after the clip is multi here, and model in the ncnn plugin"
    )
    logged.clear()
    for multi in (2, 4, 8, 9.5, 74, 100):
        core.rife.RIFE(clip(), multi)
    assert not [line for line in logged if "multi" in line]


class TestModel:
    def test_a_number_is_its_network_and_the_log_says_which(self, only_4_0, logged):
        core.rife.RIFE(clip(), model=11)
        assert "RIFE: model (11) is model=4.0" in logged
        core.rife.RIFE(clip(), model=9, multiplier=2)
        assert "RIFE: model (9) is model=4.0" in logged

    def test_what_is_not_here_is_one_warning_with_the_command(self, only_4_0, logged):
        heard = []
        handle = core.add_log_handler(lambda kind, text: heard.append((kind, text)))
        try:
            for _ in range(3):
                core.rife.RIFE(clip(), model=61)
        finally:
            core.remove_log_handler(handle)
        (warning,) = [text for kind, text in heard if kind == vs.MESSAGE_TYPE_WARNING]
        assert warning == (
            "RIFE: model (61) is rife-v4.20 of the ncnn plugin; 4.20 is not on this machine, and 4.0 is used in its "
            "place: python -m vsrife models fetch 4.20 brings 4.20"
        )

    def test_a_name_is_only_ever_that_network(self, only_4_0):
        for name in ("4.5", "4.26", "4.6"):
            assert f"model ({name}) is not on this machine; run: python -m vsrife models fetch {name} " in error_of(
                model=name
            )

    def test_no_network_at_all(self, monkeypatch, tmp_path):
        monkeypatch.setenv(standin.FOLDER_VARIABLE, str(tmp_path))
        monkeypatch.setattr(ncnn, "embedded_default", lambda: None)
        text = error_of(model=23)
        assert text.startswith("RIFE: model (23) is rife-v4.6 of the ncnn plugin: model (4.6) is not on this machine")

    def test_a_number_that_is_none(self, only_4_0):
        assert "model (426) must be a name, or a number of the ncnn plugin from 0 to 73" in error_of(model=426)
        assert 'is model="4.26"' in error_of(model=426)

    def test_a_checkpoint_file_as_model_path(self, moving_model):
        source = textured(2)
        given, named = (
            core.rife.RIFE(source, **{name: moving_model}, device="cpu", sc=0) for name in ("model_path", "model")
        )
        for a, b in zip(samples(given.get_frame(1)), samples(named.get_frame(1)), strict=True):
            assert np.array_equal(a, b)

    def test_model_path_goes_before_model(self, only_4_0, logged):
        core.rife.RIFE(clip(), model=3, model_path="rife-v4")
        assert "RIFE: model (3) has no effect beside model_path" in logged
        assert "RIFE: model_path (rife-v4) is model=4.0" in logged


def made(source, model, **options):
    frame = core.rife.RIFE(source, model=model, device="cpu", sc=0, skip=0, **options).get_frame(1)
    assert frame.props["RifeKind"] == "interpolated"
    return samples(frame)


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


class TestMeaning:
    def test_uhd_is_half_the_scale(self, moving_model):
        source = textured(2, width=106, height=74)
        assert same(made(source, moving_model, uhd=1), made(source, moving_model, scale=0.5))
        assert same(made(source, moving_model, uhd=1, scale=0.5), made(source, moving_model, scale=0.5))
        assert same(made(source, moving_model, uhd=0), made(source, moving_model))
        assert same(made(source, moving_model, uhd=0, scale=2), made(source, moving_model, scale=2))
        assert not same(made(source, moving_model, uhd=1), made(source, moving_model))

    def test_tta_is_ensemble(self, moving_model):
        source = textured(2, width=106, height=74)
        assert same(made(source, moving_model, tta=1), made(source, moving_model, ensemble=1))
        assert same(made(source, moving_model, tta=1, ensemble=1), made(source, moving_model, ensemble=1))
        assert same(made(source, moving_model, tta=0), made(source, moving_model))
        assert not same(made(source, moving_model, tta=1), made(source, moving_model))

    def test_a_network_with_ensemble_in_its_name_is_made_so(self, only_4_0, moving_model, monkeypatch):
        source = textured(2, width=106, height=74)
        standin.put(Path(moving_model), only_4_0 / "other")
        (only_4_0 / "other" / "flownet_v4.0.pkl").replace(only_4_0 / "flownet_v4.0.pkl")
        monkeypatch.setattr(catalogue, "CATALOGUE", standin.with_stand_in())
        plain, both = made(source, "11"), made(source, "12")
        assert same(plain, made(source, "4.0"))
        assert same(both, made(source, "4.0", ensemble=1))
        assert same(made(source, "12", ensemble=0), plain), "what is said of ensemble itself goes before the name"

    def test_a_network_without_ensemble_goes_on_with_a_line(self, tmp_path, logged):
        from safetensors.torch import save_file

        path = tmp_path / "without.safetensors"
        save_file({k: v.contiguous() for k, v in small.network("I").state_dict().items()}, path)
        source = textured(2)
        assert same(made(source, str(path), tta=1), made(source, str(path)))
        assert [line for line in logged if "this network has no ensemble" in line]
        assert "ensemble (1) must be 0 for this model" in error_of(model=str(path), ensemble=1, device="cpu")

    @pytest.mark.parametrize("name", ["multi", "multiplier"])
    @pytest.mark.parametrize("value", [2, 2.5, Fraction(5, 2), 0.5])
    def test_multiplier_is_multi(self, average_model, name, value):
        out = core.rife.RIFE(clip(length=6), model=average_model, device="cpu", **{name: value})
        assert out.fps == Fraction(24000, 1001) * Fraction(str(value))

    def test_a_numerator_alone(self, average_model):
        options = {"model": average_model, "device": "cpu"}
        assert core.rife.RIFE(clip(), factor_num=3, **options).fps == Fraction(72000, 1001)
        assert core.rife.RIFE(clip(), fps_num=60, **options).fps == 60

    def test_a_threshold_without_what_it_is_for(self, average_model, logged):
        options = {"model": average_model, "device": "cpu"}
        core.rife.RIFE(clip(), skip=False, skip_threshold=60, **options)
        core.rife.RIFE(clip(), sc=False, sc_threshold=0.2, **options)
        assert logged[-2:] == [
            "RIFE: skip_threshold (60) has no effect with skip=0",
            "RIFE: sc_threshold (0.2) has no effect with sc=0",
        ]
        assert "skip_threshold (121) must be" in error_of(skip=False, skip_threshold=121)
        assert "sc_threshold (2) must be" in error_of(sc=False, sc_threshold=2)

    def test_gpu_thread_is_one_line(self, average_model, logged):
        for _ in range(2):
            core.rife.RIFE(clip(), gpu_thread=3, model=average_model, device="cpu")
        assert (
            logged.count("RIFE: gpu_thread (3) has no effect: the filter decides how many frames it makes at a time")
            == 1
        )


class TestGpu:
    @NO_GPU
    @pytest.mark.parametrize("number", [0, 1, 7])
    def test_without_a_gpu_it_is_the_cpu_and_the_log_says_so(self, average_model, logged, number):
        out = core.rife.RIFE(clip(), gpu_id=number, model=average_model)
        assert out.get_frame(1).props["RifeKind"] == "duplicate"
        (line,) = [line for line in logged if "gpu_id" in line]
        assert re.fullmatch(rf"RIFE: gpu_id \({number}\) is the CPU: .+", line)

    def test_minus_one_is_the_cpu(self, average_model, logged):
        core.rife.RIFE(clip(), gpu_id=-1, model=average_model).get_frame(1)
        assert not [line for line in logged if "gpu_id" in line or "device auto" in line]

    def test_beyond_the_last_one(self, average_model, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        assert error_of(gpu_id=3, model=average_model) == "RIFE: gpu_id (3) out of range; 1 device, counted from 0"
        assert device.gpu_or_cpu(0) == ("cuda:0", "")

    def test_frames_on_another_gpu(self):
        from vsrife.plugin.ncnn import in_words_of

        said = 'device (cuda:1, A GPU, UUID 01) must be the GPU that has the frames; pass device="cuda:0", or download'
        assert in_words_of("gpu_id", 1, said) == (
            "gpu_id (1, A GPU, UUID 01) must be the GPU that has the frames; pass gpu_id=0, or download"
        )

    def test_list_gpu_writes_on_the_clip_and_interpolates_nothing(self, logged, monkeypatch):
        source = clip(width=320, height=120)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"NVIDIA A{index}")
        out = core.rife.RIFE(source, list_gpu=True, model=72, gpu_id=0)
        assert (out.num_frames, out.fps, out.format.id) == (source.num_frames, source.fps, source.format.id)
        wanted = source.text.Text("0: NVIDIA A0\n1: NVIDIA A1")
        assert same(samples(out.get_frame(1)), samples(wanted.get_frame(1)))
        assert "RIFE: list_gpu (1): 0: NVIDIA A0, 1: NVIDIA A1" in logged

    @NO_GPU
    @pytest.mark.parametrize("format", [vs.RGBS, vs.RGBH, vs.YUV420P8, vs.YUV422P10, vs.GRAY16])
    def test_list_gpu_without_a_gpu(self, format, logged):
        out = core.rife.RIFE(clip(format, width=320, height=120), list_gpu=1)
        assert np.asarray(out.get_frame(0)[0]).std() > 0
        assert [line for line in logged if line.startswith("RIFE: list_gpu (1): no GPU is used: ")]

    def test_list_gpu_on_the_smallest_clip_is_made(self):
        core.rife.RIFE(core.std.BlankClip(width=1, height=1, length=2, fpsnum=1, format=vs.RGBS), list_gpu=True)
        assert "scale (3) must be" in error_of(list_gpu=True, scale=3)


WRONG = [
    ({"gpu_id": 0.5}, "gpu_id (0.5) must be a whole number: 0 for the first GPU, -1 for the CPU"),
    ({"gpu_id": -2}, "gpu_id (-2) must be a whole number"),
    ({"gpu_id": float("nan")}, "gpu_id (nan) must be a whole number"),
    ({"gpu_id": 0, "device": "cpu"}, "gpu_id (0) and device (cpu) must not be passed together: each names the device"),
    ({"gpu_thread": 0}, "gpu_thread (0) must be a whole number from 1"),
    ({"gpu_thread": 1.5}, "gpu_thread (1.5) must be a whole number from 1"),
    ({"tta": 2}, "tta (2) must be 0 or 1"),
    ({"uhd": 0.5}, "uhd (0.5) must be 0 or 1"),
    ({"list_gpu": -1}, "list_gpu (-1) must be 0 or 1"),
    ({"uhd": 1, "scale": 1}, "uhd (1) and scale (1) must not be passed together: uhd=1 is scale=0.5"),
    ({"tta": 1, "ensemble": 0}, "tta (1) and ensemble (0) must not be passed together: tta=1 is ensemble=1"),
    ({"multiplier": 0}, "multiplier (0) must be a number above 0"),
    ({"multiplier": 2, "multi": 2}, "multi (2) and multiplier (2) must not be passed together"),
    ({"multiplier": 2, "factor_num": 2}, "multiplier (2) and factor_num (2) must not be passed together"),
    ({"model_path": " "}, "model_path ( ) must be a folder whose name tells the network, such as rife-v4.6"),
    ({"model_path": "/x/mine"}, 'pass model="4.6" or another name in its place: python -m vsrife models'),
    ({"model_path": "/x/mine.pkl"}, "model (/x/mine.pkl) must be a file that exists"),
]


@pytest.mark.parametrize(("options", "expected"), WRONG, ids=[str(options) for options, _ in WRONG])
def test_wrong_values_are_one_line(options, expected):
    assert expected in error_of(**options)


def test_the_typed_call_takes_them_too(only_4_0, caplog):
    caplog.set_level(logging.INFO)
    out = vsrife.RIFE(
        clip(), model=23, factor_num=5, factor_den=2, gpu_id=-1, gpu_thread=2, tta=False, uhd=True, sc=True, skip=True,
        skip_threshold=60.0, list_gpu=False,
    )  # fmt: skip
    assert out.fps == Fraction(60000, 1001)
    assert vsrife.RIFE(clip(), model_path=Path(FOLDER), multiplier=Fraction(5, 2), gpu_id=-1).fps == out.fps
