"""Where a network's weights begin: random, with first layers that look for contrast; or those of a file.

What tells how things move are small differences, between neighbouring pixels and between the frames, on top of a large
even part. With torch's own random weights the first layers pass that part on, hundreds of steps go by before anything
else is seen, and the flow stays 0 that long; docs/training.md has the measurement.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vsrife.errors import ArgumentError
from vsrife.network import Head, IFNet

__all__ = ["begin_with", "look_for_contrast"]

RGB = 3


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
        images -= images.mean((2, 3), keepdim=True)
        images[:, : 2 * RGB] *= gain
    if architecture.head is not Head.NONE:
        first = next(network.encode.parameters())  # type: ignore[attr-defined] # a module, where there is a head
        first -= first.mean((1, 2, 3), keepdim=True)
        first *= gain


@torch.no_grad()
def begin_with(network: IFNet, path: Path) -> int:
    """Take the weights of a `.safetensors` file that have the network's names and shapes; return how many did.

    A network with other blocks takes those that both have. Raises ArgumentError where the file cannot be read, or holds
    nothing that fits.
    """
    try:
        given: Mapping[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArgumentError(f"network.weights ({path}) must be a .safetensors file: {error}") from None
    own = network.state_dict()
    fitting = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise ArgumentError(f"network.weights ({path}) must hold weights of this network; none has its name and shape")
    network.load_state_dict({**own, **fitting})
    return len(fitting)
