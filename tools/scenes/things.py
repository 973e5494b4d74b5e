"""Rows of drawn pictures: one thing or a few that move over plain ground, and cartoons on twos and threes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from scenes.case import Case
from scenes.material import Material, fit
from scenes.text import POINTER

__all__ = ["drawings", "replaced", "things"]

type Bytes = NDArray[np.uint8]
type Size = tuple[int, int]

SIZE = (640, 360)
COUNT = 40


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A picture with alpha, where its middle is at the pair's first frame, and how it moves and turns a frame."""

    name: str
    image: Image.Image
    place: tuple[float, float]
    speed: tuple[float, float]
    turn: float = 0.0

    def onto(self, ground: Image.Image, k: float) -> None:
        """Draw it as it is k frames after the pair's first."""
        image = self.image
        if self.turn:
            image = image.rotate(self.turn * k, Image.Resampling.BICUBIC, expand=True)
        x = round(self.place[0] + self.speed[0] * k - image.width / 2)
        y = round(self.place[1] + self.speed[1] * k - image.height / 2)
        ground.paste(image, (x, y), image)


def _box(rng: np.random.Generator, colour: tuple[int, ...]) -> Image.Image:
    return Image.new("RGBA", (int(rng.integers(24, 150)), int(rng.integers(24, 150))), colour)


def _ball(rng: np.random.Generator, colour: tuple[int, ...]) -> Image.Image:
    side = int(rng.integers(20, 140))
    image = Image.new("RGBA", (side * 4, side * 4), (*colour[:3], 0))
    ImageDraw.Draw(image).ellipse((0, 0, side * 4 - 1, side * 4 - 1), fill=colour)
    return image.resize((side, side), Image.Resampling.BOX)


def _pointer(rng: np.random.Generator) -> Image.Image:
    scale = rng.uniform(1.0, 3.0)
    image = Image.new("RGBA", (round(14 * scale), round(21 * scale)), (0, 0, 0, 0))
    corners = [(scale * x + 1, scale * y + 1) for x, y in POINTER]
    ImageDraw.Draw(image).polygon(corners, fill=(255, 255, 255, 255), outline=(0, 0, 0, 255))
    return image


def _title(rng: np.random.Generator, colour: tuple[int, ...], words: str) -> Image.Image:
    face = ImageFont.truetype("DejaVuSans-Bold.ttf", int(rng.integers(16, 56)))
    left, top, right, bottom = face.getbbox(words)
    image = Image.new("RGBA", (round(right - left) + 4, round(bottom - top) + 4), (*colour[:3], 0))
    ImageDraw.Draw(image).text((2 - left, 2 - top), words, font=face, fill=colour)
    return image


def _sprite(material: Material, rng: np.random.Generator, sizes: tuple[int, int] = (40, 200)) -> Image.Image:
    image = material.sprites[rng.integers(len(material.sprites))].copy()
    side = int(rng.integers(*sizes))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _colour(rng: np.random.Generator, away_from: Bytes | None = None) -> tuple[int, int, int, int]:
    """By chance, and seen against the ground."""
    while True:
        colour = rng.integers(0, 256, 3)
        if away_from is None or abs(float(colour.mean()) - float(away_from.mean())) > 50:
            return int(colour[0]), int(colour[1]), int(colour[2]), 255


def _thing(material: Material, rng: np.random.Generator, ground: Bytes) -> Thing:
    kind = str(rng.choice(["box", "ball", "logo", "pointer", "title"], p=[0.25, 0.2, 0.3, 0.1, 0.15]))
    colour = _colour(rng, ground)
    if kind == "box":
        image = _box(rng, colour)
    elif kind == "ball":
        image = _ball(rng, colour)
    elif kind == "pointer":
        image = _pointer(rng)
    elif kind == "title":
        image = _title(rng, colour, material.words(rng, int(rng.integers(1, 4))))
    else:
        image = _sprite(material, rng)
    pace, angle = float(rng.choice([4, 8, 12, 16, 24, 32, 40, 60])), rng.choice([0, 90, 180, 270, 30, 135, 200, 315])
    speed = (pace * np.cos(np.deg2rad(angle)), pace * np.sin(np.deg2rad(angle)))
    # Both frames of the pair hold the thing whole, as far as it goes in.
    place = tuple(
        float(rng.uniform(*sorted((side / 2 - min(v, 0), length - side / 2 - max(v, 0)))))
        for side, length, v in zip(image.size, SIZE, speed, strict=True)
    )
    turn = float(rng.uniform(-12, 12)) if rng.random() < 0.3 and kind in ("box", "logo") else 0.0
    return Thing(name=f"{kind} {pace:.0f} px", image=image, place=place, speed=speed, turn=turn)  # type: ignore[arg-type]


def _plain(rng: np.random.Generator) -> Bytes:
    """Plain ground, a gradient, or one with dither."""
    first, second = (rng.integers(0, 256, 3).astype(np.float64) for _ in range(2))
    kind = rng.integers(3)
    second = first if kind == 0 else first * 0.6 + second * 0.4
    axis = np.linspace(0, 1, SIZE[1])[:, None] if rng.random() < 0.5 else np.linspace(0, 1, SIZE[0])[None, :]
    share = np.broadcast_to(axis, (SIZE[1], SIZE[0]))[..., None]
    ground = first * (1 - share) + second * share
    if kind == 2:
        ground = ground + rng.uniform(-1.5, 1.5, (*ground.shape[:2], 1))
    return np.clip(np.rint(ground), 0, 255).astype(np.uint8)


def _scene(ground: Bytes, moving: list[Thing], ks: list[float]) -> list[Bytes]:
    frames = []
    for k in ks:
        image = Image.fromarray(ground)
        for thing in moving:
            thing.onto(image, k)
        frames.append(np.asarray(image))
    return frames


