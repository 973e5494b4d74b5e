"""The keywords of `RIFE` in vs-rife 1 to 3 said in ours; `_compat` has those of `rife` in 4 and 5."""

import logging
from collections.abc import Mapping
from numbers import Integral
from typing import Any, TypedDict

from vsrife.errors import ArgumentError

__all__ = ["WITHOUT_EFFECT", "Older", "gpu_of", "in_their_words", "older_keywords", "say", "say_without_effect"]

WITHOUT_EFFECT = (
    "num_streams", "fusion", "nvfuser", "cuda_graphs", "trt", "trt_max_workspace_size", "trt_cache_path"
)  # fmt: skip
"""Keywords of vs-rife 3 and later that chose an engine, not a result."""

_NEAREST = {1.8: "3.1", 2.3: "3.1", 2.4: "3.1"}
"""The versions of vs-rife 1 that vsrife does not have."""

_INSTEAD = {
    "model_ver": ("model", "model_path"),
    "device_type": ("device", "gpu_id"),
    "device_index": ("device", "gpu_id"),
    "fp16": ("precision",),
}

_logger = logging.getLogger("vsrife")


class Older(TypedDict, total=False):
    """What `RIFE` takes for scripts written for vs-rife 1 to 3."""

    model_ver: float
    device_type: str
    device_index: int | None
    fp16: bool
    num_streams: int
    fusion: bool
    nvfuser: bool
    cuda_graphs: bool
    trt: bool
    trt_max_workspace_size: int
    trt_cache_path: str


def older_keywords(older: Mapping[str, Any], given: Mapping[str, object]) -> dict[str, Any]:
    """Our keywords for those of vs-rife 1 to 3; ``given`` are ours that were passed beside them, None where not.

    Those that have no effect are logged, once a call. Raises TypeError for a keyword that is of neither, ArgumentError
    for a value that is wrong, or one that means the same as one of ours.
    """
    for name in older:
        if name not in Older.__annotations__:
            raise TypeError(f"RIFE() got an unexpected keyword argument {name!r}")
        for ours in _INSTEAD.get(name, ()):
            if older[name] is not None and given.get(ours) is not None:
                raise ArgumentError(
                    f"{name} ({older[name]}) and {ours} ({given[ours]}) must not be passed together; remove one of them"
                )
    translated: dict[str, Any] = {}
    if "model_ver" in older:
        translated["model"] = _model(older["model_ver"])
    gpu = gpu_of(older.get("device_index"), older.get("device_type"))
    if gpu is not None:
        translated["gpu_id"] = gpu
    if "fp16" in older:
        translated["precision"] = "auto" if older["fp16"] else "float32"
    say_without_effect([name for name in WITHOUT_EFFECT if older.get(name) not in (None, False)])
    return translated


def gpu_of(index: int | None, kind: str | None = None) -> int | None:
    """The ``gpu_id`` for a ``device_index`` and a ``device_type``, None where neither was passed."""
    if index is not None and (isinstance(index, bool) or not isinstance(index, Integral) or index < 0):
        raise ArgumentError(
            f"device_index ({index}) must be a whole number from 0; leave it out for the first GPU, or the CPU"
        )
    if kind is None:
        return None if index is None else int(index)
    if str(kind).lower() not in ("cuda", "cpu"):
        raise ArgumentError(f'device_type ({kind}) must be "cuda" or "cpu"; pass device= for another device')
    return -1 if str(kind).lower() == "cpu" else int(index or 0)


def in_their_words(text: str) -> str:
    """An error of the plugin, which calls a GPU's number ``gpu_id``, for who passed it as ``device_index``."""
    return text.replace("gpu_id (", "device_index (").replace("gpu_id=", "device_index=")


def say(line: str) -> None:
    """A warning in Python's log, under the prefix that the plugin's own lines have in VapourSynth's."""
    _logger.warning("RIFE: %s", line)


def say_without_effect(names: list[str]) -> None:
    """Log that the keywords ``names`` did nothing; nothing where there are none."""
    if names:
        say(
            f"{', '.join(names)}: accepted without effect; these keywords chose an engine, not a result, and vsrife "
            "needs no TensorRT"
        )


def _model(version: object) -> str:
    from vsrife.models.catalogue import CATALOGUE

    try:
        name = str(float(version))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        name = ""
    if name not in CATALOGUE:
        near = _NEAREST.get(float(name)) if name else None
        hint = f'; the nearest of those is model="{near}"' if near else ""
        raise ArgumentError(
            f"model_ver ({version}) must be a version that vsrife has: python -m vsrife models lists them{hint}"
        )
    return name
