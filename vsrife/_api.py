"""The public calls: `RIFE`, which is core.rife.RIFE with types and a docstring, and `rife` with vs-rife's keywords."""

import functools
import os
from collections.abc import Callable
from enum import Enum
from fractions import Fraction
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, Unpack

from vsrife import _compat
from vsrife.errors import ArgumentError, InstallationError, ModelError, RifeError, with_vapoursynth

if TYPE_CHECKING:
    import torch
    import vapoursynth as vs

__all__ = ["RIFE", "rife"]


def _with_both_errors[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """``function``, whose errors belong to this package and are a vapoursynth.Error at the same time."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        from vapoursynth import Error

        try:
            return function(*args, **kwargs)
        except RifeError as error:
            if isinstance(error, Error):
                raise
            raise with_vapoursynth(type(error))(f"RIFE: {error}") from None
        except Error as error:
            from vsrife.plugin.failures import class_of

            text = str(error)
            raise with_vapoursynth(class_of(text.removeprefix("RIFE: ")))(
                _compat.named_as_passed(text, kwargs.get("device_index"))
            ) from None

    return call


@_with_both_errors
def RIFE(
    clip: "vs.VideoNode",
    multi: float | Fraction | None = None,
    *,
    factor_num: int | None = None,
    factor_den: int | None = None,
    fps_num: int | None = None,
    fps_den: int | None = None,
    cfr: bool | None = None,
    pause: float | None = None,
    retime: bool | None = None,
    model: str | os.PathLike[str] | int | None = None,
    scale: float | None = None,
    ensemble: bool | None = None,
    sc: bool | None = None,
    sc_threshold: float | None = None,
    skip: bool | None = None,
    skip_threshold: float | None = None,
    device: "str | torch.device | None" = None,
    precision: Literal["auto", "float32", "float16", "bfloat16"] | None = None,
    matrix_in: str | int | None = None,
    range_in: str | int | None = None,
    chromaloc_in: str | int | None = None,
    multiplier: float | Fraction | None = None,
    model_path: str | os.PathLike[str] | None = None,
    gpu_id: int | None = None,
    gpu_thread: int | None = None,
    tta: bool | None = None,
    uhd: bool | None = None,
    list_gpu: bool | None = None,
    **older: Unpack[_compat.OlderOptions],
) -> "vs.VideoNode":
    """Return ``clip`` with more (or fewer) frames per second; RIFE makes the frames in between.

    The same as ``core.rife.RIFE``. Arguments that are None are not passed, and have the defaults named here. An
    argument without an effect is an error or a line in the log.

    The result has the format and size of ``clip``, ceil(frames * ratio) frames and the clip's frame rate times the
    ratio; a clip without a frame rate gives one without. Output frame n shows the clip at frame n / ratio. Where that
    is a source frame, the output is this frame with its samples unchanged. docs/timeline.md describes durations,
    docs/properties.md frame properties.

    Args:
        clip: Gray, YUV or RGB with 8 to 16 bits, half or float samples, of constant format and size, progressive.
        multi: Output frames per source frame, above 0, such as 2, 2.5, 24000 / 1001 or Fraction(1001, 400). Any
            Fraction is exact, and so is a float that is a quotient of whole numbers with a denominator up to 1000000.
            Default: 2.
        factor_num: With ``factor_den``, the same ratio as two whole numbers from 1. Only one way to set the rate may be
            used. Default: not set.
        factor_den: See ``factor_num``. Default: 1; an error without ``factor_num``.
        fps_num: With ``fps_den``, the target rate in frames per second as two whole numbers from 1. The clip must have
            a frame rate. For a clip whose durations vary it scales the average, and the durations still vary.
            Default: not set.
        fps_den: See ``fps_num``. Default: 1; an error without ``fps_num``.
        cfr: With ``fps_num`` and ``fps_den``, give a clip whose durations vary this constant rate: output frame n shows
            the clip at n / fps seconds. The call reads the duration of every source frame. An error for a player's
            endless clip and for frames without a duration. Default: False.
        pause: Seconds, 0 to 86400. A source frame that lasts at least this long, and three times as long as its
            neighbours, is a pause: it is held, and motion to the next frame takes a usual duration at its end. At 0 no
            frame is a pause. Default: 0.2.
        retime: For animation that shows each drawing for two or three frames, make even motion from drawing to drawing;
            with ``multi=1`` at the clip's own rate. docs/retiming.md has the rule. Default: False.
        model: A name (``python -m vsrife models`` lists them) or a checkpoint file (.pkl, .pth, .pt, .safetensors). A
            whole number is the ncnn plugin's number of a network. Default: the network inside the package, else "4.0".
        scale: Resolution of motion estimation, relative to the network's own: 0.25, 0.5, 1, 2 or 4. For 2160p use 0.5.
            Default: 1.
        ensemble: Average with the motion estimated backwards in time, for about twice the work. An error for networks
            that cannot. Default: False.
        sc: Read and detect scene changes: between two scenes the left frame is repeated. Default: True.
        sc_threshold: Score, 0 to 1, from which two frames count as a scene change; lower values find more. At 1 the
            frame properties alone decide: ``_SceneChangeNext`` of the left and ``_SceneChangePrev`` of the right frame.
            Without an effect, which is logged, with ``sc=False``. Default: 0.5.
        skip: Repeat the left frame where two frames are equal. Default: True.
        skip_threshold: PSNR in decibels, 0 to 120, from which two frames count as equal. The worst 8x8 block of any
            plane, or of alpha, must reach it. Without an effect, which is logged, with ``skip=False``. Default: 60.
        device: "auto" (the first usable CUDA GPU, else the CPU), "cpu", "cuda", "cuda:1" or another torch device.
            Default: "auto".
        precision: Precision of the network's convolutions: "auto" (float16 on CUDA, float32 elsewhere), "float32",
            "float16" or "bfloat16". Flow, sampling and blending always use float32. Default: "auto".
        matrix_in: The clip's matrix, as a name or H.273 number, instead of the frame property ``_Matrix``.
            Default: not set.
        range_in: "limited" or "full", instead of the frame property ``_Range``. Default: not set.
        chromaloc_in: Chroma location, as a name or number, instead of the frame property ``_ChromaLocation``.
            Default: not set.
        multiplier: ``multi``, as older versions of the ncnn plugin call it. With the arguments below it is for scripts
            written for that plugin, see docs/coming-from.md.
        model_path: A folder of the ncnn plugin whose name contains the network's version (rife-v4.6), or a checkpoint
            file. Takes precedence over ``model``.
        gpu_id: Number of a CUDA GPU from 0, instead of ``device``; -1 is the CPU. Without a GPU it is the CPU.
        gpu_thread: A whole number from 1. Without an effect, which is logged.
        tta: ``ensemble`` for networks that can. Default: False.
        uhd: ``scale=0.5``. Default: False.
        list_gpu: Write the names of the GPUs on the clip and into the log, and interpolate nothing. Default: False.
        **older: Keywords of vs-rife 1 to 3, see docs/coming-from.md.

    Returns:
        The new clip. Its frames are made on request, in any order and from any number of threads.

    Raises:
        ArgumentError: An argument or the clip is wrong. One line names the argument, its value and a remedy.
        ModelError: The model is unknown, not on this machine or unreadable.
        InstallationError: A package is missing or conflicts, or ``core.rife`` is missing or another plugin.
        OutOfMemoryError: The network needs more memory than the GPU has free.
        DeviceLostError: The GPU has failed.
        RifeError: The base class of all of these, each of which is a ``vapoursynth.Error`` as well.
        TypeError: A keyword is unknown.

    """
    # A list, because a debugger that reads the locals adds names to them.
    arguments = list(locals().items())
    given = {name: value for name, value in arguments if value is not None and name not in ("clip", "older")}
    given |= _compat.older_options(older, given)
    passed = {name: _as_passed(name, value) for name, value in _with_exact_ratio(given).items()}
    return _function()(clip, **passed)


@_with_both_errors
def rife(
    clip: "vs.VideoNode",
    device_index: int | None = None,
    model: str | os.PathLike[str] = "4.25",
    auto_download: bool = False,
    factor_num: int = _compat.DEFAULT_FACTOR[0],
    factor_den: int = _compat.DEFAULT_FACTOR[1],
    fps_num: int | None = None,
    fps_den: int | None = None,
    scale: float = 1.0,
    ensemble: bool = False,
    sc: bool = False,
    sc_threshold: float | None = _compat.DEFAULT_THRESHOLD,
    **engine: Unpack[_compat.EngineOptions],
) -> "vs.VideoNode":
    """`RIFE` for scripts written for vs-rife 4 to 5.7, with the keywords and defaults of vs-rife 5.7.

    As in vs-rife, equal frames go through the network (``skip=False``), no frame is a pause (``pause=0``), and the
    precision depends on the clip: float32 for RGBS, "auto" for any other format.

    Args:
        clip: As for `RIFE`, of any format that it accepts.
        device_index: Number of a CUDA GPU from 0. Without a GPU it is the CPU. Default: the first GPU, else the CPU.
        model: The name of a network as text, or a checkpoint file. Default: "4.25".
        auto_download: Download the model if it is not on this machine, which is an error otherwise. Default: False.
        factor_num: Numerator of the ratio, a whole number from 1. Without an effect beside ``fps_*``. Default: 2.
        factor_den: Denominator of the ratio, a whole number from 1. Default: 1.
        fps_num: Numerator of the target rate in frames per second, a whole number from 1. Default: not set.
        fps_den: Denominator of the target rate. Default: 1; an error without ``fps_num``.
        scale: As for `RIFE`. Default: 1.
        ensemble: As for `RIFE`. Default: False.
        sc: As for `RIFE`, which also detects scene changes. Default: False.
        sc_threshold: 0 to 1, in the unit of misc.SCDetect: 0.15 becomes the default of `RIFE`, any other value one at
            the same place between the default and 0 or 1. None leaves the decision to the frame properties. Without an
            effect, which is logged, unless ``sc`` is set. Default: 0.15.
        **engine: Keywords of any version that choose an engine (``trt``, ``num_streams``, ...). They have no effect,
            and one line in the log names them.

    Returns:
        The new clip.

    Raises:
        DownloadError: The model cannot be downloaded.
        RifeError: As for `RIFE`.
        TypeError: A keyword is unknown.

    """
    _compat.engine_options(engine, "rife")
    options = _compat.vs_rife_options(
        single=_has_float32_samples(clip),
        model=model,
        factor_num=factor_num,
        factor_den=factor_den,
        fps_num=fps_num,
        fps_den=fps_den,
        sc=sc,
        sc_threshold=sc_threshold,
    )
    if auto_download:
        _fetch_if_missing(os.fspath(model))
    return RIFE(clip, model=model, device_index=device_index, scale=scale, ensemble=ensemble, sc=sc, **options)


def _has_float32_samples(clip: "vs.VideoNode") -> bool:
    from vapoursynth import FLOAT, VideoNode

    if not isinstance(clip, VideoNode):  # `RIFE` refuses it
        return False
    fmt = clip.format
    return fmt is not None and fmt.id != 0 and fmt.sample_type == FLOAT and fmt.bits_per_sample == 32


def _fetch_if_missing(model: str) -> None:
    from vsrife.models.store import fetch, locate

    try:
        locate(model)
    except ModelError:
        fetch(model)


def _with_exact_ratio(given: dict[str, Any]) -> dict[str, Any]:
    """The same arguments, with a Fraction that a double cannot hold passed as ``factor_num`` and ``factor_den``."""
    from vsrife.plugin.arguments import exact_ratio

    name, *others = [way for way in _RATES if way in given] or ["multi"]
    ratio = given.get(name)
    if others or not isinstance(ratio, Fraction):
        return given
    if not _are_doubles(ratio.numerator, ratio.denominator):
        raise ArgumentError(f"{name} ({ratio}) must be a fraction of numbers that a double holds; pass a rounded one")
    if exact_ratio(float(ratio)) == ratio:
        return given
    rest = {other: value for other, value in given.items() if other != name}
    return rest | {"factor_num": ratio.numerator, "factor_den": ratio.denominator}


def _are_doubles(*numbers: int) -> bool:
    """Whether VapourSynth, whose numbers are doubles, can pass these whole numbers on unchanged."""
    try:
        return all(float(number) == number for number in numbers)
    except OverflowError:
        return False


_RATES = ("multi", "multiplier", "factor_num", "factor_den", "fps_num", "fps_den")


def _as_passed(name: str, value: Any) -> Any:
    """``value`` as VapourSynth accepts it for the argument ``name``. Raises ArgumentError for one of a wrong type."""
    from vsrife.plugin.signature import SIGNATURE

    if name == "model":
        return _model(value)
    if f";{name}:float:" not in SIGNATURE:
        return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    if not _is_number(value):
        from vsrife.plugin.arguments import parse

        parse({name: str(value)})  # raises the error with what the argument accepts
        raise ArgumentError(f"{name} ({value}) must be a number")
    return value


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (OverflowError, TypeError, ValueError):
        return False
    return True


def _model(model: object) -> str | bytes:
    if isinstance(model, str | os.PathLike):
        return os.fspath(model)
    if isinstance(model, Integral) and not isinstance(model, bool | Enum):
        return str(int(model))
    raise ArgumentError(f"model ({model}) must be text or a path: {_name_for(model)}")


def _name_for(model: object) -> str:
    """What to pass in place of a model that is neither text nor a whole number."""
    if isinstance(model, Enum) and isinstance(model.value, int):  # numbers of a RIFEModel mean other networks
        from vsrife.models.ncnn import name_of_mlrt

        name = name_of_mlrt(model.value)
        if name:
            return f'model="{name}", which {type(model).__name__}.{model.name} is here'
    if isinstance(model, float):
        return f'model="{model}"; as a number, 4.10 would become 4.1'
    return "for the names: python -m vsrife models"


def _function() -> "Callable[..., vs.VideoNode]":
    """core.rife.RIFE of this package. Raises InstallationError where there is none."""
    import vapoursynth

    plugin: Any = getattr(vapoursynth.core, "rife", None)
    if plugin is None:
        raise InstallationError(
            "core.rife (missing) must be loaded by VapourSynth; install vapoursynth-rife again, into the environment "
            "that this Python belongs to"
        )
    function: Any = getattr(plugin, "RIFE", None)
    # Another plugin has the same namespace, and VapourSynth keeps the one that it loads first.
    if function is None or "multi:float" not in function.signature:
        raise InstallationError(
            f"core.rife ({plugin.identifier}) must be the plugin of vapoursynth-rife; remove the other one from "
            "VapourSynth's plugin folder"
        )
    return function  # type: ignore[no-any-return]
