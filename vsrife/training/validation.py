"""How good the network in training is, on pictures that it does not learn from: skip-frame PSNR, the flow's length.

The pairs and the measure are those of `evaluation`; the network is run as it is, on padded RGB, and its picture made on
the frame alone, as the filter does. The table of a finished model is made by `python -m vsrife evaluate`.
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
from vsrife.training.growth import Size

__all__ = ["Answer", "HeldOut", "Pair", "Scores", "early_steps", "held_out_sets", "is_due", "validated"]

MIDDLE: Final = 0.5

SCENES: Final = "scenes"
"""The name of the set of shots of the pack."""


class Answer(NamedTuple):
    """What a network makes of a pair. picture: [1, 3, H, W] in 0..1; flow: [1, 4, H, W] in pixels, as in FlowAndMask.

    mask: [1, 1, H, W], as in FlowAndMask, of a network that draws nothing but what flow and mask tell; its picture is
    made of them as the filter makes it, which takes the picture's edge where the flow leads into the padding; or None.
    """

    picture: Tensor
    flow: Tensor
    mask: Tensor | None = None


Predict = Callable[[Tensor, Tensor, float], Answer]
"""left, right: float32 [1, 3, H, W] in 0..1; a time; answers the frame at that time and where it came from."""

Told = Callable[[Tensor, Tensor, float, Tensor], Tensor]
"""left, right, time, what is told of the true frame [1, C, H, W]; answers the frame at that time."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pair:
    """Two frames and the true frames between them by their times, above 0 and below 1. clip: what it counts to."""

    clip: str
    left: Picture
    right: Picture
    truths: tuple[tuple[float, Picture], ...]

    @property
    def middle(self) -> tuple[float, Picture]:
        """The truth that is nearest to t = 0.5, with its time."""
        return min(self.truths, key=lambda each: abs(each[0] - MIDDLE))

    def cropped(self, side: int) -> "Pair":
        """Squares of so many pixels from the middle of the frames, as far as they reach, with `middle` alone."""
        starts = [max(0, (size - side) // 2) for size in self.left.shape[-2:]]
        rows, columns = (slice(start, start + side) for start in starts)
        t, truth = self.middle
        left, right, truth = (each[:, rows, columns] for each in (self.left, self.right, truth))
        return Pair(clip=self.clip, left=left, right=right, truths=((t, truth),))


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """PSNR in dB by clip, the mean of each clip's frames. sizes: of some pairs, smallest crops first, then whole."""

    clips: dict[str, float]
    sizes: tuple[Size, ...] = ()

    @property
    def mean(self) -> float:
        """Of the clips, each counting once."""
        return float(np.mean(list(self.clips.values())))

    def numbers(self, name: str = "") -> dict[str, float]:
        """For the log. name: of the set, before each key; none for the first set."""
        found = {"mean": self.mean, **self.clips}
        for size in self.sizes:
            found |= {f"flow {size.name}": size.flow, f"psnr {size.name}": size.psnr}
        return {f"{name}/{key}": value for key, value in found.items()} if name else found


class HeldOut:
    """Pairs that measure, in host memory.

    name: of the set. average: what the plain average of both frames, weighted by time, scores on them.
    """

    def __init__(self, name: str, pairs: Iterable[Pair], *, sizes: Sequence[int] = ()) -> None:
        """pairs: one or more. sizes: sides of crops, in pixels, on which the middle pair of each clip is measured too;
        one that is no smaller than any frame is left out.
        """
        self.name = name
        self._pairs = list(pairs)
        clips: dict[str, list[Pair]] = {}
        for pair in self._pairs:
            clips.setdefault(pair.clip, []).append(pair)
        looked_at = [of_clip[len(of_clip) // 2] for of_clip in clips.values()] if sizes else []
        largest = max((max(pair.left.shape[-2:]) for pair in looked_at), default=0)
        self._sized = {
            str(side): [pair.cropped(side) for pair in looked_at] for side in sorted(sizes) if side < largest
        }
        if looked_at:
            self._sized["whole"] = looked_at
        self.average = Scores(clips=_by_clip((pair, psnr(truth, _average(pair, t))) for pair, t, truth in self._all()))

    @classmethod
    def of_clips(cls, folder: Path, *, samples: int, multi: int, sizes: Sequence[int] = ()) -> Self:
        """The clips of a folder, by its name. Raises ArgumentError as `skip_frame`."""
        return cls(folder.name, _read(folder, samples, multi), sizes=sizes)

    def __len__(self) -> int:
        """Pairs."""
        return len(self._pairs)

    def scores(self, predict: Predict, device: torch.device, modulus: int) -> Scores:
        """Of a network that takes frames whose sides are multiples of `modulus`."""

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

        # The pairs that are looked at in several sizes are whole among all the others too: asked for once.
        known: dict[tuple[Pair, float], tuple[float, float]] = {}

        def scored(pair: Pair, t: float, truth: Picture) -> tuple[float, float]:
            if (pair, t) not in known:
                picture, flow = made(pair, t)
                known[pair, t] = psnr(truth, picture), flow
            return known[pair, t]

        clips = _by_clip((pair, scored(pair, t, truth)[0]) for pair, t, truth in self._all())
        sizes = []
        for name, pairs in self._sized.items():
            found = [scored(pair, *pair.middle) for pair in pairs]
            side = float(np.mean([min(pair.left.shape[-2:]) for pair in pairs]))
            decibels, flow = (float(np.mean(each)) for each in zip(*found, strict=True))
            sizes.append(Size(name=name, side=side, psnr=decibels, flow=flow))
        return Scores(clips=clips, sizes=tuple(sizes))

    def told_scores(
        self, predict: Told, tell: Callable[[Tensor], Tensor], device: torch.device, modulus: int
    ) -> Scores:
        """As `scores`, without sizes, for an experiment: the network is told something of the true frame.

        tell: of the true frame, float32 [1, 3, H, W] in 0..1 and not padded, makes [1, C, H, W]; the network gets
        nothing else of it.
        """

        def scored(pair: Pair, t: float, truth: Picture) -> float:
            height, width = truth.shape[-2:]
            room = (0, -width % modulus, 0, -height % modulus)
            left, right = (_on(device, each, room) for each in (pair.left, pair.right))
            told = pad(tell(_on(device, truth, (0, 0, 0, 0))), room)
            shown = predict(left, right, t, told)[0, :, :height, :width]
            return psnr(truth, (shown.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())

        return Scores(clips=_by_clip((pair, scored(pair, t, truth)) for pair, t, truth in self._all()))

    def _all(self) -> Iterator[tuple[Pair, float, Picture]]:
        for pair in self._pairs:
            for t, truth in pair.truths:
                yield pair, t, truth


def held_out_sets(config: Config) -> tuple[HeldOut, ...]:
    """What a run is measured on, the set that its best is known by first; empty where it is not measured.

    The clips of `validation.clips`, then, as `SCENES`, the shots of the pack that are not trained on. The first set is
    measured in several sizes. Raises ArgumentError as `skip_frame` and `held_out_triplets`.
    """
    asked, data = config.validation, config.data
    found: list[HeldOut] = []
    if asked.clips is not None:
        found.append(HeldOut.of_clips(asked.clips, samples=asked.samples, multi=asked.multi, sizes=asked.sizes))
    if data.pack is not None and data.held_out:
        pairs = [
            Pair(
                clip=each.shot, left=_array(each.left), right=_array(each.right), truths=((MIDDLE, _array(each.truth)),)
            )
            for each in held_out_triplets(open_pack(data.pack), data.held_out, asked.samples)
        ]
        found.append(HeldOut(SCENES, pairs, sizes=() if found else asked.sizes))
    return tuple(found)


def validated(sets: Sequence[HeldOut], scores: Sequence[Scores], best: float) -> str:
    """The line of a validation, without its step. best: of the first set so far."""
    first = f"{scores[0].mean:.2f} dB (plain average {sets[0].average.mean:.2f}, best {best:.2f})"
    others = [
        f"{each.name} {found.mean:.2f} (plain average {each.average.mean:.2f})"
        for each, found in zip(sets[1:], scores[1:], strict=True)
    ]
    flows = [f"{size.flow:.2f} on {size.name}" for size in scores[0].sizes]
    return ", ".join((first, *others)) + (f"; mean flow in px: {', '.join(flows)}" if flows else "")


def is_due(step: int, asked: Validation) -> bool:
    """Whether there is a validation after so many steps: each `every`, and before the first of them at `early` and at
    each doubling of it.
    """
    return step % asked.every == 0 or step in early_steps(asked)


def early_steps(asked: Validation) -> list[int]:
    """The steps before `every` after which there is a validation."""
    found = []
    step = asked.early
    while 0 < step < asked.every:
        found.append(step)
        step *= 2
    return found


def _array(frame: Tensor) -> Picture:
    picture: Picture = frame.contiguous().numpy()
    return picture


def _on(device: torch.device, picture: Picture, room: tuple[int, int, int, int]) -> Tensor:
    """float32 [1, 3, H, W] in 0..1, with zeros around it."""
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
