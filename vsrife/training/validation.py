"""Validation during training, on frames that are not trained on: skip-frame PSNR and the mean length of the flow.

The pairs and the measure are those of `vsrife.evaluation`. The network runs without the filter, on padded RGB; as in
the filter, the frame is then made from the unpadded inputs. `python -m vsrife evaluate` measures a finished model.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from vsrife.datasets.held_out import held_out_triplets
from vsrife.datasets.packing import open_pack
from vsrife.evaluation.clips import skip_frame
from vsrife.evaluation.metrics import Picture, psnr
from vsrife.evaluation.samples import pictures
from vsrife.network.flow_and_mask import FlowAndMask, merged
from vsrife.training.config import Config, Validation
from vsrife.training.flow_growth import SizeScores

__all__ = ["HeldOut", "Pair", "Prediction", "Scores", "early_steps", "held_out_sets", "is_due", "validation_line"]

MIDDLE: Final = 0.5

SCENES: Final = "scenes"
"""Name of the validation set of held-out shots of the pack."""


class Prediction(NamedTuple):
    """The output of a network for a pair of frames.

    picture: the frame at time t, [1, 3, H, W] in 0..1. flow: [1, 4, H, W] in pixels.
    mask: [1, 1, H, W], if the frame is given by flow and mask alone; it is then made as the filter makes it, which
        repeats the edge of the frame where the flow points into the padding. None for networks with a residual.
    """

    picture: Tensor
    flow: Tensor
    mask: Tensor | None = None


Predict = Callable[[Tensor, Tensor, float], Prediction]
"""From left and right, float32 [1, 3, H, W] in 0..1, and a time, the frame at that time."""

PrivilegedPredict = Callable[[Tensor, Tensor, float, Tensor], Tensor]
"""As Predict, with features of the true frame [1, C, H, W] as a further input; returns the frame only."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pair:
    """Two frames and the true frames between them with their times in 0..1. clip: whose score it counts towards."""

    clip: str
    left: Picture
    right: Picture
    truths: tuple[tuple[float, Picture], ...]

    @property
    def middle(self) -> tuple[float, Picture]:
        """The true frame closest to t = 0.5, with its time."""
        return min(self.truths, key=lambda each: abs(each[0] - MIDDLE))

    def cropped(self, side: int) -> "Pair":
        """The centre crop of `side` pixels, less where the frame is smaller, with only the `middle` true frame."""
        starts = [max(0, (size - side) // 2) for size in self.left.shape[-2:]]
        rows, columns = (slice(start, start + side) for start in starts)
        t, truth = self.middle
        left, right, truth = (each[:, rows, columns] for each in (self.left, self.right, truth))
        return Pair(clip=self.clip, left=left, right=right, truths=((t, truth),))


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """PSNR in dB by clip, the mean of its frames. sizes: scores on crops, the smallest first, then on whole frames."""

    clips: dict[str, float]
    sizes: tuple[SizeScores, ...] = ()

    @property
    def mean(self) -> float:
        """The mean over the clips."""
        return float(np.mean(list(self.clips.values())))

    def scalars(self, name: str = "") -> dict[str, float]:
        """For the log. name: of the set, a prefix of each key; empty for the first set."""
        found = {"mean": self.mean, **self.clips}
        for size in self.sizes:
            found |= {f"flow {size.name}": size.flow, f"psnr {size.name}": size.psnr}
        return {f"{name}/{key}": value for key, value in found.items()} if name else found


class HeldOut:
    """A validation set: pairs of frames in host memory.

    name: of the set. average: scores of the average of both frames, weighted by time.
    """

    def __init__(self, name: str, pairs: Iterable[Pair], *, sizes: Sequence[int] = ()) -> None:
        """pairs: one or more. sizes: sides of crops in pixels on which the middle pair of each clip is measured too;
        sizes that are not smaller than the largest frame are left out.
        """
        self.name = name
        self._pairs = list(pairs)
        clips: dict[str, list[Pair]] = {}
        for pair in self._pairs:
            clips.setdefault(pair.clip, []).append(pair)
        middle_pairs = [of_clip[len(of_clip) // 2] for of_clip in clips.values()] if sizes else []
        largest = max((max(pair.left.shape[-2:]) for pair in middle_pairs), default=0)
        self._sized = {
            str(side): [pair.cropped(side) for pair in middle_pairs] for side in sorted(sizes) if side < largest
        }
        if middle_pairs:
            self._sized["whole"] = middle_pairs
        self.average = Scores(clips=_by_clip((pair, psnr(truth, _average(pair, t))) for pair, t, truth in self._all()))

    @classmethod
    def of_clips(cls, folder: Path, *, samples: int, multi: int, sizes: Sequence[int] = ()) -> Self:
        """The set of the clips of a folder, named after it. Raises ArgumentError as `skip_frame`."""
        return cls(folder.name, _read(folder, samples, multi), sizes=sizes)

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self._pairs)

    def scores(self, predict: Predict, device: torch.device, modulus: int) -> Scores:
        """The scores of a network. modulus: frames are padded to multiples of it."""

        def made(pair: Pair, t: float) -> tuple[Picture, float]:
            height, width = pair.left.shape[-2:]
            room = (0, -width % modulus, 0, -height % modulus)
            frames = [_on(device, each, room) for each in (pair.left, pair.right)]
            answer = predict(frames[0], frames[1], t)
            flow, shown = (each[..., :height, :width] for each in (answer.flow, answer.picture))
            if answer.mask is not None:
                left, right = (each[..., :height, :width] for each in frames)
                shown = merged(left, right, FlowAndMask(flow=flow, mask=answer.mask[..., :height, :width]))
            picture: Picture = (shown[0].clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
            return picture, float(torch.linalg.vector_norm(flow[0].reshape(2, 2, height, width), dim=1).mean())

        # The pairs that are measured in several sizes are among all pairs too; each is predicted once.
        cache: dict[tuple[Pair, float], tuple[float, float]] = {}

        def scored(pair: Pair, t: float, truth: Picture) -> tuple[float, float]:
            if (pair, t) not in cache:
                picture, flow = made(pair, t)
                cache[pair, t] = psnr(truth, picture), flow
            return cache[pair, t]

        clips = _by_clip((pair, scored(pair, t, truth)[0]) for pair, t, truth in self._all())
        sizes = []
        for name, pairs in self._sized.items():
            found = [scored(pair, *pair.middle) for pair in pairs]
            side = float(np.mean([min(pair.left.shape[-2:]) for pair in pairs]))
            decibels, flow = (float(np.mean(each)) for each in zip(*found, strict=True))
            sizes.append(SizeScores(name=name, side=side, psnr=decibels, flow=flow))
        return Scores(clips=clips, sizes=tuple(sizes))

    def privileged_scores(
        self, predict: PrivilegedPredict, features_of: Callable[[Tensor], Tensor], device: torch.device, modulus: int
    ) -> Scores:
        """As `scores`, without sizes, for an experiment in which the network gets features of the true frame.

        features_of: from the true frame, float32 [1, 3, H, W] in 0..1 without padding, computes [1, C, H, W]. The
            network gets nothing else of the true frame.
        """

        def scored(pair: Pair, t: float, truth: Picture) -> float:
            height, width = truth.shape[-2:]
            room = (0, -width % modulus, 0, -height % modulus)
            left, right = (_on(device, each, room) for each in (pair.left, pair.right))
            features = pad(features_of(_on(device, truth, (0, 0, 0, 0))), room)
            shown = predict(left, right, t, features)[0, :, :height, :width]
            return psnr(truth, (shown.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())

        return Scores(clips=_by_clip((pair, scored(pair, t, truth)) for pair, t, truth in self._all()))

    def _all(self) -> Iterator[tuple[Pair, float, Picture]]:
        for pair in self._pairs:
            for t, truth in pair.truths:
                yield pair, t, truth


def held_out_sets(config: Config) -> tuple[HeldOut, ...]:
    """The validation sets of a run; the first one decides which step is the best. May be empty.

    They are the clips of `validation.clips` and, as `SCENES`, the shots of the pack that are not trained on. The first
    set is measured in several sizes. Raises ArgumentError as `skip_frame` and `held_out_triplets`.
    """
    settings, data = config.validation, config.data
    found: list[HeldOut] = []
    if settings.clips is not None:
        found.append(
            HeldOut.of_clips(settings.clips, samples=settings.samples, multi=settings.multi, sizes=settings.sizes)
        )
    if data.pack is not None and data.held_out:
        pairs = [
            Pair(
                clip=each.shot, left=_array(each.left), right=_array(each.right), truths=((MIDDLE, _array(each.truth)),)
            )
            for each in held_out_triplets(open_pack(data.pack), data.held_out, settings.samples)
        ]
        found.append(HeldOut(SCENES, pairs, sizes=() if found else settings.sizes))
    return tuple(found)


def validation_line(sets: Sequence[HeldOut], scores: Sequence[Scores], best: float) -> str:
    """The line of the log for a validation, without its step. best: PSNR of the first set so far."""
    first = f"{scores[0].mean:.2f} dB (plain average {sets[0].average.mean:.2f}, best {best:.2f})"
    others = [
        f"{each.name} {found.mean:.2f} (plain average {each.average.mean:.2f})"
        for each, found in zip(sets[1:], scores[1:], strict=True)
    ]
    flows = [f"{size.flow:.2f} on {size.name}" for size in scores[0].sizes]
    return ", ".join((first, *others)) + (f"; mean flow in px: {', '.join(flows)}" if flows else "")


def is_due(step: int, settings: Validation) -> bool:
    """Whether there is a validation after step `step`: after each `every` steps and the `early_steps`."""
    return step % settings.every == 0 or step in early_steps(settings)


def early_steps(settings: Validation) -> list[int]:
    """Steps before `every` with a validation: `early` and its multiples by powers of two."""
    found = []
    step = settings.early
    while 0 < step < settings.every:
        found.append(step)
        step *= 2
    return found


def _array(frame: Tensor) -> Picture:
    picture: Picture = frame.contiguous().numpy()
    return picture


def _on(device: torch.device, picture: Picture, room: tuple[int, int, int, int]) -> Tensor:
    """float32 [1, 3, H, W] in 0..1, padded with zeros."""
    return pad(torch.from_numpy(np.ascontiguousarray(picture)).to(device)[None].float() / 255, room)


def _by_clip(scores: Iterable[tuple[Pair, float]]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for pair, score in scores:
        found.setdefault(pair.clip, []).append(score)
    return {clip: float(np.mean(values)) for clip, values in found.items()}


def _average(pair: Pair, t: float) -> Picture:
    mean: Picture = np.rint(pair.left * (1 - t) + pair.right * t).astype(np.uint8)
    return mean


def _read(folder: Path, samples: int, multi: int) -> Iterator[Pair]:
    for group in skip_frame(folder, samples, multi):
        times = [float(t) for t in group.times]
        for member in group.members:
            left, right = pictures(group.given, (member.left, member.left + 1))
            truths = zip(times, pictures(group.truth, member.truths), strict=True)
            yield Pair(clip=member.row, left=left, right=right, truths=tuple(truths))
