"""How good the network in training is: skip-frame PSNR on clips that it does not learn from.

The pairs and the measure are those of `evaluation`; the network is run as it is, on padded RGB. The table of a finished
model is made by `python -m vsrife evaluate`, through the filter.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from vsrife.training.evaluation.clips import skip_frame
from vsrife.training.evaluation.metrics import Picture, psnr
from vsrife.training.evaluation.samples import pictures

__all__ = ["HeldOut", "Scores"]

Predict = Callable[[Tensor, Tensor, float], Tensor]
"""left, right: float32 [1, 3, H, W] in 0..1; a time; answers the frame at that time, as they are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """PSNR in dB by clip, the mean of each clip's frames; and the mean of the clips."""

    clips: dict[str, float]

    @property
    def mean(self) -> float:
        """Of the clips, each counting once."""
        return float(np.mean(list(self.clips.values())))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Pair:
    clip: str
    left: Picture
    right: Picture
    truths: tuple[tuple[float, Picture], ...]


class HeldOut:
    """Clips that measure, read once and kept in host memory.

    average: what the plain average of both frames, weighted by time, scores on them.
    """

    def __init__(self, folder: Path, *, samples: int, multi: int) -> None:
        """Raises ArgumentError as `skip_frame`."""
        self._pairs = list(_read(folder, samples, multi))
        self.average = self._scores(_average)

    def __len__(self) -> int:
        """Pairs."""
        return len(self._pairs)

    def scores(self, predict: Predict, device: torch.device, modulus: int) -> Scores:
        """Of a network that takes frames whose sides are multiples of `modulus`."""

        def made(left: Picture, right: Picture, t: float) -> Picture:
            height, width = left.shape[-2:]
            room = (0, -width % modulus, 0, -height % modulus)
            frames = [pad(torch.from_numpy(each).to(device)[None].float() / 255, room) for each in (left, right)]
            answer = predict(frames[0], frames[1], t)[0, :, :height, :width]
            picture: Picture = (answer.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
            return picture

        return self._scores(made)

    def _scores(self, made: Callable[[Picture, Picture, float], Picture]) -> Scores:
        found: dict[str, list[float]] = {}
        for pair in self._pairs:
            for t, truth in pair.truths:
                found.setdefault(pair.clip, []).append(psnr(truth, made(pair.left, pair.right, t)))
        return Scores(clips={clip: float(np.mean(values)) for clip, values in found.items()})


def _average(left: Picture, right: Picture, t: float) -> Picture:
    mean: Picture = np.rint(left * (1 - t) + right * t).astype(np.uint8)
    return mean


def _read(folder: Path, samples: int, multi: int) -> Iterator[_Pair]:
    for group in skip_frame(folder, samples, multi):
        times = [float(t) for t in group.times]
        for member in group.members:
            left, right = pictures(group.given, (member.left, member.left + 1))
            truths = zip(times, pictures(group.truth, member.truths), strict=True)
            yield _Pair(clip=member.row, left=left, right=right, truths=tuple(truths))
