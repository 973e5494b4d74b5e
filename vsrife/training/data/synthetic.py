"""Synthetic motion: pictures that move over each other, with the exact flow and what is hidden.

Every scene is a background and one to six layers, cards, before it. The cards of all scenes are one batch: a batch is
some hundred operations, however many samples it has, and there is no work per pixel in Python. What stands still over
a scene, and shades that pass over it, are drawn for those scenes alone that have them.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from vsrife.errors import ArgumentError
from vsrife.network.warp import backward_warp
from vsrife.training.data.bank import Bank
from vsrife.training.data.batch import Batch, concatenate
from vsrife.training.data.compression import code
from vsrife.training.data.draws import Draws, mixed_seed
from vsrife.training.data.layers import Look, draw_backgrounds, draw_cards
from vsrife.training.data.light import draw_changes
from vsrife.training.data.motion import draw_camera, pixel_places
from vsrife.training.data.overlays import draw_overlays
from vsrife.training.data.shades import draw_shades

__all__ = ["Synthetic", "SyntheticSettings"]

_SHARES: Final = (
    *("any_time", "lettered", "scrolled", "blurred", "drifting", "shaded", "noisy", "compressed"),
    *("titled", "marked", "barred", "faded"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticSettings:
    """Shares of the samples, 0..1, unless said otherwise.

    height, width: of the frames, pixels, at least 32.
    layers: before the background, at most; a batch has as many samples of each number from 1 up. 0 for none.
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
        for name, least in (("height", 32), ("width", 32), ("layers", 0)):
            number = getattr(self, name)
            if number < least:
                raise ArgumentError(f"{name} ({number}) must be at least {least}; give a larger number")


@dataclass(frozen=True, kw_only=True, eq=False)
class _View:
    """Scenes as they look at left, truth and right: picture [N, 3, 3, H, W] (channel, time), each layer's share of each
    pixel [N, K, 3, H, W], and way [N, K, 2, H, W], u of `Motion` at each pixel of the truth.
    """

    picture: Tensor
    shares: Tensor
    way: Tensor


class Synthetic:
    """A source of synthetic samples, made on the bank's device.

    Scenes are drawn on the host, so that a seed gives the same ones on every device; noise is made on the device.
    """

    def __init__(self, bank: Bank, settings: SyntheticSettings | None = None) -> None:
        self.bank = bank
        self.settings = settings or SyntheticSettings()

    @torch.no_grad()
    def draw(self, count: int, seed: int) -> Batch:
        """`count` samples, without gradients; the last ones are those with motion blur."""
        blurred = round(self.settings.blurred * count)
        groups = [(number, blur) for number, blur in ((count - blurred, False), (blurred, True)) if number]
        device = self.bank.backgrounds.device
        return concatenate(
            [self._scenes(*group, Draws(mixed_seed(seed, index), device)) for index, group in enumerate(groups)]
        )

    def _scenes(self, count: int, blur: bool, draws: Draws) -> Batch:
        settings = self.settings
        size = (settings.height, settings.width)
        longer = float(max(size))
        t = torch.where(draws.chance(count, of=settings.any_time), draws.uniform(count), 0.5)
        times = torch.stack((torch.zeros_like(t), t, torch.ones_like(t)), dim=1)
        camera = draw_camera(draws, count, longer)
        # Nothing is smeared over more than 12 pixels.
        shutter = torch.minimum(draws.uniform(count, low=0.05, high=0.5), 12 / camera.distance.clamp(min=1.0))
        looks = [draw_backgrounds(draws, self.bank, camera, longer).look(*size, times, shutter if blur else None)]
        heads = _heads(count, settings.layers)
        if heads:
            scenes = torch.cat([torch.arange(head) for head in heads]).to(draws.device, non_blocking=True)
            scrolled = _foremost(heads).to(draws.device, non_blocking=True)[draws.chosen(count, of=settings.scrolled)]
            cards = draw_cards(draws, self.bank, camera.of(scenes), longer, settings.lettered, scrolled)
            lasting = None
            if blur:
                fastest = 2 * cards.motion.shift.norm(dim=1).clamp(min=1.0)
                lasting = torch.minimum(shutter[scenes], 12 / fastest)
            looks.append(cards.look(*size, times[scenes], lasting))
        view = _view(looks, heads, count)
        through = draw_shades(draws, count, longer, settings.shaded).fall(view.picture, times)
        changes = draw_changes(draws, count, settings.drifting, settings.noisy, settings.faded)
        overlay = draw_overlays(draws, self.bank, count, size, settings.titled, settings.marked, settings.barred)
        left, truth, right = (
            _over(overlay, changes.lit(view.picture[:, :, frame], moment)) for frame, moment in enumerate(times.T)
        )
        frames = torch.stack((changes.noisy(draws, left), truth, changes.noisy(draws, right)), dim=1)
        coded = draws.chosen(count, of=settings.compressed)
        if len(coded):
            frames[coded] = code(draws, frames[coded])
        return _batch(frames, view, through, overlay[:, 3:], changes.followed, t.view(-1, 1, 1, 1))


