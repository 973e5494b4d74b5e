"""Rows made from still pictures: the camera over a photo, its light, and one photo after another."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from scenes.case import Case
from scenes.effects import views
from scenes.material import Material, fit

__all__ = ["changed", "panned", "photos", "textures", "to_black"]

type Bytes = NDArray[np.uint8]

SIZE = (320, 180)
COUNT = 40
type Making = Callable[[Material, np.random.Generator], Iterator[Case]]


def _moved(photo: Bytes, step: tuple[float, float], rng: np.random.Generator) -> Bytes:
    """Seven views at steps of that many pixels; the camera stops at the photo's edges."""
    lengths = np.array(photo.shape[1::-1]) - np.array(SIZE)
    starts = []
    for slack, pixels in zip(lengths, step, strict=True):
        low, high = max(0.0, -pixels), slack - max(0.0, pixels)
        first = rng.uniform(low, max(low, high))
        starts.append(np.clip(np.rint(first + pixels * (np.arange(7) - 3)), 0, slack).astype(int))
    return np.stack([photo[y : y + SIZE[1], x : x + SIZE[0]] for x, y in zip(*starts, strict=True)])


def _two(material: Material, rng: np.random.Generator) -> list[Bytes]:
    return [material.photos[i] for i in rng.choice(len(material.photos), 2, replace=False)]


def panned(right: float, down: float = 0.0) -> Making:
    """The camera moves over a photo by so much of the width and height a frame. Cuts: to another one, moving too."""

    def made(material: Material, rng: np.random.Generator) -> Iterator[Case]:
        for number in range(2 * COUNT):
            way = rng.choice([-1, 1])
            step = (float(right * SIZE[0] * way), float(down * SIZE[1] * way))
            left, other = (_moved(photo, step, rng) for photo in _two(material, rng))
            cut = number < COUNT
            yield Case(name=f"view {number}", cut=cut, frames=np.concatenate([left[:4], (other if cut else left)[4:]]))

    return made


def changed(change: Callable[[Bytes, np.random.Generator], Bytes]) -> Making:
    """A photo that stands still, but for what ``change`` does to its seven frames. Cuts: two photos."""

    def made(material: Material, rng: np.random.Generator) -> Iterator[Case]:
        for number in range(2 * COUNT):
            left, other = (_moved(photo, (0, 0), rng) for photo in _two(material, rng))
            cut = number < COUNT
            frames = np.concatenate([left[:4], (other if cut else left)[4:]])
            yield Case(name=f"view {number}", cut=cut, frames=change(frames, rng))

    return made


def gained(gain: float, offset: float = 0.0) -> Callable[[Bytes, np.random.Generator], Bytes]:
    """From frame 4 on the picture is that much brighter."""

    def change(frames: Bytes, _: np.random.Generator) -> Bytes:
        lit = frames.astype(np.float64)
        lit[4:] = lit[4:] * gain + offset
        return np.clip(np.rint(lit), 0, 255).astype(np.uint8)

    return change


def photos(material: Material, rng: np.random.Generator) -> Iterator[Case]:
    """Photo to photo, standing still. Not: they creep by a pixel or two."""
    for number in range(3 * COUNT):
        cut = number < 2 * COUNT
        left, other = (_moved(photo, tuple(rng.integers(-2, 3, 2)), rng) for photo in _two(material, rng))
        yield Case(name=f"view {number}", cut=cut, frames=np.concatenate([left[:4], (other if cut else left)[4:]]))


def textures(material: Material, rng: np.random.Generator) -> Iterator[Case]:
    """Texture to texture. Not: one moves by up to 6 % of the width a frame."""
    wide = [t for t in material.textures if t.shape[1] >= 384]
    for number in range(3 * COUNT):
        cut = number < 2 * COUNT
        pair = [wide[i] for i in rng.choice(len(wide), 2, replace=False)]
        step = tuple(rng.uniform(-9, 9, 2))
        left, other = (_moved(texture, step, rng) for texture in pair)
        yield Case(name=f"texture {number}", cut=cut, frames=np.concatenate([left[:4], (other if cut else left)[4:]]))


def to_black(material: Material, rng: np.random.Generator) -> Iterator[Case]:
    """Black to a photo and a photo to black at once. Not: black that stays, with noise; the first step of a fade."""
    for number in range(2 * COUNT):
        cut, level = number < COUNT, float(rng.choice([0, 16]))
        photo = _moved(_two(material, rng)[0], (0, 0), rng).astype(np.float64)
        frames = np.full(photo.shape, level)
        if cut:
            part = slice(4, 7) if number % 2 else slice(0, 4)
            frames[part] = photo[part]
        elif number % 2:
            frames = frames + rng.normal(0, 1.5, (*frames.shape[:3], 1))
        else:
            shares = np.clip((np.arange(7) - 3) / 24, 0, 1)[:, None, None, None]
            frames = frames * (1 - shares) + photo * shares
        yield Case(name=f"black {number}", cut=cut, frames=np.clip(np.rint(frames), 0, 255).astype(np.uint8))


def zoomed(rate: float, degrees: float) -> Making:
    """The camera goes in, or turns, by so much a frame."""

    def made(material: Material, rng: np.random.Generator) -> Iterator[Case]:
        large = (SIZE[0] * 3 // 2, SIZE[1] * 3 // 2)
        for number in range(2 * COUNT):
            cut, way = number < COUNT, int(rng.choice([-1, 1]))
            left, other = (np.stack([fit(photo, large)] * 7) for photo in _two(material, rng))
            frames = np.concatenate([left[:4], (other if cut else left)[4:]])
            ks = (np.arange(7) - 3.5) * way
            zooms = np.clip(1.25 * (1 + rate) ** ks, 0.8, 2.5)
            yield Case(name=f"view {number}", cut=cut, frames=views(frames, np.zeros((7, 2)), zooms, degrees * ks))

    return made
