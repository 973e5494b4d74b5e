"""The keywords of vs-rife as those of `vsrife.RIFE`. docs/coming-from.md lists them with their defaults."""

import logging
import os
from collections.abc import Mapping
from numbers import Integral
from typing import Any, TypedDict

from vsrife.errors import ArgumentError

__all__ = [
    "DEFAULT_FACTOR",
    "DEFAULT_THRESHOLD",
    "EngineOptions",
    "OlderOptions",
    "engine_options",
    "named_as_passed",
    "older_options",
    "vs_rife_options",
]

DEFAULT_THRESHOLD = 0.15
"""vs-rife's default ``sc_threshold``, in the unit of misc.SCDetect: mean absolute difference of two frames, 0 to 1."""

DEFAULT_FACTOR = (2, 1)
"""The defaults of ``factor_num`` and ``factor_den`` in vs-rife."""

_NEAREST = {"1.8": "3.1", "2.3": "3.1", "2.4": "3.1"}
"""For each network of vs-rife 1 that this package does not have, the nearest one that it has."""

_SAME_MEANING = {
    "model_ver": ("model", "model_path"),
    "device_type": ("device", "gpu_id"),
    "device_index": ("device", "gpu_id"),
    "fp16": ("precision",),
}
"""For each keyword of vs-rife 1 to 3 the keywords of `RIFE` with the same meaning."""

_logger = logging.getLogger("vsrife")


class EngineOptions(TypedDict, total=False):
    """Keywords of any version of vs-rife that choose an engine and do not change the result. They have no effect."""

    trt: bool
    trt_static_shape: bool
    trt_min_shape: Any
    trt_opt_shape: Any
    trt_max_shape: Any
    trt_debug: bool
    trt_workspace_size: int
    trt_max_workspace_size: int
    trt_max_aux_streams: int | None
    trt_optimization_level: int | None
    trt_cache_dir: str | None
    trt_cache_path: str | None
    num_streams: int
    fusion: bool
    nvfuser: bool
    cuda_graphs: bool


class OlderOptions(EngineOptions, total=False):
    """Keywords of `RIFE` in vs-rife 1 to 3."""

    model_ver: float
    device_type: str
    device_index: int | None
    fp16: bool


def vs_rife_options(
    *,
    single: bool,
    model: object = "4.25",
    factor_num: int = DEFAULT_FACTOR[0],
    factor_den: int = DEFAULT_FACTOR[1],
    fps_num: int | None = None,
    fps_den: int | None = None,
    sc: bool = False,
    sc_threshold: float | None = DEFAULT_THRESHOLD,
) -> dict[str, Any]:
    """Keywords of `RIFE` for those of `rife` in vs-rife 5.7 that differ.

    ``single``: whether the clip has samples of 32-bit floats. Logs what has no effect. Raises ArgumentError.
    """
    if not isinstance(model, str | os.PathLike) or os.fspath(model).isdecimal():
        raise ArgumentError(
            f'model ({model}) must be a name as text, such as "4.25", or a file; for the names: python -m vsrife models'
        )
    options: dict[str, Any] = {"precision": "float32" if single else "auto", "skip": False, "pause": 0}
    if fps_num is None and fps_den is None:
        options |= {"factor_num": factor_num, "factor_den": factor_den}
    else:
        options |= {"fps_num": fps_num, "fps_den": fps_den}
        if (factor_num, factor_den) != DEFAULT_FACTOR:
            _warn(
                f"factor_num ({factor_num}) and factor_den ({factor_den}) have no effect beside fps_num and fps_den, "
                "as in vs-rife"
            )
    threshold = _threshold(sc_threshold)
    if sc:
        options["sc_threshold"] = threshold
        if sc_threshold not in (None, DEFAULT_THRESHOLD):
            _warn(
                f"sc_threshold ({sc_threshold}) is in the unit of misc.SCDetect, which vsrife's detector does not use; "
                f"taken as RIFE(sc_threshold={threshold:.3f})"
            )
    elif sc_threshold != DEFAULT_THRESHOLD:
        _warn(f"sc_threshold ({sc_threshold}) has no effect without sc=True, as in vs-rife")
    return options


