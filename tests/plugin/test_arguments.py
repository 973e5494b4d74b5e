import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrife.errors import ArgumentError, RifeError
from vsrife.plugin.arguments import Settings, parse, ratio_of
from vsrife.plugin.raw_arguments import MAX_WHOLE
from vsrife.plugin.signature import SIGNATURE

RATES = "60 is fps_num=60, fps_den=1 and 59.94 is fps_num=60000, fps_den=1001"

F = Fraction
INT64 = 2**63 - 1
NAN, INF = float("nan"), float("inf")


def message(**raw):
    with pytest.raises(ArgumentError) as caught:
        parse(raw)
    text = str(caught.value)
    assert "\n" not in text
    assert not text.startswith("RIFE")
    return text


def test_nothing_passed_is_the_documented_default():
    assert parse({}) == Settings()
    assert ratio_of(parse({}), None) == 2
    assert parse({}).cause == "multi (2)"


def test_every_argument_of_the_signature_arrives():
    raw = {
        "pause": 0.5,
        "retime": 1.0,
        "model": "4.26",
        "scale": 0.5,
        "ensemble": 1.0,
        "sc": 1.0,
        "sc_threshold": 0.25,
        "skip": 1.0,
        "skip_threshold": 48.5,
        "device": "cuda:1",
        "precision": "bfloat16",
        "matrix_in": "709",
        "range_in": "full",
        "chromaloc_in": "left",
    }
    found = parse(raw)
    assert {name: getattr(found, name) for name in raw} == raw
    rates = {"multi", "factor_num", "factor_den", "fps_num", "fps_den", "cfr"}
    peers = {"multiplier", "model_path", "gpu_id", "gpu_thread", "tta", "uhd", "list_gpu"}  # see test_ncnn.py
    assert raw.keys() | rates | peers == {entry.split(":")[0] for entry in SIGNATURE.split(";") if entry} - {"clip"}
    assert parse({"sc": 0.0, "skip": 0.0, "ensemble": 0}) == Settings(sc=False, skip=False)


# The rate


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (2, F(2)),
        (2.5, F(5, 2)),
        (1001 / 400, F(1001, 400)),
        (24000 / 1001, F(24000, 1001)),
        (60 / (24000 / 1001), F(5005, 2000)),
        (1 / 3, F(1, 3)),
        (1 / 1_000_000, F(1, 1_000_000)),
        (10_000 + 1 / 3, F(30_001, 3)),
        (0.1, F(1, 10)),
        (1e16, F(10**16)),
        (60 / 23.976, F(2500, 999)),
        (0.12345678901, F(12345678901, 10**11)),  # none with a denominator up to a million: the decimal number
    ],
)
def test_multi_is_exact(number, value):
    assert ratio_of(parse({"multi": number}), None) == value


@given(st.builds(F, st.integers(1, 10**6), st.integers(1, 10**6)))
@settings(deadline=None, max_examples=200)
def test_fractions_survive_the_way_through_a_double(value):
    assert parse({"multi": float(value)}).multi == value


@given(st.floats(min_value=1e-4, max_value=1e6))
@settings(deadline=None, max_examples=200)
def test_every_other_number_stays_that_very_double(value):
    try:
        assert float(parse({"multi": value}).multi) == value
    except ArgumentError:
        assert max(F(repr(value)).as_integer_ratio()) > INT64


@pytest.mark.parametrize("number", [0.0, -1.0, -0.5, NAN, INF, -INF])
def test_multi_refused(number):
    shown = f"{number:g}"
    assert message(multi=number) == f"multi ({shown}) must be a number above 0, such as 2, 2.5 or Fraction(1001, 400)"


def test_multi_that_no_rate_can_hold():
    assert "numerator and denominator below 2^63" in message(multi=1e300)
    assert "numerator and denominator below 2^63" in message(multi=1e-50)


def test_long_and_odd_text_stays_short_and_on_one_line():
    text = message(precision="9" * 5000 + "x\n")
    assert len(text) < 250
    assert "..." in text
    assert message(model=b"\xff\x00").startswith(r"model (\xff\x00) must be UTF-8 text")


