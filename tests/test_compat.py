import enum
import inspect
import logging
import re
from fractions import Fraction

import pytest

from vsrife import RIFE, _api, rife
from vsrife._compat import EngineOptions, vs_rife_options
from vsrife.errors import ArgumentError, InstallationError, ModelError
from vsrife.plugin.arguments import parse, ratio_of
from vsrife.plugin.signature import SIGNATURE

from .plugin.clips import numbered, with_props

vs = pytest.importorskip("vapoursynth")

VS_RIFE_5_7 = (
    "clip device_index model auto_download factor_num factor_den fps_num fps_den scale ensemble sc sc_threshold"
)
VS_RIFE_5_7_ENGINE = (
    "trt trt_static_shape trt_min_shape trt_opt_shape trt_max_shape trt_workspace_size trt_max_aux_streams "
    "trt_optimization_level trt_cache_dir"
)


@pytest.fixture
def passed_on(monkeypatch):
    """What reaches RIFE, instead of a run."""
    seen = {}

    def record(clip, **keywords):
        seen.clear()
        seen.update(keywords)
        return clip

    monkeypatch.setattr(_api, "RIFE", record)
    return seen


def clip(format=None, length=3):
    return vs.core.std.BlankClip(width=64, height=48, format=format or vs.RGBS, length=length)


def as_settings(translated):
    """The translation, read as the plugin reads it."""
    given = {name: value for name, value in translated.items() if value is not None}
    return parse({name: value if isinstance(value, str) else float(value) for name, value in given.items()})


def test_order_and_defaults_are_those_of_vs_rife():
    parameters = inspect.signature(rife).parameters
    assert [p.name for p in parameters.values() if p.kind is not p.VAR_KEYWORD] == VS_RIFE_5_7.split()
    assert set(VS_RIFE_5_7_ENGINE.split()) <= EngineOptions.__annotations__.keys()
    defaults = {name: p.default for name, p in parameters.items()}
    assert (defaults["model"], defaults["factor_num"], defaults["factor_den"]) == ("4.25", 2, 1)
    assert (defaults["scale"], defaults["ensemble"], defaults["sc"], defaults["sc_threshold"]) == (
        1.0,
        False,
        False,
        0.15,
    )


def test_defaults_translated(passed_on, caplog):
    rife(clip())
    assert passed_on == {
        "model": "4.25",
        "scale": 1.0,
        "ensemble": False,
        "sc": False,
        "skip": False,
        "pause": 0,
        "device_index": None,
        "precision": "float32",
        "factor_num": 2,
        "factor_den": 1,
    }
    assert not caplog.records


@pytest.mark.parametrize(
    ("format", "precision"),
    [(vs.RGBS, "float32"), (vs.RGBH, "auto"), (vs.YUV420P8, "auto"), (vs.GRAYS, "float32"), (vs.YUV444P16, "auto")],
)
def test_precision_follows_the_clip(passed_on, format, precision):
    rife(clip(format))
    assert passed_on["precision"] == precision


def test_target_rate_replaces_the_factor():
    settings = as_settings(vs_rife_options(single=True, factor_num=5, factor_den=2, fps_num=60, fps_den=1))
    assert ratio_of(settings, Fraction(24)) == Fraction(5, 2)
    assert settings.fps == 60
    assert ratio_of(as_settings(vs_rife_options(single=True, factor_num=7, factor_den=3)), None) == Fraction(7, 3)


def test_half_a_target_rate_which_vs_rife_ignored():
    assert as_settings(vs_rife_options(single=True, fps_num=60)).fps == 60
    with pytest.raises(ArgumentError, match=r"fps_den \(1001\) must come with fps_num"):
        as_settings(vs_rife_options(single=True, fps_den=1001))


def test_thresholds(caplog):
    ours = {
        given: as_settings(vs_rife_options(single=True, sc=True, sc_threshold=given)).sc_threshold
        for given in (0.0, 0.1, 0.15, 0.3, 1.0, None)
    }
    assert ours[0.15] is None  # our default
    assert (ours[0.0], ours[1.0], ours[None]) == (0, 1, 1)  # every pair, and none by the detector
    assert 0 < ours[0.1] < 0.5 < ours[0.3] < 1
    assert sum("misc.SCDetect" in record.message for record in caplog.records) == 4
    assert "sc_threshold" not in vs_rife_options(single=True, sc=False, sc_threshold=0.1)


