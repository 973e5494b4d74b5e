"""The arguments of core.rife.RIFE, checked as far as this needs no clip, no device and no model.

The modules for devices, models and colours check the names of those.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from vsrife.errors import ArgumentError
from vsrife.plugin import ncnn
from vsrife.plugin.ncnn import NOTHING, Ncnn
from vsrife.plugin.pauses import DEFAULT_PAUSE
from vsrife.plugin.raw_arguments import Passed

__all__ = [
    "DEFAULT_MULTI",
    "DEFAULT_SKIP_THRESHOLD",
    "PRECISIONS",
    "SCALES",
    "Settings",
    "exact_ratio",
    "parse",
    "ratio_of",
]

DEFAULT_MULTI = Fraction(2)

MAX_PAUSE = 86_400
"""Seconds in a day: longer than any source frame."""

DEFAULT_SKIP_THRESHOLD = 60.0
"""PSNR in decibels from which two frames count as equal. DEFAULT_STILL_THRESHOLD of vsrife.scene is the same, as a test
checks; importing it here would import torch."""

MAX_SKIP_THRESHOLD = 120.0
"""In decibels. From 115 dB on only identical frames reach a threshold, even with 16 bits."""

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)

PRECISIONS = ("auto", "float32", "float16", "bfloat16")

_USUAL_PRECISIONS = {
    "fp32": "float32",
    "single": "float32",
    "full": "float32",
    "double": "float32",
    "float64": "float32",
    "32": "float32",
    "fp16": "float16",
    "half": "float16",
    "16": "float16",
    "bf16": "bfloat16",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The arguments of one call, each of them valid.

    ``multi``: output frames per source frame, above 0; unused where ``fps`` is set.
    ``fps``: target rate in frames per second, above 0, or None. `ratio_of` returns the ratio for either.
    ``cause``: the argument that sets the rate, with its value, for error messages.
    ``cfr``: whether the result has the constant rate ``fps``, which is set then.
    ``pause``: seconds from which a source frame may be a pause; at 0 none is.
    ``retime``: whether held drawings become even motion.
    ``model``: a name or a path; None is the default model.
    ``sc_threshold``: score, 0..1, from which a pair is a cut; None is the detector's default, and no score reaches 1.
    ``skip_threshold``: PSNR in decibels, 0..120.
    ``device``, ``matrix_in``, ``range_in``, ``chromaloc_in``: text as passed, not empty; None where not passed.
    ``ncnn``: the arguments of the ncnn plugin. Its network and GPU take precedence over ``model`` and ``device``.
    ``notes``: remarks about the arguments for the log.
    """

    multi: Fraction = DEFAULT_MULTI
    fps: Fraction | None = None
    cause: str = "multi (2)"
    cfr: bool = False
    pause: Fraction = DEFAULT_PAUSE
    retime: bool = False
    model: str | None = None
    scale: float = 1.0
    ensemble: bool = False
    sc: bool = True
    sc_threshold: float | None = None
    skip: bool = True
    skip_threshold: float = DEFAULT_SKIP_THRESHOLD
    device: str = "auto"
    precision: str = "auto"
    matrix_in: str | None = None
    range_in: str | None = None
    chromaloc_in: str | None = None
    ncnn: Ncnn = NOTHING
    notes: tuple[str, ...] = ()


def parse(raw: Mapping[str, str | bytes | float]) -> Settings:
    """Settings for the arguments that were passed, by name, without the clip.

    Text may be UTF-8 bytes. Raises ArgumentError or ModelError for the first argument that is wrong.
    """
    passed = Passed(raw)
    multi, fps, cause = _rate(passed)
    sc, skip = passed.switch("sc", default=True), passed.switch("skip", default=True)
    ncnn_options = ncnn.read(passed)
    return Settings(
        multi=multi,
        fps=fps,
        cause=cause,
        cfr=_cfr(passed, fps),
        pause=_pause(passed),
        retime=passed.switch("retime", default=False),
        model=ncnn_options.own,
        scale=ncnn.UHD_SCALE if ncnn_options.uhd else _scale(passed),
        ensemble=passed.switch("ensemble", default=False),
        sc=sc,
        sc_threshold=passed.within("sc_threshold", 1, "a cut score from 0 to 1; leave it out for the default", None),
        skip=skip,
        skip_threshold=passed.within(
            "skip_threshold",
            MAX_SKIP_THRESHOLD,
            f"a PSNR from 0 to {MAX_SKIP_THRESHOLD:g} decibels; leave it out for {DEFAULT_SKIP_THRESHOLD:g}",
            DEFAULT_SKIP_THRESHOLD,
        ),
        device=_device(passed),
        precision=_precision(passed),
        matrix_in=passed.text("matrix_in", 'a name or H.273 number, such as "709" or "170m"', None),
        range_in=passed.text("range_in", '"limited" or "full"', None),
        chromaloc_in=passed.text("chromaloc_in", 'a name or number, such as "left" or "top_left"', None),
        ncnn=ncnn_options,
        notes=(*ncnn_options.notes, *_notes(passed, multi, sc=sc, skip=skip)),
    )


def ratio_of(settings: Settings, clip_fps: Fraction | None) -> Fraction:
    """Output frames per source frame, above 0.

    ``clip_fps``: the clip's frame rate, None where it has none. Raises ArgumentError where such a clip is to get a
    target rate.
    """
    if settings.fps is None:
        return settings.multi
    if clip_fps is None:
        raise ArgumentError(
            f"{settings.cause} must come with a clip whose frame rate is known, and this clip's is not; pass multi= "
            "instead; or, where its frames have durations, cfr=1 beside it; or say the rate first, if it is constant: "
            "clip.std.AssumeFPS(fpsnum=24000, fpsden=1001)"
        )
    return settings.fps / clip_fps


