"""Measurements that need a process of their own: the memory of one thing alone, and a cold start.

Run as `python -m vsrife.bench.worker TASK`, TASK being JSON; the result is one line of JSON on stdout. What a cold
start does not need is imported late.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import vsrife
from vsrife.errors import RifeError

__all__ = ["REPEATS", "in_own_process", "perform", "run_worker"]

REPEATS = 3
"""Frames after which the memory has reached its final size."""

LONGEST = 1800.0
"""Seconds that one task may take: a frame of 2160p on an old CPU takes its time."""

FAILED = "failed: "


def in_own_process(task: str, **arguments: object) -> dict[str, Any]:
    """The result of a task in a new process, and as ``seconds`` the time from its start to the result.

    task: "memory" or "start". arguments: the keywords of that function below, as JSON can hold them.
    Raises RifeError with the reason where the task fails.
    """
    return run_worker([sys.executable, "-P", "-m", "vsrife.bench.worker"], {"task": task} | arguments)


def run_worker(command: Sequence[str], task: Mapping[str, object]) -> dict[str, Any]:
    """The result of ``command`` with ``task`` as its last argument: see `in_own_process` and `perform`."""
    # The package that runs here, also where the current folder holds another `vsrife`.
    home = str(Path(vsrife.__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        with subprocess.Popen(
            [*command, json.dumps(task)],
            env=os.environ | {"PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process:
            limit = threading.Timer(LONGEST, process.kill)
            limit.start()
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                seconds = time.perf_counter() - began  # before the process has ended
            except BaseException:
                process.kill()
                raise
            finally:
                limit.cancel()
        if line.startswith("{"):
            return {"seconds": seconds, **json.loads(line)}
        errors.seek(0)
        lines = [each for each in errors.read().splitlines() if each.strip()]
    reason = lines[-1].removeprefix(FAILED) if lines else f"its process ended with status {process.returncode}"
    raise RifeError(reason)


def perform(tasks: Mapping[str, Callable[..., dict[str, Any]]], argument: str) -> int:
    """Perform the task of a worker's command line and print the result, or on stderr why it failed. Returns the status.

    argument: JSON with the name of the task as ``task`` and the keywords of its function.
    """
    given = json.loads(argument)
    try:
        print(json.dumps(tasks[given.pop("task")](**given)), flush=True)
    except Exception as error:  # noqa: BLE001 - any failure is reported as one line
        print(f"{FAILED}{' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def _start(*, model: str, device: str, precision: str, frames: str) -> dict[str, Any]:
    """The first new frame of a clip in a process that has computed nothing before.

    frames: a file that `end_to_end.save` has written.
    """
    from vsrife.bench import end_to_end

    clip = end_to_end.looped(end_to_end.load(Path(frames)), 2)
    end_to_end.first_frame(clip, model=model, device=device, precision=precision)
    return {}


def _memory(*, model: str, device: str, precision: str, size: list[int]) -> dict[str, Any]:
    """Bytes that one network takes with two cached sources: on CUDA by holder, on a CPU the growth of resident memory.

    size: (width, height).
    """
    import torch

    from vsrife.bench import engine
    from vsrife.bench.memory import reset_resident_peak, resident_peak
    from vsrife.bench.synthetic_input import moving_frames
    from vsrife.engine.device import PRECISIONS
    from vsrife.engine.transfer import host

    place = torch.device(device)
    width, height = size
    frames = moving_frames(width, height, 2)
    with engine.working_on(place) as held:
        before = 0 if place.type == "cuda" else reset_resident_peak()
        ours = engine.Engine(Path(model), place, PRECISIONS[precision], (width, height))
        left, right = (ours.encode(tuple(host.upload(plane, place) for plane in frame)) for frame in frames)
        for _ in range(REPEATS):
            ours.new_frame(held, left, right)
    if place.type != "cuda":
        return {"bytes": {"resident": resident_peak() - before}}
    ours.in_every_lane(left, right)
    return {"bytes": engine.device_memory(place)}


if __name__ == "__main__":
    sys.exit(perform({"memory": _memory, "start": _start}, sys.argv[1]))