def test_pairs():
    assert ratio_of(parse({"factor_num": 5.0, "factor_den": 2.0}), None) == F(5, 2)
    target = parse({"fps_num": 60000.0, "fps_den": 1001.0})
    assert (target.fps, target.cause) == (F(60000, 1001), "fps_num (60000) and fps_den (1001)")
    assert ratio_of(target, F(24000, 1001)) == F(5, 2)
    assert ratio_of(parse({"fps_num": 24, "fps_den": 1}), F(60)) == F(2, 5)
    assert ratio_of(parse({"fps_num": float(MAX_WHOLE), "fps_den": 1}), F(1)) == MAX_WHOLE


def test_a_numerator_alone_is_over_one():
    assert (ratio_of(parse({"factor_num": 3.0}), None), parse({"factor_num": 3.0}).cause) == (3, "factor_num (3)")
    alone = parse({"fps_num": 60.0})
    assert (alone.fps, alone.cause) == (60, "fps_num (60)")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (
            {"fps_den": 1001.0},
            f"fps_den (1001) must come with fps_num, which is missing; {RATES}",
        ),
        (
            {"factor_den": 2.0},
            "factor_den (2) must come with factor_num, which is missing; 2.5 is factor_num=5, factor_den=2",
        ),
        (
            {"multi": 2.0, "fps_num": 60.0, "fps_den": 1.0},
            "multi (2) and fps_num (60) must not be passed together: each sets the frame rate; remove one of them",
        ),
        (
            {"multi": 2.0, "factor_den": 2.0},
            "multi (2) and factor_den (2) must not be passed together: each sets the frame rate; remove one of them",
        ),
        (
            {"factor_num": 5.0, "factor_den": 2.0, "fps_den": 1.0},
            "factor_num (5) and fps_den (1) must not be passed together: each sets the frame rate; remove one of them",
        ),
        (
            {"fps_num": 59.94, "fps_den": 1.0},
            "fps_num (59.94) must be a whole number from 1 to 9007199254740991; pass fps_num=60000, fps_den=1001",
        ),
        (
            {"fps_num": 23.976},
            "fps_num (23.976) must be a whole number from 1 to 9007199254740991; pass fps_num=24000, fps_den=1001",
        ),
        (
            {"fps_num": 29.9, "fps_den": 1.0},  # near an NTSC rate, and none
            "fps_num (29.9) must be a whole number from 1 to 9007199254740991; pass fps_num=299, fps_den=10",
        ),
        (
            {"fps_num": 12.5, "fps_den": 1.0},
            "fps_num (12.5) must be a whole number from 1 to 9007199254740991; pass fps_num=25, fps_den=2",
        ),
        (
            {"factor_num": 2.5, "factor_den": 1.0},
            (
                "factor_num (2.5) must be a whole number from 1 to 9007199254740991; pass multi=2.5 instead of "
                "factor_num and factor_den"
            ),
        ),
        (
            {"fps_num": 60.0, "fps_den": 1.001},
            f"fps_den (1.001) must be a whole number from 1 to 9007199254740991; {RATES}",
        ),
    ],
)
def test_rates_refused(raw, text):
    assert message(**raw) == text


@pytest.mark.parametrize("name", ["factor_num", "factor_den", "fps_num", "fps_den"])
@pytest.mark.parametrize("value", [0.0, -1.0, -2.5, float("nan"), float("inf"), float("-inf"), 2.0**53, 1e300])
def test_whole_numbers_refused(name, value):
    other = name[:-3] + {"num": "den", "den": "num"}[name[-3:]]
    assert message(**{name: value, other: 1.0}).startswith(f"{name} (")
    if name.endswith("num"):
        assert f"{name} (" in message(**{name: value})


def test_target_rate_of_a_clip_without_one():
    with pytest.raises(ArgumentError) as caught:
        ratio_of(parse({"fps_num": 60.0, "fps_den": 1.0}), None)
    assert str(caught.value) == (
        "fps_num (60) and fps_den (1) must come with a clip whose frame rate is known, and this clip's is not; pass "
        "multi= instead; or, where its frames have durations, cfr=1 beside it; or say the rate first, if it "
        "is constant: clip.std.AssumeFPS(fpsnum=24000, fpsden=1001)"
    )


