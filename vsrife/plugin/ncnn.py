"""The arguments of the RIFE-ncnn-Vulkan plugin that this plugin accepts as well, so that scripts written for it run.

Both plugins register core.rife.RIFE. `arguments` reads what the two have in common. docs/coming-from.md lists them all.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

from vsrife.errors import ArgumentError
from vsrife.models.ncnn import TITLES, NcnnModel, model_of_folder, model_of_number
from vsrife.models.store import SUFFIXES
from vsrife.plugin.raw_arguments import Passed

__all__ = ["NOTHING", "UHD_SCALE", "Ncnn", "in_words_of", "may_be_a_model", "named", "read"]

UHD_SCALE = 0.5
"""The plugin's ``uhd`` estimates motion at half the resolution."""

FIRST_SUSPICIOUS = 9
"""The lowest ``multi`` that may be a model's number passed without its name: that of the network most used with the
plugin. Lower numbers are usual multiples, and networks that few scripts use."""

_FOLDER = (
    "a folder whose name tells the network, such as rife-v4.6, since the files in it cannot be read here; pass "
    'model="4.6" or another name in its place: python -m vsrife models'
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ncnn:
    """The values of these arguments.

    ``model``: the network of a number or of a folder's name.
    ``model_from``: the argument that ``model`` is from, with its value.
    ``own``: where ``model`` is None, a name or a file as this package takes them; None is the default model.
    ``gpu``: the number of a CUDA GPU; -1 is the CPU, and so is any number on a machine without a GPU.
    ``ensemble``: whether to use ensemble if the network can.
    ``uhd``: whether the scale is `UHD_SCALE`.
    ``list_gpu``: whether to list the GPUs and interpolate nothing.
    ``notes``: remarks about the arguments for the log.
    """

    model: NcnnModel | None = None
    model_from: str = ""
    own: str | None = None
    gpu: int | None = None
    ensemble: bool = False
    uhd: bool = False
    list_gpu: bool = False
    notes: tuple[str, ...] = ()


NOTHING = Ncnn()
"""For a call that passes none of these arguments."""


def read(passed: Passed) -> Ncnn:
    """The values that were passed. Raises ArgumentError or ModelError for the first argument that is wrong."""
    notes: list[str] = []
    model, model_from, own = _model(passed, notes)
    if "gpu_thread" in passed:
        number = passed.whole("gpu_thread", "leave it out: it has no effect here")
        notes.append(f"gpu_thread ({number}) has no effect: the filter decides how many frames it makes at a time")
    return Ncnn(
        model=model,
        model_from=model_from,
        own=own,
        gpu=_gpu(passed),
        ensemble=_ensemble(passed, model),
        uhd=_uhd(passed),
        list_gpu=passed.switch("list_gpu", default=False),
        notes=tuple(notes),
    )


def may_be_a_model(multi: Fraction) -> bool:
    """Whether ``multi`` may be the number of a network, passed without its name."""
    return multi.denominator == 1 and FIRST_SUSPICIOUS <= multi < len(TITLES)


@contextmanager
def named(options: Ncnn) -> Iterator[None]:
    """Context in which an error about ``device`` names ``gpu_id`` instead, where that was passed."""
    try:
        yield
    except ArgumentError as error:
        if options.gpu is None:
            raise
        raise ArgumentError(in_words_of("gpu_id", options.gpu, str(error))) from None


def in_words_of(argument: str, index: int, text: str) -> str:
    """The text of an error about ``device="cuda:index"``, with the name of the argument that was passed instead."""
    changed = text.replace(f"device (cuda:{index}", f"{argument} ({index}", 1)
    if changed == text:
        return text
    changed = changed.replace("counted from cuda:0", "counted from 0")
    return re.sub(r'device="cuda:(\d+)"', rf"{argument}=\1", changed)


def _model(passed: Passed, notes: list[str]) -> tuple[NcnnModel | None, str, str | None]:
    """The fields ``model``, ``model_from`` and ``own`` of `Ncnn`."""
    name = passed.text("model", "a name or a file; for the names: python -m vsrife models", None)
    if "model_path" not in passed or passed.blank("model_path"):  # empty is not passed
        if name is None or not re.fullmatch(r"[0-9]{1,9}", name):
            return None, "", name
        return model_of_number(int(name), before_factors="multiplier" in passed), f"model ({name})", None
    folder = passed.text("model_path", _FOLDER, "")
    if name is not None:
        notes.append(f"model ({passed.shown('model')}) has no effect beside model_path")
    if folder.lower().endswith(SUFFIXES):
        return None, "", folder
    found = model_of_folder(folder)
    if found is None:
        raise passed.wrong("model_path", _FOLDER)
    return found, f"model_path ({passed.shown('model_path')})", None


def _gpu(passed: Passed) -> int | None:
    if "gpu_id" not in passed:
        return None
    must_be = "a whole number: 0 for the first GPU, -1 for the CPU"
    value = passed.number("gpu_id", must_be)
    if value != int(value) or value < -1:
        raise passed.wrong("gpu_id", must_be)
    if "device" in passed:
        raise ArgumentError(
            f"gpu_id ({passed.shown('gpu_id')}) and device ({passed.shown('device')}) must not be passed together: "
            "each names the device; remove one of them"
        )
    return int(value)


def _ensemble(passed: Passed, model: NcnnModel | None) -> bool:
    """Whether ``tta`` or the network's name sets ensemble. Where ``ensemble`` is passed, it alone decides."""
    tta = passed.switch("tta", default=False)
    if "ensemble" not in passed:
        return tta or (model is not None and model.ensemble)
    if tta and not passed.switch("ensemble", default=False):
        raise ArgumentError(
            "tta (1) and ensemble (0) must not be passed together: tta=1 is ensemble=1; remove one of them"
        )
    return False


def _uhd(passed: Passed) -> bool:
    uhd = passed.switch("uhd", default=False)
    if uhd and "scale" in passed and passed.number("scale", "0.25, 0.5, 1, 2 or 4") != UHD_SCALE:
        raise ArgumentError(
            f"uhd (1) and scale ({passed.shown('scale')}) must not be passed together: uhd=1 is scale={UHD_SCALE}; "
            "remove one of them"
        )
    return uhd
