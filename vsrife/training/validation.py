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

Told = Callable[[Tensor, Tensor, float, Tensor], Tensor]
"""As Predict, and what is told of the true frame: [1, C, H, W]."""

_Made = Callable[[Picture, Picture, float, Picture], Picture]
"""left, right, time, truth: what is made of them."""


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

        def made(left: Picture, right: Picture, t: float, _truth: Picture) -> Picture:
            one, other = (_padded(_tensor(each, device), modulus) for each in (left, right))
            return _picture(predict(one, other, t), left)

        return self._scores(made)

    def told_scores(
        self, predict: Told, tell: Callable[[Tensor], Tensor], device: torch.device, modulus: int
    ) -> Scores:
        """As `scores`, for an experiment: the network is told something of the true frame, which is `tell` of it.

        tell: of a float32 [1, 3, H, W] in 0..1, not padded, makes [1, C, H, W]. The network gets nothing else of it.
        """

        def made(left: Picture, right: Picture, t: float, truth: Picture) -> Picture:
            parts = (_tensor(left, device), _tensor(right, device), tell(_tensor(truth, device)))
            one, other, told = (_padded(each, modulus) for each in parts)
            return _picture(predict(one, other, t, told), left)

        return self._scores(made)

    def _scores(self, made: _Made) -> Scores:
        found: dict[str, list[float]] = {}
        for pair in self._pairs:
            for t, truth in pair.truths:
                found.setdefault(pair.clip, []).append(psnr(truth, made(pair.left, pair.right, t, truth)))
        return Scores(clips={clip: float(np.mean(values)) for clip, values in found.items()})


def _tensor(picture: Picture, device: torch.device) -> Tensor:
    return torch.from_numpy(picture).to(device)[None].float() / 255


def _padded(x: Tensor, modulus: int) -> Tensor:
    height, width = x.shape[-2:]
    return pad(x, (0, -width % modulus, 0, -height % modulus))


def _picture(answer: Tensor, like: Picture) -> Picture:
    """The answer for a padded picture, without the padding and rounded to 8 bits."""
    height, width = like.shape[-2:]
    whole = answer[0, :, :height, :width].clamp(0, 1) * 255
    picture: Picture = whole.round().to(torch.uint8).cpu().numpy()
    return picture


def _average(left: Picture, right: Picture, t: float, _truth: Picture) -> Picture:
    mean: Picture = np.rint(left * (1 - t) + right * t).astype(np.uint8)
    return mean


def _read(folder: Path, samples: int, multi: int) -> Iterator[_Pair]:
    for group in skip_frame(folder, samples, multi):
        times = [float(t) for t in group.times]
        for member in group.members:
            left, right = pictures(group.given, (member.left, member.left + 1))
            truths = zip(times, pictures(group.truth, member.truths), strict=True)
            yield _Pair(clip=member.row, left=left, right=right, truths=tuple(truths))
