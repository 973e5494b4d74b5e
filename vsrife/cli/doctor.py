"""`vsrife doctor`: what this machine has of what a call needs, and what to do about the rest."""

import argparse
import importlib
import json
import platform
import shutil
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import vsrife
from vsrife.errors import RifeError, one_line
from vsrife.models import store
from vsrife.models.catalogue import DEFAULT

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add"]


OURS = "org.vapoursynth-rife.rife"
"""The id that our plugin registers with; another's call is none of ours."""

DISTRIBUTION = "vapoursynth-rife"
"""The name that the package is installed under."""

SOURCES = ("bs", "lsmas", "ffms2")
"""Namespaces of the plugins that read video files; the README and the examples take the first."""

GPU_FRAMES = ("cupy", "cuda.bindings.runtime")
"""What takes frames where they lie on an NVIDIA GPU."""

MARKS = {True: "ok", None: "note", False: "error"}

MEANING = "note: calls work, but something is absent, or slower; error: calls fail until it is mended"


class Finding(NamedTuple):
    """One line of the report. sound: False where a call to core.rife.RIFE would fail for it, None where it would not,
    but would be slower, or something that is used with it is missing.
    """

    subject: str
    text: str
    sound: bool | None = True


def add(commands: "Commands") -> None:
    """Add `doctor` to a parser's subcommands."""
    parser = commands.add_parser(
        "doctor",
        help="tell what is installed, what is missing and what to do",
        description="Report versions, devices, the plugin and the models; exit status 1 where something is missing.",
    )
    parser.set_defaults(run=run)


def run(_arguments: argparse.Namespace) -> int:
    """Print the report; 0 where everything that a call needs is there, else 1."""
    sound = True
    for examine in (_versions, _devices, _vulkan, _plugin, _models, _sources, _ffmpeg):
        for finding in _safely(examine):
            print(f"{MARKS[finding.sound]:<7}{finding.subject:<14}{finding.text}")
            sound = sound and finding.sound is not False
    print()
    print(MEANING)
    return 0 if sound else 1


