"""Every pair of the labelled clips: the distribution of the scores, clip by clip."""

from collections.abc import Iterator

import numpy as np
import vapoursynth as vs

from scenes.detectors import on_pairs
from scenes.footage import clip_of
from scenes.material import Clip, Material
from scenes.results import SCORES, Counts, counted, distribution

__all__ = ["clip_tables"]

WIDTH = 320


def _pairs(clip: Clip, firsts: list[int], step: int) -> vs.VideoNode:
    """Frames n and n + step for each n, 320 wide."""
    order = [m for n in firsts for m in (n, n + step)]
    shown = clip_of(clip.frames, order)
    return shown.resize.Bicubic(WIDTH, round(clip.frames.shape[1] * WIDTH / clip.frames.shape[2] / 2) * 2)


def clip_tables(material: Material, model: str) -> Iterator[str]:
    """Lines for each clip's frames 1, 2 and 4 apart, and at the end what was found among neighbours."""
    yield SCORES
    total = Counts(cuts=0, found=0, others=0, false=0)
    for clip in material.clips:
        for step in (1, 2, 4):
            name = f"{clip.name}, {step} apart" if step > 1 else clip.name
            for cut, firsts in ((True, clip.across(step)), (False, clip.within(step))):
                if not firsts:
                    continue
                said = on_pairs(_pairs(clip, firsts, step), len(firsts), model)
                assert said.score is not None
                yield distribution(name, cut, said.cut, said.score)
                if step == 1:
                    total += counted(np.full(len(firsts), cut), said.cut)
    yield f"\nNeighbours: {total.found} of {total.cuts} cuts found, {total.false} of {total.others} others called cuts."
