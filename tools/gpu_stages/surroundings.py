"""What the stages' processes find: the checkout, carried wheels, a carried Vulkan loader."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from gpu_stages.plan import ROOT

__all__ = ["VULKAN", "environment", "install"]

VULKAN = "vulkan"
"""The folder beside the wheels into which tools/pack_wheels.py puts a Vulkan loader."""

_DRIVER_FILES = (
    "/usr/share/vulkan/icd.d/nvidia_icd.json",
    "/etc/vulkan/icd.d/nvidia_icd.json",
    "/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json",
)
"""Where NVIDIA's driver describes itself to the loader: as packages place it, and as containers mount it."""


def install(wheels: Path, target: Path) -> None:
    """Unpack the wheels into ``target``: VapourSynth finds plugins in its own package alone, so ours must lie in the
    same folder. Raises CalledProcessError where pip cannot.
    """
    options = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir"]
    files = sorted(map(str, wheels.glob("*.whl")))
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", str(target), *files], check=True)


def environment(
    *, device: str, target: Path | None = None, loader: Path | None = None, before: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The variables of the stages' processes, from those ``before``.

    target: the folder of `install`. The package vsrife is the checkout's everywhere, its compiled plugin the wheel's.
    loader: a folder with a libvulkan.so.1 that is to be found before the system's.
    """
    found = dict(before)
    paths = [str(ROOT), str(ROOT / "tools"), str(target or ""), found.get("PYTHONPATH", "")]
    found |= {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    found["COLUMNS"] = "160"  # pytest cuts its summary to the terminal's width
    if device != "cpu":
        found["VSRIFE_REQUIRE_GPU"] = "1"
    if loader is not None and device != "cpu" and (loader / "libvulkan.so.1").is_file():
        found["VSRIFE_REQUIRE_VULKAN"] = "1"  # whoever brings a loader asks for frames in GPU memory
    if loader is not None and _loads(loader / "libvulkan.so.1"):
        found["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [str(loader), found.get("LD_LIBRARY_PATH", "")]))
    if "VK_DRIVER_FILES" not in found and "VK_ICD_FILENAMES" not in found:
        there = [path for path in _DRIVER_FILES if Path(path).is_file()]
        if there:
            found["VK_DRIVER_FILES"] = there[0]
    return found


def _loads(library: Path) -> bool:
    """Whether this system can load it: one that needs a newer glibc must not hide a loader that works."""
    if not library.is_file():
        return False
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        print(f"the carried Vulkan loader is not used: {error}", file=sys.stderr)
        return False
    return True
