"""`vsrife doctor`: what this machine has of what a call needs, and what to do about the rest."""

import argparse
import importlib
import platform
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import vsrife
from vsrife.errors import RifeError
from vsrife.models import store
from vsrife.models.catalogue import DEFAULT

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


OURS = "org.vapoursynth-rife.rife"
"""The id that our plugin registers with; another's call is none of ours."""

MARKS = {True: "ok", None: "..", False: "--"}


class Finding(NamedTuple):
    """One line of the report. sound: False where a call to core.rife.RIFE would fail for it, None where it would not,
    but would be slower.
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
    for examine in (_versions, _devices, _plugin, _models):
        for finding in _safely(examine):
            print(f"{MARKS[finding.sound]}  {finding.subject:<14}{finding.text}")
            sound = sound and finding.sound is not False
    return 0 if sound else 1


def _safely(examine: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What `examine` finds; anything it raises is a finding too."""
    try:
        yield from examine()
    except Exception as error:  # noqa: BLE001 - a report on a broken machine must come to its end
        yield Finding(examine.__name__.strip("_"), _one_line(error), sound=False)


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _versions() -> Iterator[Finding]:
    yield Finding("vsrife", f"{vsrife.__version__} ({vsrife.__path__[0]})")
    yield Finding("python", f"{platform.python_version()} ({sys.executable}), {platform.platform()}")
    for name in ("vapoursynth", "torch", "numpy", "cffi", "safetensors", "platformdirs", "pooch"):
        try:
            module = importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - a broken install raises anything
            yield Finding(name, f"{_one_line(error)}; install it: python -m pip install {name}", sound=False)
        else:
            yield Finding(name, str(getattr(module, "__version__", "there")))
    try:
        cupy = importlib.import_module("cupy")
    except Exception as error:  # noqa: BLE001 - see above
        yield Finding("cupy", f"{_one_line(error)} (only the fast way with NVIDIA hardware takes it)", sound=None)
    else:
        yield Finding("cupy", str(cupy.__version__))


def _devices() -> Iterator[Finding]:
    import torch

    yield Finding("cpu", f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads")
    if not torch.cuda.is_available():
        built = torch.version.cuda
        text = f"none (torch is built for CUDA {built})" if built else "none (torch is built without CUDA)"
        yield Finding("cuda", text, sound=None)
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        text = f"{device.name}, {device.total_memory / 2**30:.1f} GiB, compute {device.major}.{device.minor}"
        yield Finding(f"cuda:{index}", text)


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
                yield _first_call(vapoursynth)
            return
    yield Finding(
        "core.rife",
        "not loaded; install vapoursynth-rife again",
        False,
    )


def _first_call(vapoursynth: ModuleType) -> Finding:
    """Whether the Python side of the plugin starts: asked for what it must refuse, its own refusal is the proof."""
    core = vapoursynth.core
    try:
        core.rife.RIFE(core.std.BlankClip(length=1), multi=0)
    except vapoursynth.Error as error:
        if "multi (0)" in str(error):
            return Finding("first call", "its Python side starts")
        return Finding("first call", " ".join(str(error).split())[:300], sound=False)
    return Finding("first call", "multi=0 was taken; install vapoursynth-rife again", sound=False)


def _models() -> Iterator[Finding]:
    yield Finding("models", str(store.cache_folder()))
    default = store.embedded_default()
    try:
        path = store.locate()
        expected = store.expected_sha256(path)
        if expected in (None, store.digest_of(path)):
            yield Finding("default", f"{default or DEFAULT}: {path}")
        else:
            text = f"{path} is damaged; fetch it again: python -m vsrife models fetch {DEFAULT}"
            yield Finding("default", text, sound=False)
    except RifeError as error:
        yield Finding("default", str(error), sound=False)
