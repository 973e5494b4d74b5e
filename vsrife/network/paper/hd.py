"""The 3.x line: the networks between the paper and 4.0, which know the middle alone."""

from typing import NamedTuple, override

import torch
from torch import Tensor, nn

from vsrife.network.motion import Motion
from vsrife.network.paper.architecture import FRAMES, HDArchitecture, HDVersion
from vsrife.network.paper.pair import PairNetwork, Prediction, swapped
from vsrife.network.paper.refine import ContextNet, RefineNet, as_residual, prelu_conv, resize
from vsrife.network.warp import backward_warp

SCALES = (4, 2, 1)

FAR = 16
"""3.8 doubles its scales where a first look finds a flow of more than this many pixels of what block 0 would see."""


class _Trunk(nn.Module):
    """Two halvings, then pairs of convolutions, each pair around a skip: [N, inputs, h, w] to [N, width, h/4, w/4]."""

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

        def layers(outputs: int) -> list[nn.Module]:
            if not deep:
                return [nn.ConvTranspose2d(width, outputs, 4, 2, 1)]
            half = width // 2
            first, last = nn.ConvTranspose2d(width, half, 4, 2, 1), nn.ConvTranspose2d(half, outputs, 4, 2, 1)
            return [first, nn.PReLU(half), last]

        self.conv1 = nn.Sequential(*layers(4))
        self.conv2 = nn.Sequential(*layers(1)) if deep else layers(1)[0]

    def forward(self, x: Tensor) -> Tensor:
        """[N, 11, h, w] to [N, 5, ...]."""
        x = self.trunk(x)
        return torch.cat((self.conv1(x), self.conv2(x)), 1)


class _State(NamedTuple):
    """Flow in pixels, mask before the sigmoid, and the frames as that flow warps them; float32."""

    flow: Tensor
    mask: Tensor
    left: Tensor
    right: Tensor

    def mirrored(self) -> "_State":
        return _State(swapped(self.flow), -self.mask, self.right, self.left)