def _rate(passed: Passed) -> tuple[Fraction, Fraction | None, str]:
    """The fields ``multi``, ``fps`` and ``cause`` of `Settings`. A missing denominator is 1."""
    ways = (("multi",), ("multiplier",), ("factor_num", "factor_den"), ("fps_num", "fps_den"))
    taken = [[name for name in way if name in passed] for way in ways]
    first, *others = [way for way in taken if way] or [[]]
    if others:
        a, b = first[0], others[0][0]
        raise ArgumentError(
            f"{a} ({passed.shown(a)}) and {b} ({passed.shown(b)}) must not be passed together: each sets the frame "
            f"rate; remove one of them{_order(passed) if a == 'multi' else ''}"
        )
    if not first:
        return DEFAULT_MULTI, None, f"multi ({DEFAULT_MULTI})"
    if first[0].startswith("multi"):
        return _multi(passed, first[0]), None, f"{first[0]} ({passed.shown(first[0])})"
    is_fps = first[0].startswith("fps")
    if is_fps:
        remedy = "60 is fps_num=60, fps_den=1 and 59.94 is fps_num=60000, fps_den=1001"
    else:
        remedy = "2.5 is factor_num=5, factor_den=2"
    values = {name: passed.whole(name, remedy) for name in first}
    cause = " and ".join(f"{name} ({value})" for name, value in values.items())
    if first[0].endswith("den"):
        missing = first[0].replace("den", "num")
        raise ArgumentError(f"{cause} must come with {missing}, which is missing; {remedy}")
    value = Fraction(*values.values())
    return (DEFAULT_MULTI, value, cause) if is_fps else (value, None, cause)


def _order(passed: Passed) -> str:
    """The end of an error about two rates, where ``multi`` may be a model's number passed without its name."""
    if not ncnn.may_be_a_model(_multi(passed, "multi")):
        return ""
    return ", or write the names: the first argument after the clip is multi here, and model in the ncnn plugin"


def _multi(passed: Passed, name: str) -> Fraction:
    """Output frames per source frame, from the argument of this name."""
    must_be = "a number above 0, such as 2, 2.5 or Fraction(1001, 400)"
    value = passed.number(name, must_be)
    if value <= 0:
        raise passed.wrong(name, must_be)
    ratio = exact_ratio(value)
    if max(ratio.as_integer_ratio()) >= 2**63:
        raise passed.wrong(name, f"{must_be}, of a numerator and denominator below 2^63")
    return ratio


def exact_ratio(value: float) -> Fraction:
    """The fraction that a script divided to get ``value``, a finite number.

    That is the simplest one whose quotient is this very double, with a denominator of at most a million. Where there is
    none, it is the decimal number that Python prints for ``value``.
    """
    for digits in range(7):
        ratio = Fraction(value).limit_denominator(10**digits)
        if float(ratio) == value:
            return ratio
    return Fraction(repr(value))


def _notes(passed: Passed, multi: Fraction, *, sc: bool, skip: bool) -> list[str]:
    """Remarks about valid arguments that may not do what the script's author meant."""
    notes = [
        f"{name} ({passed.shown(name)}) has no effect with {switch}=0"
        for name, switch, on in (("sc_threshold", "sc", sc), ("skip_threshold", "skip", skip))
        if name in passed and not on
    ]
    if "multi" in passed and ncnn.may_be_a_model(multi):
        notes.append(
            f"multi ({multi}) makes {multi} frames of one; for the network of that number in the ncnn plugin pass "
            f"model={multi} by name"
        )
    return notes


def _cfr(passed: Passed, fps: Fraction | None) -> bool:
    cfr = passed.switch("cfr", default=False)
    if cfr and fps is None:
        raise ArgumentError(
            "cfr (1) must come with fps_num and fps_den, the constant rate to make, in place of multi or factor_*; "
            "60 frames a second are fps_num=60, fps_den=1"
        )
    return cfr


def _pause(passed: Passed) -> Fraction:
    must_be = f"seconds from 0 to {MAX_PAUSE}; at 0 no frame is a pause, leave it out for {float(DEFAULT_PAUSE):g}"
    value = passed.within("pause", MAX_PAUSE, must_be, None)
    return DEFAULT_PAUSE if value is None else Fraction(repr(value))


def _scale(passed: Passed) -> float:
    must_be = "0.25, 0.5, 1, 2 or 4; 0.5 suits 2160p, 2 or 4 small pictures with fine motion"
    value = passed.number("scale", must_be) if "scale" in passed else 1.0
    if value not in SCALES:
        raise passed.wrong("scale", must_be)
    return value


def _device(passed: Passed) -> str:
    must_be = '"auto", "cpu", "cuda", "cuda:1" or another device of torch'
    text = passed.text("device", must_be, "auto")
    if text.isdecimal():
        number = passed.shown("device")
        raise passed.wrong("device", f'{must_be}; for GPU {number} pass "cuda:{number}"')
    return text


def _precision(passed: Passed) -> str:
    must_be = f"one of {', '.join(PRECISIONS)}"
    text = passed.text("precision", must_be, "auto")
    if text not in PRECISIONS:
        plain = text.lower().removeprefix("torch.")
        near = _USUAL_PRECISIONS.get(plain) or next(iter(difflib.get_close_matches(plain, PRECISIONS, n=1)), None)
        raise passed.wrong("precision", f"{must_be}; did you mean {near}?" if near else must_be)
    return text
