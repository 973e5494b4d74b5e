"""The 3.x line: the networks between the paper and 4.0, which make the middle frame only."""

from collections.abc import Sequence
from typing import override

import torch
from torch import Tensor, nn

from vsrife.network.blocks import prelu_conv
from vsrife.network.flow_and_mask import FlowAndMask
from vsrife.network.flow_state import FlowState, Pair, accumulate
from vsrife.network.frames import limited
from vsrife.network.legacy.architecture import FRAMES, V3Architecture, V3Version
from vsrife.network.legacy.base import MIDDLE, LegacyNetwork, Prediction
from vsrife.network.legacy.refine import ContextNet, RefineNet, as_residual, prelu_deconv
from vsrife.network.warp import resize, resize_flow

__all__ = ["V3FusionNet", "V3Net", "build"]

SCALES = (4, 2, 1)
"""How much each block's input is reduced at the user's scale 1."""

FAR = 16
"""3.8 doubles its scales where a first run of block 0 finds a flow of more pixels than this at block 0's resolution."""


class _Trunk(nn.Module):
    """Two strided convolutions, then pairs of convolutions with a skip: [N, inputs, h, w] to [N, width, h/4, w/4]."""

    def __init__(self, inputs: int, width: int, pairs: int) -> None:
        super().__init__()
        self.pairs = pairs
        self.conv0 = nn.Sequential(prelu_conv(inputs, width // 2, 2), prelu_conv(width // 2, width, 2))
        for index in range(pairs):
            self.add_module(f"convblock{index}", nn.Sequential(prelu_conv(width, width), prelu_conv(width, width)))

    def trunk(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.conv0(x)
        for index in range(self.pairs):
            x = self.get_submodule(f"convblock{index}")(x) + x
        return x


class FlowBlock(_Trunk):
    """A block of 3.1: flow (4) alone, at half of h and w."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(inputs, width, 3)
        self.conv1 = nn.ConvTranspose2d(width, 4, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, h, w] to [N, 4, h/2, w/2]."""
        result: Tensor = self.conv1(self.trunk(x))
        return result


class MaskedBlock(_Trunk):
    """A block of 3.5 and later: flow (4) and mask (1), at half of h and w, or (deep) at h and w."""

    def __init__(self, width: int, *, deep: bool) -> None:
        super().__init__(FRAMES + 1 + 4, width, 4)

        def last(outputs: int) -> nn.Sequential:
            if not deep:
                return nn.Sequential(nn.ConvTranspose2d(width, outputs, 4, 2, 1))
            return nn.Sequential(*prelu_deconv(width, width // 2), nn.ConvTranspose2d(width // 2, outputs, 4, 2, 1))

        self.conv1 = last(4)
        # In 3.5's checkpoint this layer is not in a Sequential.
        self.conv2 = last(1) if deep else last(1)[0]

    def forward(self, x: Tensor) -> Tensor:
        """[N, 11, h, w] to [N, 5, ...]."""
        x = self.trunk(x)
        return torch.cat((self.conv1(x), self.conv2(x)), 1)


class V3Net(LegacyNetwork):
    """3.5 and 3.8, built with random weights; see LegacyNetwork for frames and canvases.

    In 3.5 every block always runs on the swapped pair too; ``ensemble`` does that in 3.8. There the pairs of a
    batch have their scales doubled together or not at all.
    """

    architecture: V3Architecture

    def __init__(self, architecture: V3Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        if architecture.mirrored:
            self.ensemble_refused = f"every block of {architecture.version} runs on the swapped pair anyway"
        for index in range(len(SCALES)):
            self.add_module(f"block{index}", MaskedBlock(architecture.width, deep=architecture.deep))

    @override
    def predictions(
        self, left: Tensor, right: Tensor, t: float | Tensor, *, scale: float, ensemble: bool
    ) -> tuple[Prediction, ...]:
        """See LegacyNetwork."""
        mirrored = ensemble or self.architecture.mirrored
        if self.architecture.deep:
            last = self._last_state(Pair.of(left, right, t), [each / scale for each in SCALES], mirrored)
        else:
            last = self._last_state(Pair.of(resize(left, scale), resize(right, scale), t), SCALES, mirrored)
            last = FlowState(flow=resize_flow(last.flow, 1 / scale), mask=resize(last.mask, 1 / scale))
        return (Prediction(motion=last.motion),)

    def _last_state(self, frames: Pair, scales: Sequence[float], mirrored: bool) -> FlowState:
        """Flow and mask after all blocks, at the size of ``frames``."""
        nothing = torch.zeros_like(frames.left[0][:, :1])
        state, pair = FlowState(flow=nothing.expand(-1, 4, -1, -1), mask=nothing), frames
        if self.architecture.probes:
            first = self._run_block(0, pair, state, 2 * scales[0])
            if bool(first.flow.abs().amax() > FAR * scales[0]):
                scales = [2 * each for each in scales]
        for index, reduction in enumerate(scales):
            if index > 0:
                pair = frames.warped(state.flow)
            block_output = self._run_block(index, pair, state, reduction)
            if mirrored:
                other = self._run_block(index, pair.swapped(), state.mirrored(), reduction)
                block_output = block_output.mean(other.mirrored())
            state = accumulate(state, block_output)
        return state

    def _run_block(self, index: int, pair: Pair, state: FlowState, reduction: float) -> FlowState:
        """The output of block ``index`` at the size of ``pair``; its input is ``reduction`` times smaller."""
        seen = resize(torch.cat((*pair.images, state.mask), 1), 1 / reduction)
        x = torch.cat((seen, resize_flow(state.flow, 1 / reduction)), 1)
        block_output: Tensor = self.get_submodule(f"block{index}")(x.to(self.dtype)).float()
        return FlowState.of(block_output, reduction * self.architecture.output_scale)


class V3FusionNet(LegacyNetwork):
    """3.1, built with random weights: flow at half resolution, then a fusion network for mask and residual.

    In a single file its parts are `block0` to `block2`, `contextnet` and `unet`; officially they are three files.
    """

    architecture: V3Architecture
    ensemble_refused = "3.1 has no ensemble"

    def __init__(self, architecture: V3Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        for index in range(len(SCALES)):
            self.add_module(f"block{index}", FlowBlock(FRAMES if index == 0 else FRAMES + 4, architecture.width))
        self.contextnet = ContextNet(architecture.context, stem=True)
        self.unet = RefineNet(FRAMES + 4, architecture.context, stem=True)

    @override
    def predictions(
        self, left: Tensor, right: Tensor, t: float | Tensor, *, scale: float, ensemble: bool
    ) -> tuple[Prediction, ...]:
        """See LegacyNetwork."""
        half = self._half_flow(left, right, t, scale)
        from_left = self.contextnet(left.to(self.dtype), half[:, :2])
        from_right = self.contextnet(right.to(self.dtype), half[:, 2:])
        flow = resize_flow(half, 2.0)
        x = torch.cat((*Pair.of(left, right, t).warped(flow).images, flow), 1)
        output = self.unet(x.to(self.dtype), from_left, from_right).float()
        motion = FlowAndMask(flow=flow, mask=torch.sigmoid(output[:, 3:4]))
        return (Prediction(motion=motion, residual=as_residual(output[:, :3])),)

    def flow(self, left: Tensor, right: Tensor, *, scale: float = 1.0) -> Tensor:
        """The flow of `interpolate` alone, float32 [N, 4, H, W], for a fraction of its cost: nothing is fused.

        Raises ArgumentError as `interpolate` does.
        """
        self.check_options(scale=scale, ensemble=False)
        self.check_pair(left, right, MIDDLE, scale=scale)
        return resize_flow(self._half_flow(limited(left), limited(right), MIDDLE, scale), 2.0)

    def _half_flow(self, left: Tensor, right: Tensor, t: float | Tensor, scale: float) -> Tensor:
        """The flow in pixels of half the frames' size, at that size; estimated at ``scale`` times the frames' size."""
        frames = Pair.of(resize(left, scale), resize(right, scale), t)
        total: Tensor | None = None
        for index, reduction in enumerate(SCALES):
            if total is None:
                small = [resize(torch.cat(frames.images, 1), 1 / reduction)]
            else:
                flow = resize_flow(total, 2.0)
                warped = torch.cat(frames.warped(flow).images, 1)
                small = [resize(warped, 1 / reduction), resize_flow(flow, 1 / reduction)]
            output: Tensor = self.get_submodule(f"block{index}")(torch.cat(small, 1).to(self.dtype)).float()
            correction = resize_flow(output, reduction)
            total = correction if total is None else total + correction
        assert total is not None
        return resize_flow(total, 1 / scale)


def build(architecture: V3Architecture) -> V3Net | V3FusionNet:
    """The network of the 3.x line with this architecture."""
    return V3FusionNet(architecture) if architecture.version is V3Version.V31 else V3Net(architecture)
