"""The whole filter, `core.rife.RIFE(clip, multi=2)` as a script calls it, on YUV420P8 frames in host or GPU memory."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

import vsrife
from vsrife.errors import RifeError

__all__ = ["Planes", "first_frame", "load", "looped", "new_frames_a_second", "on_gpu", "save"]

Planes = Sequence[NDArray[np.uint8]]


NO_CUTS: Final = 1.0
"""The value of ``sc_threshold``: pairs are compared as in any clip, but no pair is a scene change."""


def save(frames: Sequence[Planes], path: Path) -> None:
    """Write frames for `load` (.npz)."""
    named = {f"{n}-{index}": plane for n, planes in enumerate(frames) for index, plane in enumerate(planes)}
    np.savez(path, **named)  # type: ignore[arg-type]


def load(path: Path) -> list[Planes]:
    """What `save` wrote."""
    with np.load(path) as file:
        return [[file[f"{n}-{index}"] for index in range(3)] for n in range(len(file.files) // 3)]


def looped(frames: Sequence[Planes], length: int) -> vs.VideoNode:
    """A clip of ``length`` frames that plays ``frames`` forwards and backwards. They are made once and cached, so that
    the source costs almost nothing.
    """
    height, width = frames[0][0].shape
    blank = vs.core.std.BlankClip(width=width, height=height, format=vs.YUV420P8, length=len(frames), keep=True)

    def draw(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        made = f.copy()
        for index, samples in enumerate(frames[n]):
            np.asarray(made[index])[...] = samples
        return made

    return _to_and_fro(_kept(blank.std.ModifyFrame(blank, draw)), length)


def on_gpu(frames: Sequence[Planes], length: int) -> vs.VideoNode:
    """`looped` with frames in GPU memory. Raises vapoursynth.Error where VapourSynth has no GPU here."""
    return _to_and_fro(_kept(looped(frames, len(frames)).std.GPUUpload()), length)


def _kept(clip: vs.VideoNode) -> vs.VideoNode:
    """``clip`` with all of its frames in VapourSynth's cache."""
    clip.std.SetVideoCache(mode=1, fixedsize=1, maxsize=clip.num_frames, maxhistory=0)
    for n in range(clip.num_frames):
        clip.get_frame(n).close()
    return clip


def _to_and_fro(clip: vs.VideoNode, length: int) -> vs.VideoNode:
    if clip.num_frames > 2:
        clip = clip + clip[1:-1].std.Reverse()
    return clip.std.Loop(-(-length // clip.num_frames))[:length]


def first_frame(clip: vs.VideoNode, **call: Any) -> float:
    """Seconds from the call of the filter to its first new frame."""
    began = time.perf_counter()
    with vsrife.RIFE(clip, 2, sc_threshold=NO_CUTS, **call).get_frame(1) as frame:
        kind = str(frame.props["RifeKind"])
        if kind != "interpolated":
            raise RifeError(f"the first frame in between is a copy ({kind}), not a new one")
    return time.perf_counter() - began


def new_frames_a_second(
    clip: vs.VideoNode, *, in_flight: int, finish: Callable[[], None], resident: bool, **call: Any
) -> float:
    """The rate of new frames (every second one of the output), in order, after the first ``2 * in_flight`` frames.

    clip: more than `in_flight` + 1 frames. finish: waits until the device has finished. resident: the result must be in
    GPU memory. Raises RifeError where it is not, or where no new frame was made.
    """
    out: Any = vsrife.RIFE(clip, 2, sc_threshold=NO_CUTS, **call)
    if resident and not out.gpu_resident:
        raise RifeError("core.rife.RIFE returned frames in the host's memory for a GPU clip")
    out = out[: 2 * clip.num_frames - 2]  # the last source frame is only repeated
    began, made = 0.0, 0
    # Every other frame is a source frame and costs nothing.
    for n, frame in enumerate(out.frames(prefetch=2 * in_flight, backlog=2 * in_flight, close=True)):
        if n == 2 * in_flight - 1:
            began = time.perf_counter()
        elif n >= 2 * in_flight:
            made += frame.props["RifeKind"] == "interpolated"
    finish()
    seconds = time.perf_counter() - began
    if made == 0:
        raise RifeError("the filter made no new frame, only copies")
    return made / seconds
