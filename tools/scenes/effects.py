"""What is done to a case's seven frames: contrast, signals, pictures laid over, light, grain, the camera.

Each effect is a function of the frames [7, h, w, 3] and a draw (chance, and whether there is a cut). It serves cuts and
motion alike, so that a row has both with the same look. Effects of the camera take larger frames than they give.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scenes.material import Material, fit
from scenes.text import Style, banner, ticker

__all__ = ["CAMERA", "LIGHT", "OVERLAYS", "Draw", "darkened", "luma", "pq", "views"]

type Bytes = NDArray[np.uint8]
type Frames = NDArray[Any]
type Effect = Callable[[Bytes, Draw], Bytes]
type Laid = Callable[[Bytes, np.random.Generator, Material], Bytes]


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What an effect may depend on beside the frames: chance, and whether a scene ends between frames 3 and 4."""

    rng: np.random.Generator
    cut: bool


CUT = 4  # the first frame of the new scene


def luma(frames: Bytes) -> NDArray[np.float64]:
    """BT.709 luma of RGB, 0 to 255."""
    weighted: NDArray[np.float64] = frames @ np.array([0.2126, 0.7152, 0.0722])
    return weighted


def darkened(frames: Bytes, contrast: float, bits: int) -> Frames:
    """Luma of limited range with that much of its contrast above black."""
    peak = 1 << (bits - 8)
    coded = (16 + luma(frames) / 255 * 219 * contrast) * peak
    return np.rint(coded).astype(np.uint8 if bits == 8 else np.uint16)


def pq(frames: Bytes, nits: float, bits: int) -> Frames:
    """RGB shown on a display of that peak (gamma 2.4), as the SMPTE ST 2084 signal of that light."""
    levels = nits / 10000 * (np.arange(256) / 255) ** 2.4
    powered = levels ** (2610 / 16384)
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    signal = ((c1 + c2 * powered) / (1 + c3 * powered)) ** (2523 / 32)
    return np.rint(signal * ((1 << bits) - 1)).astype(np.uint16)[frames]


def _bytes(frames: NDArray[np.floating[Any]]) -> Bytes:
    return np.clip(np.rint(frames), 0, 255).astype(np.uint8)


# What lies over the picture


def _fixed_picture(size: tuple[int, int], rng: np.random.Generator, material: Material) -> Bytes:
    """A part of a photo, or lines of text on plain ground."""
    if rng.random() < 0.4:
        photo = material.photos[rng.integers(len(material.photos))]
        return fit(photo, size)
    return banner(size, Style.drawn(rng), material, rng)


def lowest(share: float) -> Laid:
    """The lowest part is a picture that stays."""

    def laid(frames: Bytes, rng: np.random.Generator, material: Material) -> Bytes:
        _, h, w, _ = frames.shape
        rows = round(h * share)
        frames = frames.copy()
        frames[:, h - rows :] = _fixed_picture((w, rows), rng, material)
        return frames

    return laid


def side_panel(frames: Bytes, rng: np.random.Generator, material: Material) -> Bytes:
    """A quarter of the width, left or right."""
    _, h, w, _ = frames.shape
    columns = round(w / 4)
    place = slice(0, columns) if rng.random() < 0.5 else slice(w - columns, w)
    frames = frames.copy()
    frames[:, :, place] = _fixed_picture((columns, h), rng, material)
    return frames


def scrolling_ticker(frames: Bytes, rng: np.random.Generator, material: Material) -> Bytes:
    """Text that runs through the lowest eighth."""
    count, h, w, _ = frames.shape
    rows, speed = round(h / 8), int(rng.integers(1, 8))
    strip = ticker((w + speed * count, rows), Style.drawn(rng), material, rng)
    frames = frames.copy()
    for k in range(count):
        frames[k, h - rows :] = strip[:, k * speed : k * speed + w]
    return frames


