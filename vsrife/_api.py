"""The public call: core.rife.RIFE with types, Fractions and a docstring."""

import os
from collections.abc import Callable
from enum import Enum
from fractions import Fraction
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, Unpack

from vsrife._older import Older, in_their_words, older_keywords
from vsrife.errors import ArgumentError, RifeError

if TYPE_CHECKING:
    import torch
    import vapoursynth as vs

__all__ = ["RIFE"]


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
    **older: Unpack[Older],
) -> "vs.VideoNode":
    """A clip with more (or fewer) frames per second; the frames in between are made by RIFE.

    Exactly ``core.rife.RIFE``: what is None is not passed, and takes the default named here. An option that has no
    effect is an error, or a line in the log. The arguments from ``multiplier`` on are there for scripts written for
    others: docs/coming-from.md maps them.

    The result has the format and size of ``clip``, ceil(frames * ratio) frames and the clip's frame rate times the
    ratio; a clip of unknown rate stays one. Output n shows the clip at frame n / ratio: where that is a source
    frame, the source frame itself, its samples untouched. docs/timeline.md tells of durations, docs/properties.md
    of frame properties.

    Args:
        clip: Gray, YUV or RGB of 8 to 16 bits, half or float, of constant format and size, progressive.
        multi: Output frames per source frame, above 0, exact: 2, 2.5, 24000 / 1001, Fraction(1001, 400). Default: 2.
        factor_num: With ``factor_den``, the same as a pair of whole numbers. Default: not set.
        factor_den: See ``factor_num``. Default: 1; an error without ``factor_num``. Neither is taken with another way
            to set the rate.
        fps_num: With ``fps_den``, the target rate in frames per second as a pair of whole numbers. The clip must have a
            frame rate. Of a clip with varying durations it scales the average, and the durations go on varying.
            Default: not set.
        fps_den: See ``fps_num``. Default: 1.
        cfr: With ``fps_num`` and ``fps_den``, make a clip of that constant rate of one whose durations vary: output n
            shows the clip at n / fps seconds. Reads every source frame's duration once, when it is called. An error
            for a player's endless clip and for frames without a duration. Default: False.
        pause: Seconds from which a source frame that lasts at least three times as long as those around it is a pause:
            it is held, and motion takes the usual span, at its end. 0: no frame is a pause. Default: 0.2.
        retime: Of an animation that shows each drawing for a few frames (on twos, on threes), make even motion from
            drawing to drawing; with ``multi=1`` at the clip's own rate. docs/retiming.md has the rule. Default: False.
        model: A name (``python -m vsrife models`` lists them) or a checkpoint file (.pkl, .pth, .safetensors). A whole
            number is the ncnn plugin's number of a network. Default: the network inside the package, else "4.0".
        scale: Resolution at which motion is sought, relative to the network's own: 0.25, 0.5, 1, 2 or 4. 0.5 suits
            2160p. Default: 1.
        ensemble: Also run backwards in time and average; about twice the work. Not every network can. Default: False.
        sc: Heed scene changes: over a cut the left frame is shown. Default: True.
        sc_threshold: Cut score, 0 to 1, from which two frames are a cut; lower finds more. At 1 the detector never
            does, and a pair is a cut where ``_SceneChangeNext`` of the left frame or ``_SceneChangePrev`` of the right
            is 1. No effect with ``sc=False``, which is logged. Default: the detector's, 0.5.
        skip: Copy the left frame where two frames do not differ. Default: True.
        skip_threshold: PSNR in decibels, 0 to 120, that the worst 8x8 block (of any plane, and of alpha) must reach
            for that. No effect with ``skip=False``, which is logged. Default: 60.
        device: "auto" (the first usable CUDA GPU, else the CPU), "cpu", "cuda", "cuda:1" or another torch device.
            Default: "auto".
        precision: Of the network's convolutions: "auto" (float16 on CUDA, float32 elsewhere), "float32", "float16" or
            "bfloat16". Flow, sampling and blending are float32 always.
            Default: "auto".
        matrix_in: Matrix of the clip, a name or an H.273 number, in place of the frames' ``_Matrix``.
        range_in: "limited" or "full" (or 0, 1), in place of the frames' ``_Range``.
        chromaloc_in: Chroma location, a name or a number, in place of the frames' ``_ChromaLocation``.
        multiplier: The same as ``multi``.
        model_path: A folder of the ncnn plugin's, whose name tells the network (rife-v4.6); wins over ``model``. A
            checkpoint file is taken as ``model``.
        gpu_id: GPU n in place of ``device``, counted from 0; on a machine without a GPU, or as -1, the CPU.
        gpu_thread: No effect, which is logged: how many frames are made at a time is the filter's own rule.
        tta: ``ensemble``, where the network can.
        uhd: ``scale=0.5``.
        list_gpu: Write the GPUs' names on the clip, and into the log, and interpolate nothing.
        **older: Keywords of vs-rife 1 to 3.

    Returns:
        The new clip. Frames are made when they are asked for, in any order and by any number of threads.

    Raises:
        vapoursynth.Error: An argument or the clip is wrong; one line names the argument, its value and the way out.
        ArgumentError: The same of a keyword of vs-rife.
        RifeError: ``core.rife`` is missing or another plugin's; or a value is not of a kind that can be passed on.

    """
    given = {
        "multi": _number("multi", multi),
        "factor_num": _number("factor_num", factor_num),
        "factor_den": _number("factor_den", factor_den),
        "fps_num": _number("fps_num", fps_num),
        "fps_den": _number("fps_den", fps_den),
        "cfr": _number("cfr", cfr),
        "pause": _number("pause", pause),
        "retime": _number("retime", retime),
        "model": _text_of(model),
        "scale": _number("scale", scale),
        "ensemble": _number("ensemble", ensemble),
        "sc": _number("sc", sc),
        "sc_threshold": _number("sc_threshold", sc_threshold),
        "skip": _number("skip", skip),
        "skip_threshold": _number("skip_threshold", skip_threshold),
        "device": None if device is None else str(device),
        "precision": precision,
        "matrix_in": None if matrix_in is None else str(matrix_in),
        "range_in": None if range_in is None else str(range_in),
        "chromaloc_in": None if chromaloc_in is None else str(chromaloc_in),
        "multiplier": _number("multiplier", multiplier),
        "model_path": None if model_path is None else os.fspath(model_path),
        "gpu_id": _number("gpu_id", gpu_id),
        "gpu_thread": _number("gpu_thread", gpu_thread),
        "tta": _number("tta", tta),
        "uhd": _number("uhd", uhd),
        "list_gpu": _number("list_gpu", list_gpu),
    }
    given |= older_keywords(older, given)
    given = _with_exact_ratio(given)
    passed = {name: value for name, value in given.items() if value is not None}
    function = _function()
    if older.get("device_index") is None:
        return function(clip, **passed)
    from vapoursynth import Error

    try:
        return function(clip, **passed)
    except Error as error:
        raise Error(in_their_words(str(error))) from None