def _heads(count: int, most: int) -> list[int]:
    """How many scenes have a first, a second ... card: as many scenes have each number of cards from 1 to `most`. The
    scenes with the most come first, so that those with an n-th card are the batch's head.
    """
    numbers = [1 + index * most // count for index in range(count)] if most else []
    heads = [sum(number > index for number in numbers) for index in range(most)]
    return [head for head in heads if head]


def _foremost(heads: list[int]) -> Tensor:
    """The number of each scene's last card, among those of `_heads`."""
    first = [sum(heads[:index]) for index in range(len(heads))]
    return torch.tensor([first[sum(head > scene for head in heads) - 1] + scene for scene in range(heads[0])])


def _view(looks: list[Look], heads: list[int], count: int) -> _View:
    """From the foremost layer back: what each shows through those before it."""
    background = looks[0]
    _, _, frames, height, width = background.pictures.shape
    picture = background.pictures.new_zeros((count, 3, frames, height, width))
    shares = picture.new_zeros((count, 1 + len(heads), frames, height, width))
    way = picture.new_zeros((count, 1 + len(heads), 2, height, width))
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
        way[:head, index] = looks[1].way[part, :, 1]
    picture += background.pictures[:, :3] * clear
    shares[:, 0] = clear[:, 0]
    way[:, 0] = background.way[:, :, 1]
    return _View(picture=picture.clamp_(0.0, 1.0), shares=shares, way=way)


def _over(overlay: Tensor, picture: Tensor) -> Tensor:
    return overlay[:, :3] + picture * (1 - overlay[:, 3:])


def _batch(frames: Tensor, view: _View, through: Tensor, still: Tensor, followed: Tensor, t: Tensor) -> Batch:
    """The samples whose left, truth, right are `frames` [N, 3, 3, H, W].

    through: [N, 1, 3, H, W], how much of a pixel is as its surface alone would have it, but for what lies over the
    scene and stands still, which has the share `still` [N, 1, H, W]. followed: [N, 1, 1, 1], 0 where the surface is
    not known. t: [N, 1, 1, 1].
    """
    through = through * (1 - still.unsqueeze(2))
    share, surface = view.shares[:, :, 1].max(1, keepdim=True)
    way = view.way.gather(1, surface.unsqueeze(2).expand(-1, -1, 2, -1, -1))[:, 0]
    known = share * through[:, :, 1] * followed
    stands = still > known
    way = torch.where(stands, 0.0, way * followed)
    flows = (-2 * t * way, 2 * (1 - t) * way)
    seen = [
        _seen(view.shares[:, :, frame] * through[:, :, frame], surface, flow) * followed
        for frame, flow in ((0, flows[0]), (2, flows[1]))
    ]
    left, truth, right = (frames[:, frame].contiguous() for frame in range(3))
    return Batch(
        left=left,
        right=right,
        truth=truth,
        t=t.clone(),
        flow=torch.cat(flows, dim=1),
        visible=torch.where(stands, still, torch.cat(seen, dim=1)),
        known=torch.where(stands, still, known),
    )


def _seen(shares: Tensor, surface: Tensor, flow: Tensor) -> Tensor:
    """The share that a pixel's surface has of the place in a frame that its flow points to; 0 outside of the frame."""
    height, width = surface.shape[-2:]
    share = backward_warp(shares, flow).gather(1, surface)
    away = (pixel_places(height, width, flow.device) + flow).abs()
    inside = (away[:, :1] <= (width - 1) / 2 + 1e-3) & (away[:, 1:] <= (height - 1) / 2 + 1e-3)
    return share.clamp(0.0, 1.0) * inside
