"""Loss functions of pictures or flows; each returns a scalar, the mean over the batch.

Pictures are [N, C, H, W] in 0..1, flows [N, 2 or 4, H, W] in pixels. Whatever comes in, and inside autocast too, the
arithmetic is float32 (float64 where that comes in). Gradients are finite everywhere, also where the loss is 0.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from vsrife.errors import ArgumentError

__all__ = ["census", "charbonnier", "end_point_error", "l1", "laplacian", "smoothness"]

LEVELS = 5
"""Levels of the Laplacian pyramid."""

_BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)
_LUMA = (0.2989, 0.5870, 0.1140)


def _exactly[**P](loss: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """A loss that converts its tensors to float32 (float64 stays) and disables autocast."""

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
    # The pyramid is linear, so one pyramid of the difference is enough.
    current = (picture - truth).flatten(0, 1)
    apart = []
    for _ in range(levels):
        (halve_rows, double_rows), (halve_columns, double_columns) = (
            _resizing(length, current.device, current.dtype) for length in current.shape[-2:]
        )
        below = halve_rows @ current @ halve_columns.T
        apart.append((current - double_rows @ below @ double_columns.T).abs().mean())
        current = below
    return torch.stack(apart).sum()


@functools.cache
def _resizing(length: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """What halves a row of ``length`` samples, [half, length], and what doubles the result, [length, half]: matrices of
    the binomial window with reflected borders.

    As matrices because small windows over one channel are among the slowest convolutions there are, forward and
    backward. Doubling puts zeros between the samples, under the window times 2; reflected are those zeros too, so that
    at an even length the last sample stands next to itself.

    Cached, because copying them to a GPU waits until it has finished all earlier work.
    """
    with torch.inference_mode(mode=False):
        window = torch.tensor(_BINOMIAL, dtype=torch.float64).view(1, 1, -1) / 16
        every = torch.eye(length, dtype=torch.float64)[:, None]
        halving = functional.conv1d(functional.pad(every, (2, 2), mode="reflect"), window, stride=2)[:, 0].T
        half = len(halving)
        spread = torch.zeros(half, 1, length, dtype=torch.float64)
        spread[torch.arange(half), 0, 2 * torch.arange(half)] = 1
        doubling = functional.conv1d(functional.pad(spread, (2, 2), mode="reflect"), 2 * window)[:, 0].T
        return halving.to(device, dtype).contiguous(), doubling.to(device, dtype).contiguous()


@_exactly
def census(picture: Tensor, truth: Tensor, radius: int = 3) -> Tensor:
    """The census loss: compares the differences of each luma sample to its neighbours, independent of brightness.

    The soft ternary transform: differences d to the (2 radius + 1)^2 neighbours, on a scale of 0..255, as
    d / sqrt(0.81 + d^2); two of them compared by e^2 / (0.1 + e^2). The ``radius`` outermost samples, whose neighbours
    are not all there, do not count. (Meister et al., "UnFlow", AAAI 2018, section 3.2.)

    Pictures have three channels, RGB. Raises ArgumentError for one that has only such samples.
    """
    size = 2 * radius + 1
    height, width = picture.shape[-2:]
    if min(height, width) < size:
        raise ArgumentError(f"picture ({width}x{height}) must be at least {size}x{size} for a radius of {radius}")
    loss: Tensor = _Census.apply(_luma(picture), _luma(truth), radius)
    return loss


def _luma(picture: Tensor) -> Tensor:
    """[N, 1, H, W] in 0..255."""
    return (picture * _luma_weights(picture.device, picture.dtype)).sum(1, keepdim=True)


@functools.cache
def _luma_weights(device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(mode=False):
        return 255 * torch.tensor(_LUMA, device=device, dtype=dtype).view(1, 3, 1, 1)


@functools.cache
def _pairs(height: int, width: int, radius: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """[1, radius + 1, ...] as `_neighbours`: how often each sample's pair with a neighbour counts. Once for either of
    both that is not at the border.
    """
    with torch.inference_mode(mode=False):
        inner = torch.zeros(1, 1, height, width, device=device, dtype=dtype)
        inner[..., radius : height - radius, radius : width - radius] = 1
        often = (_neighbours(inner, radius) + _centre(inner, radius)).contiguous()
        often[:, 0, : radius + 1] = 0  # what comes before a sample in its row, and itself
        return often


def _neighbours(x: Tensor, radius: int) -> Tensor:
    """Of [N, 1, H, W] a view [N, radius + 1, 2 radius + 1, H - radius, W]: what is ``radius`` or less to the left,
    right and below of each sample of all rows but the last ``radius``; beyond the sides are zeros.
    """
    height, width = x.shape[-2:]
    return functional.pad(x, (radius, radius))[:, 0].unfold(1, height - radius, 1).unfold(2, width, 1)


def _centre(x: Tensor, radius: int) -> Tensor:
    """Those samples themselves, [N, 1, 1, H - radius, W]."""
    return x[:, None, :, : x.shape[-2] - radius]


class _Census(torch.autograd.Function):
    """Of two lumas [N, 1, H, W]. Each pair of neighbours is looked at once, not from either side, and the gradient is
    made together with the loss, in place: this is half of a training step's memory traffic otherwise.
    """

    @staticmethod
    def forward(ctx: Any, picture: Tensor, truth: Tensor, radius: int) -> Tensor:
        height, width = picture.shape[-2:]
        often = _pairs(height, width, radius, picture.device, picture.dtype)
        number = len(picture) * (height - 2 * radius) * (width - 2 * radius) * (2 * radius + 1) ** 2
        sides, slopes = [], []
        for luma in (picture, truth):
            around = _neighbours(luma, radius)
            apart = torch.sub(around, _centre(luma, radius), out=luma.new_empty(around.shape))
            slopes.append(apart.square().add_(0.81).rsqrt_())
            sides.append(apart.mul_(slopes[-1]))
        error, spare = sides[0].sub_(sides[1]), sides[1]
        share = torch.mul(error, error, out=spare).add_(0.1).reciprocal_()
        weighed = error * share
        loss: Tensor = (error.mul_(weighed).sum(0) * often[0]).sum() / number
        # Of e^2 / (0.1 + e^2) by e: 0.2 e / (0.1 + e^2)^2. Of d / sqrt(0.81 + d^2) by d: 0.81 / sqrt(0.81 + d^2)^3.
        weighed.mul_(share).mul_(often)
        gradients: list[Tensor | None] = [None, None]
        for index, (slope, sign) in enumerate(zip(slopes, (1, -1), strict=True)):
            if ctx.needs_input_grad[index]:
                by = weighed.mul(slope).mul_(slope).mul_(slope)
                window = (radius + 1, 2 * radius + 1)
                wide = functional.fold(by.flatten(3).flatten(1, 2), (height, width + 2 * radius), window)
                to = wide[..., radius : width + radius].contiguous()
                to[:, 0, : height - radius] -= by.sum((1, 2))
                gradients[index] = to.mul_(sign * 0.2 * 0.81 / number)
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return (*(None if each is None else each * gradient for each in ctx.saved_tensors), None)


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