def older_options(older: Mapping[str, Any], given: Mapping[str, object]) -> dict[str, Any]:
    """Keywords of `RIFE` for those of vs-rife 1 to 3; ``given`` are the keywords of `RIFE` passed beside them.

    Logs what has no effect. Raises ArgumentError for a wrong value and for two keywords with the same meaning,
    TypeError for an unknown keyword.
    """
    engine_options({name: older[name] for name in older if name not in _SAME_MEANING}, "RIFE")
    for name, ours in _SAME_MEANING.items():
        for other in ours:
            if older.get(name) is not None and other in given:
                both = f"{name} ({older[name]}) and {other} ({given[other]})"
                raise ArgumentError(f"{both} must not be passed together; remove one of them")
    options: dict[str, Any] = {"gpu_id": _gpu(older.get("device_index"), older.get("device_type"))}
    if "model_ver" in older:
        options["model"] = _model(older["model_ver"])
    if "fp16" in older:
        options["precision"] = "auto" if older["fp16"] else "float32"
    return {name: value for name, value in options.items() if value is not None}


def engine_options(options: Mapping[str, object], function: str) -> None:
    """Log once which of the keywords have no effect. Raises TypeError for one that vs-rife never had."""
    for name in options:
        if name not in EngineOptions.__annotations__:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")
    names = [name for name, value in options.items() if value not in (None, False)]
    if names:
        _warn(
            f"{', '.join(names)}: accepted without effect; these keywords choose an engine and do not change the "
            "result, and vsrife needs no TensorRT"
        )


def named_as_passed(text: str, device_index: object) -> str:
    """The text of an error about ``gpu_id`` with the name ``device_index`` where that was passed."""
    if device_index is None:
        return text
    return text.replace("gpu_id (", "device_index (").replace("gpu_id=", "device_index=")


def _warn(line: str) -> None:
    _logger.warning("RIFE: %s", line)


def _gpu(index: int | None, kind: object) -> int | None:
    """The ``gpu_id`` for a ``device_index`` and a ``device_type``; None where neither was passed."""
    if index is not None and (isinstance(index, bool) or not isinstance(index, Integral) or index < 0):
        raise ArgumentError(
            f"device_index ({index}) must be a whole number from 0; leave it out for the first GPU, or the CPU"
        )
    device = None if kind is None else str(kind).lower()
    if device not in (None, "cuda", "cpu"):
        raise ArgumentError(f'device_type ({kind}) must be "cuda" or "cpu"; pass device= for another device')
    if device == "cpu":
        return -1
    return index if device is None or index is not None else 0


def _model(version: object) -> str:
    from vsrife.models.catalogue import CATALOGUE

    try:
        name = str(float(version))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        name = ""
    if name in CATALOGUE:
        return name
    hint = f'; the nearest of those is model="{_NEAREST[name]}"' if name in _NEAREST else ""
    raise ArgumentError(
        f"model_ver ({version}) must be a version that vsrife has: python -m vsrife models lists them{hint}"
    )


def _threshold(given: float | None) -> float | None:
    """The ``sc_threshold`` of `RIFE` for one of vs-rife: at the same place between the default and 0 or 1."""
    if given is None:
        return 1.0
    if not 0 <= given <= 1:
        raise ArgumentError(f"sc_threshold ({given}) must be from 0 to 1; leave it out for the default, or pass None")
    if given == DEFAULT_THRESHOLD:
        return None
    from vsrife.scene.scene_change import DEFAULT_CUT_THRESHOLD

    if given < DEFAULT_THRESHOLD:
        return DEFAULT_CUT_THRESHOLD * given / DEFAULT_THRESHOLD
    return 1 - (1 - DEFAULT_CUT_THRESHOLD) * (1 - given) / (1 - DEFAULT_THRESHOLD)