def _with_exact_ratio(given: dict[str, object]) -> dict[str, object]:
    """The same arguments, with a Fraction that a double cannot hold passed as ``factor_num`` and ``factor_den``."""
    from vsrife.plugin.arguments import exact_ratio

    ways = ("multi", "multiplier", "factor_num", "factor_den", "fps_num", "fps_den")
    name, *others = [way for way in ways if given[way] is not None] or ["multi"]
    ratio = given[name]
    if others or not isinstance(ratio, Fraction) or exact_ratio(float(ratio)) == ratio:
        return given
    return given | {name: None, "factor_num": ratio.numerator, "factor_den": ratio.denominator}


def _number(name: str, value: object) -> object:
    """``value`` as it is, if VapourSynth can take it for a number; its own error would not name the argument."""
    if value is None or _is_number(value):
        return value
    from vsrife.plugin.arguments import parse

    parse({name: str(value)})  # refuses what is no number, and knows what each argument takes
    raise ArgumentError(f"{name} ({value}) must be a number")


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (OverflowError, TypeError, ValueError):
        return False
    return True


def _text_of(model: object) -> str | bytes | None:
    if model is None or isinstance(model, str | os.PathLike):
        return None if model is None else os.fspath(model)
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
    """core.rife.RIFE of this package."""
    import vapoursynth

    plugin: Any = getattr(vapoursynth.core, "rife", None)
    if plugin is None:
        raise RifeError(
            "core.rife (missing) must be loaded by VapourSynth; install vapoursynth-rife again, into the environment "
            "that this Python belongs to"
        )
    function: Any = getattr(plugin, "RIFE", None)
    # Another plugin has the same namespace, and the one VapourSynth loads first wins it.
    if function is None or "multi:float" not in function.signature:
        raise RifeError(
            f"core.rife ({plugin.identifier}) must be the plugin of vapoursynth-rife; remove the other one from "
            "VapourSynth's plugin folder"
        )
    return function  # type: ignore[no-any-return]
