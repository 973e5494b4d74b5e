"""Pages, slides, lyrics, code, subtitles and titles, drawn with real fonts: what recordings of a screen show."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from scenes.material import Material, fit

__all__ = ["POINTER", "Style", "banner", "code", "document", "lyrics", "pointed", "slide", "subtitled", "ticker"]

type Bytes = NDArray[np.uint8]
type Colour = tuple[int, int, int]
type Size = tuple[int, int]
type Range = tuple[int, int]

FACES = (
    "DejaVuSans",
    "DejaVuSerif",
    "DejaVuSans-Bold",
    "DejaVuSansCondensed",
    "DejaVuSerif-Bold",
    "DejaVuSerifCondensed-Italic",
)
MONOSPACED = ("DejaVuSansMono", "DejaVuSansMono-Bold")
LIGHT_GROUNDS: tuple[Colour, ...] = (
    (255, 255, 255),
    (250, 248, 240),
    (236, 240, 245),
    (253, 246, 227),
    (225, 225, 225),
)
DARK_GROUNDS: tuple[Colour, ...] = ((0, 0, 0), (30, 30, 30), (13, 17, 23), (0, 43, 54), (24, 32, 72))
ACCENTS: tuple[Colour, ...] = ((0, 90, 170), (170, 40, 40), (20, 120, 70), (200, 120, 0), (110, 60, 160))
POINTER = ((0, 0), (0, 16), (4, 13), (7, 19), (10, 18), (7, 12), (12, 12))


@dataclass(frozen=True, kw_only=True)
class Style:
    """Of a text: font, size in pixels, colours."""

    face: str
    size: int
    ground: Colour
    ink: Colour
    accent: Colour

    @property
    def font(self) -> ImageFont.FreeTypeFont:
        """At the style's size."""
        return ImageFont.truetype(f"{self.face}.ttf", self.size)

    @property
    def step(self) -> int:
        """From line to line."""
        return round(self.size * 1.45)

    @classmethod
    def drawn(
        cls, rng: np.random.Generator, sizes: tuple[int, int] = (11, 18), faces: Sequence[str] = FACES
    ) -> "Style":
        """A style by chance, light or dark."""
        dark = rng.random() < 0.4
        ground = (DARK_GROUNDS if dark else LIGHT_GROUNDS)[rng.integers(5)]
        shade = int(rng.integers(200, 256) if dark else rng.integers(0, 70))
        accent = ACCENTS[rng.integers(len(ACCENTS))]
        return cls(
            face=faces[int(rng.integers(len(faces)))],
            size=int(rng.integers(*sizes)),
            ground=ground,
            ink=(shade, shade, shade),
            accent=tuple(min(255, c + 70) for c in accent) if dark else accent,  # type: ignore[arg-type]
        )

    def columns(self, width: int) -> int:
        """Letters that go into so many pixels."""
        return max(6, int(width / (self.font.getlength("the quick brown fox") / 19)))


def _canvas(size: Size, ground: Colour) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", size, ground)
    return image, ImageDraw.Draw(image)


def document(size: Size, style: Style, lines: Sequence[str], top: int | None = None) -> Bytes:
    """Lines from the top, in a margin; words in the accent's colour here and there would be links."""
    image, draw = _canvas(size, style.ground)
    margin = size[0] // 16
    y = margin if top is None else top
    for line in lines:
        draw.text((margin, y), line, font=style.font, fill=style.ink)
        y += style.step
    return np.asarray(image)


