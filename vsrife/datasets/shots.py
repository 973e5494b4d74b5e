"""A source of samples from shots: windows of consecutive frames without cuts or repeated frames."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vsrife.datasets.augment import Turn, crop_places, zoom_window, zoomed
from vsrife.datasets.batch import Batch, Source, with_motion, without_motion
from vsrife.datasets.colours import Colours
from vsrife.datasets.labels import Labels
from vsrife.datasets.scene_rng import SceneRng, mixed_seed
from vsrife.datasets.scenes import lands_inside
from vsrife.errors import ArgumentError

__all__ = ["ClipWindowDataset", "InMemoryShots", "ShotReader", "ShotSettings"]


class ShotReader(Protocol):
    """Access to the frames of numbered shots."""

    @property
    def lengths(self) -> Sequence[int]:
        """The number of frames of each shot."""
        ...

    @property
    def smallest(self) -> tuple[int, int]:
        """The smallest height and the smallest width of the shots."""
        ...

    def read(self, places: Sequence[tuple[int, int]]) -> Sequence[Tensor]:
        """The frames (shot, frame), uint8 [3, h, w], R, G, B, all on one device."""
        ...


class InMemoryShots:
    """Shots in memory, on one device: uint8 [F, 3, h, w] each."""

    def __init__(self, shots: Sequence[Tensor]) -> None:
        if not shots:
            raise ArgumentError("clips (no shot of three frames) must move; give clips with more than cuts and stills")
        self._shots = list(shots)
        self.lengths = [len(shot) for shot in shots]
        self.smallest = (min(shot.shape[2] for shot in shots), min(shot.shape[3] for shot in shots))

    def read(self, places: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Views, without a copy."""
        return [self._shots[shot][frame] for shot, frame in places]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShotSettings:
    """height, width: of the crop.
    spans: frames from left to right, at least 2; one of the list is chosen for each sample.
    any_time: the true frame is any frame in between; else the middle one, and then every span must be even.
    labelled: share of the samples that are windows with labels, if there are any; their true frame is the middle one.
    zoomed: share of the samples for which a window of another size is resized to the crop. zoom: least and largest
        factor. coloured: share of the samples whose colours change, see `Colours`.
    """

    height: int = 224
    width: int = 224
    spans: tuple[int, ...] = (2,)
    any_time: bool = False
    labelled: float = 0.5
    zoomed: float = 0.0
    zoom: tuple[float, ...] = (0.5, 1.5)
    coloured: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.labelled <= 1:
            raise ArgumentError(f"labelled ({self.labelled}) must be from 0 to 1; it is a share of the samples")
        if not self.spans or min(self.spans) < 2:
            raise ArgumentError(
                f"spans ({self.spans}) must be numbers of at least 2; use 2 for a frame and its next but one"
            )
        if not self.any_time and any(span % 2 for span in self.spans):
            raise ArgumentError(f"spans ({self.spans}) must be even without any_time; take 2 or 4, or set any_time")
        for name in ("zoomed", "coloured"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ArgumentError(f"{name} ({share}) must be from 0 to 1; it is a share of the samples")
        if len(self.zoom) != 2 or not 0.1 <= self.zoom[0] <= self.zoom[1] <= 10:
            raise ArgumentError(f"zoom ({list(self.zoom)}) must be the least and the most, of 0.1 to 10")


class ClipWindowDataset(Source):
    """Samples from windows of shots with random crops and the augmentations of the paper, on `device`."""

    def __init__(
        self,
        shots: ShotReader,
        settings: ShotSettings,
        device: torch.device,
        *,
        augmented: bool = True,
        labels: Labels | None = None,
    ) -> None:
        """labels: of these shots, on `device`.

        Raises ArgumentError if the crop does not fit, or no shot is as long as the longest span.
        """
        self.settings = settings
        self.device = device
        self._shots = shots
        self._augmented = augmented
        self._labels = labels
        self.check_crop((settings.height, settings.width))
        self._usable = {span: [n for n, length in enumerate(shots.lengths) if length > span] for span in settings.spans}
        # A shot that is held out has no frames, but may have labels.
        self._known = {
            span: [each for each in (labels.windows(span) if labels else ()) if each[0] in self._usable[span]]
            for span in settings.spans
        }
        self._starts: dict[int, Tensor] = {}
        for span, usable in self._usable.items():
            if not usable:
                raise ArgumentError(f"spans ({span}) must be below the longest shot's {max(shots.lengths)} frames")
            self._starts[span] = torch.tensor([shots.lengths[n] - span for n in usable]).cumsum(0)

    def check_crop(self, crop: tuple[int, int], name: str = "crop") -> None:
        """Raise ArgumentError if a crop (height, width) does not fit into all frames. name: for the error."""
        height, width = self._shots.smallest
        if crop[0] > height or crop[1] > width:
            raise ArgumentError(
                f"{name} ({crop[1]}x{crop[0]}) must be at most {width}x{height}, the smallest frame; "
                "use a smaller crop or larger clips"
            )

    def __len__(self) -> int:
        """The number of windows of the first span."""
        return int(self._starts[self.settings.spans[0]][-1])

    @torch.no_grad()
    def draw(
        self,
        count: int,
        seed: int,
        *,
        size: tuple[int, int] | None = None,
        position: int = 0,  # noqa: ARG002 - part of Source; only sources that change during a run use it
        as_made: bool = False,
    ) -> Batch:
        """`count` samples; all windows of a span are equally likely. `position` has no effect.

        as_made: no sample is zoomed.
        """
        host = SceneRng(seed, torch.device("cpu"))
        spans = [self.settings.spans[n] for n in host.integers(count, high=len(self.settings.spans)).tolist()]
        starts, between, down, across = host.uniform(4, count).tolist()
        places: list[tuple[int, int]] = []
        t = []
        labelled = self._labelled(host, spans)
        for span, start, share, known in zip(spans, starts, between, labelled, strict=True):
            shot, first = known[int(start * len(known))] if known else self._window(span, start)
            middle = 1 + int(share * (span - 1)) if self.settings.any_time and not known else span // 2
            places += [(shot, first), (shot, first + middle), (shot, first + span)]
            t.append(middle / span)
        crops, parts = [], []
        crop = size or (self.settings.height, self.settings.width)
        factors = [1.0] * count if as_made else self._zooms(count, seed)
        for index, frame in enumerate(self._shots.read(places)):
            share_of = (down[index // 3], across[index // 3])
            whole = (frame.shape[1], frame.shape[2])
            rows, columns = crop_places(share_of, whole, zoom_window(factors[index // 3], whole, crop))
            crops.append(zoomed(frame[:, rows, columns], crop))
            parts.append((rows, columns))
        frames = torch.stack(crops).view(count, 3, 3, *crop).to(self.device, non_blocking=True)
        times = torch.tensor(t).to(self.device, non_blocking=True)
        turn = None
        if self._augmented:
            turn = Turn.drawn(SceneRng(mixed_seed(seed, 1), self.device), count, square=crop[0] == crop[1])
            frames, times = turn.frames(frames, times)
        frames = frames.float() / 255
        if self.settings.coloured:
            random = np.random.default_rng(mixed_seed(seed, 3))
            frames = Colours.drawn(random, count, self.settings.coloured).frames(frames)
        if self._labels is None:
            return without_motion(frames, times)
        flow, trust = self._labels.motion(places, parts[::3], crop)
        if turn:
            flow, trust = turn.motion(flow, trust)
        # A label is of whole frames; what it leads to may lie outside of the crop, where the sample does not show it.
        inside = torch.cat((lands_inside(flow[:, :2]), lands_inside(flow[:, 2:])), dim=1)
        return with_motion(frames, times, flow, trust * inside)

    def _labelled(self, host: SceneRng, spans: Sequence[int]) -> list[Sequence[tuple[int, int]]]:
        """For each sample the windows with labels to choose from, as shot and first frame; empty for any window."""
        if self._labels is None:
            return [()] * len(spans)
        wanted = host.chance(len(spans), of=self.settings.labelled).tolist()
        return [self._known[span] if each else () for span, each in zip(spans, wanted, strict=True)]

    def _zooms(self, count: int, seed: int) -> list[float]:
        """The zoom factor of each sample, uniform on a logarithmic scale."""
        rng = SceneRng(mixed_seed(seed, 2), torch.device("cpu"))
        low, high = (math.log(factor) for factor in self.settings.zoom)
        changed = rng.chance(count, of=self.settings.zoomed)
        factors: list[float] = torch.where(changed, rng.uniform(count, low=low, high=high).exp(), 1.0).tolist()
        return factors

    def _window(self, span: int, share: float) -> tuple[int, int]:
        """Shot and first frame of the window at `share` of all windows of a span."""
        starts = self._starts[span]
        number = int(share * int(starts[-1]))
        place = int(torch.searchsorted(starts, number, right=True))
        return self._usable[span][place], number - (int(starts[place - 1]) if place else 0)
