"""The run of `vsrife bench`: from what was typed to rows, printed and written."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from vsrife.bench.cases import Case, Plan, resolve_model
from vsrife.bench.engine import working_on
from vsrife.bench.machine import facts
from vsrife.bench.peer import find_peer
from vsrife.bench.report import as_json, as_text
from vsrife.bench.rows import Row, measure
from vsrife.bench.timing import FULL, QUICK
from vsrife.bench.work import Rates, measured_rates
from vsrife.engine import slots
from vsrife.engine.device import PRECISIONS, resolve_device, resolve_precision
from vsrife.errors import ArgumentError

__all__ = ["run"]

FRAMES = {"cuda": 300, "cpu": 4}
IN_FLIGHT = {"cuda": 8, "cpu": 2}
"""What --frames and --in-flight are where they are not given."""

SMALLEST = 16


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the tables and write the JSON. Raises RifeError for a wrong argument, before it measures."""
    sizes = [_size(text) for text in arguments.sizes]
    device = resolve_device(arguments.device)
    if device.type not in FRAMES:
        raise ArgumentError(f"device ({arguments.device}) must be a CPU or a CUDA device; others are not measured")
    names = {torch_type: name for name, torch_type in PRECISIONS.items()}
    precisions = [names[resolve_precision(name, device)] for name in arguments.precisions]
    precisions = list(dict.fromkeys(precisions))
    plan = Plan(
        device=device,
        pace=QUICK if arguments.quick else FULL,
        frames=_at_least(2, "frames", arguments.frames, FRAMES[device.type]),
        in_flight=_at_least(1, "in-flight", arguments.in_flight, IN_FLIGHT[device.type]),
        engine_only=arguments.engine_only,
        peer=None if arguments.against is None else find_peer(arguments.against),
    )
    target: Path | None = arguments.json
    if target is not None and (target.is_dir() or not target.parent.is_dir()):
        raise ArgumentError(f"json ({target}) must be a file, no folder, in a folder that exists")
    if arguments.threads is not None:
        if not arguments.engine_only:
            raise ArgumentError(
                f"threads ({arguments.threads}) must come with --engine-only: how many the filter has is its own rule"
            )
        slots.INTRA_OP_THREADS = _at_least(1, "threads", arguments.threads, 1)
    machine = facts(device)
    rates: dict[str, Rates] = {}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        models = [resolve_model(name, Path(folder)) for name in dict.fromkeys(arguments.models)]
        for precision in precisions:
            with working_on(device):
                rates[precision] = measured_rates(device, PRECISIONS[precision], plan.pace)
        for case in (
            Case(model=model, size=size, precision=precision)
            for model in models
            for size in dict.fromkeys(sizes)
            for precision in precisions
        ):
            rows.append(measure(case, plan, rates[case.precision], _Progress(case)))
            if target is not None:  # after every row: a long run that is ended leaves what it has
                target.write_text(json.dumps(as_json(machine, plan, rates, rows), indent=1) + "\n", encoding="utf-8")
    print(as_text(machine, plan, rates, rows))
    return 0


class _Progress:
    """Says on stderr what is being measured, where somebody reads along."""

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