def code(size: Size, style: Style, lines: Sequence[str], first: int = 1) -> Bytes:
    """Lines of a program with their numbers; comments and definitions in colours."""
    image, draw = _canvas(size, style.ground)
    grey: Colour = tuple((a + b) // 2 for a, b in zip(style.ground, style.ink, strict=True))  # type: ignore[assignment]
    for k, line in enumerate(lines):
        y = 8 + k * style.step
        draw.text((6, y), f"{first + k:4}", font=style.font, fill=grey)
        known = line.lstrip()
        ink = (
            grey
            if known.startswith("#")
            else style.accent
            if known.startswith(("def", "class", "import"))
            else style.ink
        )
        draw.text((6 + 3 * style.size, y), line, font=style.font, fill=ink)
    return np.asarray(image)


def slide(
    size: Size,
    style: Style,
    material: Material,
    rng: np.random.Generator,
    *,
    logo: Image.Image | None,
    bullets: int,
    picture: bool,
    shown: int | None = None,
) -> Bytes:
    """A title, so many bullets (of which ``shown`` are seen), a picture at the right, a logo, a footer that stays."""
    image, draw = _canvas(size, style.ground)
    w, h = size
    big = replace(style, size=round(style.size * 1.5))
    draw.rectangle((0, h - h // 14, w, h), fill=style.accent)
    draw.rectangle((0, 0, w, 5), fill=style.accent)
    draw.text((w // 16, h // 12), material.words(rng, int(rng.integers(2, 5))), font=big.font, fill=style.accent)
    room = w * 7 // 8 if not picture else w // 2 - w // 16
    y = h // 12 + big.step + style.step // 2
    texts = ["\n".join(material.lines(rng, int(rng.integers(1, 3)), style.columns(room) - 4)) for _ in range(bullets)]
    for text in texts[: bullets if shown is None else shown]:
        draw.text((w // 16, y), "• " + text.replace("\n", "\n   "), font=style.font, fill=style.ink)
        y += style.step * (text.count("\n") + 1) + style.step // 3
    if picture:
        photo = material.photos[rng.integers(len(material.photos))]
        place = (w * 3 // 8, h // 2)
        image.paste(Image.fromarray(fit(photo, place)), (w - place[0] - w // 24, h // 4))
    if logo is not None:
        image.paste(logo, (w - logo.width - 10, 10), logo)
    return np.asarray(image)


def lyrics(ground: Bytes, style: Style, lines: Sequence[str], sung: float = 0.0, down: int = 0) -> Bytes:
    """Centred lines on a ground; the share ``sung`` of them is in the accent's colour."""
    image = Image.fromarray(ground)
    draw = ImageDraw.Draw(image)
    w, h = image.size
    y = (h - style.step * len(lines)) // 2 + down
    for k, line in enumerate(lines):
        x = (w - style.font.getlength(line)) / 2
        draw.text((x, y), line, font=style.font, fill=style.ink)
        letters = int(np.clip(sung * len(lines) - k, 0, 1) * len(line))
        draw.text((x, y), line[:letters], font=style.font, fill=style.accent)
        y += style.step
    return np.asarray(image)


def subtitled(frame: Bytes, lines: Sequence[str], size: int, boxed: bool) -> Bytes:
    """One or two centred lines below, white with a black edge, or in a black box."""
    image = Image.fromarray(frame)
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype("DejaVuSans-Bold.ttf", size)
    w, h = image.size
    y = h - h // 12 - round(1.35 * size) * len(lines)
    for line in lines:
        length = font.getlength(line)
        x = (w - length) / 2
        if boxed:
            draw.rectangle((x - 4, y - 1, x + length + 4, y + round(1.3 * size)), fill=(0, 0, 0))
        draw.text((x, y), line, font=font, fill=(255, 255, 255), stroke_width=max(1, size // 12), stroke_fill=(0, 0, 0))
        y += round(1.35 * size)
    return np.asarray(image)


def banner(size: Size, style: Style, material: Material, rng: np.random.Generator) -> Bytes:
    """Large text on the accent's ground: a caption, a chat, a score."""
    text_size = int(np.clip(min(size) // 4, 9, 26))
    style = replace(style, size=text_size, ground=style.accent, ink=(255, 255, 255))
    count = max(1, (size[1] - 6) // style.step)
    return document(size, style, material.lines(rng, count, style.columns(size[0] * 7 // 8)), top=4)


def ticker(size: Size, style: Style, material: Material, rng: np.random.Generator) -> Bytes:
    """One line of text over the whole width."""
    style = replace(style, size=max(9, round(size[1] * 0.55)))
    image, draw = _canvas(size, style.ground)
    draw.text((4, size[1] // 6), material.words(rng, size[0] // style.size + 30), font=style.font, fill=style.ink)
    return np.asarray(image)


def pointed(frame: Bytes, x: float, y: float, scale: float = 1.0) -> Bytes:
    """With the pointer of a mouse."""
    image = Image.fromarray(frame)
    corners = [(x + scale * a, y + scale * b) for a, b in POINTER]
    ImageDraw.Draw(image).polygon(corners, fill=(255, 255, 255), outline=(0, 0, 0))
    return np.asarray(image)
