"""Making labels: from the flows that several networks estimate, those that the true frame confirms.

The networks see the two outer frames alone. The true frame decides between them, pixel by pixel, and what is believed:
a flow is, where the frame that it warps looks like the true one, where another network says nearly the same, and where
leaving the frames as they are would not do as well. The thresholds were measured on synthetic scenes, see docs/data.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from vsrife.datasets.labels import STEP, Label, Place, enlarged, reduced
from vsrife.network.ifnet import IFNet
from vsrife.network.legacy.base import LegacyNetwork
from vsrife.network.legacy.v3 import V3FusionNet
from vsrife.network.warp import backward_warp

__all__ = [
    "RULES",
    "Network",
    "Wanted",
    "at_moment",
    "find_flow",
    "label_shot",
    "make_label",
    "rounds",
    "wanted_labels",
]

_CHOICE: Final = 9
"""Side in pixels of the square over which errors are averaged before networks are compared."""

_BELIEF: Final = 5
"""The same before errors are compared with the limits."""

_MOMENTS: Final = (0.5, 0.45, 0.55, 0.4, 0.6, 0.35, 0.65, 0.3, 0.7)
"""Moments on the way between the outer frames at which an object may be in the true frame."""

_MOMENT: Final = 11
"""Values of a label along a side of the square that has one moment."""

_UNEVEN: Final = 0.5 / 255
"""What it costs to be at an end, in mean difference: nothing that stands still, or has no texture, is moved."""

_HIDDEN: Final = 24 / 255
"""Mean difference that counts as hidden."""

_MOST: Final = 8 / 255
"""Mean difference from the true frame from which on a flow is not trusted."""

_SLACK: Final = (1.02, 0.5 / 255)
"""How much worse a warped frame may be than the frames as they are, factor and addition: where nothing moves."""

_APART: Final = (0.5, 0.1)
"""Pixels, and share of the flow's length, that two networks may be apart."""


_STILL: Final = 1.0
"""Mean difference, of 255, of thumbnails of two frames, brightness apart, below which nothing moves."""

RULES: Final = {
    "choice": _CHOICE,
    "belief": _BELIEF,
    "moments": sorted(_MOMENTS),
    "moment": _MOMENT,
    "uneven": _UNEVEN,
    "hidden": _HIDDEN,
    "most": _MOST,
    "slack": list(_SLACK),
    "apart": list(_APART),
}
"""By what labels are made, beside the networks; for JSON."""

type Network = tuple[IFNet | LegacyNetwork, float]
"""A network and the `scale` that it runs at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A label that a shot may have. change: between the outer frames of its window, of 255, brightness apart."""

    place: Place
    change: float


def wanted_labels(shot: int, frames: Tensor, distances: Sequence[int], every: int) -> list[Wanted]:
    """Of a shot, those of windows that change most first; without those in which nothing moves.

    frames: uint8 [F, 3, h, w]. every: frames from one whose labels are made to the next.
    """
    thumbnails = avg_pool2d(frames[:, :, ::2, ::2].float().mean(1, keepdim=True), 4, ceil_mode=True)
    thumbnails = thumbnails - thumbnails.mean((1, 2, 3), keepdim=True)
    found = []
    for distance in distances:
        for frame in range(distance, len(frames) - distance):
            if frame % every == 1 % every:
                change = (thumbnails[frame + distance] - thumbnails[frame - distance]).abs().mean().item()
                found.append(Wanted(place=Place(shot, frame, distance), change=change))
    return sorted((each for each in found if each.change >= _STILL), key=lambda each: -each.change)


def rounds(wanted: Sequence[Sequence[Wanted]], size: int) -> Iterator[list[Place]]:
    """The labels in the order in which they are made: at most `size` of a shot, those of the shots that change most
    first; then the next of every shot, and so on. A list is of one shot.
    """
    for start in range(0, max(map(len, wanted), default=0), size):
        parts = [each[start : start + size] for each in wanted if each[start : start + size]]
        parts.sort(key=lambda part: -sum(each.change for each in part) / len(part))
        yield from ([each.place for each in part] for part in parts)


@torch.inference_mode()
def label_shot(frames: Tensor, places: Sequence[Place], networks: Sequence[Network]) -> Iterator[tuple[Place, Label]]:
    """Labels of a shot, uint8 [F, 3, h, w]."""
    for place in places:
        _, frame, distance = place
        window = [frames[n][None].float() / 255 for n in (frame - distance, frame, frame + distance)]
        left, truth, right = window
        flows = [find_flow(network, left, right, scale) for network, scale in networks]
        yield place, make_label(left, truth, right, flows)


def find_flow(network: IFNet | LegacyNetwork, left: Tensor, right: Tensor, scale: float) -> Tensor:
    """What a network takes the flow in the middle of two frames to be, float32 [1, 4, H, W].

    left, right: float32 [1, 3, H, W] in 0..1, of any size.
    """
    height, width = left.shape[-2:]
    modulus = network.modulus(scale)
    room = (0, -width % modulus, 0, -height % modulus)
    frames = pad(left, room), pad(right, room)
    if isinstance(network, IFNet):
        flow = network(*frames, *(network.encode(frame) for frame in frames), 0.5, scale=scale).flow
    elif isinstance(network, V3FusionNet):
        flow = network.flow(*frames, scale=scale)
    else:
        flow = network.interpolate(*frames, scale=scale)[0].motion.flow
    found: Tensor = flow[..., :height, :width]
    return found


