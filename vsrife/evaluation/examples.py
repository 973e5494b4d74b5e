"""Example pictures: for each row the frame with the worst score of the first model, and its worst part enlarged."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from vsrife.datasets.pictures import encode
from vsrife.evaluation.metrics import Picture

__all__ = ["GAIN", "Box", "Column", "Example", "Frame", "Gallery"]

LEAST_PART: Final = 96
"""Least width in pixels of the enlarged part, which is otherwise an eighth of the frame."""

WIDEST: Final = 480
"""Largest width in pixels of a whole frame; larger ones are reduced by a whole factor."""

GAIN: Final = 2
"""Factor of the differences before they are mapped to colours."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frame:
    """One interpolated frame of a sample: the inputs, the true frame, and the output of each method.

    row, group, name: as in Sample. time: between left (0) and right (1).
    """

    row: str
    group: str
    name: str
    time: Fraction
    left: Picture
    right: Picture
    truth: Picture
    made: Mapping[str, Picture]


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A rectangle of a frame, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def of(self, picture: Picture) -> Picture:
        """The part of a frame in this rectangle."""
        return picture[:, self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One picture as data URIs: whole and reduced, the part in the box, and how both differ from the truth; the
    truth itself has no differences.
    """

    title: str
    whole: str
    part: str
    whole_difference: str | None = None
    part_difference: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A frame on the page. size: (width, height) of the frame."""

    row: str
    group: str
    name: str
    time: Fraction
    size: tuple[int, int]
    box: Box
    columns: tuple[Column, ...]


class Gallery:
    """Keeps the worst frame of each row, and of those the worst `count`."""

    def __init__(self, count: int, *, higher_is_better: bool) -> None:
        self._count = count
        self._sign = -1 if higher_is_better else 1
        self._order: dict[tuple[str, str], int] = {}
        self._kept: dict[tuple[str, str], tuple[float, Example]] = {}

    def offer(self, frame: Frame, value: float) -> None:
        """Add a frame with its score."""
        key = (frame.group, frame.row)
        self._order.setdefault(key, len(self._order))
        badness = self._sign * value
        if key in self._kept:
            wanted = badness > self._kept[key][0]
        else:
            wanted = len(self._kept) < self._count or badness > min(
                (each for each, _ in self._kept.values()), default=badness
            )
        if wanted:
            self._kept[key] = (badness, _example(frame))
            if len(self._kept) > self._count:
                del self._kept[min(self._kept, key=lambda each: self._kept[each][0])]

    def examples(self) -> list[Example]:
        """The frames that were kept, in the order of the rows."""
        return [self._kept[key][1] for key in sorted(self._kept, key=self._order.__getitem__)]


def _example(frame: Frame) -> Example:
    first_model = list(frame.made.values())[1]
    box = _worst_box(np.abs(frame.truth.astype(np.int16) - first_model).mean(0))
    others = {"left": frame.left, "right": frame.right, **frame.made}
    return Example(
        row=frame.row,
        group=frame.group,
        name=frame.name,
        time=frame.time,
        size=(frame.truth.shape[2], frame.truth.shape[1]),
        box=box,
        columns=(
            _column("truth", frame.truth, None, box),
            *(_column(title, picture, frame.truth, box) for title, picture in others.items()),
        ),
    )


def _worst_box(error: NDArray[np.floating]) -> Box:
    """The 4:3 rectangle with the largest mean error. error: [h, w]."""
    height, width = error.shape
    wide = min(max(LEAST_PART, width // 8), width)
    tall = min(wide * 3 // 4, height)
    summed = np.pad(error.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = summed[tall:, wide:] - summed[:-tall, wide:] - summed[tall:, :-wide] + summed[:-tall, :-wide]
    top, left = np.unravel_index(int(np.argmax(inside)), inside.shape)
    return Box(left=int(left), top=int(top), width=wide, height=tall)


def _column(title: str, picture: Picture, truth: Picture | None, box: Box) -> Column:
    whole, part = _reduced(picture), box.of(picture)
    if truth is None:
        return Column(title=title, whole=_uri(whole, "WEBP"), part=_uri(part, "PNG"))
    apart = _heat(truth, picture)
    return Column(
        title=title,
        whole=_uri(whole, "WEBP"),
        part=_uri(part, "PNG"),
        whole_difference=_uri(_reduced(apart), "WEBP"),
        part_difference=_uri(box.of(apart), "PNG"),
    )


def _reduced(picture: Picture) -> Picture:
    """The frame reduced to at most `WIDEST` pixels in width, by averaging whole cells."""
    _, height, width = picture.shape
    factor = -(-width // WIDEST)
    padded = np.pad(picture, ((0, 0), (0, -height % factor), (0, -width % factor)), mode="edge")
    cells = padded.reshape(3, padded.shape[1] // factor, factor, padded.shape[2] // factor, factor)
    return np.rint(cells.mean((2, 4))).astype(np.uint8)


def _heat(truth: Picture, made: Picture) -> Picture:
    """The largest difference of the three channels times `GAIN` as black, red, yellow, white."""
    apart = GAIN * np.abs(truth.astype(np.int16) - made).max(0)
    return np.stack([np.clip(3 * apart - 255 * step, 0, 255) for step in range(3)]).astype(np.uint8)


def _uri(picture: Picture, kind: str) -> str:
    data = encode(torch.from_numpy(np.ascontiguousarray(picture)), kind, 90)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data).decode()}"
