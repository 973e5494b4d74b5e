"""Everything that needs a GPU, checked and measured in one run.

    python tools/check_gpu.py [--out FOLDER] [--no-tests] [OPTIONS OF vsrife bench]

First tests/gpu, where a skip counts as a failure; then `vsrife bench` on the GPU, whose options are taken as well
(--against PATH for the comparison with vs-rife; docs/bench.md). Writes gpu.json and the tables as gpu.txt. Exit
status: the tests', and where they passed the bench's.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tests and the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/gpu"), help="where gpu.json and gpu.txt go")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--no-tests", action="store_true", help="measure only")
    options, others = parser.parse_known_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    failed = 0 if options.no_tests else tests()
    measured = bench([f"--device={options.device}", *others], options.out)
    return failed or measured


def tests() -> int:
    """Exit status of tests/gpu, with every skip for want of a GPU a failure."""
    command = [sys.executable, "-m", "pytest", "-q", "tests/gpu"]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"VSRIFE_REQUIRE_GPU": "1"}, check=False).returncode


def bench(options: Sequence[str], folder: Path) -> int:
    """Exit status of `vsrife bench`; its tables go to gpu.txt and to stdout, its JSON to gpu.json."""
    command = [sys.executable, "-m", "vsrife", "bench", "--json", str(folder / "gpu.json"), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    (folder / "gpu.txt").write_text(done.stdout, encoding="utf-8")
    print(done.stdout, end="", flush=True)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
