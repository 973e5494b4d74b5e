"""A scene in a file, which other processes map into memory.

    header     32 bytes of key, then number, height, width, truths (four uint64), then a float64 for each truth: its t
    frames     uint8 [T + 2, 3, H, W]: left, truths, right
    visible    uint8 [T, 2, H, W], 255 is 1
    known      uint8 [T, 1, H, W], 255 is 1
    motion     float16 [T, 2, H, W]

All as in `Scenes`. A file has its name only when all of it is on the disk.
"""

import math
import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vsrife.datasets.scenes import Scenes

__all__ = ["KEY", "StoredScene", "numbers_in", "place_of", "read_scene", "write_scene"]

KEY: Final = 32
"""Bytes of the key, a digest of all that a scene depends on."""

_SUFFIX: Final = ".scene"
_FIGURES: Final = 4  # number, height, width, truths


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoredScene:
    """One scene as `write_scene` stores it; the arrays are views of the file. t: of each truth."""

    t: tuple[float, ...]
    frames: NDArray[np.uint8]
    visible: NDArray[np.uint8]
    known: NDArray[np.uint8]
    motion: NDArray[np.float16]


def place_of(folder: Path, number: int) -> Path:
    """The file of a scene."""
    return folder / f"{number:010d}{_SUFFIX}"


def numbers_in(folder: Path) -> set[int]:
    """The numbers of the scenes in a folder."""
    return {int(path.stem) for path in folder.glob(f"*{_SUFFIX}")}


def write_scene(folder: Path, number: int, key: bytes, scene: Scenes) -> None:
    """Store the first of `scene` under its number, replacing an existing one. key: KEY bytes."""
    _, count, _, height, width = scene.frames.shape
    parts = (
        _bytes_of(scene.frames[0]),
        _bytes_of(scene.visible[0]),
        _bytes_of(scene.known[0]),
        scene.motion[0].half().numpy(),
    )
    made = place_of(folder, number).with_suffix(f".making-{os.getpid()}")
    with made.open("wb") as file:
        file.write(key)
        file.write(np.array((number, height, width, count - 2), dtype="<u8").tobytes())
        file.write(scene.t[0].double().numpy().astype("<f8").tobytes())
        for part in parts:
            file.write(part.tobytes())
        file.flush()
        os.fsync(file.fileno())  # else the name may be on the disk before what it names
    made.replace(place_of(folder, number))


def read_scene(folder: Path, number: int, key: bytes) -> StoredScene | None:
    """The scene of a number, or None if there is none with this `key` or its file is incomplete."""
    try:
        with place_of(folder, number).open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (FileNotFoundError, ValueError):  # not there, or empty
        return None
    if len(data) < KEY + 8 * _FIGURES or data[:KEY] != key:
        return None
    stored, height, width, truths = np.frombuffer(data, "<u8", _FIGURES, KEY).tolist()
    at = KEY + 8 * (_FIGURES + truths)
    pixels = height * width
    if stored != number or len(data) != at + pixels * (3 * (truths + 2) + 3 * truths + 4 * truths):
        return None

    def part(kind: Any, *shape: int) -> NDArray[Any]:
        nonlocal at
        array = np.frombuffer(data, kind, math.prod(shape), at).reshape(shape)
        at += array.nbytes
        return array

    return StoredScene(
        t=tuple(np.frombuffer(data, "<f8", truths, KEY + 8 * _FIGURES).tolist()),
        frames=part(np.uint8, truths + 2, 3, height, width),
        visible=part(np.uint8, truths, 2, height, width),
        known=part(np.uint8, truths, 1, height, width),
        motion=part(np.float16, truths, 2, height, width),
    )


def _bytes_of(shares: Tensor) -> NDArray[np.uint8]:
    """Numbers of 0..1 as 0..255."""
    array: NDArray[np.uint8] = (shares * 255).round().byte().numpy()
    return array
