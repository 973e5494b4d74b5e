"""Synthetic motion: pictures that move over each other, with the exact flow and what is hidden.

Every scene is a background and one to six layers, cards, before it. The cards of all scenes are one batch: a batch is
some hundred operations, however many samples it has, and there is no work per pixel in Python.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vsrife.errors import ArgumentError
from vsrife.network.warp import backward_warp
from vsrife.training.data.bank import Bank
from vsrife.training.data.batch import Batch, concatenate
from vsrife.training.data.draws import Draws, mixed_seed
from vsrife.training.data.layers import Look, draw_backgrounds, draw_cards
from vsrife.training.data.light import Changes, draw_changes
from vsrife.training.data.motion import draw_camera, pixel_places

__all__ = ["Synthetic", "SyntheticSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticSettings:
    """Shares of the samples, 0..1, unless said otherwise.

    height, width: of the frames, pixels, at least 32.
    layers: before the background, at most; a batch has as many samples of each number from 1 up. 0 for none.
    any_time: with t anywhere in 0..1; the others are at 1/2.
    blurred: with motion blur over up to half of the way between the inputs and 12 pixels.
    drifting: whose brightness and gamma change evenly with time.
    noisy: whose inputs, not the truth, have noise.
    titled: in which the foremost layer stands still, as a title or logo. barred: with black bars above and below.
    faded: which are two scenes, one fading into the other.
    """

    height: int = 224
    width: int = 224
    layers: int = 6
    any_time: float = 0.5
    blurred: float = 0.3
    drifting: float = 0.1
    noisy: float = 0.3
    titled: float = 0.1
    barred: float = 0.05
    faded: float = 0.03

    def __post_init__(self) -> None:
        for name in ("any_time", "blurred", "drifting", "noisy", "titled", "barred", "faded"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ArgumentError(f"{name} ({share}) must be from 0 to 1; it is a share of the samples")
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
            scenes = torch.cat([torch.arange(head) for head in heads]).to(draws.device)
            last = torch.cat([torch.arange(head) >= after for head, after in zip(heads, [*heads[1:], 0], strict=True)])
            still = draws.chance(count, of=settings.titled)[scenes] & last.to(draws.device)
            cards = draw_cards(draws, self.bank, camera.of(scenes), longer, still)
            lasting = None
            if blur:
                fastest = 2 * cards.motion.shift.norm(dim=1).clamp(min=1.0)
                lasting = torch.minimum(shutter[scenes], 12 / fastest)
            looks.append(cards.look(*size, times[scenes], lasting))
        changes = draw_changes(draws, count, settings.drifting, settings.noisy, settings.barred, settings.faded)
        return _batch(_view(looks, heads, count), t, draws, changes)


def _heads(count: int, most: int) -> list[int]:
    """How many scenes have a first, a second ... card: as many scenes have each number of cards from 1 to `most`. The
    scenes with the most come first, so that those with an n-th card are the batch's head.
    """
    numbers = [1 + index * most // count for index in range(count)] if most else []
    heads = [sum(number > index for number in numbers) for index in range(most)]
    return [head for head in heads if head]


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


def _batch(view: _View, t: Tensor, draws: Draws, changes: Changes) -> Batch:
    height, width = view.picture.shape[-2:]
    known, surface = view.shares[:, :, 1].max(1, keepdim=True)
    way = view.way.gather(1, surface.unsqueeze(2).expand(-1, -1, 2, -1, -1))[:, 0]
    time = t.view(-1, 1, 1, 1)
    to_left, to_right = -2 * time * way, 2 * (1 - time) * way
    seen = [_seen(view.shares[:, :, frame], surface, flow) for frame, flow in ((0, to_left), (2, to_right))]
    bars = changes.bars(height, width)
    known = torch.where(bars, 1.0, known) * changes.followed
    visible = torch.where(bars, 1.0, torch.cat(seen, dim=1)) * changes.followed
    left, truth, right = (
        torch.where(bars, 0.0, changes.lit(view.picture[:, :, frame], moment))
        for frame, moment in enumerate((torch.zeros_like(t), t, torch.ones_like(t)))
    )
    return Batch(
        left=changes.noisy(draws, left),
        right=changes.noisy(draws, right),
        truth=truth,
        t=time.clone(),
        flow=torch.where(bars, 0.0, torch.cat((to_left, to_right), dim=1)) * changes.followed,
        visible=visible,
        known=known,
    )


def _seen(shares: Tensor, surface: Tensor, flow: Tensor) -> Tensor:
    """The share that a pixel's surface has of the place in a frame that its flow points to; 0 outside of the frame."""
    height, width = surface.shape[-2:]
    share = backward_warp(shares, flow).gather(1, surface)
    limits = torch.tensor(((width - 1) / 2, (height - 1) / 2), device=flow.device).view(1, 2, 1, 1)
    inside = ((pixel_places(height, width, flow.device) + flow).abs() <= limits + 1e-3).all(1, keepdim=True)
    return share.clamp(0.0, 1.0) * inside
