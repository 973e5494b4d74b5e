"""One class for every RIFE 4.x network.

A network is a sequence of blocks, coarse to fine. Each receives both frames warped by the flow so far, at its own
reduced resolution, and returns a correction of the flow and a mask. Convolutions run in the dtype of the weights; flow,
mask and all sampling are always float32.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vsrife.errors import ArgumentError
from vsrife.network.architecture import Architecture
from vsrife.network.blocks import IFBlock, build_head
from vsrife.network.flow_and_mask import FlowAndMask, merged
from vsrife.network.flow_state import FlowState, Pair, accumulate
from vsrife.network.frames import check_canvas, check_scale, limited
from vsrife.network.warp import resize, resize_flow

__all__ = ["LARGE_MOTION", "IFNet"]

LARGE_MOTION = 32.0
"""Pixels: group A runs again at doubled scales when the flow of block 1 exceeds this for both frames anywhere."""


def _moves_far(flow: Tensor) -> bool:
    left, right = flow[:, :2].abs().amax(), flow[:, 2:].abs().amax()
    return bool(torch.minimum(left, right) > LARGE_MOTION)


class IFNet(nn.Module):
    """A RIFE 4.x network, built with random weights; `vsrife.models.checkpoint.load` returns one with those of a file.

    Frames are float32 [N, 3, H, W] RGB in 0..1 on a canvas whose H and W are multiples of `modulus(scale)`; zeros on
    the right and at the bottom bring a frame to that size.

    architecture: the hyperparameters it was built from.
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
    ) -> FlowAndMask:
        """Flow and mask of the frame at time ``t``, 0 is left, 1 is right: a number, or a tensor [N] or [N, 1, 1, 1].

        left_features, right_features: the results of `encode` for the frames.
        scale: of USER_SCALES; each block's reduction is divided by it.
        ensemble: run every block on the swapped pair too and average, about twice the work (groups A to H).

        Raises ArgumentError for a canvas, scale, ensemble or features that this network does not take. The inputs are
        not modified.
        """
        self.check_options(scale=scale, ensemble=ensemble)
        self.check_pair(left, right, left_features, right_features, scale=scale)
        frames = Pair.of(limited(left), limited(right), t, left_features, right_features)
        reductions = [each / scale for each in self.architecture.scales]
        state: FlowState | None = None
        for index in range(len(reductions)):
            pair = frames if state is None else frames.warped(state.flow)
            block_output = self.run_block(index, pair, state, reductions[index])
            if index == 1 and self.architecture.reruns and _moves_far(block_output.flow):
                # The second run leaves the swapped pair out, also in an ensemble, as in the public releases.
                reductions = [2 * each for each in reductions]
                state = self.run_block(0, frames, None, reductions[0])
                pair = frames.warped(state.flow)
                block_output = self.run_block(1, pair, state, reductions[1])
            if ensemble:
                mirrored = None if state is None else state.mirrored()
                other = self.run_block(index, pair.swapped(), mirrored, reductions[index])
                block_output = block_output.mean(other.mirrored())
            state = accumulate(state, block_output, adds_masks=self.architecture.adds_masks)
        assert state is not None
        return state.motion

    def run_block(self, index: int, pair: Pair, state: FlowState | None, reduction: float) -> FlowState:
        """The output of block ``index``: its inputs are resized to its resolution, and its output to the canvas.

        pair: both frames warped by the flow of ``state``; unwarped for block 0.
        state: flow and mask of the blocks before, see `accumulate`; None for block 0.
        reduction: factor by which the block's input is smaller than the canvas: `Architecture.scales` divided by the
            user's scale.
        """
        small = [resize(image, 1 / reduction) for image in pair.images]
        small.append(pair.time_like(small[0]))
        if state is not None:
            small.append(resize(state.mask, 1 / reduction))
            if state.hidden is not None:
                small.append(resize(state.hidden, 1 / reduction))
            small.append(resize_flow(state.flow, 1 / reduction))
        block = self.get_submodule(f"block{index}")
        output: Tensor = block(torch.cat(small, 1).to(self.dtype)).float()
        upscale = reduction * self.architecture.output_scale
        last = index == len(self.architecture.widths) - 1
        has_hidden = self.architecture.hidden > 0 and not last  # no block reads the last one's hidden channels
        return FlowState(
            flow=resize_flow(output[:, :4], upscale),
            mask=resize(output[:, 4:5], upscale),
            hidden=resize(output[:, 5:], upscale) if has_hidden else None,
        )

    def merge(self, left: Tensor, right: Tensor, motion: FlowAndMask) -> Tensor:
        """The new frame on the padded canvas, float32 [N, 3, H, W]: both frames, warped and weighed by the mask.

        This is the reference for an RGB clip; frames are limited to 0..1 first.
        """
        return merged(limited(left), limited(right), motion)

    def check_options(self, *, scale: float, ensemble: bool) -> None:
        """Raise ArgumentError for a ``scale`` that is not one of USER_SCALES, or an unsupported ``ensemble``."""
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
                raise ArgumentError(
                    f"features must have {expected} channels for this network; pass the results of encode"
                )
