"""What is kept of a source frame for the network: its RGB on the canvas and, beside it, what an encoder made of it."""

import torch
from torch import Tensor

from vsrife.engine.networks import RGB, Network

__all__ = ["Packing"]


class Packing:
    """Packed sources of one size: [1, C, H, W] in channels-last memory, C and dtype as the network says.

    canvas: (height, width). R, G and B in 0..1 come first, with zeros right of and below the picture; then features.
    """

    def __init__(self, network: Network, canvas: tuple[int, int]) -> None:
        self.network = network
        self.canvas = canvas

    def pack(self, rgb: Tensor) -> Tensor:
        """The packed source of ``rgb``, float32 [1, 3, H, W] in 0..1 on the canvas."""
        packed = self.new_source()
        packed[:, :RGB] = rgb
        packed[:, RGB:] = 0.0
        return self.encoded(packed)

    def new_source(self) -> Tensor:
        """Memory for a packed source."""
        return torch.empty(
            (1, self.network.source, *self.canvas),
            dtype=self.network.source_dtype,
            device=self.network.device,
            memory_format=torch.channels_last,
        )

    def encoded(self, packed: Tensor) -> Tensor:
        """``packed`` with the features, if any, of its RGB: itself or a new one. Its channels beyond RGB are zeros."""
        return packed