def things(material: Material, rng: np.random.Generator) -> Iterator[Case]:
    """One thing or three over plain ground, 4 to 60 pixels a frame. Cuts: another ground and other things."""
    for number in range(3 * COUNT):
        cut = number < COUNT
        scenes, names = [], []
        grounds = [_plain(rng)]
        while cut and len(grounds) < 2:
            other = _plain(rng)
            if abs(float(other.mean()) - float(grounds[0].mean())) > 25:
                grounds.append(other)
        for ground in grounds:
            moving = [_thing(material, rng, ground) for _ in range(1 if rng.random() < 0.7 else 3)]
            names.append(" and ".join(thing.name for thing in moving))
            scenes.append(_scene(ground, moving, [k - 3.0 for k in range(7)]))
        frames = scenes[0][:4] + scenes[-1][4:]
        yield Case(name=" | ".join(names), cut=cut, frames=np.stack(frames))


def replaced(material: Material, rng: np.random.Generator) -> Iterator[Case]:
    """The ground stays, the thing is another one elsewhere."""
    for _ in range(COUNT):
        ground = _plain(rng)
        left, right = (_thing(material, rng, ground) for _ in range(2))
        ks = [k - 3.0 for k in range(7)]
        frames = _scene(ground, [left], ks)[:4] + _scene(ground, [right], ks)[4:]
        yield Case(name=f"{left.name} | {right.name}", cut=True, frames=np.stack(frames))


def _flattened(picture: Bytes, colours: int) -> Bytes:
    image = Image.fromarray(picture).quantize(colours, dither=Image.Dither.NONE)
    return np.asarray(image.convert("RGB"))


def _backdrop(material: Material, rng: np.random.Generator) -> Bytes:
    """Twice as wide as the picture: sky and ground, a gradient, or a photo in few colours."""
    w, h = SIZE[0] * 2, SIZE[1]
    kind = rng.integers(3)
    if kind == 0:
        image = Image.new("RGB", (w, h), _colour(rng)[:3])
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, int(rng.uniform(0.5, 0.8) * h), w, h), fill=_colour(rng)[:3])
        for _ in range(int(rng.integers(3, 14))):  # hills, windows, trees
            x, y = rng.uniform(0, w), rng.uniform(0, h)
            a, b = rng.uniform(10, 90), rng.uniform(10, 60)
            shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
            shape((x - a, y - b, x + a, y + b), fill=_colour(rng)[:3])
        return np.asarray(image)
    if kind == 1:
        ground = fit(_plain(rng), (w, h))
        image = Image.fromarray(ground)
        draw = ImageDraw.Draw(image)
        for _ in range(int(rng.integers(2, 7))):
            corners = [(rng.uniform(0, w), rng.uniform(0, h)) for _ in range(3)]
            draw.polygon(corners, fill=_colour(rng)[:3])
        return np.asarray(image)
    photo = material.photos[rng.integers(len(material.photos))]
    return _flattened(fit(photo, (w, h)), int(rng.integers(6, 20)))


@dataclass(frozen=True, kw_only=True)
class Cartoon:
    """A backdrop, figures on it, and how far it pans a frame."""

    backdrop: Bytes
    figures: list[Thing]
    pan: float

    def frame(self, drawing: float, panned: float) -> Bytes:
        """Figures as they are at ``drawing`` (in frames from the pair's first), the camera as it is at ``panned``."""
        middle = (self.backdrop.shape[1] - SIZE[0]) / 2
        x = round(float(np.clip(middle + self.pan * panned, 0, 2 * middle)))
        image = Image.fromarray(self.backdrop[:, x : x + SIZE[0]])
        for figure in self.figures:
            figure.onto(image, drawing)
        return np.asarray(image)


def _cartoon(material: Material, rng: np.random.Generator) -> Cartoon:
    figures = []
    for _ in range(int(rng.integers(1, 5))):
        image = _sprite(material, rng, (80, 280))
        flat = Image.fromarray(_flattened(np.asarray(image.convert("RGB")), 12))
        flat.putalpha(image.getchannel("A"))
        place = (float(rng.uniform(0.1, 0.9) * SIZE[0]), float(rng.uniform(0.4, 0.85) * SIZE[1]))
        pace = rng.choice([0, 2, 4, 8, 12])
        angle = rng.uniform(0, 2 * np.pi)
        speed = (float(pace * np.cos(angle)), float(pace * np.sin(angle) * 0.4))
        turn = float(rng.uniform(-4, 4)) if rng.random() < 0.4 else 0.0
        figures.append(Thing(name="figure", image=flat, place=place, speed=speed, turn=turn))
    pan = float(rng.choice([0, 0, 2, 6, 12, 20, -4, -10]))
    return Cartoon(backdrop=_backdrop(material, rng), figures=figures, pan=pan)


def drawings(every: int) -> Callable[[Material, np.random.Generator], Iterator[Case]]:
    """A cartoon whose drawings stay for so many frames; one comes at frame 4. It pans each frame, or each drawing."""

    def made(material: Material, rng: np.random.Generator) -> Iterator[Case]:
        for number in range(2 * COUNT):
            cut = number < COUNT
            cartoons = [_cartoon(material, rng) for _ in range(2)]
            held_pan = bool(rng.random() < 0.5)
            frames = []
            for k in range(7):
                drawing = (k - 4) // every * every + 1  # frames 4 and on are drawing 1, those before it 1 - every
                cartoon = cartoons[1 if cut and k > 3 else 0]
                frames.append(cartoon.frame(drawing, drawing if held_pan else k - 3))
            yield Case(name=f"on {every}s, pan {cartoons[0].pan:.0f}", cut=cut, frames=np.stack(frames))

    return made
