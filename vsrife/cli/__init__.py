"""The command line: `vsrife` and `python -m vsrife`.

Each subcommand is a module with `add(commands)`; what it sets as `run` takes the parsed arguments and returns the exit
status. Importing this imports neither torch nor vapoursynth.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

import vsrife
from vsrife.bench.command import add as add_bench
from vsrife.cli import doctor, evaluate, models, train
from vsrife.errors import RifeError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (the process' own by default) and return the exit status.

    0: done. 1: done, and something is not as it should be (`doctor`). 2: an error; one line on stderr says what.
    130, 141, 143: ended by Ctrl-C, a closed pipe or SIGTERM, with temporary files removed.
    """
    parser = argparse.ArgumentParser(
        prog="vsrife",
        description="RIFE frame interpolation for VapourSynth: models, diagnosis, speed, quality and training.",
    )
    parser.add_argument("--version", action="version", version=f"vsrife {vsrife.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    models.add(commands)
    doctor.add(commands)
    add_bench(commands)
    evaluate.add(commands)
    train.add(commands)
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as end:  # argparse has written what there is to say
        return end.code if isinstance(end.code, int) else 2
    if "run" not in arguments:
        parser.print_help(sys.stderr)
        return 2
    try:
        with _terminated_by_exception():
            status = int(arguments.run(arguments))
            sys.stdout.flush()
            return status
    except RifeError as error:
        print(f"vsrife: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has left (`| head`). What is still buffered has nowhere to go: say so to no one.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


@contextlib.contextmanager
def _terminated_by_exception() -> Iterator[None]:
    """Let SIGTERM raise, as Ctrl-C does; in a thread that is not the main one the host's handler stays."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(_number: int, _frame: FrameType | None) -> None:
    """Leave by an exception, so that every `with` on the way out cleans up."""
    raise SystemExit(143)
