"""The raw arguments of a call, read by type. An error names the argument, its value and what it accepts."""

import difflib
from collections.abc import Mapping
from fractions import Fraction
from math import isfinite

from vsrife.errors import ArgumentError
from vsrife.plugin.signature import ARGUMENTS

__all__ = ["MAX_WHOLE", "Passed"]

MAX_WHOLE = 2**53 - 1
"""Whole numbers arrive as doubles, which hold every integer up to this one exactly."""


class Passed:
    """The arguments of one call by name. Raises ArgumentError for a name that is no argument."""

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
        """The value as a message shows it: whole numbers without ".0", text on one line of at most 80 characters."""
        value = self._raw[name]
        if isinstance(value, bytes):
            value = value.decode(errors="backslashreplace")
        if isinstance(value, str):
            line = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in value)
            return line if len(line) <= 80 else f"{line[:77]}..."
        return str(int(value)) if abs(value) <= MAX_WHOLE and value == int(value) else str(value)

    def wrong(self, name: str, must_be: str) -> ArgumentError:
        """The error for the value of the argument ``name``."""
        return ArgumentError(f"{name} ({self.shown(name)}) must be {must_be}")

    def blank(self, name: str) -> bool:
        """Whether the value is empty text."""
        return self._raw[name] in ("", b"")

    def text[D](self, name: str, must_be: str, default: D) -> str | D:
        """Text without surrounding whitespace, or ``default`` where the argument was not passed."""
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
        """The value, a finite number."""
        try:
            value = float(self._raw[name])
        except ValueError:
            raise self.wrong(name, must_be) from None
        if not isfinite(value):
            raise self.wrong(name, must_be)
        return value

    def within[D](self, name: str, highest: float, must_be: str, default: D) -> float | D:
        """A number from 0 to ``highest``, or ``default`` where the argument was not passed."""
        if name not in self._raw:
            return default
        value = self.number(name, must_be)
        if not 0 <= value <= highest:
            raise self.wrong(name, must_be)
        return value

    def switch(self, name: str, *, default: bool) -> bool:
        """0 or 1 as a bool, or ``default`` where the argument was not passed."""
        if name not in self._raw:
            return default
        value = self.number(name, "0 or 1")
        if value not in (0, 1):
            raise self.wrong(name, "0 or 1")
        return value == 1

    def whole(self, name: str, remedy: str) -> int:
        """The value, a whole number from 1 to `MAX_WHOLE`. ``remedy``: the end of the error's text."""
        must_be = f"a whole number from 1 to {MAX_WHOLE}"
        value = self.number(name, f"{must_be}; {remedy}")
        if value == int(value) and 1 <= value <= MAX_WHOLE:
            return int(value)
        raise self.wrong(name, f"{must_be}; {_instead(name, value) or remedy}")


def _instead(name: str, value: float) -> str | None:
    """How to pass a rate that is no whole number: as the NTSC rate near it, else as the fraction that it is."""
    if name == "fps_num" and 0.5 < value < MAX_WHOLE:
        ntsc = Fraction(round(value * 1.001) * 1000, 1001)
        fps = ntsc if abs(value - ntsc) < 0.006 else Fraction(repr(value))
        return f"pass fps_num={fps.numerator}, fps_den={fps.denominator}"
    if name == "factor_num" and 0 < value < MAX_WHOLE:
        return f"pass multi={value!r} instead of factor_num and factor_den"
    return None
