"""The keywords of `rife` in vs-rife 4 to 5.7 said in ours, so that scripts written for it run.

What differs, and why, is told in the docstring of `rife`.
"""

import os
from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

from vsrife._api import RIFE
from vsrife._older import gpu_of, in_their_words, say, say_without_effect
from vsrife.errors import ArgumentError, ModelError

if TYPE_CHECKING:
    import vapoursynth as vs

__all__ = ["rife", "vs_rife_arguments"]

THEIR_THRESHOLD = 0.15
"""vs-rife's default of sc_threshold, in the unit of misc.SCDetect: mean absolute difference of two frames, 0..1."""

THEIR_FACTOR = (2, 1)
"""vs-rife's defaults of factor_num and factor_den."""

_ENGINE_DEFAULTS: dict[str, object] = {
    "trt": False,
    "trt_static_shape": True,
    "trt_min_shape": [128, 128],
    "trt_opt_shape": [1920, 1080],
    "trt_max_shape": [1920, 1080],
    "trt_debug": False,
    "trt_workspace_size": 0,
    "trt_max_aux_streams": None,
    "trt_optimization_level": None,
    "trt_cache_dir": None,
    "num_streams": None,
    "fusion": False,
    "nvfuser": False,
    "cuda_graphs": False,
    "trt_max_workspace_size": None,
    "trt_cache_path": None,
}


def rife(
    clip: "vs.VideoNode",
    device_index: int | None = None,
    model: str = "4.25",
    auto_download: bool = False,
    factor_num: int = THEIR_FACTOR[0],
    factor_den: int = THEIR_FACTOR[1],
    fps_num: int | None = None,
    fps_den: int | None = None,
    scale: float = 1.0,
    ensemble: bool = False,
    sc: bool = False,
    sc_threshold: float | None = THEIR_THRESHOLD,
    trt: bool = False,
    trt_static_shape: bool = True,
    trt_min_shape: Sequence[int] = (128, 128),
    trt_opt_shape: Sequence[int] = (1920, 1080),
    trt_max_shape: Sequence[int] = (1920, 1080),
    trt_workspace_size: int = 0,
    trt_max_aux_streams: int | None = None,
    trt_optimization_level: int | None = None,
    trt_cache_dir: str | None = None,
    *,
    trt_debug: bool = False,
    num_streams: int | None = None,
    fusion: bool = False,
    nvfuser: bool = False,
    cuda_graphs: bool = False,
    trt_max_workspace_size: int | None = None,
    trt_cache_path: str | None = None,
) -> "vs.VideoNode":
    """`RIFE` for scripts written for vs-rife 5.7: the same keywords in the same order, with the same defaults.

    The keywords of vs-rife 4 and 5.0 that are gone in 5.7 are taken by name; docs/coming-from.md tells where defaults
    were others.

    The clip may have any format that `RIFE` takes, and the ratio may be 1 or less. What becomes of each keyword:

    Args:
        clip: The clip to interpolate.
        device_index: GPU n, counted from 0. Default: their GPU 0. On a machine without a GPU, where vs-rife fails, the
            CPU, and a line in the log says so. Errors name it, with its own way out.
        model: The same names. Default: "4.25".
        auto_download: Fetch the model now if it is not on this machine. Default: False, an error that gives the
            command.
        factor_num: Numerator of the ratio. Default: 2. Has no effect beside ``fps_*``, as theirs; a line in the log
            says so.
        factor_den: Denominator of the ratio. Default: 1. See ``factor_num``.
        fps_num: Target rate; with ``fps_den`` it takes the place of ``factor_*``.
        fps_den: See ``fps_num``. Default: 1; without ``fps_num`` an error. vs-rife passes over one without the other.
        scale: The same.
        ensemble: The same.
        sc: The same; the detector is our own, since theirs is in a plugin that pip does not bring. Default: False.
        sc_threshold: None trusts the frames' properties alone, as theirs does (``sc_threshold=1`` of `RIFE`). Their
            detector measures something else, so their default 0.15 becomes our default, and any other value our
            threshold that lies as far from ours towards 0 or 1; a line in the log says which. Has no effect without
            ``sc``, as theirs, and a line in the log says so; outside of 0 to 1 it is an error all the same.
        trt: With every other ``trt_*`` keyword accepted and logged once a call: they chose an engine, not a result.
        trt_static_shape: See ``trt``.
        trt_min_shape: See ``trt``.
        trt_opt_shape: See ``trt``.
        trt_max_shape: See ``trt``.
        trt_workspace_size: See ``trt``.
        trt_max_aux_streams: See ``trt``.
        trt_optimization_level: See ``trt``.
        trt_cache_dir: See ``trt``.
        trt_debug: See ``trt``; vs-rife had it up to 5.6.
        num_streams: See ``trt``; up to 5.3.
        fusion: See ``trt``; in 3.0.
        nvfuser: See ``trt``; in 3.1.
        cuda_graphs: See ``trt``; in 3.
        trt_max_workspace_size: See ``trt``; in 3 and 4.
        trt_cache_path: See ``trt``; in 3 and 4.

    Precision follows the clip as theirs does: float32 for RGBS; for every other format, RGBH among them, "auto",
    which is float16 on CUDA and float32 on a CPU. Still pairs go through the network (``skip=False``), as
    in vs-rife, and so do frames that last far longer than those around them (``pause=0``).

    Raises:
        vapoursynth.Error: As `RIFE`.
        RifeError: As `RIFE`; and what fetching a model raises.

    """
    translated = vs_rife_arguments(
        single=_is_single(clip),
        device_index=device_index,
        model=model,
        factor_num=factor_num,
        factor_den=factor_den,
        fps_num=fps_num,
        fps_den=fps_den,
        scale=scale,
        ensemble=ensemble,
        sc=sc,
        sc_threshold=sc_threshold,
        trt=trt,
        trt_static_shape=trt_static_shape,
        trt_min_shape=trt_min_shape,
        trt_opt_shape=trt_opt_shape,
        trt_max_shape=trt_max_shape,
        trt_debug=trt_debug,
        trt_workspace_size=trt_workspace_size,
        trt_max_aux_streams=trt_max_aux_streams,
        trt_optimization_level=trt_optimization_level,
        trt_cache_dir=trt_cache_dir,
        num_streams=num_streams,
        fusion=fusion,
        nvfuser=nvfuser,
        cuda_graphs=cuda_graphs,
        trt_max_workspace_size=trt_max_workspace_size,
        trt_cache_path=trt_cache_path,
    )
    if auto_download:
        _fetch_if_missing(os.fspath(model))
    from vapoursynth import Error

    try:
        return RIFE(clip, **translated)
    except Error as error:
        text = in_their_words(str(error))
        if text == str(error):
            raise
        raise Error(text) from None


