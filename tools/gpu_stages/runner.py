"""One stage's process: its output goes to the log as it comes; at its limit it is ended, with all that it started."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gpu_stages.plan import ROOT, Stage
from gpu_stages.told import Figure, failures_in, figures_in

__all__ = ["Outcome", "run"]

_COUNT = re.compile(r"(\d+) (passed|failed|skipped|errors?|xfailed|xpassed)\b")
_LAST_WORDS = 3.0
"""Seconds at most from the signal on which Python writes where each thread is to the one that ends the process."""


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What came of a stage. state: "running", "passed", "skipped", "failed", "timed out", "not run" or
    "interrupted".

    tests: pytest's counts. failures: what failed, a line each. last: the end of the output of a stage that did not
    pass.
    """

    name: str
    state: str = "not run"
    seconds: float = 0.0
    limit: float = 0.0
    status: int | None = None
    reason: str = ""
    tests: dict[str, int] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    last: str = ""


def run(stage: Stage, outcome: Outcome, log: Path, environment: Mapping[str, str]) -> None:
    """Run a stage for ``outcome.limit`` seconds at most and fill in the outcome, also where this is interrupted."""
    began = time.monotonic()
    with log.open("ab") as file:
        file.write(f"\n===== {stage.name}: python {' '.join(stage.command)}\n".encode())
        file.flush()
        begins_at = file.tell()
        process = subprocess.Popen(
            [sys.executable, *stage.command],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        outcome.state = "interrupted"
        try:
            outcome.status = process.wait(outcome.limit)
            outcome.state = "failed" if outcome.status else "passed"
        except subprocess.TimeoutExpired:
            outcome.state, outcome.reason = "timed out", f"ended after {outcome.limit:.0f} s"
            _signal(process, signal.SIGABRT)  # faulthandler's: the log then tells where it stood
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LAST_WORDS)
        finally:
            _signal(process, signal.SIGKILL)  # and what it has started and left
            process.wait()
            outcome.seconds = time.monotonic() - began
            with log.open("rb") as written:
                written.seek(begins_at)
                _read(written.read().decode(errors="replace"), outcome)
            if outcome.state == "passed" and outcome.tests and not outcome.tests.get("passed"):
                outcome.state, outcome.reason = "skipped", "no test could run here"


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To the process and all of its group, some of which may live on after it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _read(output: str, outcome: Outcome) -> None:
    lines = output.rstrip().splitlines()
    outcome.figures, outcome.failures = figures_in(output), failures_in(output)
    # pytest's last line: "2 failed, 40 passed in 3.21s".
    for line in reversed(lines):
        if " in " in line and (counts := _COUNT.findall(line)):
            outcome.tests = {name: int(count) for count, name in counts}
            break
    if outcome.state != "passed":
        outcome.last = "\n".join(line[:300] for line in lines[-15:])