@pytest.mark.parametrize("sc", [False, True])
@pytest.mark.parametrize("theirs", [-0.1, 1.5, float("nan")])
def test_threshold_out_of_range(theirs, sc):
    with pytest.raises(ArgumentError, match=r"sc_threshold \(.*\) must be from 0 to 1"):
        vs_rife_options(single=True, sc=sc, sc_threshold=theirs)


@pytest.mark.parametrize(("theirs", "shown"), [(0.1, "0.1"), (1.0, "1.0"), (None, "None")])
def test_a_threshold_without_sc_is_one_notice(passed_on, caplog, theirs, shown):
    rife(clip(), sc_threshold=theirs)
    messages = [record.message for record in caplog.records]
    assert messages == [f"RIFE: sc_threshold ({shown}) has no effect without sc=True, as in vs-rife"]
    assert "sc_threshold" not in passed_on


@pytest.mark.parametrize("factor", [{"factor_num": 5}, {"factor_den": 2}, {"factor_num": 5, "factor_den": 3}])
def test_a_factor_beside_a_rate_is_one_notice(passed_on, caplog, factor):
    rife(clip(), fps_num=60, fps_den=1, **factor)
    (record,) = caplog.records
    shown = {"factor_num": 2, "factor_den": 1} | factor
    assert record.message == (
        f"RIFE: factor_num ({shown['factor_num']}) and factor_den ({shown['factor_den']}) have no effect beside "
        "fps_num and fps_den, as in vs-rife"
    )
    assert (passed_on["fps_num"], passed_on["fps_den"]) == (60, 1)
    assert not any(name.startswith("factor") for name in passed_on)


def test_what_has_an_effect_is_not_noticed(passed_on, caplog):
    rife(clip(), fps_num=60, fps_den=1)
    rife(clip(), fps_num=60, fps_den=1, factor_num=2, factor_den=1)
    rife(clip(), factor_num=5, factor_den=2)
    rife(clip(), sc=False, sc_threshold=0.15)
    rife(clip(), sc=True)
    assert not caplog.records


@pytest.mark.parametrize("call", [rife, RIFE])
def test_a_gpu_that_is_not_there_is_named_by_the_argument_that_was_passed(monkeypatch, average_model, call):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(vs.Error, match=r"RIFE: device_index \(3\) out of range; 1 device, counted from 0$") as caught:
        call(clip(), device_index=3, model=average_model)
    assert not re.search(r"\bdevice \(|device=|cuda:|gpu_id", str(caught.value))
    assert caught.value.__suppress_context__, "the error about `gpu_id` would be shown as well"


@pytest.mark.parametrize("call", [rife, RIFE])
def test_a_machine_without_a_gpu_is_the_cpu(monkeypatch, average_model, call):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert call(clip(), device_index=3, model=average_model).get_frame(1).props["RifeKind"] in (
        "duplicate",
        "interpolated",
    )


@pytest.mark.parametrize(
    ("right", "way_out"), [("cuda:0", "device_index=0"), (None, r"core\.set_vulkan_device\(\) .*")]
)
def test_a_gpu_that_has_not_the_frames_is_named_so_too(monkeypatch, right, way_out):
    import torch

    from vsrife.plugin.gpu import bridge
    from vsrife.plugin.gpu.vulkan import Device
    from vsrife.plugin.ncnn import Ncnn, named

    monkeypatch.setattr(bridge, "cuda_device", lambda uuid: right and torch.device(right))
    monkeypatch.setattr(bridge, "uuid_of", lambda device: b"\1")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A GPU")
    device = Device(name="Another", uuid=b"\2", exports_memory=True, exports_timelines=True)

    def refuse(clip, *, gpu_id, **keywords):
        try:
            with named(Ncnn(gpu=gpu_id)):
                raise ArgumentError(bridge._elsewhere(device, "cuda:1", torch.device("cuda", 1)))
        except ArgumentError as error:
            raise vs.Error(f"RIFE: {error}") from None

    plugin = FakePlugin(call=refuse)
    source = clip()
    with_plugin(monkeypatch, plugin)
    with pytest.raises(vs.Error, match=rf"RIFE: device_index \(1, A GPU, UUID 01\) must be .*; pass {way_out}, or"):
        rife(source, 1)


def test_other_errors_keep_their_text(monkeypatch):
    text = 'RIFE: the GPU failed; device (cuda:1) is not device="cuda:0"'

    def refuse(clip, **keywords):
        raise vs.Error(text)

    source = clip()
    with_plugin(monkeypatch, FakePlugin(call=refuse))
    for index in (None, 0):
        with pytest.raises(vs.Error, match=f"^{re.escape(text)}$"):
            rife(source, device_index=index)


