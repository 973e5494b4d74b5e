"""Windows of real clips: cuts as they were edited, joins of scenes, and motion; of every frame or every few."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenes.material import Clip, Material, fit
from scenes.thumbnails import Signature, cut_score, thumbnail

__all__ = ["Shots", "Window", "blank", "hardest", "likeness", "resized"]

type Bytes = NDArray[np.uint8]
type Size = tuple[int, int]

BLANK = 10.0
"""Standard deviation of luma below which a frame is black, or another flat picture."""
ALIKE = 0.55
"""Correlation of thumbnails above which two scenes may be one camera's: no cut is made of them."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Seven frames by clip and number."""

    name: str
    cut: bool
    places: tuple[tuple[Clip, int], ...]

    def frames(self, size: Size) -> Bytes:
        """[7, h, w, 3] at that (width, height)."""
        return np.stack([fit(clip.frames[n], size) for clip, n in self.places])


class Shots:
    """Windows of one half's clips."""

    def __init__(self, material: Material, rng: np.random.Generator) -> None:
        self.clips = material.clips
        self._rng = rng

    def edited(self, step: int = 1) -> list[Window]:
        """Every labelled cut, of frames that far apart."""
        return [_window(clip, n, step, cut=True) for clip in self.clips for n in clip.across(step)]

    def moving(self, count: int, step: int = 1) -> list[Window]:
        """Pairs without a cut, evenly from all clips."""
        found = []
        for clip, share in zip(self.clips, np.array_split(np.arange(count), len(self.clips)), strict=True):
            within = clip.within(step)
            chosen = self._rng.choice(len(within), size=min(len(share), len(within)), replace=False)
            found += [_window(clip, within[i], step, cut=False) for i in sorted(chosen)]
        return found

    def hard(self, count: int, step: int = 1) -> list[Window]:
        """The pairs without a cut that look most like one to the thumbnails."""
        scored = [(score, clip, n) for clip in self.clips for score, n in hardest(clip, step)]
        scored.sort(key=lambda item: -item[0])
        return [_window(clip, n, step, cut=False) for _, clip, n in scored[:count]]

    def joined(self, count: int, step: int = 1) -> list[Window]:
        """Cuts made by joining scenes: the left goes on to the join, the right from it."""
        found: list[Window] = []
        while len(found) < count:
            left, m = self._place()
            right, n = self._place()
            if left is right and left.scene(m) == right.scene(n):
                continue
            if min(blank(left.frames[m]), blank(right.frames[n])) < BLANK or likeness(left, m, right, n) > ALIKE:
                continue
            before = _window(left, m, step, cut=True).places[:4]
            after = _window(right, n - step, step, cut=True).places[4:]
            if any(c.scene(i) != left.scene(m) for c, i in before) or any(
                c.scene(i) != right.scene(n) for c, i in after
            ):
                continue
            name = f"{left.name} {m} | {right.name} {n}"
            found.append(Window(name=name, cut=True, places=before + after))
        return found

    def both(self, cuts: int, others: int, step: int = 1, hard: int = 0) -> Iterator[Window]:
        """Cuts, the edited ones first, and pairs that are none, the hardest among them.

        Edited cuts from or to a blank frame are left out: what is left of a title on black under a panel or in the dark
        is no more than a subtitle that appears.
        """
        edited = [w for w in self.edited(step) if min(blank(clip.frames[n]) for clip, n in w.places[3:5]) >= BLANK]
        if len(edited) > cuts:
            edited = [edited[i] for i in sorted(self._rng.choice(len(edited), cuts, replace=False))]
        yield from edited
        yield from self.joined(cuts - len(edited), step)
        yield from self.moving(others, step)
        yield from self.hard(hard, step)

    def _place(self) -> tuple[Clip, int]:
        clip = self.clips[self._rng.integers(len(self.clips))]
        return clip, int(self._rng.integers(len(clip.frames)))


def _window(clip: Clip, n: int, step: int, *, cut: bool) -> Window:
    apart = f", {step} apart" if step > 1 else ""
    return Window(name=f"{clip.name} {n}{apart}", cut=cut, places=tuple((clip, i) for i in clip.window(n, step)))


def resized(windows: Sequence[Window], size: Size) -> Iterator[tuple[Window, Bytes]]:
    """Each window with its frames."""
    for window in windows:
        yield window, window.frames(size)


_SIGNATURES: dict[str, list[Signature]] = {}
_HARDEST: dict[tuple[str, int], list[tuple[float, int]]] = {}


def _signatures(clip: Clip) -> list[Signature]:
    if clip.name not in _SIGNATURES:
        _SIGNATURES[clip.name] = [thumbnail(frame) for frame in clip.frames]
    return _SIGNATURES[clip.name]


def hardest(clip: Clip, step: int) -> list[tuple[float, int]]:
    """(score, n) of the clip's pairs without a cut that score more than others, most first, none beside another."""
    if (clip.name, step) not in _HARDEST:
        thumbnails = _signatures(clip)
        within = np.array(clip.within(step))
        # The search costs a hundred times as much as a difference: it is made for those that differ most.
        apart = [int(np.abs(thumbnails[n] - thumbnails[n + step]).mean()) for n in within]
        chosen = within[np.argsort(apart)[-250:]]
        scored = ((cut_score(thumbnails[n], thumbnails[n + step]), int(n)) for n in chosen)
        _HARDEST[clip.name, step] = sorted(scored, reverse=True)[:120]
    return _HARDEST[clip.name, step]


def blank(frame: Bytes) -> float:
    """How much the frame's luma varies, as a standard deviation of 255."""
    return float(frame[::4, ::4].mean(-1).std())


def likeness(left: Clip, m: int, right: Clip, n: int) -> float:
    """Correlation of two frames' thumbnails as they lie."""
    a, b = (fit(clip.frames[i], (32, 18)).mean(-1).ravel() for clip, i in ((left, m), (right, n)))
    return float(np.corrcoef(a, b)[0, 1])
