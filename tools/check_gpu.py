"""Everything that needs a GPU, checked and measured in one run.

    python tools/check_gpu.py [--out FOLDER] [--device cuda] [--sizes 1920x1080 3840x2160] [--frames 60]

First tests/gpu, where a skip counts as a failure; then, for each size and architecture, the whole filter on host frames
(YUV420P8, multi=2, 1 and 8 frames in flight), the network alone with encoded frames, the first frame after a script is
evaluated again, and the device memory that torch and cupy hold. Weights are seeded, the last layer scaled so that the
flow is smooth and a few pixels. Prints a table and writes gpu.json. On a CPU (--device cpu) it does the same, small.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import vapoursynth as vs
from safetensors.torch import save_file

from vsrife.engine.device import resolve_device, resolve_precision
from vsrife.network import Architecture, Head, IFNet, Trunk

core = vs.core

ARCHITECTURES = {
    "4.6": Architecture(widths=(192, 128, 96, 64), scales=(8, 4, 2, 1), trunk=Trunk.RESIDUAL, outputs=24),
    "4.26": Architecture(
        widths=(192, 128, 96, 64, 32),
        scales=(16, 8, 4, 2, 1),
        trunk=Trunk.RESIDUAL,
        outputs=52,
        head=Head.CLAMPED,
        head_width=16,
        features=4,
    ),
}


def seeded(name: str, folder: Path) -> Path:
    """A checkpoint of the architecture with random weights and a last layer scaled down."""
    torch.manual_seed(0)
    network = IFNet(ARCHITECTURES[name])
    with torch.no_grad():
        for key, weight in network.named_parameters():
            if "lastconv" in key:
                weight.mul_(0.3)
    path = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    return path


def moving_clip(width: int, height: int, frames: int) -> vs.VideoNode:
    """Texture that moves 8 pixels a frame, made by the core alone so that the source costs little."""
    clip = core.std.BlankClip(width=width + 8 * frames, height=height, format=vs.YUV420P8, length=1)
    x = core.std.BlankClip(clip, width=64, height=64, color=[200, 100, 150])
    y = core.std.BlankClip(clip, width=64, height=64, color=[60, 160, 90])
    row = core.std.StackHorizontal([x, y] * (clip.width // 128 + 1))
    other = core.std.StackHorizontal([y, x] * (clip.width // 128 + 1))
    wide = core.std.StackVertical([row, other] * (height // 128 + 1)).std.BoxBlur(hradius=9, vradius=9)
    shifted = [wide.std.CropAbs(width, height, left=8 * n) for n in range(frames)]
    return core.std.Splice([clip[0] for clip in shifted])


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(call: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median seconds of a call, after three calls that do not count."""
    for _ in range(3):
        call()
    synchronize(device)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def network_alone(path: Path, device: torch.device, width: int, height: int, repeats: int) -> dict[str, float]:
    """Milliseconds of one motion with encoded frames, and of one encode."""
    from vsrife.models.checkpoint import load

    network = load(path).to(device, resolve_precision("auto", device))
    modulus = network.modulus(1.0)
    size = -(-height // modulus) * modulus, -(-width // modulus) * modulus
    with torch.inference_mode():
        frames = [
            torch.nn.functional.interpolate(torch.rand(1, 3, size[0] // 16, size[1] // 16, device=device), size=size)
            .to(network.dtype)
            .clamp(0, 1)
            for _ in range(2)
        ]
        features = [network.encode(frame) for frame in frames]
        motion = timed(lambda: network(*frames, *features, 0.5), device, repeats)
        encode = timed(lambda: network.encode(frames[0]), device, repeats)
    return {"network_ms": motion * 1e3, "encode_ms": encode * 1e3}


def whole_filter(path: Path, device: str, clip: vs.VideoNode, in_flight: int) -> float:
    """Output frames a second, in order; the first eight do not count."""
    out = core.rife.RIFE(clip, multi=2, model=str(path), device=device, sc=0, skip=0)
    start, counted = 0.0, 0
    for n, frame in enumerate(out.frames(prefetch=in_flight, backlog=in_flight, close=True)):
        if n == 8:
            start = time.perf_counter()
        counted += n > 8
        del frame
    return counted / (time.perf_counter() - start)


def reopened(path: Path, device: str, clip: vs.VideoNode) -> float:
    """Milliseconds from evaluating the call to its first new frame, in a process that has done it before."""
    times = []
    for _ in range(4):
        start = time.perf_counter()
        core.rife.RIFE(clip, multi=2, model=str(path), device=device, sc=0, skip=0).get_frame(1).close()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[1:])


def memory_mb(device: torch.device) -> float | None:
    """What torch has reserved and cupy's pool holds, in MB."""
    if device.type != "cuda":
        return None
    held = torch.cuda.memory_reserved(device)
    try:
        import cupy
    except ImportError:
        return held / 1e6
    return (held + int(cupy.get_default_memory_pool().total_bytes())) / 1e6


def main() -> int:
    """Run the tests and the measurements; the tests' exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/gpu"), help="where gpu.json goes")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sizes", nargs="+", default=["1920x1080", "3840x2160"])
    parser.add_argument("--frames", type=int, default=60, help="source frames of each run (default: 60)")
    parser.add_argument("--no-tests", action="store_true", help="measure only")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    if not options.no_tests:
        required = os.environ | {"VSRIFE_REQUIRE_GPU": "1"}
        failed = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "tests/gpu"], env=required, check=False
        ).returncode
    device = resolve_device(options.device)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ARCHITECTURES:
            path = seeded(name, Path(folder))
            for size in options.sizes:
                width, height = map(int, size.split("x"))
                clip = moving_clip(width, height, options.frames)
                row: dict[str, Any] = {"architecture": name, "size": size}
                row |= network_alone(path, device, width, height, 20 if device.type == "cuda" else 3)
                row |= {f"filter_fps_{many}": whole_filter(path, options.device, clip, many) for many in (1, 8)}
                row |= {"reopen_ms": reopened(path, options.device, clip), "memory_mb": memory_mb(device)}
                rows.append(row)
                print(row, flush=True)
    about = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
    }
    (options.out / "gpu.json").write_text(json.dumps(about | {"rows": rows}, indent=1) + "\n")
    return failed


if __name__ == "__main__":
    sys.exit(main())
