"""One class for every RIFE 4.x network.

A network is a row of blocks, coarse to fine. Each sees both frames warped by the flow so far, at its own reduced
resolution, and answers a correction of the flow and a mask. Convolutions run in the dtype of the weights; flow, mask
and every sample are float32 always.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsrife.errors import ArgumentError
from vsrife.network.architecture import USER_SCALES, Architecture
from vsrife.network.blocks import IFBlock, build_head
from vsrife.network.motion import Motion
from vsrife.network.warp import backward_warp

LARGE_MOTION = 32.0
"""Pixels: group A starts again at doubled scales when block 1 moves both frames by more than this anywhere."""


class _Step(NamedTuple):
    """What a block answers, at full resolution and in float32: flow in pixels, mask before the sigmoid."""

    flow: Tensor
    mask: Tensor
    hidden: Tensor | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Pair:
    """What a block sees of either side: the frame and, in a network that has them, its features; and the time."""

    left: tuple[Tensor, ...]
    right: tuple[Tensor, ...]
    time: Tensor

    def swapped(self) -> Self:
        return type(self)(left=self.right, right=self.left, time=1 - self.time)

    def warped(self, flow: Tensor) -> Self:
        left = tuple(backward_warp(image, flow[:, :2]) for image in self.left)
        right = tuple(backward_warp(image, flow[:, 2:]) for image in self.right)
        return type(self)(left=left, right=right, time=self.time)


def _images(frame: Tensor, features: Tensor | None) -> tuple[Tensor, ...]:
    frame = frame.clamp(0.0, 1.0)
    return (frame,) if features is None else (frame, features.float())


def _resize(x: Tensor, factor: float) -> Tensor:
    """Bilinear resize of [N, C, H, W] by `factor`; where that is 1, the tensor itself."""
    return x if factor == 1 else functional.interpolate(x, scale_factor=factor, mode="bilinear")


def _swap_halves(flow: Tensor) -> Tensor:
    return torch.cat((flow[:, 2:], flow[:, :2]), 1)


def _moves_far(flow: Tensor) -> bool:
    left, right = flow[:, :2].abs().amax(), flow[:, 2:].abs().amax()
    return bool(torch.minimum(left, right) > LARGE_MOTION)


class IFNet(nn.Module):
    """A RIFE 4.x network, built with random weights; `vsrife.models.checkpoint.load` gives one with a checkpoint's.

    Frames are float32 [N, 3, H, W] RGB in 0..1 on a canvas whose H and W are multiples of `modulus(scale)`; zeros on
    the right and at the bottom bring a frame to that size.

    architecture: the numbers it was built from.
    encode: frame to features [N, E, H, W] in the dtype of the weights, or to None in a network that has none. It needs
        one frame only, so a frame that is the right one of a pair and the left one of the next is encoded once.
    supports_ensemble: whether `ensemble=True` is taken.
    """

    encode: Callable[[Tensor], Tensor | None]

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        for index in range(len(architecture.widths)):
            self.add_module(f"block{index}", IFBlock(architecture, index))
        self.encode = build_head(architecture)

    @property
    def supports_ensemble(self) -> bool:
        """Whether the network can also be run on the swapped pair and averaged."""
        return self.architecture.supports_ensemble

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights, which the convolutions run in."""
        return next(self.parameters()).dtype

    def modulus(self, scale: float = 1.0) -> int:
        """The number that a canvas' width and height must be multiples of at the user's `scale`."""
        return self.architecture.modulus(scale)

    def forward(
        self,
        left: Tensor,
        right: Tensor,
        left_features: Tensor | None,
        right_features: Tensor | None,
        t: float | Tensor,
        *,
        scale: float = 1.0,
        ensemble: bool = False,
    ) -> Motion:
        """Flow and mask of the frame at time `t` (0 is left, 1 is right; a number or a tensor [N, 1, 1, 1]).

        left_features, right_features: what `encode` gave for the frames.
        scale: of USER_SCALES; each block's reduction is divided by it.
        ensemble: run every block on the swapped pair too and average, about twice the work (groups A to H).

        Raises ArgumentError for a canvas, scale, ensemble or features that this network does not take. Its inputs are
        left as they are.
        """
        self.check_options(scale=scale, ensemble=ensemble)
        self._check(left, right, left_features, right_features, scale)
        frames = _Pair(
            left=_images(left, left_features),
            right=_images(right, right_features),
            time=torch.as_tensor(t, dtype=torch.float32, device=left.device).reshape(-1, 1, 1, 1),
        )
        reductions = [each / scale for each in self.architecture.scales]
        before = self._step(0, frames, None, reductions[0])
        if ensemble:
            before = self._mirror_mean(before, 0, frames, None, reductions[0])
        for index in range(1, len(reductions)):
            pair = frames.warped(before.flow)
            step = self._step(index, pair, before, reductions[index])
            if index == 1 and self.architecture.reruns and _moves_far(step.flow):
                # The second start is made without the swapped pair, also in an ensemble, as in the public releases.
                reductions = [2 * each for each in reductions]
                before = self._step(0, frames, None, reductions[0])
                pair = frames.warped(before.flow)
                step = self._step(1, pair, before, reductions[1])
            if ensemble:
                step = self._mirror_mean(step, index, pair, before, reductions[index])
            mask = before.mask + step.mask if self.architecture.adds_masks else step.mask
            before = _Step(before.flow + step.flow, mask, step.hidden)
        return Motion(flow=before.flow, mask=torch.sigmoid(before.mask))

    def check_options(self, *, scale: float, ensemble: bool) -> None:
        """Raise ArgumentError for a `scale` that no network takes, or an `ensemble` that this one does not."""
        if scale not in USER_SCALES:
            raise ArgumentError(f"scale ({scale:g}) must be one of 0.25, 0.5, 1, 2, 4")
        if ensemble and not self.supports_ensemble:
            raise ArgumentError(
                "ensemble (1) must be 0 for this model; the networks that take it are 4.0 to 4.20 and 4.24"
            )

    def merge(self, left: Tensor, right: Tensor, motion: Motion) -> Tensor:
        """The new frame on the padded canvas, float32 [N, 3, H, W]: both frames, warped and weighed by the mask.

        This is the reference for a clip of RGB; frames are limited to 0..1 first.
        """
        warped_left = backward_warp(left.clamp(0.0, 1.0), motion.flow[:, :2])
        warped_right = backward_warp(right.clamp(0.0, 1.0), motion.flow[:, 2:])
        return warped_left * motion.mask + warped_right * (1 - motion.mask)

    def _check(
        self,
        left: Tensor,
        right: Tensor,
        left_features: Tensor | None,
        right_features: Tensor | None,
        scale: float,
    ) -> None:
        height, width = left.shape[-2:]
        modulus = self.modulus(scale)
        if left.shape != right.shape or height % modulus or width % modulus:
            raise ArgumentError(
                f"canvas ({width}x{height}, {right.shape[-1]}x{right.shape[-2]}) must be one size for both frames, "
                f"a multiple of {modulus} each way at scale {scale:g}; pad with zeros"
            )
        expected = self.architecture.features
        for features in (left_features, right_features):
            if (0 if features is None else features.shape[1]) != expected:
                raise ArgumentError(f"features must have {expected} channels for this network; pass what encode gave")

    def _mirror_mean(self, step: _Step, index: int, pair: _Pair, before: _Step | None, reduction: float) -> _Step:
        """The mean of `step` and of what block `index` answers when left and right change places."""
        mirrored = before and _Step(_swap_halves(before.flow), -before.mask, None)
        other = self._step(index, pair.swapped(), mirrored, reduction)
        return _Step((step.flow + _swap_halves(other.flow)) / 2, (step.mask - other.mask) / 2, None)

    def _step(self, index: int, pair: _Pair, before: _Step | None, reduction: float) -> _Step:
        """What block `index` answers: bring its inputs to its resolution, convolve, bring the answer back."""
        images = (image for both in zip(pair.left, pair.right, strict=True) for image in both)
        small = [_resize(image, 1 / reduction) for image in images]
        height, width = small[0].shape[-2:]
        # A plane of one number is that number at every resolution.
        small.append(pair.time.expand(small[0].shape[0], 1, height, width))
        if before is not None:
            small.append(_resize(before.mask, 1 / reduction))
            if before.hidden is not None:
                small.append(_resize(before.hidden, 1 / reduction))
            small.append(_resize(before.flow, 1 / reduction) / reduction)
        block: nn.Module = self.get_submodule(f"block{index}")
        answer: Tensor = block(torch.cat(small, 1).to(self.dtype)).float()

        # Groups A and B answer at half the resolution they were given.
        growth = reduction if self.architecture.shuffled else 2 * reduction
        last = index == len(self.architecture.widths) - 1
        hidden = None if last or not self.architecture.hidden else _resize(answer[:, 5:], growth)
        return _Step(_resize(answer[:, :4], growth) * growth, _resize(answer[:, 4:5], growth), hidden)
