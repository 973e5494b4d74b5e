"""The raw arguments of a call, read by kind. An error names the argument, its value and what is taken."""

import difflib
from collections.abc import Mapping
from fractions import Fraction
from math import isfinite

from vsrife.errors import ArgumentError
from vsrife.plugin.signature import ARGUMENTS

__all__ = ["MAX_WHOLE", "Passed"]

MAX_WHOLE = 2**53 - 1
"""Whole numbers reach us as doubles, which hold every integer up to here exactly."""


class Passed:
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
        """The error of an argument that was passed."""
        return ArgumentError(f"{name} ({self.shown(name)}) must be {must_be}")

    def blank(self, name: str) -> bool:
        """Whether what was passed is text without a character in it."""
        return self._raw[name] in ("", b"")

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


def _instead(name: str, value: float) -> str | None:
    """How a rate that is no whole number is passed: as the NTSC rate it stands for, else as the fraction it is."""
    if name == "fps_num" and 0.5 < value < MAX_WHOLE:
        ntsc = Fraction(round(value * 1.001) * 1000, 1001)
        fps = ntsc if abs(value - ntsc) < 0.006 else Fraction(repr(value))
        return f"pass fps_num={fps.numerator}, fps_den={fps.denominator}"
    if name == "factor_num" and 0 < value < MAX_WHOLE:
        return f"pass multi={value!r} instead of factor_num and factor_den"
    return None
