"""The refine network of the paper's networks and of 3.1: a residual that is added to the merged frame.

Features of both frames are warped, level by level, into the encoder of a small U-net, which returns the residual.
Modules are named as in the official checkpoints.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vsrife.network.blocks import prelu_conv
from vsrife.network.warp import backward_warp, resize_flow

__all__ = ["ContextNet", "DoubleConv", "RefineNet", "as_residual", "prelu_deconv"]


def prelu_deconv(inputs: int, outputs: int) -> nn.Sequential:
    """A transposed convolution to twice the size and a PReLU with a slope for each channel."""
    return nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.PReLU(outputs))


class DoubleConv(nn.Module):
    """Two 3x3 convolutions with PReLU, the first of them strided."""

    def __init__(self, inputs: int, outputs: int, stride: int = 2) -> None:
        super().__init__()
        self.conv1 = prelu_conv(inputs, outputs, stride)
        self.conv2 = prelu_conv(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, h, w] to [N, outputs, h / stride, w / stride]."""
        result: Tensor = self.conv2(self.conv1(x))
        return result


class ContextNet(nn.Module):
    """Features of one frame at four sizes (width, 2, 4 and 8 times width channels), warped to the new frame.

    stem: whether there is one more level with stride 2 in front (3.1). stride: of the first level, 1 in RIFE-Large.
    """

    def __init__(self, width: int, *, stem: bool = False, stride: int = 2) -> None:
        super().__init__()
        self.stem = stem
        self.stride = stride
        if stem:
            self.conv0 = DoubleConv(3, width)
        self.conv1 = DoubleConv(width if stem else 3, width, stride)
        self.conv2 = DoubleConv(width, 2 * width)
        self.conv3 = DoubleConv(2 * width, 4 * width)
        self.conv4 = DoubleConv(4 * width, 8 * width)

    def forward(self, rgb: Tensor, flow: Tensor) -> list[Tensor]:
        """The warped features, finest first, in the dtype of the weights.

        rgb: [N, 3, H, W] in the dtype of the weights. flow: float32 [N, 2, H, W] in pixels of its own size, to this
        frame; with a stem [N, 2, H / 2, W / 2].
        """
        x = self.conv0(rgb) if self.stem else rgb
        warped = []
        for level, stride in ((self.conv1, self.stride), (self.conv2, 2), (self.conv3, 2), (self.conv4, 2)):
            x = level(x)
            if stride == 2:
                flow = resize_flow(flow, 0.5)
            warped.append(backward_warp(x, flow).to(x.dtype))
        return warped


class RefineNet(nn.Module):
    """A U-net over frames, warped frames, mask and flow, with the warped features of both frames beside its encoder.

    stem: whether there is one more level with stride 2 in front, its inverse at the end, and four outputs (3.1).
    stride: of the first level; 1 in RIFE-Large, whose last convolution has stride 2 instead.
    """

    def __init__(self, inputs: int, width: int, *, stem: bool = False, stride: int = 2) -> None:
        super().__init__()
        self.stem = stem
        if stem:
            self.conv0 = DoubleConv(inputs, width)
        self.down0 = DoubleConv(width if stem else inputs, 2 * width, stride)
        self.down1 = DoubleConv(4 * width, 4 * width)
        self.down2 = DoubleConv(8 * width, 8 * width)
        self.down3 = DoubleConv(16 * width, 16 * width)
        self.up0 = prelu_deconv(32 * width, 8 * width)
        self.up1 = prelu_deconv(16 * width, 4 * width)
        self.up2 = prelu_deconv(8 * width, 2 * width)
        self.up3 = prelu_deconv(4 * width, width)
        self.conv = nn.ConvTranspose2d(width, 4, 4, 2, 1) if stem else nn.Conv2d(width, 3, 3, 3 - stride, 1)

    def forward(self, x: Tensor, left: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
        """[N, inputs, H, W] to [N, 3 or 4, H, W], before any sigmoid, all in the dtype of the weights.

        left, right: the results of ContextNet for the frames.
        """
        s0 = self.down0(self.conv0(x) if self.stem else x)
        s1 = self.down1(torch.cat((s0, left[0], right[0]), 1))
        s2 = self.down2(torch.cat((s1, left[1], right[1]), 1))
        s3 = self.down3(torch.cat((s2, left[2], right[2]), 1))
        x = self.up0(torch.cat((s3, left[3], right[3]), 1))
        x = self.up1(torch.cat((x, s2), 1))
        x = self.up2(torch.cat((x, s1), 1))
        x = self.up3(torch.cat((x, s0), 1))
        result: Tensor = self.conv(x)
        return result


def as_residual(output: Tensor) -> Tensor:
    """The three channels of a refine network as the residual to add: float32 in -1..1."""
    return torch.sigmoid(output.float()) * 2 - 1