def test_trt_is_accepted_with_one_notice(passed_on, caplog):
    caplog.set_level(logging.INFO, "vsrife")
    rife(clip(), trt=True, trt_static_shape=False, trt_min_shape=[64, 64], trt_opt_shape=[1920, 1080], trt_debug=True)
    (record,) = caplog.records
    names = "trt, trt_min_shape, trt_opt_shape, trt_debug"
    assert record.message.startswith(f"RIFE: {names}: accepted without effect")
    assert not any(name.startswith("trt") for name in passed_on)


def test_unknown_keywords_are_pythons_error():
    with pytest.raises(TypeError, match="unexpected keyword argument 'treshold'"):
        rife(clip(), treshold=1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'trt_x'"):
        rife(clip(), trt_x=1)


def test_auto_download_fetches_what_is_missing_only(passed_on, monkeypatch):
    from vsrife.models import store

    fetched = []
    monkeypatch.setattr(store, "fetch", fetched.append)
    monkeypatch.setattr(store, "locate", lambda model: model)
    rife(clip(), auto_download=True)
    assert fetched == []

    def missing(model):
        raise ModelError(f"model ({model}) is not on this machine")

    monkeypatch.setattr(store, "locate", missing)
    rife(clip())
    assert fetched == []
    rife(clip(), model="4.6", auto_download=True)
    assert fetched == ["4.6"]


# The typed call


class FakePlugin:
    identifier = "some.other.rife"

    def __init__(self, signature=SIGNATURE, call=lambda clip, **keywords: clip):
        self.calls = []
        self.call = call
        self.RIFE = self
        self.signature = signature

    def __call__(self, clip, **keywords):
        self.calls.append(keywords)
        return self.call(clip, **keywords)


def with_plugin(monkeypatch, plugin):
    monkeypatch.setattr(vs, "core", type("Core", (), {"rife": plugin} if plugin else {})())


def test_the_typed_call_passes_only_what_is_given(monkeypatch):
    plugin, source = FakePlugin(), clip()
    with_plugin(monkeypatch, plugin)
    assert _api.RIFE(source) is source
    _api.RIFE(source, Fraction(1001, 400), model="4.6", sc=False, matrix_in=1)
    _api.RIFE(source, fps_num=60, fps_den=1, sc_threshold=0.0)
    assert plugin.calls == [
        {},
        {"multi": Fraction(1001, 400), "model": "4.6", "sc": False, "matrix_in": "1"},
        {"fps_num": 60, "fps_den": 1, "sc_threshold": 0.0},
    ]


def test_a_fraction_is_exact_also_where_a_double_is_not(monkeypatch, average_model):
    fine = Fraction(1_000_003, 1_000_033)
    assert _api.RIFE(clip(), fine, model=average_model, device="cpu").fps == 24 * fine
    plugin, source = FakePlugin(), clip()
    with_plugin(monkeypatch, plugin)
    _api.RIFE(source, fine)
    _api.RIFE(source, multiplier=fine)
    _api.RIFE(source, fine, fps_num=60)  # which the plugin refuses, by these names
    pair = {"factor_num": 1_000_003, "factor_den": 1_000_033}
    assert plugin.calls == [pair, pair, {"multi": fine, "fps_num": 60}]


def test_the_typed_call_has_every_argument_of_the_signature():
    names = [entry.split(":")[0] for entry in SIGNATURE.split(";") if entry]
    parameters = inspect.signature(_api.RIFE).parameters.values()
    assert [each.name for each in parameters if each.kind is not each.VAR_KEYWORD] == names
    assert all(f"        {name}: " in _api.RIFE.__doc__ for name in names)


def test_a_missing_or_foreign_plugin_is_named(monkeypatch):
    source = clip()
    with_plugin(monkeypatch, None)
    with pytest.raises(InstallationError, match=r"core\.rife \(missing\) must be loaded"):
        _api.RIFE(source)
    with_plugin(monkeypatch, FakePlugin("clip:vnode;model:int:opt;"))
    with pytest.raises(
        InstallationError, match=r"core\.rife \(some\.other\.rife\) must be the plugin of vapoursynth-rife"
    ):
        _api.RIFE(source)


@pytest.mark.parametrize("index", ["x", 0.5, False, -1])
@pytest.mark.parametrize("call", [rife, RIFE])
def test_a_device_index_that_is_no_whole_number(call, index):
    with pytest.raises(ArgumentError, match=rf"device_index \({index}\) must be a whole number from 0"):
        call(clip(), device_index=index)


@pytest.mark.parametrize("name", ["factor_num", "factor_den"])
def test_a_factor_that_is_no_whole_number(name, average_model):
    with pytest.raises(ArgumentError, match=rf"{name} \(2\.5\) must be a whole number"):
        rife(clip(), model=average_model, **{name: 2.5})


class RIFEModel(enum.IntEnum):
    """As vsmlrt has it: its numbers are not those of the ncnn plugin."""

    v4_6 = 46
    v4_10 = 410
    v4_25_lite = 4251
    v4_26_heavy = 4262
    v9_9 = 99


@pytest.mark.parametrize(
    ("model", "way_out"),
    [
        (4.0, 'model="4.0"; as a number, 4.10 would become 4.1'),
        (4.10, 'model="4.1"; as a number, 4.10 would become 4.1'),
        (RIFEModel.v4_6, 'model="4.6", which RIFEModel.v4_6 is here'),
        (RIFEModel.v4_10, 'model="4.10", which RIFEModel.v4_10 is here'),
        (RIFEModel.v4_25_lite, 'model="4.25.lite", which RIFEModel.v4_25_lite is here'),
        (RIFEModel.v4_26_heavy, 'model="4.26.heavy", which RIFEModel.v4_26_heavy is here'),
        (RIFEModel.v9_9, "for the names: python -m vsrife models"),
        (True, "for the names: python -m vsrife models"),
        ([4], "for the names: python -m vsrife models"),
    ],
)
def test_a_model_that_is_a_number_is_refused_by_name(model, way_out):
    with pytest.raises(ArgumentError) as caught:
        RIFE(None, model=model)
    assert str(caught.value) == f"RIFE: model ({model}) must be text or a path: {way_out}"


def test_a_whole_number_is_one_of_the_ncnn_plugin(monkeypatch):
    plugin, source = FakePlugin(), clip()
    with_plugin(monkeypatch, plugin)
    RIFE(source, model=23)
    assert plugin.calls == [{"model": "23"}]


SWITCHES = ["sc", "skip", "ensemble", "cfr", "retime", "tta", "uhd", "list_gpu"]
NUMBERS = {
    "multi": "a number above 0",
    "multiplier": "a number above 0",
    "scale": "0.25, 0.5, 1, 2 or 4",
    "pause": "seconds from 0 to 86400",
    "sc_threshold": "a cut score from 0 to 1",
    "skip_threshold": "a PSNR from 0 to 120 decibels",
    "fps_num": "a whole number from 1 .* 60 is fps_num=60",
    "fps_den": "a whole number from 1 .* 60 is fps_num=60",
    "factor_num": "a whole number from 1 .* 2.5 is factor_num=5",
    "factor_den": "a whole number from 1 .* 2.5 is factor_num=5",
    "gpu_id": "a whole number: 0 for the first GPU",
    "gpu_thread": "a whole number from 1 .* leave it out",
}


@pytest.mark.parametrize("value", ["no", "yes", "x2", [1]])
@pytest.mark.parametrize(("name", "taken"), [*((name, "0 or 1") for name in SWITCHES), *NUMBERS.items()])
def test_what_is_no_number_is_named_with_what_is_taken(name, taken, value):
    with pytest.raises(ArgumentError, match=rf"^RIFE: {name} \({re.escape(str(value))}\) must be {taken}") as caught:
        RIFE(None, **{name: value})
    assert caught.value.__suppress_context__ or caught.value.__context__ is None, (
        "Python's own error would be shown as well"
    )


@pytest.mark.parametrize("call", [rife, RIFE])
@pytest.mark.parametrize("wrong", ["film.mkv", None, 7])
def test_what_is_no_clip_is_said_by_vapoursynth(call, wrong):
    with pytest.raises(vs.Error, match=r"RIFE: argument clip was passed an unsupported type|argument clip is required"):
        call(wrong)


def test_rife_holds_no_pauses(average_model):
    """vs-rife knows none: each frame in between is made, however long the one before it lasts."""
    shortest, longest = {"_DurationNum": 1, "_DurationDen": 25}, {"_DurationNum": 4, "_DurationDen": 1}
    source = with_props(numbered(5, 94, 66), {n: longest if n == 2 else shortest for n in range(5)})
    model = str(average_model)
    kinds = [
        [made.get_frame(n).props["RifeKind"] for n in (1, 3, 5, 7)]
        for made in (rife(source, model=model), RIFE(source, model=model, sc=False, skip=False))
    ]
    assert kinds == [["interpolated"] * 4, ["interpolated", "interpolated", "repeat", "interpolated"]]


# vs-rife 1 to 4


@pytest.mark.parametrize("model", [4.6, 23, "23", None, True])
def test_rife_takes_no_number_for_a_model(model):
    """In vs-rife 4 the third argument was num_streams; and a number would be one of the ncnn plugin."""
    with pytest.raises(ArgumentError, match=rf"model \({model}\) must be a name as text, such as \"4\.25\", or a file"):
        rife(clip(), 0, model)


OLDER_CALLS = [
    # Of each release: its keywords, as scripts passed them, and what reaches the plugin.
    ({"model_ver": 3.8, "scale": 0.5, "device_type": "cuda", "device_index": 0},
     {"model": "3.8", "scale": 0.5, "gpu_id": 0}),
    ({"model_ver": 3.1, "scale": 1, "device_type": "cuda", "fp16": True},
     {"model": "3.1", "scale": 1, "gpu_id": 0, "precision": "auto"}),
    ({"model_ver": 4, "device_type": "cpu", "device_index": 0, "fp16": False},
     {"model": "4.0", "gpu_id": -1, "precision": "float32"}),
    ({"multi": 3, "scale": 1.0, "device_type": "CUDA", "device_index": 1, "fp16": True},
     {"multi": 3, "scale": 1.0, "gpu_id": 1, "precision": "auto"}),
    ({"device_index": None, "num_streams": 3, "nvfuser": True, "cuda_graphs": True, "model": "4.6"}, {"model": "4.6"}),
    ({"device_index": 1, "num_streams": 1, "trt": True, "trt_max_workspace_size": 1 << 30, "trt_cache_path": "/x",
      "model": "4.4", "factor_num": 5, "factor_den": 2, "sc": True, "sc_threshold": 0.5},
     {"model": "4.4", "factor_num": 5, "factor_den": 2, "sc": True, "sc_threshold": 0.5, "gpu_id": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("options", "expected"), OLDER_CALLS)
def test_keywords_of_vs_rife_1_to_3(monkeypatch, caplog, options, expected):
    plugin, source = FakePlugin(), clip()
    with_plugin(monkeypatch, plugin)
    RIFE(source, **options)
    assert plugin.calls == [expected]
    ignored = [name for name in options if name in EngineOptions.__annotations__]
    told = [f"RIFE: {', '.join(ignored)}: accepted without effect"] if ignored else []
    assert [record.message.split(";")[0] for record in caplog.records] == told


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"model_ver": 2.3}, r'model_ver \(2\.3\) must be a version that vsrife has: .*; .* is model="3\.1"$'),
        (
            {"model_ver": 9},
            r"model_ver \(9\) must be a version that vsrife has: .* models lists them$",
        ),
        ({"model_ver": "new"}, r"model_ver \(new\) must be a version"),
        ({"model_ver": 3.5, "model": "4.0"}, r"model_ver \(3\.5\) and model \(4\.0\) must not be passed together"),
        ({"device_type": "xpu"}, r'device_type \(xpu\) must be "cuda" or "cpu"; pass device= for another device$'),
        (
            {"device_type": "cuda", "device": "cpu"},
            r"device_type \(cuda\) and device \(cpu\) must not be",
        ),
        ({"device_index": 0, "gpu_id": 0}, r"device_index \(0\) and gpu_id \(0\) must not be passed together"),
        ({"device_index": -1}, r"device_index \(-1\) must be a whole number from 0"),
        (
            {"fp16": True, "precision": "float32"},
            r"fp16 \(True\) and precision \(float32\) must not",
        ),
    ],
)
def test_what_is_wrong_with_them_is_one_line(options, expected):
    with pytest.raises(ArgumentError, match=expected):
        RIFE(clip(), **options)


def test_a_keyword_that_nobody_has_is_pythons_error():
    with pytest.raises(TypeError, match=r"RIFE\(\) got an unexpected keyword argument 'fp32'"):
        RIFE(clip(), fp32=True)


def test_keywords_of_vs_rife_4_and_5_0(passed_on, caplog):
    rife(clip(), model="4.0", num_streams=2, trt=True, trt_max_workspace_size=1 << 30, trt_cache_path="/x")
    (record,) = caplog.records
    assert record.message.startswith(
        "RIFE: num_streams, trt, trt_max_workspace_size, trt_cache_path: accepted without effect"
    )
    assert passed_on["model"] == "4.0"
    assert not {"num_streams", "trt_max_workspace_size", "trt_cache_path"} & passed_on.keys()


def test_a_call_of_2021_makes_frames(average_model, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    made = RIFE(clip(length=3), 2, model=average_model, scale=1.0, device_type="cuda", device_index=0, fp16=True)
    assert made.num_frames == 6
    made.get_frame(1)
