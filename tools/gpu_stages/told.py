"""What a measuring stage prints, in a form that the runner finds again in its output, also of a stage that was ended.

Lines like `figure: engine, one frame = 1.234 ms` and `failed: the frame: RuntimeError: ...`.
"""

import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from gpu_stages.settings import Settings

__all__ = ["Figure", "Told", "failures_in", "figures_in", "main_of"]

_FIGURE = re.compile(r"^figure: (?P<name>.+?) = (?P<value>\S+) ?(?P<unit>.*)$", re.MULTILINE)
_FAILED = re.compile(r"^(?:failed: |FAILED |ERROR )(?P<text>.+)$", re.MULTILINE)


class Figure(NamedTuple):
    """A number that a stage has measured, or a word it has found."""

    name: str
    value: str
    unit: str


class Told:
    """The output of one stage. failed: how many of its parts raised."""

    def __init__(self) -> None:
        self.failed = 0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What goes wrong inside is printed, counted, and does not keep the next part from running."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, the other parts still tell something
            self.failed += 1
            traceback.print_exc(file=sys.stdout)
            self._line(f"failed: {name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")

    def figure(self, name: str, value: float | str, unit: str = "") -> None:
        """A number with its unit; a word without blanks in its place is possible."""
        self._line(f"figure: {name} = {value if isinstance(value, str) else f'{value:.4g}'} {unit}".rstrip())

    def note(self, text: str) -> None:
        """A line for whoever reads the log."""
        self._line(text)

    def _line(self, text: str) -> None:
        print(text, flush=True)


def figures_in(output: str) -> list[Figure]:
    """The figures of a stage's output."""
    return [Figure(*found.group("name", "value", "unit")) for found in _FIGURE.finditer(output)]


def failures_in(output: str) -> list[str]:
    """What failed by a stage's output: its parts, or pytest's tests."""
    return list(dict.fromkeys(found["text"].strip() for found in _FAILED.finditer(output)))


def main_of(parts: Mapping[str, Callable[[Told, Settings], None]]) -> int:
    """Run the parts of a stage's process, one after another, with the settings of its command line; 1 where one failed,
    else 0.
    """
    told, settings = Told(), Settings.of_argument(sys.argv[1])
    for name, part in parts.items():
        with told.part(name):
            part(told, settings)
    return 1 if told.failed else 0
