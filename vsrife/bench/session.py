"""The run of `vsrife bench`: from the arguments to rows, printed and written."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from vsrife.bench.cases import Case, Plan, resolve_model
from vsrife.bench.engine import working_on
from vsrife.bench.machine import facts
from vsrife.bench.report import as_json, as_text
from vsrife.bench.rows import Row, measure
from vsrife.bench.timing import FULL, QUICK, Pace
from vsrife.bench.work import Rates, measured_rates
from vsrife.engine import slots
from vsrife.engine.device import PRECISIONS, resolve_device, resolve_precision
from vsrife.errors import ArgumentError

__all__ = ["Choice", "run", "use_threads", "write_json"]

FRAMES = {"cuda": 300, "cpu": 4}
IN_FLIGHT = {"cuda": 8, "cpu": 2}
"""Defaults of --frames and --in-flight."""

SMALLEST = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What `command.add_cases` has read, checked. json: the file to write, or None."""

    sizes: Sequence[tuple[int, int]]
    models: Sequence[str]
    precisions: Sequence[str]
    device: torch.device
    pace: Pace
    json: Path | None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> "Choice":
        """Raises ArgumentError for a wrong argument."""
        sizes = [_size(text) for text in arguments.sizes]
        device = resolve_device(arguments.device)
        if device.type not in FRAMES:
            raise ArgumentError(f"device ({arguments.device}) must be a CPU or a CUDA device; others are not measured")
        names = {dtype: name for name, dtype in PRECISIONS.items()}
        precisions = [names[resolve_precision(name, device)] for name in arguments.precisions]
        target: Path | None = arguments.json
        if target is not None and (target.is_dir() or not target.parent.is_dir()):
            raise ArgumentError(f"json ({target}) must be a file, no folder, in a folder that exists")
        return cls(
            sizes=list(dict.fromkeys(sizes)),
            models=list(dict.fromkeys(arguments.models)),
            precisions=list(dict.fromkeys(precisions)),
            device=device,
            pace=QUICK if arguments.quick else FULL,
            json=target,
        )

    def cases(self, folder: Path) -> list[Case]:
        """All combinations; seeded networks are written into ``folder``. Raises ModelError for an unknown model."""
        models = [resolve_model(name, folder) for name in self.models]
        return [
            Case(model=model, size=size, precision=precision)
            for model in models
            for size in self.sizes
            for precision in self.precisions
        ]


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the tables and write the JSON. Raises RifeError for a wrong argument, before it measures."""
    choice = Choice.of(arguments)
    device = choice.device
    plan = Plan(
        device=device,
        pace=choice.pace,
        frames=_at_least(2, "frames", arguments.frames, FRAMES[device.type]),
        in_flight=_at_least(1, "in-flight", arguments.in_flight, IN_FLIGHT[device.type]),
        engine_only=arguments.engine_only,
    )
    if arguments.threads is not None:
        if not arguments.engine_only:
            raise ArgumentError(
                f"threads ({arguments.threads}) must come with --engine-only: how many the filter has is its own rule"
            )
        use_threads(arguments.threads)
    machine = facts(device)
    rates: dict[str, Rates] = {}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        cases = choice.cases(Path(folder))
        for precision in choice.precisions:
            with working_on(device):
                rates[precision] = measured_rates(device, PRECISIONS[precision], plan.pace)
        for case in cases:
            rows.append(measure(case, plan, rates[case.precision], _Progress(case)))
            write_json(choice.json, as_json(machine, plan, rates, rows))
    print(as_text(machine, plan, rates, rows))
    return 0


def use_threads(count: int) -> None:
    """Compute each frame on a CPU with so many threads. Raises ArgumentError for fewer than one."""
    slots.INTRA_OP_THREADS = _at_least(1, "threads", count, 1)


def write_json(target: Path | None, content: object) -> None:
    """Write ``content``; nothing where ``target`` is None.

    To be called after every row, so that a long run that is interrupted keeps its rows.
    """
    if target is not None:
        target.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


class _Progress:
    """Prints what is being measured to stderr where that is a terminal."""

    def __init__(self, case: Case) -> None:
        self._about = f"{case.model.name} {'x'.join(map(str, case.size))} {case.precision}"

    def __call__(self, what: str) -> None:
        if sys.stderr.isatty():
            print(f"{self._about}: {what}", file=sys.stderr)


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise ArgumentError(f"sizes ({text}) must be WIDTHxHEIGHT in pixels, e.g. 1920x1080")
    size = int(width), int(height)
    if min(size) < SMALLEST or size[0] % 2 or size[1] % 2:
        raise ArgumentError(f"sizes ({text}) must be even numbers from {SMALLEST}: the frames are YUV420P8")
    return size


def _at_least(least: int, name: str, given: int | None, default: int) -> int:
    if given is not None and given < least:
        raise ArgumentError(f"{name} ({given}) must be {least} or more")
    return default if given is None else given
