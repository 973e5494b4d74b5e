"""Invented text, rendered once as tiles of alpha: words for signs and credits, lines for subtitles.

The letters are those of the font that Pillow carries, so nothing has to be installed and nothing is read.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from vsrife.errors import RifeError

__all__ = ["LETTER", "LINE", "PAGES", "SIGN", "Text", "make_text"]

SIGN: Final = 256
"""Side of a sign tile; 4 pixels along its edges are empty."""

LINE: Final = (48, 640)
"""Height and width of a line tile."""

LETTER: Final = 32
"""Font size of the lines, pixels: the height of a line, without the space to the next one."""

PAGES: Final = 16
"""The first signs: pages of small letters, as credits are."""

_SIGNS: Final = 48
_LINES: Final = 48
_MARGIN: Final = 4
_OUTLINE: Final = ((7, 3), (5, 5), (3, 7))  # pixels that a point of a letter grows to
_BITMAP: Final = 11  # size of the letters of the font that stands in where Pillow cannot draw scalable ones

_STARTS: Final = (*"bcdfghklmnprstvw", "st", "tr", "br", "ch", "sh", "pl")
_VOWELS: Final = (*"aeiou", "ea", "ou", "ai")
_ENDS: Final = ("", "", "n", "r", "s", "t", "ll", "nd", "rk")


@dataclass(frozen=True, kw_only=True, eq=False)
class Text:
    """signs: uint8 [S, SIGN, SIGN], alpha; sizes: float32 [S, 2], width and height of what is written in the middle.

    lines: uint8 [L, 2, *LINE], alpha of the letters and of the letters with an outline; widths: float32 [L], pixels of
    the letters in the middle. All on one device.
    """

    signs: Tensor
    sizes: Tensor
    lines: Tensor
    widths: Tensor

    def to(self, device: torch.device) -> "Text":
        """The same on another device."""
        return Text(
            signs=self.signs.to(device),
            sizes=self.sizes.to(device),
            lines=self.lines.to(device),
            widths=self.widths.to(device),
        )


def make_text() -> Text:
    """The same text each time, except for differences between versions of Pillow. Raises RifeError without Pillow."""
    random = np.random.default_rng(7)
    pen = _Pen()
    signs = [_sign(random, pen, page=index < PAGES) for index in range(_SIGNS)]
    lines = [_line(random, pen) for _ in range(_LINES)]
    letters = torch.from_numpy(np.stack([_centred(line, *LINE) for line in lines]))
    return Text(
        signs=torch.from_numpy(np.stack([_centred(sign, SIGN, SIGN) for sign in signs])),
        sizes=torch.tensor([(sign.shape[1], sign.shape[0]) for sign in signs], dtype=torch.float32),
        lines=torch.stack((letters, _outlined(letters)), dim=1),
        widths=torch.tensor([line.shape[1] for line in lines], dtype=torch.float32),
    )


class _Pen:
    """Writes lines of text."""

    def __init__(self) -> None:
        try:
            from PIL import Image, ImageDraw, ImageFont, features
        except ImportError as error:
            raise RifeError(
                "synthetic motion needs Pillow, which is not installed; run: pip install 'pillow>=11.3'"
            ) from error
        self._scalable = features.check("freetype2")
        self._image, self._draw, self._fonts = Image, ImageDraw, ImageFont

    def write(self, line: str, size: int, heavy: bool) -> np.ndarray[Any, Any]:
        """Alpha of `line`, uint8 [h, w], 1.25 `size` high whatever the letters; `heavy`: strokes a pixel wider."""
        font = self._fonts.load_default(size) if self._scalable else self._fonts.load_default_imagefont()
        written = size if self._scalable else _BITMAP
        width = max(1, round(font.getlength(line)))
        picture = self._image.new("L", (width, round(1.25 * written)))
        self._draw.Draw(picture).text((0, 0), line, fill=255, font=font)
        if not self._scalable:
            picture = picture.resize((max(1, round(width * size / written)), round(1.25 * size)))
        letters = np.array(picture)
        if heavy:
            letters[:, 1:] = np.maximum(letters[:, 1:], letters[:, :-1])
        return letters


def _word(random: np.random.Generator) -> str:
    parts = [str(random.choice(_STARTS)) + str(random.choice(_VOWELS)) for _ in range(random.integers(1, 4))]
    return "".join(parts) + str(random.choice(_ENDS))


def _words(random: np.random.Generator, longest: int) -> str:
    """Words of up to `longest` characters in all, one at least; in some a number, in some capitals alone."""
    text = _word(random)
    while True:
        number = str(random.integers(1, 2000))
        text, before = text + " " + (number if random.random() < 0.1 else _word(random)), text
        if len(text) > longest:
            before = before.rstrip(",")
            return before.upper() if random.random() < 0.2 else before.capitalize()
        if random.random() < 0.12:
            text += ","


def _line(random: np.random.Generator, pen: _Pen) -> np.ndarray[Any, Any]:
    """A line of a subtitle."""
    text = _words(random, int(random.integers(10, 34))) + str(random.choice((*".!?,.",)))
    return pen.write(text, LETTER, random.random() < 0.5)[:, : LINE[1] - 2 * _MARGIN]


def _sign(random: np.random.Generator, pen: _Pen, *, page: bool) -> np.ndarray[Any, Any]:
    """A number, one to three words below each other, or a page."""
    kind = random.random()
    if page:
        texts = [_words(random, int(random.integers(8, 26))) for _ in range(random.integers(5, 11))]
        size = int(random.integers(14, 24))
    elif kind < 0.3:
        texts = [str(random.choice(["", "", "No. ", "A", "K-"])) + str(random.integers(1, 1000))]
        size = int(random.integers(60, 150))
    else:
        texts = [_word(random).upper() if kind < 0.65 else _word(random) for _ in range(random.integers(1, 4))]
        size = int(random.integers(24, 90))
    heavy = random.random() < 0.5
    room = SIGN - 2 * _MARGIN
    sign = _rows(pen, texts, size, heavy)
    largest = max(sign.shape)
    return sign if largest <= room else _rows(pen, texts, size * room // largest - 1, heavy)


def _rows(pen: _Pen, texts: list[str], size: int, heavy: bool) -> np.ndarray[Any, Any]:
    """Lines below each other, each in the middle; without empty rows above and below them."""
    rows = [pen.write(text, size, heavy) for text in texts]
    widest = max(row.shape[1] for row in rows)
    written = np.concatenate([_centred(row, row.shape[0], widest) for row in rows])
    filled = np.flatnonzero(written.max(1))
    return written[filled[0] : filled[-1] + 1]


def _centred(letters: np.ndarray[Any, Any], height: int, width: int) -> np.ndarray[Any, Any]:
    """Centred in an empty tile."""
    tile: np.ndarray[Any, Any] = np.zeros((height, width), dtype=np.uint8)
    top, left = (height - letters.shape[0]) // 2, (width - letters.shape[1]) // 2
    tile[top : top + letters.shape[0], left : left + letters.shape[1]] = letters
    return tile


def _outlined(letters: Tensor) -> Tensor:
    """Letters [n, h, w] with an outline: grown by three rectangles, which together are nearly a disc."""
    alpha = letters.float()
    grown = [max_pool2d(alpha, size, stride=1, padding=(size[0] // 2, size[1] // 2)) for size in _OUTLINE]
    return torch.stack(grown).amax(0).to(torch.uint8)