# Everything else


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (
            {"scale": 0.3},
            "scale (0.3) must be 0.25, 0.5, 1, 2 or 4; 0.5 suits 2160p, 2 or 4 small pictures with fine motion",
        ),
        ({"ensemble": 2.0}, "ensemble (2) must be 0 or 1"),
        ({"sc": -1.0}, "sc (-1) must be 0 or 1"),
        ({"skip": 0.5}, "skip (0.5) must be 0 or 1"),
        ({"sc": NAN}, "sc (nan) must be 0 or 1"),
        ({"sc_threshold": NAN}, "sc_threshold (nan) must be a cut score from 0 to 1; leave it out for the default"),
        ({"sc_threshold": 15.0}, "sc_threshold (15) must be a cut score from 0 to 1; leave it out for the default"),
        ({"skip_threshold": INF}, "skip_threshold (inf) must be a PSNR from 0 to 120 decibels; leave it out for 60"),
        ({"skip_threshold": -1.0}, "skip_threshold (-1) must be a PSNR from 0 to 120 decibels; leave it out for 60"),
        ({"device": ""}, 'device () must be "auto", "cpu", "cuda", "cuda:1" or another device of torch'),
        (
            {"device": "1"},
            'device (1) must be "auto", "cpu", "cuda", "cuda:1" or another device of torch; for GPU 1 pass "cuda:1"',
        ),
        (
            {"precision": "fp16"},
            "precision (fp16) must be one of auto, float32, float16, bfloat16; did you mean float16?",
        ),
        (
            {"precision": "torch.half"},
            "precision (torch.half) must be one of auto, float32, float16, bfloat16; did you mean float16?",
        ),
        (
            {"precision": "Float23"},
            "precision (Float23) must be one of auto, float32, float16, bfloat16; did you mean float32?",
        ),
        ({"precision": "int8"}, "precision (int8) must be one of auto, float32, float16, bfloat16"),
        ({"model": ""}, "model () must be a name or a file; for the names: python -m vsrife models"),
        ({"matrix_in": " "}, 'matrix_in ( ) must be a name or H.273 number, such as "709" or "170m"'),
        ({"range_in": ""}, 'range_in () must be "limited" or "full"'),
        ({"chromaloc_in": ""}, 'chromaloc_in () must be a name or number, such as "left" or "top_left"'),
        (
            {"skip_treshold": 60.0},
            (
                "skip_treshold must be an argument of RIFE; did you mean skip_threshold? there are: multi, factor_num, "
                "factor_den, fps_num, fps_den, cfr, pause, retime, model, scale, ensemble, sc, sc_threshold, "
                "skip, skip_threshold, device, precision, matrix_in, range_in, chromaloc_in, multiplier, model_path, "
                "gpu_id, gpu_thread, tta, uhd, list_gpu"
            ),
        ),
    ],
)
def test_refused(raw, text):
    assert message(**raw) == text


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.0, 2.0, 4.0])
def test_scales(scale):
    assert parse({"scale": scale}).scale == scale


@pytest.mark.parametrize(("low", "high"), [("sc_threshold", 1.0), ("skip_threshold", 120.0)])
def test_threshold_ends_are_inside(low, high):
    assert getattr(parse({low: 0.0}), low) == 0
    assert getattr(parse({low: high}), low) == high
    for beyond in (-0.01, high + 0.01):
        with pytest.raises(ArgumentError, match=f"^{low} "):
            parse({low: beyond})


@given(
    st.dictionaries(st.sampled_from([e.split(":")[0] for e in SIGNATURE.split(";") if e][1:]), st.floats() | st.text())
)
@settings(deadline=None, max_examples=200)
def test_whatever_is_passed_is_taken_or_refused_in_one_line(raw):
    text = ""
    try:
        parse(raw)
    except RifeError as error:
        text = str(error)
    assert "\n" not in text
    assert not text or any(text.startswith(name) for name in raw)


def test_neither_torch_nor_vapoursynth_is_imported():
    code = (
        "import sys, vsrife.plugin.arguments, vsrife.plugin.timing;"
        "assert not {'torch', 'vapoursynth', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