class HDNet(PairNetwork):
    """3.5, 3.6 and 3.8, built with random weights; see PairNetwork for frames and canvases.

    In 3.5 and 3.6 every block sees the swapped pair too, always; ``ensemble`` does that in 3.8, where the pairs of a
    batch also have their scales doubled together or not at all.
    """

    def __init__(self, architecture: HDArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        if architecture.mirrored:
            self.ensemble_refused = f"every block of {architecture.version} sees the swapped pair as it is"
        for index in range(len(SCALES)):
            self.add_module(f"block{index}", MaskedBlock(architecture.width, deep=architecture.deep))

    def modulus(self, scale: float = 1.0) -> int:
        """The number that a canvas' width and height must be multiples of at the user's ``scale``."""
        return self.architecture.modulus(scale)

    @override
    def predictions(
        self, left: Tensor, right: Tensor, t: float | Tensor, *, scale: float, ensemble: bool
    ) -> tuple[Prediction, ...]:
        """See PairNetwork."""
        mirrored = ensemble or self.architecture.mirrored
        if self.architecture.deep:
            flow, mask = self._flow(left, right, [each / scale for each in SCALES], mirrored)
        else:
            flow, mask = self._flow(resize(left, scale), resize(right, scale), list(SCALES), mirrored)
            flow, mask = resize(flow, 1 / scale) / scale, resize(mask, 1 / scale)
        return (Prediction(motion=Motion(flow=flow, mask=torch.sigmoid(mask))),)

    def _flow(self, left: Tensor, right: Tensor, scales: list[float], mirrored: bool) -> tuple[Tensor, Tensor]:
        """Flow and mask, before the sigmoid, at the size of the frames."""
        nothing = torch.zeros_like(left[:, :1])
        state = _State(nothing.expand(-1, 4, -1, -1), nothing, left, right)
        if self.architecture.probes:
            flow, _ = self._answer(0, state, 2 * scales[0])
            if bool(flow.abs().amax() > FAR * scales[0]):
                scales = [2 * each for each in scales]
        for index, reduction in enumerate(scales):
            flow, mask = self._answer(index, state, reduction)
            if mirrored:
                other_flow, other_mask = self._answer(index, state.mirrored(), reduction)
                flow, mask = (flow + swapped(other_flow)) / 2, (mask - other_mask) / 2
            flow, mask = state.flow + flow, state.mask + mask
            state = _State(flow, mask, backward_warp(left, flow[:, :2]), backward_warp(right, flow[:, 2:]))
        return state.flow, state.mask

    def _answer(self, index: int, state: _State, reduction: float) -> tuple[Tensor, Tensor]:
        """A block's correction of flow and mask, at the size of the frames."""
        seen = resize(torch.cat((state.left, state.right, state.mask), 1), 1 / reduction)
        x = torch.cat((seen, resize(state.flow, 1 / reduction) / reduction), 1)
        answer: Tensor = self.get_submodule(f"block{index}")(x.to(self.dtype)).float()
        growth = reduction if self.architecture.deep else 2 * reduction
        answer = resize(answer, growth)
        return answer[:, :4] * growth, answer[:, 4:5]


class HDFusionNet(PairNetwork):
    """3.1, built with random weights: flow at half resolution, then a fusion network that answers mask and residual.

    In a single file its parts are `block0` to `block2`, `contextnet` and `unet`; officially they are three files.
    """

    ensemble_refused = "3.1 makes one picture of one pair"

    def __init__(self, architecture: HDArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        for index in range(len(SCALES)):
            self.add_module(f"block{index}", FlowBlock(FRAMES if index == 0 else FRAMES + 4, architecture.width))
        self.contextnet = ContextNet(architecture.context, stem=True)
        self.unet = RefineNet(FRAMES + 4, architecture.context, stem=True)

    def modulus(self, scale: float = 1.0) -> int:
        """The number that a canvas' width and height must be multiples of at the user's ``scale``."""
        return self.architecture.modulus(scale)

    @override
    def predictions(
        self, left: Tensor, right: Tensor, t: float | Tensor, *, scale: float, ensemble: bool
    ) -> tuple[Prediction, ...]:
        """See PairNetwork."""
        half = self._half_flow(resize(left, scale), resize(right, scale))
        half = resize(half, 1 / scale) / scale
        from_left = self.contextnet(left.to(self.dtype), half[:, :2])
        from_right = self.contextnet(right.to(self.dtype), half[:, 2:])
        flow = resize(half, 2.0) * 2
        x = torch.cat((backward_warp(left, flow[:, :2]), backward_warp(right, flow[:, 2:]), flow), 1)
        answer = self.unet(x.to(self.dtype), from_left, from_right).float()
        motion = Motion(flow=flow, mask=torch.sigmoid(answer[:, 3:4]))
        return (Prediction(motion=motion, residual=as_residual(answer[:, :3])),)

    def _half_flow(self, left: Tensor, right: Tensor) -> Tensor:
        """The flow in pixels of half the frames' size, at that size."""
        total: Tensor | None = None
        seen = torch.cat((left, right), 1)
        for index, reduction in enumerate(SCALES):
            small = [resize(seen, 1 / reduction)]
            if total is not None:
                flow = resize(total, 2.0) * 2
                warped = torch.cat((backward_warp(left, flow[:, :2]), backward_warp(right, flow[:, 2:])), 1)
                small = [resize(warped, 1 / reduction), resize(flow, 1 / reduction) / reduction]
            answer: Tensor = self.get_submodule(f"block{index}")(torch.cat(small, 1).to(self.dtype)).float()
            correction = resize(answer, reduction) * reduction
            total = correction if total is None else total + correction
        assert total is not None
        return total


def build(architecture: HDArchitecture) -> HDNet | HDFusionNet:
    """The network of the 3.x line that ``architecture`` asks for."""
    return HDFusionNet(architecture) if architecture.version is HDVersion.V31 else HDNet(architecture)