def vs_rife_arguments(
    *,
    single: bool,
    device_index: int | None = None,
    model: str = "4.25",
    factor_num: int = THEIR_FACTOR[0],
    factor_den: int = THEIR_FACTOR[1],
    fps_num: int | None = None,
    fps_den: int | None = None,
    scale: float = 1.0,
    ensemble: bool = False,
    sc: bool = False,
    sc_threshold: float | None = THEIR_THRESHOLD,
    **engine: object,
) -> dict[str, Any]:
    """Keywords for `RIFE`, without the clip and ``auto_download``. ``single``: whether the clip is of 32-bit floats.

    What was passed and has no effect is logged. Raises ArgumentError for a wrong ``device_index``, ``model``
    or ``sc_threshold``.
    """
    _check_threshold(sc_threshold)
    _check_model(model)
    translated: dict[str, Any] = {
        "model": model,
        "scale": scale,
        "ensemble": ensemble,
        "sc": sc,
        "skip": False,
        "pause": 0,
        "precision": "float32" if single else "auto",
    }
    gpu = gpu_of(device_index)
    translated |= {"device": "auto"} if gpu is None else {"gpu_id": gpu}
    if fps_num is None and fps_den is None:
        translated |= {
            "factor_num": _whole("factor_num", factor_num),
            "factor_den": _whole("factor_den", factor_den),
        }
    else:
        translated |= {"fps_num": fps_num, "fps_den": fps_den}
        if (factor_num, factor_den) != THEIR_FACTOR:
            say(
                f"factor_num ({factor_num}) and factor_den ({factor_den}) have no effect beside fps_num and fps_den, "
                "as in vs-rife"
            )
    if sc:
        translated["sc_threshold"] = _threshold(sc_threshold)
    elif sc_threshold != THEIR_THRESHOLD:
        say(f"sc_threshold ({sc_threshold}) has no effect without sc=True, as in vs-rife")
    _say_what_has_no_effect(engine)
    return translated


def _whole(name: str, value: object) -> object:
    """``value``, a whole number: what `RIFE` says of others names arguments that `rife` has not."""
    if not isinstance(value, Integral):
        raise ArgumentError(f"{name} ({value}) must be a whole number; 2.5 is factor_num=5, factor_den=2")
    return value


def _check_model(model: object) -> None:
    # As a number it would be one of the ncnn plugin, which means another network.
    if not isinstance(model, str | os.PathLike) or os.fspath(model).isdecimal():
        raise ArgumentError(
            f'model ({model}) must be a name as text, such as "4.25", or a file; for the names: python -m vsrife models'
        )


def _check_threshold(theirs: float | None) -> None:
    if theirs is not None and not 0 <= theirs <= 1:
        raise ArgumentError(f"sc_threshold ({theirs}) must be from 0 to 1; leave it out for the default, or pass None")


def _threshold(theirs: float | None) -> float | None:
    """Our sc_threshold for one of theirs that is in range; None is our default."""
    if theirs is None:
        return 1.0
    if theirs == THEIR_THRESHOLD:
        return None
    from vsrife.scene.scene_change import DEFAULT_CUT_THRESHOLD as OURS

    if theirs < THEIR_THRESHOLD:
        ours = OURS * theirs / THEIR_THRESHOLD
    else:
        ours = 1 - (1 - OURS) * (1 - theirs) / (1 - THEIR_THRESHOLD)
    say(
        f"sc_threshold ({theirs}) is in the unit of misc.SCDetect, which measures otherwise than vsrife's detector; "
        f"taken as RIFE(sc_threshold={ours:.3f})"
    )
    return ours


def _say_what_has_no_effect(passed: dict[str, object]) -> None:
    unknown = sorted(set(passed) - set(_ENGINE_DEFAULTS))
    if unknown:
        raise TypeError(f"rife() got an unexpected keyword argument {unknown[0]!r}")
    changed = [name for name, value in passed.items() if _plain(value) != _ENGINE_DEFAULTS[name]]
    say_without_effect(changed)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _is_single(clip: "vs.VideoNode") -> bool:
    from vapoursynth import VideoNode

    if not isinstance(clip, VideoNode):  # which `RIFE` says better than any attribute that is missing here
        return False
    fmt = clip.format
    return fmt is not None and fmt.id != 0 and fmt.sample_type.name == "FLOAT" and fmt.bits_per_sample == 32


def _fetch_if_missing(model: str) -> None:
    from vsrife.models.store import fetch, locate

    try:
        locate(model)
    except ModelError:
        fetch(model)
