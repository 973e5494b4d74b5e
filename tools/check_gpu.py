"""Everything that needs a GPU, checked and measured in one run of a quarter of an hour.

    python tools/check_gpu.py [--out FOLDER] [--minutes N] [--stages NAME ...] [-- OPTIONS OF vsrife bench]

Stages run one after another, each in a process of its own with a time limit, what is learnt soonest first; after each
the results are on disk: results.json, summary.txt and log.txt in the folder, bench.json and profile.txt beside them.
A stage for which too little time is left is not run. The summary is printed last. docs/gpu-check.md tells what each
stage is for and how to run this where nothing can be installed. Exit status: 0 where all stages that were asked for
have run and passed, 1 where not, 2 for wrong arguments.
"""

import argparse
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from gpu_stages.plan import Stage, stages_of
from gpu_stages.record import Record, as_text, bench_figures
from gpu_stages.runner import Outcome, run
from gpu_stages.settings import Settings
from gpu_stages.surroundings import VULKAN, environment, install
from gpu_stages.told import Figure

SMALL = (96, 64)
"""What is measured on a CPU, whose figures mean nothing here."""

SPARE = 5.0
"""Seconds that are kept for the end: what a stage that is ended at its limit still takes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for."""
    given = list(sys.argv[1:] if argv is None else argv)
    own, bench = (given[: given.index("--")], given[given.index("--") + 1 :]) if "--" in given else (given, [])
    options = _parser().parse_args(own)
    began = time.monotonic()
    width, height = options.size or (SMALL if options.device == "cpu" else (1920, 1080))
    quick = options.quick or options.device == "cpu"
    out = options.out.resolve()
    settings = Settings(device=options.device, width=width, height=height, quick=quick, out=str(out))
    stages = stages_of(settings, bench)
    if options.list:
        for each in stages:
            print(f"{each.name:<12}{each.expected:4.0f} to {each.longest:3.0f} s  {each.tells}")
        return 0
    if unknown := sorted(set(options.stages or ()) - {each.name for each in stages}):
        print(f"no such stages: {', '.join(unknown)}; --list shows them", file=sys.stderr)
        return 2
    wanted = [each for each in stages if (each.name in options.stages if options.stages else each.usual)]
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        target = None
        if options.wheels is not None:
            target = Path(folder)
            if not any(options.wheels.glob("*.whl")):
                print(
                    f"--wheels ({options.wheels}) must be a folder with .whl files: tools/pack_wheels.py makes one",
                    file=sys.stderr,
                )
                return 2
            try:
                install(options.wheels, target)
            except subprocess.CalledProcessError as error:
                print(f"the wheels of {options.wheels} cannot be installed: {error}", file=sys.stderr)
                return 1
        loader = options.vulkan or (options.wheels / VULKAN if options.wheels else None)
        found = environment(device=options.device, target=target, loader=loader)
        if options.vk_driver_files:
            found["VK_DRIVER_FILES"] = str(options.vk_driver_files)
        if options.device != "cpu" and (reason := unusable(options.device, found)):
            print(
                f"--device ({options.device}) cannot be used: {reason}; for a rehearsal: --device cpu", file=sys.stderr
            )
            return 2
        return check(wanted, settings, found, began + 60 * options.minutes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/gpu"), help="where the results go (build/gpu)")
    parser.add_argument("--minutes", type=float, default=15.0, metavar="N", help="all that may be spent (15)")
    parser.add_argument("--stages", nargs="+", metavar="NAME", help="only these, in the order of --list")
    parser.add_argument("--list", action="store_true", help="show the stages and end")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1; cpu is a rehearsal: small, once, no figures")
    parser.add_argument("--size", type=_size, metavar="WxH", help="of the frames that are measured (1920x1080)")
    parser.add_argument("--quick", action="store_true", help="one repetition of what is measured")
    parser.add_argument("--wheels", type=_whole, metavar="FOLDER", help="use these, of tools/pack_wheels.py")
    parser.add_argument(
        "--vulkan", type=_whole, metavar="FOLDER", help="use its libvulkan.so.1 (FOLDER/vulkan of --wheels)"
    )
    parser.add_argument(
        "--vk-driver-files", type=_whole, metavar="FILE", help="of Vulkan's driver, where the loader finds none"
    )
    return parser


def unusable(device: str, found: dict[str, str]) -> str:
    """Why PyTorch cannot use ``device`` in a process with the variables ``found``; empty where it can."""
    program = f"import torch; torch.zeros(1, device={device!r}).add_(1).item()"
    done = subprocess.run([sys.executable, "-c", program], env=found, capture_output=True, text=True, check=False)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def _whole(text: str) -> Path:
    """The path from the root on: stages run in another folder than the script."""
    return Path(text).resolve()


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} must be WIDTHxHEIGHT, e.g. 1920x1080")
    return int(width), int(height)


def check(stages: Sequence[Stage], settings: Settings, found: dict[str, str], until: float) -> int:
    """Run ``stages`` with the variables ``found`` until the monotonic clock shows ``until``; the exit status."""
    out = Path(settings.out)
    log = out / "log.txt"
    log.write_bytes(b"")
    for old in (settings.bench_file, settings.whole_file, settings.profile_file):
        old.unlink(missing_ok=True)
    facts = {"started": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "system": platform.platform(), "device": settings.device}
    record = Record(out, facts | {"size": settings.size, "quick": settings.quick})
    record.outcomes = [Outcome(name=each.name, limit=each.longest) for each in stages]
    former = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    # A stage that is ended by a signal shall not spend its last seconds writing its memory to a file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    try:
        for stage, outcome in zip(stages, record.outcomes, strict=True):
            left = until - time.monotonic() - SPARE
            if left < stage.expected:
                outcome.reason = f"takes about {stage.expected:.0f} s, {max(0.0, left):.0f} s were left"
                continue
            outcome.state, outcome.limit = "running", min(stage.longest, left)
            record.write()
            print(f"{stage.name}: {stage.tells} ...", flush=True)
            try:
                run(stage, outcome, log, found)
            finally:
                _add_bench(outcome, settings)
                record.write()
            print(f"{stage.name}: {outcome.state}, {outcome.seconds:.1f} s", flush=True)
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        record.write()
        print(f"\n{as_text(record.outcomes)}", end="", flush=True)
    good = {"passed", "skipped"} if settings.device == "cpu" else {"passed"}  # a rehearsal has nothing for tests/gpu
    return 0 if all(each.state in good for each in record.outcomes) else 1


def _interrupt(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _add_bench(outcome: Outcome, settings: Settings) -> None:
    file = {"bench": settings.bench_file, "whole": settings.whole_file}.get(outcome.name)
    if file is not None:
        outcome.figures += [Figure(*each) for each in bench_figures(file)]


if __name__ == "__main__":
    sys.exit(main())
