"""What a script may pass to core.rife.RIFE, checked once; the code behind this module takes it as valid.

Knows no clip and no device: names of devices, models and colours are read by the modules that own them.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

from vsrife.errors import ArgumentError
from vsrife.plugin.pauses import DEFAULT_PAUSE
from vsrife.plugin.signature import ARGUMENTS

__all__ = [
    "DEFAULT_MULTI",
    "DEFAULT_SKIP_THRESHOLD",
    "MAX_WHOLE",
    "PRECISIONS",
    "SCALES",
    "Settings",
    "parse",
    "ratio_of",
]

DEFAULT_MULTI = Fraction(2)

MAX_PAUSE = 86_400
"""Seconds in a day: longer than any source frame."""

DEFAULT_SKIP_THRESHOLD = 60.0
"""Decibels of PSNR that the worst block must reach for a pair to count as still: the still measure's own default, which
stands here too because reading it there would bring torch."""

MAX_SKIP_THRESHOLD = 120.0
"""Above 115 dB only identical frames pass, even at 16 bits."""

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)

PRECISIONS = ("auto", "float32", "float16", "bfloat16")

MAX_WHOLE = 2**53 - 1
"""Whole numbers reach us as doubles, which hold every integer up to here exactly."""

_NUMBER = r"[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40}"
_MULTI = re.compile(
    rf"(?P<top>{_NUMBER})(?:e(?P<exponent>[+-]?[0-9]{{1,2}}))?(?:/(?P<bottom>{_NUMBER}))?", re.IGNORECASE
)

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
    """The arguments of one call. Every field is valid in itself.

    ``multi``: output frames per source frame, above 0; means nothing where ``fps`` is given.
    ``fps``: target rate in frames per second, above 0, or None. `ratio_of` makes one ratio of the two.
    ``cause``: the argument that set the rate, with its value, as errors name it.
    ``cfr``: whether the result has the constant rate ``fps``, which is given then.
    ``pause``: seconds from which a source frame may be a pause; 0: none is.
    ``retime``: whether held drawings become even motion.
    ``model``: a name or a path; None is the default model.
    ``variant``: which of two networks of the same shapes it is; None leaves it to the file.
    ``sc_threshold``: cut score, 0..1, from which a pair is a cut; None is the detector's default, 1 is never reached.
    ``skip_threshold``: decibels, 0..120.
    ``device``, ``matrix_in``, ``range_in``, ``chromaloc_in``: text as passed, not empty; None was not passed.
    """

    multi: Fraction = DEFAULT_MULTI
    fps: Fraction | None = None
    cause: str = "multi (2)"
    cfr: bool = False
    pause: Fraction = DEFAULT_PAUSE
    retime: bool = False
    model: str | None = None
    variant: str | None = None
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


def parse(raw: Mapping[str, str | bytes | float]) -> Settings:
    """Settings from the arguments that a script passed, by name, without the clip; those not passed are absent.

    Text may come as UTF-8 bytes. Raises ArgumentError for the first argument that is wrong.
    """
    passed = _Passed(raw)
    multi, fps, cause = _rate(passed)
    sc, skip = passed.switch("sc", default=True), passed.switch("skip", default=True)
    for name, switch, on in (("sc_threshold", "sc", sc), ("skip_threshold", "skip", skip)):
        if name in raw and not on:
            raise ArgumentError(
                f"{name} ({passed.shown(name)}) and {switch} (0) must not be passed together: with {switch}=0 "
                "nothing is compared with it; remove one of them"
            )
    return Settings(
        multi=multi,
        fps=fps,
        cause=cause,
        cfr=_cfr(passed, fps),
        pause=_pause(passed),
        retime=passed.switch("retime", default=False),
        model=passed.text("model", "a name or a file; for the names: python -m vsrife models", None),
        variant=passed.text("variant", '"large" or "3.6"; leave it out for any other network', None),
        scale=_scale(passed),
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
    )


def ratio_of(settings: Settings, clip_fps: Fraction | None) -> Fraction:
    """Output frames per source frame, above 0.

    ``clip_fps``: the clip's rate in frames per second, None where it has none. Raises ArgumentError where a target rate
    is asked of such a clip.
    """
    if settings.fps is None:
        return settings.multi
    if clip_fps is None:
        raise ArgumentError(
            f"{settings.cause} must come with a clip whose frame rate is known, and this clip's is not; pass multi= "
            "instead, or say the rate first: clip.std.AssumeFPS(fpsnum=24000, fpsden=1001)"
        )
    return settings.fps / clip_fps


class _Passed:
    """The raw arguments, read by kind."""

    def __init__(self, raw: Mapping[str, str | bytes | float]) -> None:
        self._raw = raw
        for name in raw:
            if name not in ARGUMENTS:
                near = difflib.get_close_matches(name, ARGUMENTS, n=1)
                raise ArgumentError(
                    f"{name} must be an argument of RIFE; {f'did you mean {near[0]}? ' if near else ''}there are: "
                    f"{', '.join(ARGUMENTS)}"
                )

    def __contains__(self, name: str) -> bool:
        return name in self._raw

    def shown(self, name: str) -> str:
        """The value as a message shows it: numbers without a needless .0, text on one line and not too long."""
        value = self._raw[name]
        if isinstance(value, bytes):
            value = value.decode(errors="backslashreplace")
        if isinstance(value, str):
            line = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in value)
            return line if len(line) <= 80 else f"{line[:77]}..."
        return str(int(value)) if abs(value) <= MAX_WHOLE and value == int(value) else str(value)

    def wrong(self, name: str, must_be: str) -> ArgumentError:
        return ArgumentError(f"{name} ({self.shown(name)}) must be {must_be}")

    def text[D](self, name: str, must_be: str, default: D) -> str | D:
        """Text without surrounding blanks, or ``default`` where none was passed."""
        if name not in self._raw:
            return default
        value = self._raw[name]
        if isinstance(value, bytes):
            try:
                value = value.decode()
            except UnicodeDecodeError:
                raise self.wrong(name, f"UTF-8 text: {must_be}") from None
        stripped = str(value).strip()
        if not stripped or "\0" in stripped:
            raise self.wrong(name, must_be)
        return stripped

    def number(self, name: str, must_be: str) -> float:
        """A finite number that was passed."""
        try:
            value = float(self._raw[name])
        except ValueError:
            raise self.wrong(name, must_be) from None
        if not isfinite(value):
            raise self.wrong(name, must_be)
        return value

    def within[D](self, name: str, highest: float, must_be: str, default: D) -> float | D:
        """A number from 0 to ``highest``, or ``default`` where none was passed."""
        if name not in self._raw:
            return default
        value = self.number(name, must_be)
        if not 0 <= value <= highest:
            raise self.wrong(name, must_be)
        return value

    def switch(self, name: str, *, default: bool) -> bool:
        """0 or 1 as a bool, or ``default`` where none was passed."""
        if name not in self._raw:
            return default
        value = self.number(name, "0 or 1")
        if value not in (0, 1):
            raise self.wrong(name, "0 or 1")
        return value == 1

    def whole(self, name: str, way_out: str) -> int:
        """A whole number above 0 that was passed."""
        must_be = f"a whole number from 1 to {MAX_WHOLE}"
        value = self.number(name, f"{must_be}; {way_out}")
        if value == int(value) and 1 <= value <= MAX_WHOLE:
            return int(value)
        raise self.wrong(name, f"{must_be}; {_instead(name, value) or way_out}")


def _rate(passed: _Passed) -> tuple[Fraction, Fraction | None, str]:
    """Multi, fps and the cause. Of multi, factor_* and fps_* at most one may be passed, and the pairs whole."""
    ways = (("multi",), ("factor_num", "factor_den"), ("fps_num", "fps_den"))
    taken = [[name for name in way if name in passed] for way in ways]
    first, *others = [way for way in taken if way] or [[]]
    if others:
        a, b = first[0], others[0][0]
        raise ArgumentError(
            f"{a} ({passed.shown(a)}) and {b} ({passed.shown(b)}) must not be passed together: each sets the frame "
            "rate; remove one of them"
        )
    if not first:
        return DEFAULT_MULTI, None, f"multi ({DEFAULT_MULTI})"
    if first == ["multi"]:
        return _multi(passed), None, f"multi ({passed.shown('multi')})"
    is_fps = first[0].startswith("fps")
    if is_fps:
        way_out = "60 is fps_num=60, fps_den=1 and 59.94 is fps_num=60000, fps_den=1001"
    else:
        way_out = "2.5 is factor_num=5, factor_den=2"
    values = {name: passed.whole(name, way_out) for name in first}
    cause = " and ".join(f"{name} ({value})" for name, value in values.items())
    if len(values) == 1:
        (missing,) = {name for way in ways if first[0] in way for name in way} - set(first)
        raise ArgumentError(f"{cause} must come with {missing}, which is missing; {way_out}")
    value = Fraction(*values.values())
    return (DEFAULT_MULTI, value, cause) if is_fps else (value, None, cause)


def _multi(passed: _Passed) -> Fraction:
    """The exact number that the text says: 2, 2.5, 5/2, 1e-05 (as Python writes small floats)."""
    must_be = 'a number above 0, such as 2, 2.5, "5/2" or Fraction(1001, 400)'
    found = _MULTI.fullmatch(passed.text("multi", must_be, ""))
    if found is None:
        raise passed.wrong("multi", must_be)
    top, bottom = Fraction(found["top"]), Fraction(found["bottom"] or 1)
    if top == 0 or bottom == 0:
        raise passed.wrong("multi", must_be)
    value = top * Fraction(10) ** int(found["exponent"] or 0) / bottom
    if max(value.as_integer_ratio()) >= 2**63:
        raise passed.wrong("multi", f"{must_be}, of a numerator and denominator below 2^63")
    return value


def _instead(name: str, value: float) -> str | None:
    """How a rate that is no whole number is passed: as the NTSC rate it stands for, else as the fraction it is."""
    if name == "fps_num" and 0.5 < value < MAX_WHOLE:
        ntsc = Fraction(round(value * 1.001) * 1000, 1001)
        fps = ntsc if abs(value - ntsc) < 0.006 else Fraction(repr(value))
        return f"pass fps_num={fps.numerator}, fps_den={fps.denominator}"
    if name == "factor_num" and 0 < value < MAX_WHOLE:
        return f"pass multi={value!r} instead of factor_num and factor_den"
    return None


def _cfr(passed: _Passed, fps: Fraction | None) -> bool:
    cfr = passed.switch("cfr", default=False)
    if cfr and fps is None:
        raise ArgumentError(
            "cfr (1) must come with fps_num and fps_den, the constant rate to make, in place of multi or factor_*; "
            "60 frames a second are fps_num=60, fps_den=1"
        )
    return cfr


def _pause(passed: _Passed) -> Fraction:
    must_be = f"seconds from 0 to {MAX_PAUSE}; at 0 no frame is a pause, leave it out for {float(DEFAULT_PAUSE):g}"
    value = passed.within("pause", MAX_PAUSE, must_be, None)
    return DEFAULT_PAUSE if value is None else Fraction(repr(value))


def _scale(passed: _Passed) -> float:
    must_be = "0.25, 0.5, 1, 2 or 4; 0.5 suits 2160p, 2 or 4 small pictures with fine motion"
    value = passed.number("scale", must_be) if "scale" in passed else 1.0
    if value not in SCALES:
        raise passed.wrong("scale", must_be)
    return value


def _device(passed: _Passed) -> str:
    must_be = '"auto", "cpu", "cuda", "cuda:1" or another device of torch'
    text = passed.text("device", must_be, "auto")
    if text.isdecimal():
        raise passed.wrong("device", f'{must_be}; for GPU {text} pass "cuda:{text}"')
    return text


def _precision(passed: _Passed) -> str:
    must_be = f"one of {', '.join(PRECISIONS)}"
    text = passed.text("precision", must_be, "auto")
    if text not in PRECISIONS:
        plain = text.lower().removeprefix("torch.")
        near = _USUAL_PRECISIONS.get(plain) or next(iter(difflib.get_close_matches(plain, PRECISIONS, n=1)), None)
        raise passed.wrong("precision", f"{must_be}; did you mean {near}?" if near else must_be)
    return text
