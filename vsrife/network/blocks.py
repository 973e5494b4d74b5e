"""The parts a network is put together from: the block that refines the flow, and the encoder of a frame.

Modules are named as in the official checkpoints, so that a checkpoint loads with no table of names.
"""

from collections.abc import Iterator

from torch import Tensor, nn, ones

from vsrife.network.architecture import Architecture, Head, Trunk

LAYERS = 8
SLOPE = 0.2


def _activated(inputs: int, outputs: int, *, stride: int, trunk: Trunk) -> nn.Sequential:
    activation = nn.PReLU(outputs) if trunk is Trunk.PRELU else nn.LeakyReLU(SLOPE, inplace=True)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), activation)


class ResidualConv(nn.Module):
    """leaky ReLU of (3x3 convolution * beta + input); beta is one number per channel."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, 1, 1, groups=groups)
        self.beta = nn.Parameter(ones(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[N, width, h, w] to the same."""
        return nn.functional.leaky_relu(self.conv(x).mul(self.beta).add(x), SLOPE)


class IFBlock(nn.Module):
    """Convolutions of one step: [N, inputs, h, w] to [N, 5, 6 or 13, ...]: flow (4), mask (1), hidden channels (8).

    h and w are multiples of 4. Groups A and B answer at half of h and w, all others at h and w.
    Input and output are in the dtype of the weights.
    """

    def __init__(self, architecture: Architecture, index: int) -> None:
        super().__init__()
        trunk, width = architecture.trunk, architecture.widths[index]
        self.adds_input = trunk is Trunk.PRELU
        self.conv0 = nn.Sequential(
            _activated(architecture.block_inputs(index), width // 2, stride=2, trunk=trunk),
            _activated(width // 2, width, stride=2, trunk=trunk),
        )

        def layers() -> Iterator[nn.Module]:
            for _ in range(LAYERS):
                if trunk is Trunk.RESIDUAL:
                    yield ResidualConv(width, architecture.groups)
                else:
                    yield _activated(width, width, stride=1, trunk=trunk)

        self.convblock = nn.Sequential(*layers())
        last = nn.ConvTranspose2d(width, architecture.outputs, 4, 2, 1)
        self.lastconv = nn.Sequential(last, nn.PixelShuffle(2)) if architecture.shuffled else last

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.conv0(x)
        y = self.convblock(x)
        result: Tensor = self.lastconv(y + x if self.adds_input else y)
        return result


class NoHead(nn.Module):
    """The encoder of groups A to D: there are no features."""

    def forward(self, rgb: Tensor) -> None:
        """Nothing."""


class SequentialHead(nn.Sequential):
    """The encoder of groups E and F: [N, 3, H, W] to [N, features, H, W] in the dtype of the weights; H and W even."""

    def forward(self, rgb: Tensor) -> Tensor:
        """See the class."""
        x = rgb.to(next(self.parameters()).dtype)
        for layer in self:
            x = layer(x)
        return x


class ClampedHead(nn.Module):
    """The encoder of groups G and later: as SequentialHead, but the frame is limited to 0..1 first."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.cnn0 = nn.Conv2d(3, width, 3, 2, 1)
        self.cnn1 = nn.Conv2d(width, width, 3, 1, 1)
        self.cnn2 = nn.Conv2d(width, width, 3, 1, 1)
        self.cnn3 = nn.ConvTranspose2d(width, features, 4, 2, 1)

    def forward(self, rgb: Tensor) -> Tensor:
        """See the class."""
        x = rgb.clamp(0.0, 1.0).to(self.cnn0.weight.dtype)
        for layer in (self.cnn0, self.cnn1, self.cnn2):
            x = nn.functional.leaky_relu(layer(x), SLOPE)
        result: Tensor = self.cnn3(x)
        return result


def build_head(architecture: Architecture) -> nn.Module:
    """The encoder that `architecture` asks for."""
    width, features = architecture.head_width, architecture.features
    match architecture.head:
        case Head.NONE:
            return NoHead()
        case Head.LINEAR:
            return SequentialHead(nn.Conv2d(3, width, 3, 2, 1), nn.ConvTranspose2d(width, features, 4, 2, 1))
        case Head.SEQUENTIAL:
            return SequentialHead(
                *_activated(3, width, stride=2, trunk=Trunk.LEAKY),
                *_activated(width, width, stride=1, trunk=Trunk.LEAKY),
                *_activated(width, width, stride=1, trunk=Trunk.LEAKY),
                nn.ConvTranspose2d(width, features, 4, 2, 1),
            )
        case Head.CLAMPED:
            return ClampedHead(width, features)
