"""A case: seven frames with the pair that is judged in the middle, and whether there is a cut in it; and its files."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenes.material import Material

__all__ = ["LEFT", "LENGTH", "RIGHT", "Case", "Row", "Shard", "load", "save"]

type Frames = NDArray[Any]

LENGTH = 7
LEFT, RIGHT = 3, 4
"""Frames of a case that are judged; the others give detectors that look at more than two frames what they look at."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Frames [7, h, w] (luma) or [7, h, w, 3] (RGB) of uint8 or uint16; whether a scene ends between 3 and 4."""

    name: str
    cut: bool
    frames: Frames


@dataclass(frozen=True, kw_only=True)
class Row:
    """A kind of cases. apart: what the right answer is, is a matter of taste; such rows are listed by themselves.

    transfer: "bt709" or "st2084". Luma of rows with ``limited`` is of limited range.
    """

    name: str
    make: Callable[[Material, np.random.Generator], Iterator[Case]]
    bits: int = 8
    transfer: str = "bt709"
    limited: bool = False
    apart: bool = False
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A row's cases as read back: frames [n, 7, h, w] or [n, 7, h, w, 3], cut [n], name [n]."""

    row: str
    frames: Frames
    cut: NDArray[np.bool_]
    name: NDArray[np.str_]
    bits: int
    transfer: str
    limited: bool
    apart: bool


def save(folder: Path, row: Row, cases: list[Case]) -> Path:
    """Write a row's cases to folder/ROW.npz, cuts first."""
    cases = sorted(cases, key=lambda case: not case.cut)
    path = folder / f"{row.name}.npz"
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"bits": row.bits, "transfer": row.transfer, "limited": row.limited, "apart": row.apart}
    part = folder / f"{row.name}.part.npz"
    np.savez(
        part,
        frames=np.stack([case.frames for case in cases]),
        cut=np.array([case.cut for case in cases]),
        name=np.array([case.name for case in cases]),
        bits=np.array(row.bits),
        transfer=np.array(row.transfer),
        facts=np.array(json.dumps(facts)),
    )
    part.rename(path)
    return path


def load(path: Path) -> Shard:
    """The cases of a file that `save` wrote."""
    with np.load(path) as file:
        facts = json.loads(str(file["facts"]))
        return Shard(row=path.stem, frames=file["frames"], cut=file["cut"], name=file["name"], **facts)
