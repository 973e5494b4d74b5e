"""Initialization of a network whose first layers are sensitive to contrast.

Motion shows as small differences between neighbouring pixels and between frames, on top of a large mean. With torch's
default initialization the first layers pass on mostly the mean, and the flow stays 0 for hundreds of steps;
docs/training.md has the measurement.
"""

from typing import Final

import torch
from torch import Tensor

from vsrife.network.architecture import Head
from vsrife.network.ifnet import IFNet

__all__ = ["CONTRAST", "make_contrast_sensitive", "remove_mean"]

CONTRAST: Final = 20.0
"""A gain that works well; see docs/training.md."""

RGB = 3


@torch.no_grad()
def remove_mean(kernels: Tensor, over: tuple[int, ...] = (2, 3)) -> None:
    """Subtract from each kernel [out, in, h, w] its mean over the dimensions `over`, in place."""
    kernels -= kernels.mean(over, keepdim=True)


@torch.no_grad()
def make_contrast_sensitive(network: IFNet, gain: float) -> None:
    """Remove the mean of the kernels that see the frames, and multiply what remains by ``gain``.

    In the first layer of each block the mean of each kernel over its window is removed, for the channels of frames and
    features; in the first layer of the encoder it is the mean over window and channels.
    """
    architecture = network.architecture
    seen = 2 * (RGB + architecture.features)
    for index in range(len(architecture.widths)):
        weight = network.get_submodule(f"block{index}.conv0.0.0").weight
        assert isinstance(weight, Tensor)
        images = weight[:, :seen]
        remove_mean(images)
        images[:, : 2 * RGB] *= gain
    if architecture.head is not Head.NONE:
        first = next(network.encode.parameters())  # type: ignore[attr-defined] # a module, where there is a head
        remove_mean(first, (1, 2, 3))
        first *= gain