def make_label(left: Tensor, truth: Tensor, right: Tensor, flows: Sequence[Tensor]) -> Label:
    """The label of a frame.

    left, truth, right: float32 [1, 3, H, W] in 0..1. flows: float32 [1, 4, H, W], at least two networks'.
    """
    candidates = _at_their_moments(left, truth, right, torch.cat([reduced(flow) for flow in flows]))
    candidates = candidates.half().float()
    whole = slice(0, truth.shape[-2]), slice(0, truth.shape[-1])
    errors = [_errors(left, truth, right, enlarged(flow[None], *whole), _CHOICE) for flow in candidates]
    best = torch.cat([reduced(error) for error in errors]).argmin(0)
    halves = candidates.view(len(flows), 2, 2, *candidates.shape[-2:])
    chosen = halves.gather(0, best[None, :, None].expand(1, 2, 2, -1, -1))
    flow = chosen.view(1, 4, *candidates.shape[-2:])

    error = _errors(left, truth, right, enlarged(flow, *whole), _BELIEF)
    as_they_are = torch.stack([_error(each, truth, _BELIEF) for each in (left, right, (left + right) / 2)]).amin(0)
    believed = (error < _MOST) & (error <= _SLACK[0] * as_they_are + _SLACK[1])
    # The network that was chosen is no distance from itself; the next one is another.
    apart = torch.linalg.vector_norm(halves - chosen, dim=2).sort(0).values[1]
    agreed = _smoothed(apart[None], 3) < _APART[0] + _APART[1] * torch.linalg.vector_norm(chosen, dim=2)
    trust = reduced(believed.float()) * agreed
    return Label(flow=flow[0].half(), trust=(255 * trust[0]).round().to(torch.uint8))


def _at_their_moments(left: Tensor, truth: Tensor, right: Tensor, flows: Tensor) -> Tensor:
    """Flows of the middle, [M, 4, h, w], as flows of the moment at which the true frame shows each thing.

    What does not move evenly is not in the middle of its way in the middle frame. So its place is looked for along the
    way that the networks found: one number for each place, common to all networks and both sides.
    """
    left, truth, right = (avg_pool2d(each, 2, ceil_mode=True) for each in (left, truth, right))
    whole = slice(0, truth.shape[-2]), slice(0, truth.shape[-1])
    shifted = [at_moment(flows, moment) for moment in _MOMENTS]
    errors = []
    for moved in shifted:
        # Both sides count, and of the networks the better one; what is hidden costs no more than a limit.
        of_networks = [
            _errors(left, truth, right, enlarged(each[None] / 2, *whole, step=2), _CHOICE // 2 + 1) for each in moved
        ]
        error = torch.stack(of_networks).amin(0).clamp(max=_HIDDEN).mean(1, keepdim=True)
        errors.append(_smoothed(avg_pool2d(error, 2, ceil_mode=True), _MOMENT))
    costs = torch.cat(errors) + torch.tensor([_UNEVEN * abs(2 * moment - 1) for moment in _MOMENTS]).view(-1, 1, 1, 1)
    best = costs.argmin(0)
    everything = torch.stack(shifted)
    return everything.gather(0, best.expand(1, *everything.shape[1:]))[0]


def at_moment(flows: Tensor, moment: float) -> Tensor:
    """Flows [M, 4, h, w] of the middle as those of another moment, 0 (left) to 1 (right), at the same size, in pixels
    of a frame STEP times as large.

    A thing goes from its place in the left frame to that in the middle, and on to that in the right one, each at an
    even pace.
    """
    share = 2 * moment - 1
    if share == 0:
        return flows
    way = share * flows[:, 2:] if share > 0 else -share * flows[:, :2]
    # What is at a place at that moment comes from where, in the middle, the way leads there: a fixed point.
    back = -way / STEP
    for _ in range(2):
        back = backward_warp(-way / STEP, back)
    moved = backward_warp(torch.cat((flows, way), 1), back)
    return moved[:, :4] - moved[:, 4:].repeat(1, 2, 1, 1)


def _errors(left: Tensor, truth: Tensor, right: Tensor, flow: Tensor, side: int) -> Tensor:
    """Of either frame as `flow` warps it: [1, 2, H, W]."""
    warped = backward_warp(left, flow[:, :2]), backward_warp(right, flow[:, 2:])
    return torch.cat([_error(each, truth, side) for each in warped], 1)


def _error(picture: Tensor, truth: Tensor, side: int) -> Tensor:
    """Mean difference of the channels over a square around each pixel: [1, 1, H, W]."""
    return _smoothed((picture - truth).abs().mean(1, keepdim=True), side)


def _smoothed(field: Tensor, side: int) -> Tensor:
    margin = side // 2
    return avg_pool2d(pad(field, (margin,) * 4, mode="replicate"), side, 1)
