"""What cases are made from: clips, photos, textures, cut-outs and text, in two halves that share nothing.

The half ``tune`` has the training clips and every other picture and text, the half ``held`` the evaluation clips and
the rest: a detector's numbers may be chosen on the one, and are measured on the other.
"""

import json
import sysconfig
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from pydoc_data import topics

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray
from PIL import Image

__all__ = ["HALVES", "Clip", "Material", "fit"]

type Bytes = NDArray[np.uint8]

HALVES = ("tune", "held")
LABELS = Path(__file__).resolve().parents[2] / "tests" / "data" / "cut_labels.json"
WIDTH = 640  # that clips are read at


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A clip's frames [n, h, w, 3], 640 wide, and the frames that are the last before a cut."""

    name: str
    path: Path
    frames: Bytes
    cuts: tuple[int, ...]

    def window(self, n: int, step: int = 1) -> list[int]:
        """The seven frames around the pair n, n + step, that far apart; the first and last frame go on for ever."""
        return [min(max(n + step * (k - 3), 0), len(self.frames) - 1) for k in range(7)]

    def scene(self, n: int) -> int:
        """The number of the scene that frame n is in."""
        return int(np.searchsorted(self.cuts, n))

    def across(self, step: int = 1) -> list[int]:
        """Each n for which a cut lies between frames n and n + step."""
        return sorted(
            {n for cut in self.cuts for n in range(cut - step + 1, cut + 1) if 0 <= n < len(self.frames) - step}
        )

    def within(self, step: int = 1) -> list[int]:
        """Each n for which none does."""
        across = set(self.across(step))
        return [n for n in range(len(self.frames) - step) if n not in across]


class Material:
    """One half of everything. Clips are decoded once, into ``cache``."""

    def __init__(self, folder: Path, half: str, cache: Path) -> None:
        self.half = half
        self._folder = folder
        self._cache = cache
        self._turn = HALVES.index(half)

    @cached_property
    def clips(self) -> list[Clip]:
        """The half's clips."""
        part = ("train", "eval")[self._turn]
        labels: dict[str, list[int]] = json.loads(LABELS.read_text())[part]
        return [self._clip(self._folder / f"clips_{part}" / name, tuple(cuts)) for name, cuts in labels.items()]

    @cached_property
    def photos(self) -> list[Bytes]:
        """Photographs, 480 pixels along the shorter side; those that are wide enough to pan in."""
        pictures = [_short_side(picture, 480) for picture in self._pictures("photos")]
        return [p for p in pictures if p.shape[1] >= 600]

    @cached_property
    def textures(self) -> list[Bytes]:
        """Textures, 384 pixels along the shorter side."""
        return [_short_side(picture, 384) for picture in self._pictures("textures")]

    @cached_property
    def sprites(self) -> list[Image.Image]:
        """Cut-outs with alpha."""
        return [p.convert("RGBA") for p in self._pictures("sprites") if min(p.size) >= 80]

    @cached_property
    def prose(self) -> list[str]:
        """Paragraphs of English."""
        texts = [text for _, text in sorted(topics.topics.items())][self._turn :: 2]
        paragraphs = [" ".join(part.split()) for text in texts for part in text.split("\n\n")]
        return [p for p in paragraphs if len(p) > 120 and p.count("`") + p.count("*") + p.count("=") < 4]

    @cached_property
    def programs(self) -> list[list[str]]:
        """Source files, as lines of at most 90 characters."""
        folder = Path(sysconfig.get_path("stdlib"))
        paths = sorted(p for p in folder.glob("[a-z]*.py") if 20_000 < p.stat().st_size < 80_000)[self._turn :: 2]
        programs = [p.read_text(encoding="utf-8", errors="replace").splitlines() for p in paths]
        return [[line[:90] for line in lines if line.isascii()] for lines in programs]

    def words(self, rng: np.random.Generator, count: int) -> str:
        """That many words on end."""
        said: list[str] = []
        while len(said) < count:
            paragraph = self.prose[rng.integers(len(self.prose))].split()
            start = int(rng.integers(max(1, len(paragraph) - count)))
            said += paragraph[start : start + count]
        return " ".join(said[:count])

    def lines(self, rng: np.random.Generator, count: int, width: int) -> list[str]:
        """That many lines of at most ``width`` characters."""
        found: list[str] = []
        while len(found) < count:
            words = self.prose[rng.integers(len(self.prose))].split()
            paragraph = " ".join(words[int(rng.integers(len(words) // 2)) :])
            found += textwrap.wrap(paragraph, max(width, 8))
            if rng.random() < 0.3:
                found.append("")
        return found[:count]

    def _pictures(self, name: str) -> Iterator[Image.Image]:
        for path in sorted((self._folder / name).iterdir())[self._turn :: 2]:
            yield Image.open(path)

    def _clip(self, path: Path, cuts: tuple[int, ...]) -> Clip:
        cached = self._cache / f"{path.name}.npy"
        if not cached.exists():
            self._cache.mkdir(parents=True, exist_ok=True)
            part = cached.with_suffix(".part.npy")
            np.save(part, np.stack(list(decoded(path, WIDTH))))
            part.rename(cached)
        return Clip(name=path.stem, path=path, frames=np.load(cached, mmap_mode="r"), cuts=cuts)


def decoded(path: Path, width: int, numbers: Sequence[int] | None = None) -> Iterator[Bytes]:
    """A clip's frames (or those of the given numbers) as RGB of that width."""
    clip = _source(path)
    height = round(clip.height * width / clip.width / 2) * 2
    matrix = clip.get_frame(0).props.get("_Matrix", 2)
    matrix_in = "170m" if matrix in (2, 3) else None
    clip = vs.core.resize.Bicubic(clip, width, height, format=vs.RGB24, matrix_in_s=matrix_in)
    if numbers is None:
        for frame in clip.frames(close=True):
            yield np.stack([np.asarray(frame[plane]) for plane in range(3)], -1)
    else:
        for n in numbers:
            frame = clip.get_frame(n)
            yield np.stack([np.asarray(frame[plane]) for plane in range(3)], -1)


@lru_cache(maxsize=16)
def _source(path: Path) -> vs.VideoNode:
    return vs.core.bs.VideoSource(str(path), cachemode=0)


def fit(frame: Bytes, size: tuple[int, int]) -> Bytes:
    """The middle of a frame at the shape of ``size`` (width, height), scaled to it."""
    height, width = frame.shape[:2]
    wanted = size[0] / size[1]
    w, h = (width, width / wanted) if width / height < wanted else (height * wanted, height)
    x, y = (width - w) / 2, (height - h) / 2
    scaled = Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC, box=(x, y, x + w, y + h))
    return np.asarray(scaled)


def _short_side(picture: Image.Image, length: int) -> Bytes:
    scale = length / min(picture.size)
    size = (max(length, round(picture.width * scale)), max(length, round(picture.height * scale)))
    return np.asarray(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS))
