"""Synthetic motion: pictures that move over each other, with exact flow and visibility.

Every scene is a background and one to six layers, cards, before it. The cards of all scenes are one batch: a batch is
some hundred operations, however many samples it has, and there is no work per pixel in Python. What stands still over
a scene, and shades that pass over it, are drawn for those scenes alone that have them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from vsrife.datasets.bank import Bank
from vsrife.datasets.batch import Batch, Source, concatenate
from vsrife.datasets.compression import compress
from vsrife.datasets.layer_motion import draw_camera
from vsrife.datasets.layers import Look, draw_backgrounds, draw_cards
from vsrife.datasets.light import draw_changes
from vsrife.datasets.overlays import draw_overlays
from vsrife.datasets.scene_rng import GOLDEN, SceneRng, mixed_seed
from vsrife.datasets.scenes import Scenes, concatenated, lands_inside, scene_times
from vsrife.datasets.shades import draw_shades
from vsrife.errors import ArgumentError
from vsrife.network.warp import backward_warp

__all__ = ["Synthetic", "SyntheticSettings"]

_OF: Final = 1_000_000  # parts in which a share is drawn as a whole number, on the host

_SHARES: Final = (
    *("any_time", "lettered", "scrolled", "blurred", "drifting", "shaded", "noisy", "compressed"),
    *("titled", "marked", "barred", "faded"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticSettings:
    """Shares of the samples, 0..1, unless said otherwise.

    height, width: of the frames, pixels, at least 32.
    layers: before the background, at most; a batch has as many samples of each number from 1 up. 0 for none.
    motion: how far things move, of what is usual for frames of that size: up to 80 pixels at a longer side of 256.
    any_time: with t anywhere in 0..1; the others are at 1/2.
    lettered: of the layers, not the samples: those that are writing, as signs are.
    scrolled: in which the foremost layer is credits, text that moves evenly up or along.
    blurred: with motion blur over up to half of the way between the inputs and 12 pixels.
    drifting: whose brightness and gamma change evenly with time.
    shaded: over which a soft shadow or light passes.
    noisy: whose inputs, not the truth, have noise.
    compressed: whose three frames are as if they had been coded, with one step of rounding.
    titled: with a subtitle. marked: with a logo in a corner. barred: with black bars above and below.
    faded: which are two scenes, one fading into the other.
    """

    height: int = 224
    width: int = 224
    layers: int = 6
    motion: float = 1.0
    any_time: float = 0.5
    lettered: float = 0.12
    scrolled: float = 0.02
    blurred: float = 0.3
    drifting: float = 0.1
    shaded: float = 0.05
    noisy: float = 0.3
    compressed: float = 0.25
    titled: float = 0.06
    marked: float = 0.04
    barred: float = 0.05
    faded: float = 0.03

    def __post_init__(self) -> None:
        for name in _SHARES:
            share = getattr(self, name)
            if not 0 <= share <= 1:
                of = "layers" if name == "lettered" else "samples"
                raise ArgumentError(f"{name} ({share}) must be from 0 to 1; it is a share of the {of}")
        for name, least in (("height", 32), ("width", 32), ("layers", 0), ("motion", 0)):
            number = getattr(self, name)
            if number < least:
                raise ArgumentError(f"{name} ({number}) must be at least {least}; give a larger number")


@dataclass(frozen=True, kw_only=True, eq=False)
class _View:
    """Scenes as they look at F times: picture [N, 3, F, H, W] (channel, time), each layer's share of each pixel
    [N, K, F, H, W], and way [N, K, 2, F - 2, H, W], u of `LayerMotion` at each pixel at all times but the first and
    the last.
    """

    picture: Tensor
    shares: Tensor
    way: Tensor


class Synthetic(Source):
    """A source of synthetic samples, made on the bank's device.

    Scenes are drawn on the host, so that a seed gives the same ones on every device; noise is made on the device.
    """

    def __init__(self, bank: Bank, settings: SyntheticSettings | None = None) -> None:
        self.bank = bank
        self.settings = settings or SyntheticSettings()

    @torch.no_grad()
    def draw(
        self,
        count: int,
        seed: int,
        *,
        size: tuple[int, int] | None = None,
        position: int = 0,  # noqa: ARG002 - only sources whose samples change in the course of a run read it
        as_made: bool = False,  # noqa: ARG002 - all are
    ) -> Batch:
        """`count` samples; those with motion blur come last. `position` has no effect."""
        size = size or (self.settings.height, self.settings.width)
        batches = []
        for number, blur, rng in self._groups(count, seed):
            t = torch.where(rng.chance(number, of=self.settings.any_time), rng.uniform(number), 0.5)
            batches.append(self._drawn(number, blur, t[:, None], size, rng).batch())
        return concatenate(batches)

    @torch.no_grad()
    def block(self, count: int, seed: int, truths: int) -> Scenes:
        """`count` scenes at once, as `draw` has them, each at so many times between its inputs, see `scene_times`."""
        size = (self.settings.height, self.settings.width)
        parts = []
        for number, blur, rng in self._groups(count, seed):
            times = [scene_times(mixed_seed(seed, blur), n, truths, self.settings.any_time) for n in range(number)]
            t = torch.tensor(times).to(rng.device, non_blocking=True)
            parts.append(self._drawn(number, blur, t, size, rng))
        return concatenated(parts)

    def _groups(self, count: int, seed: int) -> list[tuple[int, bool, SceneRng]]:
        """Groups of scenes: without motion blur, then with it."""
        blurred = round(self.settings.blurred * count)
        numbers = [(number, blur) for number, blur in ((count - blurred, False), (blurred, True)) if number]
        device = self.bank.backgrounds.device
        return [(*group, SceneRng(mixed_seed(seed, index), device)) for index, group in enumerate(numbers)]

    def _drawn(self, count: int, blur: bool, t: Tensor, size: tuple[int, int], rng: SceneRng) -> Scenes:
        return self._scenes(_cards(count, self.settings.layers), blur, self.settings.faded, t, size, rng)

    @torch.no_grad()
    def scene(self, number: int, seed: int, times: Sequence[float]) -> Scenes:
        """Scene `number` of an endless row, at several times between its inputs, without gradients: [1, T, ...].

        Of scenes in a row as many have each number of cards and as many are blurred as in a batch. What a scene is
        depends on its number, the seed and how many times there are.
        """
        settings = self.settings
        size = (settings.height, settings.width)
        device = self.bank.backgrounds.device
        rng = SceneRng(mixed_seed(seed, number), device)
        t = torch.tensor([list(times)]).to(device, non_blocking=True)
        cards = 1 + number % settings.layers if settings.layers else 0
        blur = number * GOLDEN % 1.0 < settings.blurred
        trimmed = device.type == "cpu"
        if rng.number(_OF) < settings.faded * _OF:
            return self._scenes([cards, cards], blur, 1.0, t.expand(2, -1), size, rng, trimmed=trimmed)[:1]
        return self._scenes([cards], blur, 0.0, t, size, rng, trimmed=trimmed)

    def _scenes(
        self,
        cards: Sequence[int],
        blur: bool,
        faded: float,
        t: Tensor,
        size: tuple[int, int],
        rng: SceneRng,
        *,
        trimmed: bool = False,
    ) -> Scenes:
        """Scenes with so many cards each, the most first, at t [N, T]. trimmed: see `Layers.trimmed_look`."""
        settings = self.settings
        count = len(cards)
        longer = float(max(size))
        times = torch.cat((torch.zeros_like(t[:, :1]), t, torch.ones_like(t[:, :1])), dim=1)
        camera = draw_camera(rng, count, longer, settings.motion)
        # Nothing is smeared over more than 12 pixels.
        shutter = torch.minimum(rng.uniform(count, low=0.05, high=0.5), 12 / camera.distance.clamp(min=1.0))
        looks = [draw_backgrounds(rng, self.bank, camera, longer).look(*size, times, shutter if blur else None)]
        heads = _heads(cards)
        if heads:
            scenes = torch.cat([torch.arange(head) for head in heads]).to(rng.device, non_blocking=True)
            scrolled = _foremost(heads).to(rng.device, non_blocking=True)[rng.chosen(count, of=settings.scrolled)]
            layers = draw_cards(rng, self.bank, camera.of(scenes), longer, settings.lettered, scrolled)
            lasting = None
            if blur:
                fastest = 2 * layers.motion.shift.norm(dim=1).clamp(min=1.0)
                lasting = torch.minimum(shutter[scenes], 12 / fastest)
            look = layers.trimmed_look if trimmed else layers.look
            looks.append(look(*size, times[scenes], lasting))
        view = _view(looks, heads, count)
        through = draw_shades(rng, count, longer, settings.shaded).fall(view.picture, times)
        changes = draw_changes(rng, count, settings.drifting, settings.noisy, faded)
        overlay = draw_overlays(rng, self.bank, count, size, settings.titled, settings.marked, settings.barred)
        seen = [_over(overlay, changes.lit(view.picture[:, :, frame], moment)) for frame, moment in enumerate(times.T)]
        for frame in (0, -1):
            seen[frame] = changes.noisy(rng, seen[frame])
        frames = torch.stack(seen, dim=1)
        coded = rng.chosen(count, of=settings.compressed)
        if len(coded):
            frames[coded] = compress(rng, frames[coded])
        return _moving(frames, t, view, through, overlay[:, 3:], changes.followed)


def _cards(count: int, most: int) -> list[int]:
    """How many cards each of `count` scenes has: as many scenes have each number from 1 to `most`, the most first."""
    return sorted((1 + index * most // count for index in range(count)), reverse=True) if most else [0] * count


def _heads(cards: Sequence[int]) -> list[int]:
    """How many scenes have a first, a second ... card. The scenes with the most come first, so that those with an n-th
    card are the batch's head.
    """
    return [sum(number > index for number in cards) for index in range(max(cards))]


def _foremost(heads: list[int]) -> Tensor:
    """The index of the last card of each scene, in the order of `_heads`."""
    first = [sum(heads[:index]) for index in range(len(heads))]
    return torch.tensor([first[sum(head > scene for head in heads) - 1] + scene for scene in range(heads[0])])


def _view(looks: list[Look], heads: list[int], count: int) -> _View:
    """Composite the layers from front to back."""
    background = looks[0]
    _, _, frames, height, width = background.pictures.shape
    picture = background.pictures.new_zeros((count, 3, frames, height, width))
    shares = picture.new_zeros((count, 1 + len(heads), frames, height, width))
    way = picture.new_zeros((count, 1 + len(heads), 2, frames - 2, height, width))
    clear = picture.new_ones((count, 1, frames, height, width))
    end = sum(heads)
    for index in reversed(range(1, 1 + len(heads))):
        head = heads[index - 1]
        part = slice(end - head, end)
        end -= head
        seen = looks[1].pictures[part] * clear[:head]
        picture[:head] += seen[:, :3]
        shares[:head, index] = seen[:, 3]
        clear[:head] -= seen[:, 3:]
        way[:head, index] = looks[1].way[part, :, 1:-1]
    picture += background.pictures[:, :3] * clear
    shares[:, 0] = clear[:, 0]
    way[:, 0] = background.way[:, :, 1:-1]
    return _View(picture=picture.clamp_(0.0, 1.0), shares=shares, way=way)


def _over(overlay: Tensor, picture: Tensor) -> Tensor:
    return overlay[:, :3] + picture * (1 - overlay[:, 3:])


def _moving(frames: Tensor, t: Tensor, view: _View, through: Tensor, still: Tensor, followed: Tensor) -> Scenes:
    """The scenes that look like `frames` [N, T + 2, 3, H, W] at 0, t [N, T] and 1.

    through: [N, 1, T + 2, H, W], how much of a pixel is as its surface alone would have it, but for what lies over the
    scene and stands still, which has the share `still` [N, 1, H, W]. followed: [N, 1, 1, 1], 0 where the surface is
    not known.
    """
    through = through * (1 - still.unsqueeze(2))
    motion, visible, known = [], [], []
    for truth in range(t.shape[1]):
        share, surface = view.shares[:, :, 1 + truth].max(1, keepdim=True)
        way = view.way[:, :, :, truth].gather(1, surface.unsqueeze(2).expand(-1, -1, 2, -1, -1))[:, 0]
        way = way * followed
        time = t[:, truth].view(-1, 1, 1, 1)
        own = share * through[:, :, 1 + truth] * followed
        stands = still > own
        way = torch.where(stands, 0.0, way)
        seen = [
            _seen(view.shares[:, :, frame] * through[:, :, frame], surface, flow) * followed
            for frame, flow in ((0, -2 * time * way), (-1, 2 * (1 - time) * way))
        ]
        motion.append(2 * way)
        visible.append(torch.where(stands, still, torch.cat(seen, dim=1)))
        known.append(torch.where(stands, still, own))
    return Scenes(
        frames=frames,
        t=t,
        motion=torch.stack(motion, dim=1),
        visible=torch.stack(visible, dim=1),
        known=torch.stack(known, dim=1),
    )


def _seen(shares: Tensor, surface: Tensor, flow: Tensor) -> Tensor:
    """The share that a pixel's surface has of the place in a frame that its flow points to; 0 outside of the frame."""
    share = backward_warp(shares, flow).gather(1, surface)
    return share.clamp(0.0, 1.0) * lands_inside(flow)
