"""Where a network's weights begin: random, with first layers that look for contrast.

What tells how things move are small differences, between neighbouring pixels and between the frames, on top of a large
even part. With torch's own random weights the first layers pass that part on, hundreds of steps go by before anything
else is seen, and the flow stays 0 that long; docs/training.md has the measurement.
"""

from typing import Final

import torch
from torch import Tensor

from vsrife.network.architecture import Head
from vsrife.network.ifnet import IFNet

__all__ = ["CONTRAST", "blind_to_even", "look_for_contrast"]

CONTRAST: Final = 20.0
"""The gain that was measured to work."""

RGB = 3


@torch.no_grad()
def blind_to_even(kernels: Tensor, over: tuple[int, ...] = (2, 3)) -> None:
    """Take from each kernel [out, in, h, w] its mean over these dimensions, in place."""
    kernels -= kernels.mean(over, keepdim=True)


@torch.no_grad()
def look_for_contrast(network: IFNet, gain: float) -> None:
    """Make the layers that see the frames blind to even colour, and ``gain`` times as sensitive to all else.

    The mean of each kernel of a block's first layer over its window is taken away, for the frames' and the features'
    channels; for the encoder's first layer it is the mean over window and channels.
    """
    architecture = network.architecture
    seen = 2 * (RGB + architecture.features)
    for index in range(len(architecture.widths)):
        weight = network.get_submodule(f"block{index}.conv0.0.0").weight
        assert isinstance(weight, Tensor)
        images = weight[:, :seen]
        blind_to_even(images)
        images[:, : 2 * RGB] *= gain
    if architecture.head is not Head.NONE:
        first = next(network.encode.parameters())  # type: ignore[attr-defined] # a module, where there is a head
        blind_to_even(first, (1, 2, 3))
        first *= gain
