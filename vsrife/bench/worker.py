"""What needs a process of its own: the memory of one thing alone, and a cold start.

Run as `python -m vsrife.bench.worker TASK`, TASK being what `ask` was given, as JSON; it writes its answer as one
line of JSON. What a cold start does not need is imported late.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import vsrife
from vsrife.errors import RifeError

__all__ = ["ask"]

REPEATS = 3
"""Frames after which the memory has reached what it stays at."""

LONGEST = 1800.0
"""Seconds that one task may take: a frame of 2160p on an old CPU takes its time."""

FAILED = "failed: "


def ask(what: str, **facts: object) -> dict[str, Any]:
    """The answer of a fresh process to a task, and as ``seconds`` the time from its start to the answer.

    what: "memory" or "start". facts: the keywords of that function below, as JSON can hold them.
    Raises RifeError with the reason where there is no answer.
    """
    # The package that runs here, also where the current folder holds another `vsrife`.
    home = str(Path(vsrife.__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-P", "-m", "vsrife.bench.worker", json.dumps({"what": what} | facts)]
    with tempfile.TemporaryFile("w+") as complaints:
        began = time.perf_counter()
        with subprocess.Popen(
            command, env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.PIPE, stderr=complaints, text=True
        ) as process:
            limit = threading.Timer(LONGEST, process.kill)
            limit.start()
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                seconds = time.perf_counter() - began  # its end is not waited for
            except BaseException:
                process.kill()
                raise
            finally:
                limit.cancel()
        if line.startswith("{"):
            return {"seconds": seconds, **json.loads(line)}
        complaints.seek(0)
        said = [each for each in complaints.read().splitlines() if each.strip()]
    reason = said[-1].removeprefix(FAILED) if said else f"its process ended with status {process.returncode}"
    raise RifeError(reason)


def main() -> int:
    """Do the task of the command line."""
    task = json.loads(sys.argv[1])
    tasks: dict[str, Callable[..., dict[str, Any]]] = {"memory": _memory, "start": _start}
    try:
        print(json.dumps(tasks[task.pop("what")](**task)), flush=True)
    except Exception as error:  # noqa: BLE001 - whatever it is, whoever asked wants it in one line
        print(f"{FAILED}{' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def _start(*, model: str, device: str, precision: str, frames: str) -> dict[str, Any]:
    """The first new frame of a clip, in a process that has done nothing before. frames: what `whole.save` wrote."""
    from vsrife.bench import end_to_end

    end_to_end.first_frame(
        end_to_end.looped(end_to_end.load(Path(frames)), 2), model=model, device=device, precision=precision
    )
    return {}


def _memory(
    *, model: str, device: str, precision: str, size: list[int], canvas: list[int], peer: dict[str, str] | None
) -> dict[str, Any]:
    """Bytes that one network takes with two cached sources: on CUDA by holder, on a CPU the growth of resident memory.

    size: (width, height). canvas: (height, width). peer: folder and version of the peer's network, measured instead of
    ours.
    """
    import torch

    from vsrife.bench import engine
    from vsrife.bench.synthetic_input import moving_frames
    from vsrife.engine.device import PRECISIONS
    from vsrife.engine.transfer import host

    place, dtype = torch.device(device), PRECISIONS[precision]
    width, height = size
    frames = moving_frames(width, height, 2)
    with engine.working_on(place) as held, contextlib.ExitStack() as stack:
        before = 0 if place.type == "cuda" else _forget_peak()
        if peer is None:
            ours = engine.Engine(Path(model), place, dtype, (width, height))
            left, right = (ours.encode(tuple(host.upload(plane, place) for plane in frame)) for frame in frames)
            for _ in range(REPEATS):
                ours.new_frame(held, left, right)
        else:
            from vsrife.bench.peer import PeerNetwork, find_peer, its_settings

            stack.enter_context(its_settings())
            shape = canvas[0], canvas[1]
            theirs = PeerNetwork(find_peer(Path(peer["folder"])), peer["version"], Path(model), place, dtype, shape)
            # Its frames come as RGB from the host.
            first, second = (
                theirs.prepare(engine.canvas_of(frame, (width, height), shape).to(place)) for frame in frames
            )
            for _ in range(REPEATS):
                theirs.new_frame(first, second)
    if place.type != "cuda":
        return {"bytes": {"resident": _peak() - before}}
    if peer is None:
        ours.in_every_lane(left, right)
    return {"bytes": engine.device_memory(place)}


def _forget_peak() -> int:
    """Let the peak of resident memory begin anew from what is resident now, in bytes, which is returned."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        raise RifeError("the peak of a process' memory is read from /proc, which only Linux has") from None


def _peak() -> int:
    return _status("VmHWM")


def _status(field: str) -> int:
    """A field of Linux's account of this process, in bytes. (ru_maxrss would be the parent's peak as well.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))


if __name__ == "__main__":
    sys.exit(main())