def _safely(examine: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What `examine` finds; anything it raises is a finding too."""
    try:
        yield from examine()
    except Exception as error:  # noqa: BLE001 - a report on a broken machine must come to its end
        yield Finding(examine.__name__.strip("_"), _named(error), sound=False)


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {one_line(error)[:200]}"


def _versions() -> Iterator[Finding]:
    yield Finding("vsrife", f"{vsrife.__version__} ({vsrife.__path__[0]})")
    yield Finding("python", f"{platform.python_version()} ({sys.executable}), {platform.platform()}")
    for name in ("vapoursynth", "torch", "numpy", "cffi", "safetensors", "platformdirs", "pooch"):
        try:
            module = importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - a broken install raises anything
            yield Finding(name, f"{_named(error)}; install it: python -m pip install {name}", sound=False)
        else:
            yield Finding(name, str(getattr(module, "__version__", "there")))
    try:
        cupy = importlib.import_module("cupy")
    except Exception as error:  # noqa: BLE001 - see above
        yield Finding("cupy", f"{_named(error)} (only the fast way with NVIDIA hardware takes it)", sound=None)
    else:
        yield Finding("cupy", str(cupy.__version__))


def _devices() -> Iterator[Finding]:
    import torch

    yield Finding(
        "cpu",
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, {_cpu_convolutions()}",
    )
    if not torch.cuda.is_available():
        built = torch.version.cuda
        text = f"none (torch is built for CUDA {built})" if built else "none (torch is built without CUDA)"
        yield Finding("cuda", text, sound=None)
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        text = f"{device.name}, {device.total_memory / 2**30:.1f} GiB, compute {device.major}.{device.minor}"
        yield Finding(f"cuda:{index}", text)


def _cpu_convolutions() -> str:
    """What does the convolutions of frames that are made on the CPU."""
    try:
        lanes = importlib.import_module("_vsrife_winograd").lib.winograd_lanes()
    except ImportError:
        return "convolutions by torch alone, half as fast (this build has no module for them)"
    if not lanes:
        return "convolutions by torch alone (the processor has no AVX2)"
    return f"convolutions in {'AVX-512' if lanes == 16 else 'AVX2'}"


def _vulkan() -> Iterator[Finding]:
    """Whether frames can live on the GPU, and whether the plugin can use them there; asks VapourSynth and torch."""
    core = _core()
    if core is None:
        return
    try:
        found = core.vulkan_devices
        usable = [device for device in found if device["usable"]]
        if not usable:
            reasons = "; ".join(f"{device['name']}: {device['reason']}" for device in found) or "no device"
            yield Finding("vulkan", f"no frames on the GPU ({' '.join(reasons.split())})", sound=None)
            return
        # Starts the device that VapourSynth takes of them: only then is it known what it shares.
        device = core.vulkan_device_info
    except AttributeError:
        yield Finding("vulkan", "no frames on the GPU (VapourSynth R81 is the first that has them there)", sound=None)
    except Exception as error:  # noqa: BLE001 - no loader, no driver, one that fails to start
        text = f"no frames on the GPU ({_named(error)}); they need a driver and a loader for Vulkan 1.4"
        yield Finding("vulkan", text, sound=None)
    else:
        reason = _why_downloaded(device)
        use = f"are downloaded: {reason}" if reason else "are used in place"
        yield Finding("vulkan", f"{device['name']}, frames on it {use}", None if reason else True)


def _why_downloaded(device: dict[str, Any]) -> str:
    """Why frames of VapourSynth's Vulkan ``device`` cannot be used in place, or an empty text."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    uuids = [str(torch.cuda.get_device_properties(index).uuid).replace("-", "") for index in range(count)]
    if device["uuid"].replace("-", "") not in uuids:
        return "it is no CUDA device of torch"
    if not device["export_handle_type"]:
        return "its driver shares no memory"
    for name in GPU_FRAMES:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - see `_versions`
            return f"{_named(error)}; install it: python -m pip install cupy-cuda13x"
    return ""


def _core() -> Any:
    """VapourSynth's core, or None where there is none: why, `_versions` and `_plugin` tell."""
    try:
        return importlib.import_module("vapoursynth").core
    except Exception:  # noqa: BLE001 - see `_versions`
        return None


def _plugin() -> Iterator[Finding]:
    vapoursynth = importlib.import_module("vapoursynth")
    for plugin in vapoursynth.core.plugins():
        if plugin.namespace == "rife":
            has_call = any(function.name == "RIFE" for function in plugin.functions())
            text = f"{plugin.identifier} ({plugin.plugin_path})"
            yield Finding(
                "core.rife", text if has_call else f"{text} has no RIFE: another plugin took the name", has_call
            )
            if has_call and plugin.identifier == OURS:
                yield from _installs(plugin.plugin_path)
                yield _first_call(vapoursynth)
            return
    yield Finding(
        "core.rife",
        "not loaded; install vapoursynth-rife again",
        False,
    )


def _installs(loaded: str) -> Iterator[Finding]:
    """A warning where the plugin that VapourSynth has loaded is not the one of the package that Python imports."""
    package = Path(vsrife.__path__[0]).resolve()
    if not _belongs(Path(loaded).resolve(), package):
        text = (
            f"two: VapourSynth has loaded {loaded}, and Python imports {package}, which was not installed with it; run "
            f"`python -m pip uninstall -y {DISTRIBUTION}` until none is left, delete that file if it is still there, "
            "then install again"
        )
        yield Finding("installs", text, sound=None)


def _belongs(library: Path, package: Path) -> bool:
    """Whether the plugin's ``library`` and the ``package`` that Python imports are of one install.

    Both in one site-packages, or the package in the folder that the library was installed from: an editable install, or
    `python -m` in a clone, which imports what lies there.
    """
    # Both import sockets, which no other command but `models fetch` needs.
    from importlib import metadata
    from urllib.request import url2pathname

    if library.parents[3:4] == (package.parent,):  # of site-packages/vapoursynth/plugins/rife/rife.so
        return True
    for installed in metadata.distributions(name=DISTRIBUTION):
        if any(Path(str(installed.locate_file(file))).resolve() == library for file in installed.files or ()):
            origin = urllib.parse.urlsplit(json.loads(installed.read_text("direct_url.json") or "{}").get("url", ""))
            if origin.scheme == "file":
                return package.is_relative_to(Path(url2pathname(origin.path)).resolve())
    return False


def _first_call(vapoursynth: ModuleType) -> Finding:
    """Whether the Python side of the plugin starts: asked for what it must refuse, its own refusal is the proof."""
    core = vapoursynth.core
    try:
        core.rife.RIFE(core.std.BlankClip(length=1), multi=0)
    except vapoursynth.Error as error:
        if "multi (0)" in str(error):
            return Finding("first call", "the plugin starts Python and answers")
        return Finding("first call", one_line(error)[:300], sound=False)
    return Finding("first call", "multi=0 was taken; install vapoursynth-rife again", sound=False)


def _models() -> Iterator[Finding]:
    yield Finding("models", str(store.cache_folder()))
    default, why = store.default_model()
    for name, path in store.embedded_models().items():
        yield Finding("own model", f'model="{name}": {path}')
    try:
        path = store.locate()
        expected = store.expected_sha256(path)
        if expected in (None, store.digest_of(path)):
            yield Finding("default", f"a call without model runs {default}, {why}: {path}")
        else:
            text = f"{path} is damaged; fetch it again: python -m vsrife models fetch {DEFAULT}"
            yield Finding("default", text, sound=False)
    except RifeError as error:
        yield Finding("default", f"a call without model runs {default}, {why}; {error}", sound=False)


def _sources() -> Iterator[Finding]:
    """The plugins that read video files, none of which a call needs: its clip may come from anywhere."""
    core = _core()
    if core is None:
        return
    paths = {plugin.namespace: plugin.plugin_path for plugin in core.plugins()}
    there = ", ".join(f"core.{name} ({paths[name]})" for name in SOURCES if name in paths)
    if SOURCES[0] in paths:
        yield Finding("sources", f"{there}; the README's examples take core.{SOURCES[0]}")
        return
    remedy = "python -m pip install vapoursynth-bestsource"
    text = f"no core.{SOURCES[0]}, which the README's examples read files with: {remedy}"
    yield Finding("sources", f"{text} (there is {there})" if there else text, sound=None)


def _ffmpeg() -> Iterator[Finding]:
    """The ffmpeg that examples/encode.sh would run."""
    path = shutil.which("ffmpeg")
    if path is not None:
        yield Finding("ffmpeg", path)
        return
    try:
        inside = importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe()
    except Exception as error:  # noqa: BLE001 - not installed, or installed without a program for this system
        text = f"none, and only what encodes needs it ({_named(error)}); python -m pip install imageio-ffmpeg"
        yield Finding("ffmpeg", text, sound=None)
    else:
        yield Finding("ffmpeg", f"{inside} (not on PATH; examples/encode.sh finds it)")
