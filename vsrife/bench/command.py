"""The arguments of `vsrife bench`. Importing this imports no torch."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vsrife.errors import RifeError

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add", "add_cases", "run"]


def add(commands: "Commands") -> None:
    """Add `bench` to a parser's subcommands."""
    parser = commands.add_parser(
        "bench",
        help="measure speed and memory on this machine",
        description="Measure the engine and the whole filter: time, rate, memory, shares of what the machine can do.",
        epilog="docs/bench.md explains the columns. On a CPU 1080p takes minutes a row; try --sizes 640x360.",
    )
    add_cases(parser)
    parser.add_argument(
        "--frames", type=int, metavar="N", help="source frames of a run of the filter (CUDA 300, CPU 4)"
    )
    parser.add_argument("--in-flight", type=int, metavar="N", help="frames requested at a time (CUDA 8, CPU 2)")
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="of one frame on a CPU, with --engine-only (default: as the filter has)",
    )
    parser.add_argument("--engine-only", action="store_true", help="leave the whole filter out")
    parser.set_defaults(run=run)


def add_cases(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name networks, sizes, precisions and the device, and those for the output."""
    parser.add_argument(
        "--sizes", nargs="+", default=["1920x1080", "3840x2160"], metavar="WxH", help="default: 1920x1080 3840x2160"
    )
    parser.add_argument(
        "--models",
        nargs="+",
        default=["seeded:4.26", "seeded:4.6"],
        metavar="MODEL",
        help="names, files, or seeded:4.26 and seeded:4.6, which need no download (default)",
    )
    parser.add_argument(
        "--precisions", nargs="+", default=["auto"], metavar="P", help="auto (default), float32, float16, bfloat16"
    )
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, every sample included")
    parser.add_argument("--quick", action="store_true", help="a few samples: to see that it works, not for figures")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; 0 when done. Raises RifeError for what cannot be measured."""
    try:
        from vsrife.bench import session
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] == "vsrife":
            raise RifeError(f"{error.name} is missing from this installation; install vapoursynth-rife again") from None
        raise RifeError(
            f"bench needs {error.name}, which is not installed: python -m pip install {error.name}"
        ) from None
    return session.run(arguments)
