"""Cases as VapourSynth clips, for detectors that are filters."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

from scenes.case import LEFT, RIGHT, Shard

__all__ = ["PADDING", "clip_of", "pairs", "sequences"]

type Frames = NDArray[Any]

_TRANSFERS = {"bt709": 1, "st2084": 16}
PADDING = (16, 4)
"""Times that a case's first frame comes before it, its last one after it: detectors have windows, and least lengths."""


def clip_of(
    frames: Frames,
    order: Sequence[int] | None = None,
    *,
    bits: int = 8,
    transfer: str = "bt709",
    limited: bool = False,
) -> vs.VideoNode:
    """Frames [n, h, w] (luma) or [n, h, w, 3] (RGB) in a given order, tagged so."""
    order = range(len(frames)) if order is None else order
    coloured = frames.ndim == 4
    fmt = vs.core.query_video_format(vs.RGB if coloured else vs.GRAY, vs.INTEGER, bits)
    blank = vs.core.std.BlankClip(
        width=frames.shape[2], height=frames.shape[1], format=fmt.id, length=len(order), fpsnum=24, fpsden=1, keep=True
    )

    def written(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        copy = f.copy()
        picture = frames[order[n]]
        for plane in range(fmt.num_planes):
            np.asarray(copy[plane])[:] = picture[..., plane] if coloured else picture
        return copy

    tags = {"_Range": 0 if limited else 1, "_Transfer": _TRANSFERS[transfer], "_Primaries": 1}
    return blank.std.ModifyFrame(blank, written).std.SetFrameProps(**tags, _Matrix=0 if coloured else 1)


def _clip(frames: Frames, shard: Shard, order: Sequence[int] | None = None) -> vs.VideoNode:
    return clip_of(frames, order, bits=shard.bits, transfer=shard.transfer, limited=shard.limited)


def pairs(shard: Shard) -> vs.VideoNode:
    """Frame 2k is the left frame of case k, frame 2k + 1 its right one."""
    two = shard.frames[:, [LEFT, RIGHT]]
    return _clip(two.reshape(-1, *two.shape[2:]), shard)


def sequences(shard: Shard) -> tuple[vs.VideoNode, list[int]]:
    """All cases after one another as YUV420P8, padded, and the numbers of their frames 4."""
    count, length = shard.frames.shape[:2]
    cases = _clip(shard.frames.reshape(-1, *shard.frames.shape[2:]), shard)
    cases = cases.std.Crop(right=cases.width % 2, bottom=cases.height % 2)
    cases = cases.resize.Bicubic(format=vs.YUV420P8, matrix_s="709", range_s="limited")
    pieces = []
    for first in range(0, count * length, length):
        last = first + length - 1
        pieces += [cases[first].std.Loop(PADDING[0]), cases[first : last + 1], cases[last].std.Loop(PADDING[1])]
    whole = sum(PADDING) + length
    return vs.core.std.Splice(pieces), [k * whole + PADDING[0] + RIGHT for k in range(count)]