def corner_logo(frames: Bytes, rng: np.random.Generator, material: Material) -> Bytes:
    """A cut-out in a corner, opaque or half so."""
    _, h, w, _ = frames.shape
    sprite = material.sprites[rng.integers(len(material.sprites))].copy()
    sprite.thumbnail((w // 6, h // 5))
    y = rng.choice([h // 16, h - h // 16 - sprite.height])
    x = rng.choice([w // 20, w - w // 20 - sprite.width])
    return np.stack([_over(f, sprite, int(x), int(y), float(rng.choice([1.0, 0.6]))) for f in frames])


def letterbox(frames: Bytes, rng: np.random.Generator, _: Material) -> Bytes:
    """Bars above and below or at both sides, of a sixth to an eighth each, black or nearly."""
    _, h, w, _ = frames.shape
    frames, part, level = frames.copy(), int(rng.integers(6, 9)), int(rng.choice([0, 16]))
    if rng.random() < 0.7:
        frames[:, : h // part] = frames[:, h - h // part :] = level
    else:
        frames[:, :, : w // part] = frames[:, :, w - w // part :] = level
    return frames


def _over(frame: Bytes, sprite: Image.Image, x: int, y: int, opacity: float) -> Bytes:
    whole = Image.fromarray(frame).convert("RGBA")
    faded = sprite.copy()
    faded.putalpha(sprite.getchannel("A").point(lambda a: a * opacity))
    whole.alpha_composite(faded, (x, y))
    return np.asarray(whole.convert("RGB"))


OVERLAYS: dict[str, Laid] = {
    "overlay-quarter": lowest(0.25),
    "overlay-two-fifths": lowest(0.4),
    "overlay-side": side_panel,
    "overlay-ticker": scrolling_ticker,
    "overlay-logo": corner_logo,
    "overlay-letterbox": letterbox,
}


# Light


def _gained(frames: Bytes, gains: NDArray[np.floating[Any]], black: float = 0.0) -> Bytes:
    g = np.asarray(gains, dtype=np.float64)[:, None, None, None]
    return _bytes(black + (frames - black) * g)


def fade(frames: Bytes, draw: Draw) -> Bytes:
    """From or to black over 12 or 24 frames; a cut happens where at least 30 % are seen."""
    over = int(draw.rng.choice([12, 24]))
    reached = draw.rng.integers(int(0.3 * over) + 1 if draw.cut else 1, over + 1)  # by the pair's brighter frame
    gains = np.clip((reached + np.arange(-CUT, 7 - CUT)) / over, 0, 1)
    if draw.rng.random() < 0.5:
        gains = np.clip((reached + np.arange(3, 3 - 7, -1)) / over, 0, 1)
    return _gained(frames, gains)


def gain_flash(frames: Bytes, draw: Draw) -> Bytes:
    """One frame is 1.3 to 2 times as bright, or the next ones fall back."""
    gains = np.ones(7)
    gain = draw.rng.uniform(1.3, 2.0)
    gains[CUT:] = 1 + (gain - 1) * (np.array([1, 0, 0]) if draw.rng.random() < 0.5 else np.array([1, 0.6, 0.3]))
    return _gained(frames, gains)


def white_flash(low: float, high: float) -> Effect:
    """One frame, or one and what is left of it, goes that far to white; before the flash or after."""

    def flashed(frames: Bytes, draw: Draw) -> Bytes:
        white = draw.rng.uniform(low, high)
        shares = np.zeros(7)
        shares[CUT:] = white * (np.array([1, 0, 0]) if draw.rng.random() < 0.5 else np.array([1, 0.5, 0.25]))
        if not draw.cut and draw.rng.random() < 0.3:
            shares = np.array([0, 0, 0, white, 0, 0, 0])
        s = shares[:, None, None, None]
        return _bytes(frames * (1 - s) + 255 * s)

    return flashed


def strobe(frames: Bytes, draw: Draw) -> Bytes:
    """Every other frame is darker, or whiter."""
    odd = (np.arange(7) + int(draw.rng.integers(2))) % 2 == 0
    if draw.rng.random() < 0.6:
        return _gained(frames, np.where(odd, draw.rng.uniform(0.25, 0.7), 1.0))
    s = np.where(odd, draw.rng.uniform(0.3, 0.6), 0.0)[:, None, None, None]
    return _bytes(frames * (1 - s) + 255 * s)


def clipped_gain(frames: Bytes, draw: Draw) -> Bytes:
    """From frame 4 on the light is 1.4 to 2.2 times as bright, and clips."""
    gains = np.ones(7)
    gains[CUT:] = draw.rng.uniform(1.4, 2.2)
    return _gained(frames, gains)


def local_light(frames: Bytes, draw: Draw) -> Bytes:
    """A bright spot for one frame: a muzzle flash, a spark, a lamp."""
    _, h, w, _ = frames.shape
    y, x = draw.rng.uniform(0.15, 0.85) * h, draw.rng.uniform(0.1, 0.9) * w
    radius = draw.rng.uniform(0.06, 0.22) * w
    yy, xx = np.mgrid[:h, :w]
    spot = draw.rng.uniform(120, 300) * np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / (2 * radius**2))
    lit = frames.astype(np.float64)
    lit[CUT] += spot[..., None] * np.array([1.0, 0.95, 0.8])
    return _bytes(lit)


def _grain(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Gaussian noise of luma, half the time of two pixels' size."""
    noise = rng.normal(0, 1, shape[:3])
    if rng.random() < 0.5:
        noise = noise + np.roll(noise, 1, 1) + np.roll(noise, 1, 2) + np.roll(noise, (1, 1), (1, 2))
        noise /= 2
    return noise[..., None] * sigma


def grain(frames: Bytes, draw: Draw) -> Bytes:
    """Noise of 4 to 16 of 255, its own in every frame."""
    return _bytes(frames + _grain(frames.shape, draw.rng.uniform(4, 16), draw.rng))


def dark_grain(frames: Bytes, draw: Draw) -> Bytes:
    """10 to 20 % of the light, grain of 2 to 6 of 255. Without a cut a third are flat but for the grain."""
    dark = frames * draw.rng.uniform(0.1, 0.2) + draw.rng.uniform(4, 16)
    if not draw.cut and draw.rng.random() < 0.34:
        dark = np.full(frames.shape, draw.rng.uniform(8, 40))
    return _bytes(dark + _grain(frames.shape, draw.rng.uniform(2, 6), draw.rng))


LIGHT: dict[str, Effect] = {
    "fade": fade,
    "flash-gain": gain_flash,
    "flash-white": white_flash(0.4, 0.8),
    "strobe": strobe,
    "clipped-gain": clipped_gain,
    "local-light": local_light,
    "grain": grain,
    "dark-grain": dark_grain,
}


# The camera: frames come 1.5 times as large each way as they leave


def views(frames: Bytes, centres: NDArray[Any], zooms: NDArray[Any], degrees: NDArray[Any]) -> Bytes:
    """Each frame's view: its middle (in shares of the result's size from the middle), enlargement and turn."""
    _, h, w, _ = frames.shape
    width, height = round(w / 1.5), round(h / 1.5)
    seen = []
    for frame, (cx, cy), zoom, turn in zip(frames, centres, zooms, degrees, strict=True):
        cos, sin = np.cos(np.deg2rad(turn)) / zoom, np.sin(np.deg2rad(turn)) / zoom
        mx, my = w / 2 + cx * width, h / 2 + cy * height
        matrix = (cos, -sin, mx - cos * width / 2 + sin * height / 2, sin, cos, my - sin * width / 2 - cos * height / 2)
        image = Image.fromarray(frame).transform(
            (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
        )
        seen.append(np.asarray(image))
    return np.stack(seen)


def shake(frames: Bytes, draw: Draw) -> Bytes:
    """The hand trembles by up to 4 % of the picture."""
    return views(frames, draw.rng.uniform(-0.04, 0.04, (7, 2)), np.ones(7), draw.rng.uniform(-1, 1, 7))


def whip(frames: Bytes, draw: Draw) -> Bytes:
    """A pan that is fastest between frames 3 and 4, there up to a third of the width; blurred or not."""
    fastest = draw.rng.uniform(0.12, 0.33)
    steps = np.array([0.1, 0.2, 0.25, 1.0, 0.25, 0.2]) * fastest
    x = np.concatenate([[0], np.cumsum(steps)])
    x = np.clip(x - (x[3] + x[4]) / 2, -0.25, 0.25) * draw.rng.choice([-1, 1])
    centres = np.stack([x, np.zeros(7)], -1)
    return views(frames, centres, np.ones(7), np.zeros(7))


def zoom(frames: Bytes, draw: Draw) -> Bytes:
    """In or out by 2 to 10 % a frame."""
    rate = 1 + draw.rng.uniform(0.02, 0.1) * draw.rng.choice([-1, 1])
    zooms = np.maximum(rate ** (np.arange(7) - 3.5) * (1.1 if rate > 1 else 1.3), 0.7)
    return views(frames, np.zeros((7, 2)), zooms, np.zeros(7))


def rotation(frames: Bytes, draw: Draw) -> Bytes:
    """Turned by 1 to 5 degrees a frame."""
    rate = draw.rng.uniform(1, 5) * draw.rng.choice([-1, 1])
    return views(frames, np.zeros((7, 2)), np.full(7, 1.1), rate * (np.arange(7) - 3.5))


CAMERA: dict[str, Effect] = {"shake": shake, "whip-pan": whip, "zoom": zoom, "rotation": rotation}
