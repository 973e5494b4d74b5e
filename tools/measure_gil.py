"""Measure how long the verdicts on a pair of frames in host memory hold the GIL, as a table.

    python tools/measure_gil.py [--plain] [--model MODEL]

Runs inside of the filter, on VapourSynth's thread. Time under the GIL is the processor time of that thread less what it
spends between a release and the next taking of the GIL, which gil_meter.c adds up: it stands before libpython's own
functions by LD_PRELOAD, so this needs Linux, a C compiler, and a Python that is a shared library. Waiting counts for
neither, so that other programs and threads do not matter. ``--plain`` measures the definitions in vsrife.scene instead
of the compiled library.
"""

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
import vapoursynth as vs

from vsrife.engine.transfer.host import HostPlanes
from vsrife.plugin import frame_measures
from vsrife.plugin.vsapi import Frame
from vsrife.scene import duplicates, scene_change
from vsrife.scene.detector import Cut, SceneDetector
from vsrife.scene.signature import Signature, signature

METER = "gil_meter"
RUNS = 200


def run_metered() -> int:
    """Run this program again with the meter before libpython's functions. Returns its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / f"{METER}.so"
        source = Path(__file__).with_name(f"{METER}.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", source, "-o", library, "-ldl"], check=True)
        environment = {**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"}
        return subprocess.run([sys.executable, *sys.argv], env=environment, check=False).returncode


def timed(work: Callable[[], object]) -> tuple[list[float], list[float]]:
    """Of many calls, the processor time and the part of it under the GIL, in microseconds, each sorted."""
    released = ctypes.CDLL(None).gil_meter_released
    released.restype = ctypes.c_double
    totals, held = [], []
    for _ in range(RUNS):
        start, without = time.thread_time(), released()
        work()
        total = time.thread_time() - start
        totals.append(total * 1e6)
        held.append((total - (released() - without)) * 1e6)
    return sorted(totals), sorted(held)


def rows(pair: str, detector: SceneDetector[Frame], k: int, left: Frame, right: Frame) -> Iterator[str]:
    """The table's rows for one pair of source frames whose verdict a filter's ``detector`` has been called for."""

    def fresh_detector() -> SceneDetector[Frame]:
        """Nothing is remembered but the left frame's signature, as when a clip is played."""
        fresh = SceneDetector(
            detector._frames, detector._matching, threshold=0.0, skip_threshold=duplicates.DEFAULT_STILL_THRESHOLD
        )
        fresh._signatures.get(k, lambda: known)
        return fresh

    def both() -> None:
        fresh = fresh_detector()
        fresh.cut(k, left, right)
        fresh.duplicate(k, left, right)

    known = detector._signature(k, left)
    other = detector._signature(k + 1, right)
    work: dict[str, Callable[[], object]] = {
        "signature of a frame": lambda: fresh_detector()._signature(k + 1, right),
        "pair compared as it lies": lambda: vars(frame_measures)["HostMeasures"]().in_place(known, other),
        "still or not": lambda: detector._frames.is_duplicate(left, right, duplicates.DEFAULT_STILL_THRESHOLD),
        "all, with properties and caches": both,
    }
    for name, call in work.items():
        total, held = timed(call)
        yield f"| {pair} | {name} | {total[0] / 1000:.2f} | {held[0]:.0f} | {median(held):.0f} |"


class Plain:
    """The definitions, in place of `HostMeasures`."""

    in_place = staticmethod(scene_change.in_place)

    def signature(self, planes: HostPlanes) -> Signature:
        """See `HostMeasures.signature`."""
        return signature(planes[:1], planes.layout.format.bits)

    def is_still(self, left: HostPlanes, right: HostPlanes, threshold: float) -> bool:
        """See `HostMeasures.is_still`."""
        return duplicates.is_still(left, right, left.layout.format.bits, threshold)


def measure(width: int, height: int, fmt: vs.PresetVideoFormat, model: str) -> Iterator[str]:
    """The rows for a cut, which the network is asked about, and for slow motion, which settles itself."""
    core = vs.core

    def draw(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        made = f.copy()
        np.asarray(made[0])[...] = np.random.default_rng(n).integers(16, 236, (36, 64))
        return made

    noise = core.std.BlankClip(width=64, height=36, format=vs.GRAY8, length=2, keep=True)
    scenery = noise.std.ModifyFrame(noise, draw).resize.Bicubic(width + 8, height + 8, format=fmt)
    first, second = scenery[0].std.Crop(right=8, bottom=8), scenery[1].std.Crop(right=8, bottom=8)
    found: list[str] = []
    judge = SceneDetector.cut
    for pair, clip in {
        "cut": first + second,
        "slow motion": first + scenery[0].std.Crop(left=2, right=6, bottom=8),
    }.items():

        def cut(self: SceneDetector[Frame], k: int, left: Frame, right: Frame, pair: str = pair) -> Cut:
            SceneDetector.cut = judge  # type: ignore[method-assign]
            found.extend(rows(f"{height}p {fmt.name}, {pair}", self, k, left, right))
            return judge(self, k, left, right)

        SceneDetector.cut = cut  # type: ignore[method-assign, assignment]
        core.rife.RIFE(clip, model=model, sc_threshold=0, device="cpu").get_frame(1).close()
    return iter(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plain", action="store_true", help="measure the definitions in vsrife.scene")
    parser.add_argument("--model", default="4.0", help="any that is here, none is asked; default: %(default)s")
    options = parser.parse_args()
    if METER not in os.environ.get("LD_PRELOAD", ""):
        sys.exit(run_metered())
    torch.set_num_threads(1)
    if options.plain:
        vars(frame_measures)["HostMeasures"] = Plain
    print("| pair | work | ms, least | of it under the GIL, us, least | median |\n|---|---|---:|---:|---:|")
    for width, height, fmt in ((1920, 1080, vs.YUV420P8), (3840, 2160, vs.YUV420P10)):
        print(*measure(width, height, fmt, options.model), sep="\n", flush=True)


if __name__ == "__main__":
    main()
