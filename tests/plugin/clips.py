"""Clips and helpers for tests that go through VapourSynth."""

from collections.abc import Iterable

import numpy as np
import vapoursynth as vs


def numbered(length: int = 6, width: int = 64, height: int = 32, format: int | None = None, **options):
    """A clip whose frame n has the value n * 10 (or n / 10 for floats) in each plane; no scene props."""
    format = format or vs.YUV420P8
    clip = vs.core.std.BlankClip(width=width, height=height, format=format, length=length, **options)

    def fill(n, f):
        made = f.copy()
        for plane in made:
            np.asarray(plane)[...] = n / 10 if made.format.sample_type == vs.FLOAT else n * 10
        return made

    return clip.std.ModifyFrame(clip, fill)


def textured(
    length: int = 4,
    width: int = 96,
    height: int = 64,
    format: int | None = None,
    step: float = 3.0,
    **options,
):
    """A clip of smooth texture that moves ``step`` pixels to the right each frame."""
    format = format or vs.YUV420P8
    clip = vs.core.std.BlankClip(width=width, height=height, format=format, length=length, **options)

    def draw(n, f):
        made = f.copy()
        for index, plane in enumerate(made):
            samples = np.asarray(plane)
            rows, columns = samples.shape
            y, x = np.mgrid[:rows, :columns].astype(np.float64)
            x = x * (width / columns) - step * n
            y = y * (height / rows)
            wave = 0.5 + 0.2 * np.sin(x / 7 + index) + 0.15 * np.cos(y / 5 + x / 11) + 0.1 * np.sin((x + 2 * y) / 17)
            if made.format.sample_type == vs.FLOAT:
                samples[...] = wave - (0.5 if index and made.format.color_family == vs.YUV else 0)
            else:
                samples[...] = np.round(wave * ((1 << made.format.bits_per_sample) - 1))
        return made

    return clip.std.ModifyFrame(clip, draw)


def scene(seed: int, length: int = 3, width: int = 128, height: int = 96, format: int | None = None):
    """A clip of one scene: rectangles of random places, sizes and shades, all moving 2 pixels a frame."""
    format = format or vs.YUV420P8
    clip = vs.core.std.BlankClip(width=width, height=height, format=format, length=length)
    rng = np.random.default_rng(seed)
    boxes = [(*rng.integers(0, (height, width)), *rng.integers(8, 40, 2), rng.integers(16, 236)) for _ in range(60)]

    def draw(n, f):
        made = f.copy()
        luma = np.asarray(made[0])
        luma[...] = 90
        for y, x, tall, wide, shade in boxes:
            luma[y : y + tall, x + 2 * n : x + 2 * n + wide] = shade
        return made

    return clip.std.ModifyFrame(clip, draw)


def samples(frame) -> list[np.ndarray]:
    """Copies of a frame's planes."""
    return [np.array(plane) for plane in frame]


def digest(clip, order: Iterable[int] | None = None) -> dict[int, bytes]:
    """Every frame's bytes, hashed, asked for in the given order."""
    import hashlib

    found = {}
    for n in order if order is not None else range(len(clip)):
        with clip.get_frame(n) as frame:
            found[n] = hashlib.sha256(b"".join(plane.tobytes() for plane in samples(frame))).digest()
    return found


def with_props(clip, by_frame: dict[int, dict[str, object]]):
    """``clip`` with properties set on single frames; a value of None removes the property."""

    def change(n, f):
        made = f.copy()
        for key, value in by_frame.get(n, {}).items():
            if value is None:
                made.props.pop(key, None)
            else:
                made.props[key] = value
        return made

    return clip.std.ModifyFrame(clip, change)
