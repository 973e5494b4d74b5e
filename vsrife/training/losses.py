"""What is minimised, each a function of pictures or flows alone: one number, the mean over the batch.

Pictures are [N, C, H, W] in 0..1, flows [N, 2 or 4, H, W] in pixels. Whatever comes in, and inside autocast too, the
arithmetic is float32 (float64 where that comes in). Gradients are finite everywhere, also where the loss is 0.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from vsrife.errors import ArgumentError

LEVELS = 5
"""Of the Laplacian pyramid."""

_BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)
_LUMA = (0.2989, 0.5870, 0.1140)


def _exactly[**P](loss: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """The loss, with its tensors in float32 or float64 and no autocast within."""

    @functools.wraps(loss)
    def exact(*args: P.args, **options: P.kwargs) -> Tensor:
        tensors = [each for each in (*args, *options.values()) if isinstance(each, Tensor)]
        sizes = {each.shape[-2:] for each in tensors}
        if len(sizes) > 1:
            shown = ", ".join(f"{width}x{height}" for height, width in sorted(sizes))
            raise ArgumentError(f"sizes ({shown}) must be the same for everything that {loss.__name__} compares")
        with torch.autocast(tensors[0].device.type, enabled=False):
            wide = [_wide(each) for each in args]
            named = {name: _wide(each) for name, each in options.items()}
            return loss(*wide, **named)  # type: ignore[arg-type] # each argument keeps its type

    return exact


def _wide(value: object) -> object:
    return value.float() if isinstance(value, Tensor) and value.dtype != torch.float64 else value


@_exactly
def l1(picture: Tensor, truth: Tensor) -> Tensor:
    """The mean absolute difference."""
    return (picture - truth).abs().mean()


@_exactly
def charbonnier(picture: Tensor, truth: Tensor, epsilon: float = 1e-3) -> Tensor:
    """The mean of sqrt(difference^2 + epsilon^2): as L1, but smooth around 0."""
    return ((picture - truth).square() + epsilon**2).sqrt().mean()


@_exactly
def laplacian(picture: Tensor, truth: Tensor, levels: int = LEVELS) -> Tensor:
    """The sum over the levels of a Laplacian pyramid of the mean absolute difference at that level (the paper's).

    A level is a picture less what is left of it after halving and doubling; what remains below the last level does not
    count. Borders are reflected. Sizes need not be even.
    Raises ArgumentError for a picture too small for ``levels``: at 5 each side must be at least 33.
    """
    least = (2 << (levels - 1)) + 1
    if min(picture.shape[-2:]) < least:
        height, width = picture.shape[-2:]
        raise ArgumentError(f"picture ({width}x{height}) must be at least {least}x{least} for {levels} levels")
    # The pyramid is linear: that of the difference is the difference of both.
    current = (picture - truth).flatten(0, 1)[:, None]
    total = current.new_zeros(())
    for _ in range(levels):
        below = _blurred(current, stride=2)
        spread = torch.zeros_like(current)
        spread[..., ::2, ::2] = below
        total = total + (current - 4 * _blurred(spread)).abs().mean()
        current = below
    return total


def _blurred(x: Tensor, stride: int = 1) -> Tensor:
    """[N, 1, H, W] under a binomial window of 5x5, at every ``stride``-th sample."""
    row = x.new_tensor(_BINOMIAL) / 16
    window = (row[:, None] * row)[None, None]
    return functional.conv2d(functional.pad(x, (2, 2, 2, 2), mode="reflect"), window, stride=stride)


@_exactly
def census(picture: Tensor, truth: Tensor, radius: int = 3) -> Tensor:
    """How differently each sample of luma lies among its neighbours: blind to a change of brightness, keen on edges.

    The soft ternary transform: differences d to the (2 radius + 1)^2 neighbours, on a scale of 0..255, as
    d / sqrt(0.81 + d^2); two of them compared by e^2 / (0.1 + e^2). The ``radius`` outermost samples, whose neighbours
    are not all there, do not count. (Meister et al., "UnFlow", AAAI 2018, section 3.2.)

    Pictures have three channels, RGB. Raises ArgumentError for one that has only such samples.
    """
    size = 2 * radius + 1
    height, width = picture.shape[-2:]
    if min(height, width) < size:
        raise ArgumentError(f"picture ({width}x{height}) must be at least {size}x{size} for a radius of {radius}")
    apart = _transform(picture, radius) - _transform(truth, radius)
    return (apart.square() / (0.1 + apart.square())).mean()


def _transform(picture: Tensor, radius: int) -> Tensor:
    """[N, 3, H, W] to [N, neighbours, (H - 2 radius) * (W - 2 radius)]."""
    luma = 255 * (picture * picture.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    neighbours = functional.unfold(luma, 2 * radius + 1)
    differences = neighbours - neighbours[:, neighbours.shape[1] // 2, None]
    return differences / (0.81 + differences.square()).sqrt()


@_exactly
def end_point_error(flow: Tensor, truth: Tensor, visible: Tensor | None = None) -> Tensor:
    """The mean distance in pixels between two flows [N, 2, H, W], or between either half of two [N, 4, H, W].

    visible: [N, 1, H, W], or a channel for each half, 0..1: how much a pixel counts. None counts all; where nothing
        counts the loss is 0. (Synthetic motion knows its flow exactly, and where a frame hides it.)
    """
    batch, _, height, width = flow.shape
    apart = (flow - truth).reshape(batch, -1, 2, height, width)
    distance: Tensor = torch.linalg.vector_norm(apart, dim=2)
    if visible is None:
        return distance.mean()
    weight = visible.expand_as(distance)
    return (distance * weight).sum() / weight.sum().clamp_min(1)


@_exactly
def smoothness(flow: Tensor, picture: Tensor | None = None, edge: float = 10.0) -> Tensor:
    """How much a flow changes from one pixel to the next, in pixels: the mean over both directions.

    picture: where it changes too, the flow may: a change counts exp(-edge * mean change of the channels) times.
    """
    total = flow.new_zeros(())
    for axis in (-1, -2):
        change = flow.diff(dim=axis).abs()
        if picture is not None:
            change = change * torch.exp(-edge * picture.diff(dim=axis).abs().mean(1, keepdim=True))
        total = total + change.mean() / 2
    return total
