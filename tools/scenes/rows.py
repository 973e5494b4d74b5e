"""Every row, in the order of the tables."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenes import screens, stills, things
from scenes.case import Case, Row
from scenes.effects import CAMERA, LIGHT, OVERLAYS, Draw, darkened, pq, white_flash
from scenes.material import Material, decoded, fit
from scenes.shots import Shots, Window

__all__ = ["ROWS", "cases_of"]

type Bytes = NDArray[np.uint8]
type Size = tuple[int, int]
type Change = Callable[[Bytes, Draw], NDArray[Any]]
type Making = Callable[[Material, np.random.Generator], Iterator[Case]]

CUTS, OTHERS = 60, 80


def neighbours(step: int, size: Size, others: int, hard: int) -> Making:
    """Edited cuts alone (all of them), and pairs without, with the hardest."""

    def made(material: Material, rng: np.random.Generator) -> Iterator[Case]:
        shots = Shots(material, rng)
        for window in (*shots.edited(step), *shots.moving(others, step), *shots.hard(hard, step)):
            yield Case(name=window.name, cut=window.cut, frames=window.frames(size))

    return made


def shown(size: Size, change: Change | None = None, share: float = 1.0) -> Making:
    """Windows of clips (cuts edited and joined, motion), changed; that share of the usual number of cases."""

    def made(material: Material, rng: np.random.Generator) -> Iterator[Case]:
        cuts, others = round(CUTS * share), round(OTHERS * share)
        for window in Shots(material, rng).both(cuts, others, hard=others // 4):
            frames = window.frames(size)
            yield Case(
                name=window.name,
                cut=window.cut,
                frames=change(frames, Draw(rng=rng, cut=window.cut)) if change else frames,
            )

    return made


def laid_over(name: str, size: Size) -> Making:
    """Something lies over all seven frames."""

    def made(material: Material, rng: np.random.Generator) -> Iterator[Case]:
        for window in Shots(material, rng).both(CUTS, OTHERS, hard=20):
            frames = OVERLAYS[name](window.frames(size), rng, material)
            yield Case(name=window.name, cut=window.cut, frames=frames)

    return made


def dissolved(over: int) -> Making:
    """Within a dissolve over so many frames. Cuts: to a scene that begins to dissolve into another at once."""

    def made(material: Material, rng: np.random.Generator) -> Iterator[Case]:
        shots, size = Shots(material, rng), (320, 180)
        mixed = [window.frames(size) for window in shots.moving(CUTS + OTHERS)]
        rng.shuffle(mixed)
        for window, other in zip(shots.both(CUTS, OTHERS), mixed, strict=True):
            frames = window.frames(size).astype(np.float64)
            first = int(rng.integers(0, over - 1))
            shares = np.clip((first + np.arange(7) - 3) / over, 0, 1)
            if window.cut:
                shares = np.clip((np.arange(7) - 3) / over, 0, 1)
            s = shares[:, None, None, None]
            whole = np.rint(frames * (1 - s) + other * s).astype(np.uint8)
            yield Case(name=f"{window.name}, {over} frames from {first}", cut=window.cut, frames=whole)

    return made


def held(every: int) -> Making:
    """Clips of which each so-manyth frame stays that long; a new one comes at frame 4."""

    def made(material: Material, rng: np.random.Generator) -> Iterator[Case]:
        for window in Shots(material, rng).both(CUTS, OTHERS, step=every, hard=20):
            # The window has frames `every` apart; of those, 2 + k are seen.
            seen = [3 + -(-(k - 3) // every) for k in range(7)]
            frames = window.frames((320, 180))[seen]
            yield Case(name=window.name, cut=window.cut, frames=frames)

    return made


def large(material: Material, rng: np.random.Generator) -> Iterator[Case]:
    """1280 x 720, as decoded."""
    shots = Shots(material, rng)
    windows: Sequence[Window] = [*shots.joined(6), *shots.moving(6), *shots.hard(4)]
    for window in windows:
        frames = np.stack([fit(next(decoded(clip.path, 1280, [n])), (1280, 720)) for clip, n in window.places])
        yield Case(name=window.name, cut=window.cut, frames=frames)


def _camera(name: str) -> Making:
    return shown((480, 270), CAMERA[name])


def _light(name: str) -> Making:
    return shown((320, 180), LIGHT[name])


def _dark(contrast: float, bits: int) -> Making:
    return shown((320, 136), lambda frames, _: darkened(frames, contrast, bits))


def _pq(nits: float) -> Making:
    return shown((320, 136), lambda frames, _: pq(frames, nits, 10))


PERCENT = (5, 10, 15, 20, 25, 33)
GAINS = (0.5, 0.75, 1.5, 2.0)

ROWS: tuple[Row, ...] = (
    Row(name="neighbours", make=neighbours(1, (320, 180), 400, 100)),
    Row(name="apart-2", make=neighbours(2, (320, 180), 300, 60)),
    Row(name="apart-4", make=neighbours(4, (320, 136), 300, 60)),
    Row(name="joined", make=shown((320, 180))),
    Row(name="odd-size", make=shown((317, 179))),
    Row(name="portrait", make=shown((180, 320))),
    Row(name="small", make=shown((160, 120))),
    Row(name="wide-640", make=shown((640, 272), share=0.4)),
    Row(name="large-1280", make=large),
    Row(name="dark-8-8bit", make=_dark(0.08, 8), limited=True),
    Row(name="dark-8-10bit", make=_dark(0.08, 10), bits=10, limited=True),
    Row(name="dark-4-8bit", make=_dark(0.04, 8), limited=True),
    Row(name="dark-4-10bit", make=_dark(0.04, 10), bits=10, limited=True),
    Row(name="pq-100", make=_pq(100), bits=10, transfer="st2084"),
    Row(name="pq-5", make=_pq(5), bits=10, transfer="st2084"),
    *(Row(name=name, make=laid_over(name, (320, 180))) for name in OVERLAYS),
    Row(name="pages", make=screens.pages),
    Row(name="slides", make=screens.slides),
    Row(name="lyrics", make=screens.lyric_lines),
    Row(name="code", make=screens.codes),
    Row(name="slide-build", make=screens.builds, apart=True),
    *(Row(name=f"scroll-{speed}", make=screens.scrolls(speed)) for speed in (3, 8, 20, 40)),
    Row(name="scroll-sideways", make=screens.sideways),
    Row(name="credits", make=screens.credits),
    Row(name="subtitles", make=screens.subtitles),
    Row(name="things", make=things.things),
    Row(name="thing-replaced", make=things.replaced, apart=True),
    Row(name="drawings-twos", make=things.drawings(2)),
    Row(name="drawings-threes", make=things.drawings(3)),
    Row(name="clips-on-twos", make=held(2)),
    Row(name="clips-on-threes", make=held(3)),
    *(Row(name=name, make=_light(name)) for name in LIGHT),
    Row(name="dissolve-12", make=dissolved(12)),
    Row(name="dissolve-24", make=dissolved(24)),
    Row(name="flash-to-white", make=shown((320, 180), white_flash(0.97, 1.0)), apart=True),
    *(Row(name=name, make=_camera(name)) for name in CAMERA),
    *(Row(name=f"pan-{percent}", make=stills.panned(percent / 100)) for percent in PERCENT),
    Row(name="tilt-20", make=stills.panned(0, 0.2)),
    Row(name="zoom-12", make=stills.zoomed(0.12, 0)),
    Row(name="turn-8", make=stills.zoomed(0, 8)),
    *(Row(name=f"gain-{gain:g}", make=stills.changed(stills.gained(gain))) for gain in GAINS),
    Row(name="offset-down-40", make=stills.changed(stills.gained(1, -40))),
    Row(name="offset-up-40", make=stills.changed(stills.gained(1, 40))),
    Row(name="photos", make=stills.photos),
    Row(name="textures", make=stills.textures),
    Row(name="black", make=stills.to_black),
)


def cases_of(row: Row, material: Material, seed: int) -> list[Case]:
    """The row's cases, the same for the same seed."""
    number = sum(ord(letter) * 31**k for k, letter in enumerate(row.name)) % (1 << 31)
    return list(row.make(material, np.random.default_rng([seed, number, material.half == "held"])))
