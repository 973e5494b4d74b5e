"""The time of one frame on the GPU, kernel by kernel: 20 replays under PyTorch's profiler."""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile

from gpu_stages.measured import device_of, made_engine, pace_of, seeded_model, sources_of
from gpu_stages.settings import Settings
from gpu_stages.told import Told, main_of
from vsrife.bench.engine import working_on
from vsrife.bench.timing import finish, timed

FRAMES = 20

GROUPS = {
    "gather": ("gather",),
    "epilogue": ("epilogue",),
    "synthesis": ("synthe",),
    "copies": ("memcpy", "memset", "copy", "fill"),
    "convolutions": ("conv", "xmma", "cudnn", "cutlass", "gemm", "sm80_", "sm90_", "implicit", "nchw", "nhwc"),
}
"""Groups of kernels by a part of their names, in lower case; the first that fits."""


class Kernel(NamedTuple):
    """Of one frame: how often a kernel was launched, and its microseconds in all."""

    name: str
    launches: float
    microseconds: float


def kernels_of(events: Iterable[Any], frames: int, *, on_gpu: bool) -> list[Kernel]:
    """What the profiler's averages (``key_averages()``) hold of each frame, the longest first."""
    found = []
    for event in events:
        total = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        if total > 0:
            found.append(Kernel(str(event.key), event.count / frames, total / frames))
    return sorted(found, key=lambda kernel: -kernel.microseconds)


def profiled(call: Callable[[], object], device: torch.device, count: int) -> list[Kernel]:
    """What each of ``count`` calls launches, by PyTorch's profiler; on a CPU its operations."""
    on_gpu = device.type == "cuda"
    finish(device)
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as found:
        for _ in range(count):
            call()
        finish(device)
    return kernels_of(found.key_averages(), count, on_gpu=on_gpu)


def group_of(name: str) -> str:
    """The group of `GROUPS` that a kernel belongs to, or "others"."""
    lower = name.lower()
    return next((group for group, parts in GROUPS.items() if any(part in lower for part in parts)), "others")


def table_of(kernels: Sequence[Kernel]) -> str:
    """A line for each kernel: microseconds a frame, launches a frame, microseconds a launch, name."""
    lines = (
        f"{each.microseconds:10.1f} {each.launches:8.1f} {each.microseconds / each.launches:10.2f}  {each.name}"
        for each in kernels
    )
    return "\n".join([f"{'us/frame':>10} {'launches':>8} {'us each':>10}  name", *lines]) + "\n"


def replays(told: Told, settings: Settings) -> None:
    """4.26 at the settings' size: a frame by the wall's clock, then by kernels."""
    device = device_of(settings)
    with tempfile.TemporaryDirectory() as folder, working_on(device) as held:
        engine = made_engine(seeded_model("seeded:4.26", Path(folder)), settings)
        left, right = sources_of(engine, settings)
        wall = timed(lambda: engine.new_frame(held, left, right), device, pace_of(settings)).median
        told.figure("one frame by the wall", 1e6 * wall, "us")
        frames = 2 if settings.quick else FRAMES
        kernels = profiled(lambda: engine.new_frame(held, left, right), device, frames)
    settings.profile_file.write_text(table_of(kernels), encoding="utf-8")
    told.note(table_of(kernels[:40]))
    groups: dict[str, list[Kernel]] = defaultdict(list)
    for kernel in kernels:
        groups[group_of(kernel.name)].append(kernel)
    told.figure("kernels and copies", sum(each.microseconds for each in kernels), "us a frame")
    told.figure("launches", sum(each.launches for each in kernels), "a frame")
    for name, members in sorted(groups.items()):
        launches = sum(each.launches for each in members)
        told.figure(f"  {name}", sum(each.microseconds for each in members), f"us a frame, {launches:.3g} launches")
    if not kernels:
        raise RuntimeError("the profiler has seen no kernel")


if __name__ == "__main__":
    sys.exit(main_of({"replays": replays}))
