"""Cutting samples from stored scenes: true frame, crop, flips, time reversal and colours of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vsrife.datasets.batch import Batch
from vsrife.datasets.colours import Colours
from vsrife.datasets.scene_file import StoredScene
from vsrife.datasets.scenes import flow_of, lands_inside

__all__ = ["Pick", "as_batch", "draw_picks", "serve"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pick:
    """What one sample is of a scene.

    truth: its place, of 0..1, among those that are as likely. down, across: the crop's place, of the room there is.
    mirrored: across and down. turned: rows and columns are exchanged, after that. backwards: in time.
    order, black, white: as in `Colours`.
    """

    truth: float
    down: float
    across: float
    mirrored: tuple[bool, bool]
    turned: bool
    backwards: bool
    order: tuple[int, ...]
    black: float
    white: tuple[float, ...]


def draw_picks(count: int, random: np.random.Generator) -> list[Pick]:
    """Random picks for `count` samples."""
    shares = random.random((count, 3)).tolist()
    coins = (random.random((count, 4)) < 0.5).tolist()
    colours = Colours.drawn(random, count)
    order, black, white = colours.order.tolist(), colours.black.tolist(), colours.white.tolist()
    return [
        Pick(
            truth=shares[n][0],
            down=shares[n][1],
            across=shares[n][2],
            mirrored=(coins[n][0], coins[n][1]),
            turned=coins[n][2],
            backwards=coins[n][3],
            order=tuple(order[n]),
            black=black[n],
            white=tuple(white[n]),
        )
        for n in range(count)
    ]


def serve(scenes: Sequence[tuple[StoredScene, int]], picks: Sequence[Pick], size: tuple[int, int]) -> Batch:
    """A sample of `size`, height and width, for each scene, with the number of its truth, and pick.

    A crop that does not fit its scene when it is turned is not turned.
    """
    count = len(scenes)
    frames = np.empty((3, count, 3, *size), dtype=np.float32)
    motion = np.empty((count, 2, *size), dtype=np.float32)
    shares = np.empty((count, 3, *size), dtype=np.float32)
    t = np.empty((count, 1, 1, 1), dtype=np.float32)
    for n, ((scene, truth), pick) in enumerate(zip(scenes, picks, strict=True)):
        turned = pick.turned and size[1] <= scene.frames.shape[2] and size[0] <= scene.frames.shape[3]
        ends = (-1, 0) if pick.backwards else (0, -1)
        for frame, source in enumerate((ends[0], 1 + truth, ends[1])):
            view = _placed(scene.frames[source], pick, size, turned)
            for channel, origin in enumerate(pick.order):
                low, high = pick.black, pick.white[channel]
                made = frames[frame, n, channel]
                np.multiply(view[origin], np.float32((high - low) / 255), out=made)
                if low:
                    made += np.float32(low)
        _move(motion[n], _placed(scene.motion[truth], pick, size, turned), pick, turned)
        seen = _placed(scene.visible[truth], pick, size, turned)
        for side, source in enumerate((1, 0) if pick.backwards else (0, 1)):
            np.multiply(seen[source], np.float32(1 / 255), out=shares[n, side])
        known = _placed(scene.known[truth], pick, size, turned)
        np.multiply(known[0], np.float32(1 / 255), out=shares[n, 2])
        t[n] = 1 - scene.t[truth] if pick.backwards else scene.t[truth]
    return as_batch(*(torch.from_numpy(each) for each in (frames, motion, shares, t)))


def _placed(planes: NDArray[Any], pick: Pick, size: tuple[int, int], turned: bool) -> NDArray[Any]:
    """The pick's view of planes [C, H, W], without a copy: [C, *size]."""
    height, width = size[::-1] if turned else size
    top = int(pick.down * (planes.shape[1] - height + 1))
    left = int(pick.across * (planes.shape[2] - width + 1))
    view = planes[:, top : top + height, left : left + width]
    if pick.mirrored[0]:
        view = view[:, :, ::-1]
    if pick.mirrored[1]:
        view = view[:, ::-1]
    return view.transpose(0, 2, 1) if turned else view


def _move(made: NDArray[np.float32], motion: NDArray[np.float16], pick: Pick, turned: bool) -> None:
    """Write motion [2, H, W], flipped in place and direction as the pick, into `made`."""
    for axis in range(2):
        source = 1 - axis if turned else axis
        against = pick.mirrored[source] != pick.backwards
        np.multiply(motion[source], np.float32(-1 if against else 1), out=made[axis])


def as_batch(frames: Tensor, motion: Tensor, shares: Tensor, t: Tensor) -> Batch:
    """Frames [3, N, 3, H, W]: left, truth, right; motion [N, 2, H, W]; shares [N, 3, H, W]: both visible, known."""
    flow = flow_of(motion, t)
    inside = torch.cat((lands_inside(flow[:, :2]), lands_inside(flow[:, 2:])), dim=1)
    return Batch(
        left=frames[0],
        right=frames[2],
        truth=frames[1],
        t=t,
        flow=flow,
        visible=shares[:, :2] * inside,
        known=shares[:, 2:].contiguous(),
    )
