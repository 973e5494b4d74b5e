"""One class for every RIFE 4.x network.

A network is a row of blocks, coarse to fine. Each sees both frames warped by the flow so far, at its own reduced
resolution, and answers a correction of the flow and a mask. Convolutions run in the dtype of the weights; flow, mask
and every sample are float32 always.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vsrife.errors import ArgumentError
from vsrife.network.architecture import Architecture
from vsrife.network.blocks import IFBlock, build_head
from vsrife.network.flow_and_mask import Motion, merged
from vsrife.network.flow_state import Pair, Step, together
from vsrife.network.frames import check_canvas, check_scale, limited
from vsrife.network.warp import resize, resize_flow

__all__ = ["LARGE_MOTION", "IFNet"]

LARGE_MOTION = 32.0
"""Pixels: group A starts again at doubled scales when block 1 moves both frames by more than this anywhere."""


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
    supports_ensemble: whether ``ensemble=True`` is taken.
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
        """The number that a canvas' width and height must be multiples of at the user's ``scale``."""
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
        """Flow and mask of the frame at time ``t``, 0 is left, 1 is right: a number, or a tensor [N] or [N, 1, 1, 1].

        left_features, right_features: what `encode` gave for the frames.
        scale: of USER_SCALES; each block's reduction is divided by it.
        ensemble: run every block on the swapped pair too and average, about twice the work (groups A to H).

        Raises ArgumentError for a canvas, scale, ensemble or features that this network does not take. Its inputs are
        left as they are.
        """
        self.check_options(scale=scale, ensemble=ensemble)
        self.check_pair(left, right, left_features, right_features, scale=scale)
        frames = Pair.of(limited(left), limited(right), t, left_features, right_features)
        reductions = [each / scale for each in self.architecture.scales]
        known: Step | None = None
        for index in range(len(reductions)):
            pair = frames if known is None else frames.warped(known.flow)
            answer = self.step(index, pair, known, reductions[index])
            if index == 1 and self.architecture.reruns and _moves_far(answer.flow):
                # The second start is made without the swapped pair, also in an ensemble, as in the public releases.
                reductions = [2 * each for each in reductions]
                known = self.step(0, frames, None, reductions[0])
                pair = frames.warped(known.flow)
                answer = self.step(1, pair, known, reductions[1])
            if ensemble:
                mirrored = None if known is None else known.mirrored()
                other = self.step(index, pair.swapped(), mirrored, reductions[index])
                answer = answer.mean(other.mirrored())
            known = together(known, answer, adds_masks=self.architecture.adds_masks)
        assert known is not None
        return known.motion

    def step(self, index: int, pair: Pair, known: Step | None, reduction: float) -> Step:
        """What block ``index`` answers: its inputs brought to its resolution, convolved, the answer brought back.

        pair: both frames as the flow of ``known`` warps them; as they are for block 0.
        known: what the blocks before have come to, see `together`; None for block 0.
        reduction: how much smaller than the canvas the block's resolution is, `Architecture.scales` over the user's.
        """
        small = [resize(image, 1 / reduction) for image in pair.images]
        small.append(pair.time_like(small[0]))
        if known is not None:
            small.append(resize(known.mask, 1 / reduction))
            if known.hidden is not None:
                small.append(resize(known.hidden, 1 / reduction))
            small.append(resize_flow(known.flow, 1 / reduction))
        block = self.get_submodule(f"block{index}")
        answer: Tensor = block(torch.cat(small, 1).to(self.dtype)).float()
        growth = reduction * self.architecture.answer_scale
        last = index == len(self.architecture.widths) - 1
        wanted = self.architecture.hidden > 0 and not last  # nobody reads the last block's hidden channels
        return Step(
            flow=resize_flow(answer[:, :4], growth),
            mask=resize(answer[:, 4:5], growth),
            hidden=resize(answer[:, 5:], growth) if wanted else None,
        )

    def merge(self, left: Tensor, right: Tensor, motion: Motion) -> Tensor:
        """The new frame on the padded canvas, float32 [N, 3, H, W]: both frames, warped and weighed by the mask.

        This is the reference for a clip of RGB; frames are limited to 0..1 first.
        """
        return merged(limited(left), limited(right), motion)

    def check_options(self, *, scale: float, ensemble: bool) -> None:
        """Raise ArgumentError for a ``scale`` that no network takes, or an ``ensemble`` that this one does not."""
        check_scale(scale)
        if ensemble and not self.supports_ensemble:
            raise ArgumentError(
                "ensemble (1) must be 0 for this model; those that take it are 4.0 to 4.20, 4.24, 3.8 and the paper's"
            )

    def check_pair(
        self,
        left: Tensor,
        right: Tensor,
        left_features: Tensor | None,
        right_features: Tensor | None,
        *,
        scale: float,
    ) -> None:
        """Raise ArgumentError for a canvas or features that this network does not take."""
        check_canvas(left, right, modulus=self.modulus(scale), scale=scale)
        expected = self.architecture.features
        for features in (left_features, right_features):
            if (0 if features is None else features.shape[1]) != expected:
                raise ArgumentError(f"features must have {expected} channels for this network; pass what encode gave")
