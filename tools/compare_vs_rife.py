"""Speed and memory of vs-rife's networks and ours, on the same frames with the same weights.

    python -m pip download --no-deps vsrife
    python -m zipfile -e vsrife-*.whl vs-rife
    python tools/compare_vs_rife.py vs-rife [--sizes WxH ...] [--models MODEL ...] [--precisions P ...]

docs/bench.md explains the columns and how vs-rife is run.
"""

import argparse
import contextlib
import gc
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from vs_rife.comparison import Comparison, compare
from vs_rife.network import VsRifeNetwork, plugin_settings
from vs_rife.package import VsRifePackage, find_package

from vsrife.bench.command import add_cases
from vsrife.bench.engine import canvas_of, device_memory, working_on
from vsrife.bench.machine import facts
from vsrife.bench.memory import reset_resident_peak, resident_peak
from vsrife.bench.session import Choice, use_threads, write_json
from vsrife.bench.synthetic_input import moving_frames
from vsrife.bench.tables import Column, megabytes, milliseconds, table, timing_as_json
from vsrife.bench.worker import REPEATS, in_own_process, perform, run_worker
from vsrife.engine.device import PRECISIONS
from vsrife.errors import RifeError, one_line

WORKER = "--worker"


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 0 when done, 2 with one line on stderr for a wrong argument."""
    if arguments[:1] == [WORKER]:
        return perform({"memory": _memory}, arguments[1])
    parser = argparse.ArgumentParser(
        prog="compare_vs_rife.py", description="Speed and memory of vs-rife's networks and ours."
    )
    parser.add_argument("package", type=Path, help="the folder of an unpacked wheel of vs-rife")
    add_cases(parser)
    parser.add_argument("--threads", type=int, metavar="N", help="of one frame on a CPU (default: as the filter has)")
    try:
        return _run(parser.parse_args(arguments))
    except RifeError as error:
        print(f"compare_vs_rife.py: {error}", file=sys.stderr)
        return 2


def _run(arguments: argparse.Namespace) -> int:
    package, choice = find_package(arguments.package), Choice.of(arguments)
    if arguments.threads is not None:
        use_threads(arguments.threads)
    machine = facts(choice.device)
    rows: list[Comparison] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in choice.cases(Path(folder)):
            rows.append(compare(package, case, choice.device, choice.pace))
            gc.collect()
            if choice.device.type == "cuda":
                torch.cuda.empty_cache()  # the memory is measured in other processes on the same GPU
            _measure_memory(rows[-1], package, choice.device)
            write_json(choice.json, _as_json(machine, package, rows))
    print(f"{machine['name']} ({machine['device']}), torch {machine['torch']}, vsrife {machine['vsrife']}")
    print(f"YUV420P8, t = 0.5, smooth moving texture; threads a frame on a CPU: {machine['torch_threads']}\n")
    print(table(f"against vs-rife {package.release}", CASE, FIGURES, rows))
    notes = {f"{name}: {reason}": None for row in rows for name, reason in row.reasons.items()}
    if notes:
        print("\n".join(["", *notes]))
    return 0


def _measure_memory(row: Comparison, package: VsRifePackage, device: torch.device) -> None:
    """Ours, and theirs where their network runs: each alone in a process of its own."""
    case = row.case
    task: dict[str, Any] = {
        "model": str(case.model.path),
        "device": str(device),
        "precision": case.precision,
        "size": case.size,
    }
    try:
        row.our_memory = in_own_process("memory", **task)["bytes"]
        if row.theirs is not None:
            task |= {"task": "memory", "package": str(package.folder), "version": case.model.version}
            command = [sys.executable, str(Path(__file__).resolve()), WORKER]
            row.memory = run_worker(command, task | {"canvas": row.canvas})["bytes"]
    except RifeError as error:
        row.reasons["memory"] = one_line(error)


def _memory(
    *,
    model: str,
    device: str,
    precision: str,
    size: list[int],
    package: str,
    version: str,
    canvas: list[int],
) -> dict[str, Any]:
    """Bytes that a network of vs-rife takes with two prepared sources, as `vsrife.bench.worker` measures ours.

    size: (width, height). canvas: (height, width).
    """
    place, shape = torch.device(device), (canvas[0], canvas[1])
    frames = moving_frames(size[0], size[1], 2)
    with working_on(place), contextlib.ExitStack() as stack:
        before = 0 if place.type == "cuda" else reset_resident_peak()
        stack.enter_context(plugin_settings())
        network = VsRifeNetwork(find_package(Path(package)), version, Path(model), place, PRECISIONS[precision], shape)
        # Its frames come as RGB from the host.
        first, second = (network.prepare(canvas_of(frame, (size[0], size[1]), shape).to(place)) for frame in frames)
        for _ in range(REPEATS):
            network.new_frame(first, second)
    return {"bytes": device_memory(place) if place.type == "cuda" else {"resident": resident_peak() - before}}


def _as_json(machine: Mapping[str, Any], package: VsRifePackage, rows: Sequence[Comparison]) -> dict[str, Any]:
    return {"machine": dict(machine), "release": package.release, "rows": [_row(row) for row in rows]}


def _row(row: Comparison) -> dict[str, Any]:
    return {
        "model": row.case.model.name,
        "width": row.case.size[0],
        "height": row.case.size[1],
        "precision": row.case.precision,
        "ours_ms": timing_as_json(row.ours),
        "theirs_ms": timing_as_json(row.theirs),
        "ratio": row.ratio,
        "graph_ms": timing_as_json(row.graph),
        "graph_ratio": row.graph_ratio,
        "our_memory": row.our_memory,
        "memory": row.memory,
        "memory_ratio": row.memory_ratio,
        "largest_difference": row.difference,
        "reasons": row.reasons,
    }


def _times(ratio: Callable[[Comparison], float | None]) -> Callable[[Comparison], str]:
    def cell(row: Comparison) -> str:
        found = ratio(row)
        return "-" if found is None else f"{found:.2f}x"

    return cell


CASE: Sequence[Column[Comparison]] = (
    ("model", lambda row: row.case.model.name),
    ("size", lambda row: "x".join(map(str, row.case.size))),
    ("precision", lambda row: row.case.precision),
)
FIGURES: Sequence[Column[Comparison]] = (
    ("ours ms", lambda row: milliseconds(row.ours)),
    ("theirs ms", lambda row: milliseconds(row.theirs)),
    ("ratio", _times(lambda row: row.ratio)),
    ("graph ms", lambda row: milliseconds(row.graph)),
    ("ratio", _times(lambda row: row.graph_ratio)),
    ("ours MB", lambda row: megabytes(row.our_memory)),
    ("theirs MB", lambda row: megabytes(row.memory)),
    ("ratio", _times(lambda row: row.memory_ratio)),
    ("difference", lambda row: "-" if row.difference is None else f"{row.difference:.1e}"),
)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
