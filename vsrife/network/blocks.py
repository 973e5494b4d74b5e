"""The modules of a network: the block that refines the flow, and the encoder of a frame.

They are named as in the official checkpoints, so that a checkpoint loads without a table of names.
"""

from torch import Tensor, nn, ones

from vsrife.network.architecture import Architecture, Head, Trunk

__all__ = ["SLOPE", "ClampedHead", "IFBlock", "NoHead", "ResidualConv", "SequentialHead", "build_head", "prelu_conv"]

LAYERS = 8
"""Layers of a trunk."""

SLOPE = 0.2
"""Slope of every leaky ReLU below 0."""


def prelu_conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution and a PReLU with a slope for each channel."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.PReLU(outputs))


def _leaky_conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(SLOPE, inplace=True))


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
    """One block: [N, inputs, h, w] to [N, 5, 6 or 13, ...]: flow (4), mask (1), hidden channels (8).

    h and w are multiples of 4. The output has half of h and w in groups A and B, else h and w; twice that with a
    ``stride`` of 1. Input and output are in the dtype of the weights.
    """

    def __init__(self, architecture: Architecture, index: int, *, inputs: int | None = None, stride: int = 2) -> None:
        """inputs: number of input channels; None means that of block ``index``. stride: of the first layer."""
        super().__init__()
        trunk, width = architecture.trunk, architecture.widths[index]
        if inputs is None:
            inputs = architecture.block_inputs(index)
        activated = prelu_conv if trunk is Trunk.PRELU else _leaky_conv
        self.adds_input = trunk is Trunk.PRELU
        self.conv0 = nn.Sequential(activated(inputs, width // 2, stride), activated(width // 2, width, 2))
        self.convblock = nn.Sequential(
            *(
                ResidualConv(width, architecture.groups) if trunk is Trunk.RESIDUAL else activated(width, width)
                for _ in range(LAYERS)
            )
        )
        last = nn.ConvTranspose2d(width, architecture.outputs, 4, 2, 1)
        self.lastconv = nn.Sequential(last, nn.PixelShuffle(2)) if architecture.shuffled else last

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.conv0(x)
        y = self.convblock(x)
        result: Tensor = self.lastconv(y + x if self.adds_input else y)
        return result


class NoHead(nn.Module):
    """The encoder of groups A to D, which have no features."""

    def forward(self, rgb: Tensor) -> None:
        """None."""


class SequentialHead(nn.Sequential):
    """The encoder of groups E and F: [N, 3, H, W] to [N, features, H, W] in the dtype of the weights; H and W even."""

    def forward(self, rgb: Tensor) -> Tensor:
        """See the class."""
        x = rgb.to(next(self.parameters()).dtype)
        for layer in self:
            x = layer(x)
        return x


class ClampedHead(nn.Module):
    """The encoder of groups G and later: as SequentialHead, with the frame limited to 0..1 first."""

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
    """The encoder of a network with this architecture."""
    width, features = architecture.head_width, architecture.features
    match architecture.head:
        case Head.NONE:
            return NoHead()
        case Head.LINEAR:
            return SequentialHead(nn.Conv2d(3, width, 3, 2, 1), nn.ConvTranspose2d(width, features, 4, 2, 1))
        case Head.SEQUENTIAL:
            return SequentialHead(
                *_leaky_conv(3, width, 2),
                *_leaky_conv(width, width),
                *_leaky_conv(width, width),
                nn.ConvTranspose2d(width, features, 4, 2, 1),
            )
        case Head.CLAMPED:
            return ClampedHead(width, features)
