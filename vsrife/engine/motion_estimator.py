"""What every estimator of motion has: packed sources, and a field from two of them."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from vsrife.engine.field import Field
from vsrife.engine.networks import RGB, Network

__all__ = ["MotionEstimator"]


class MotionEstimator(ABC):
    """A network for canvases of one size. Any number of threads may use it at once.

    canvas: (height, width). A packed source is what is kept of a frame for the network: [1, C, H, W] in channels-last
    memory, C and type as the network defines; R, G and B in 0..1 come first, with zeros right of and below the picture,
    then the features that an encoder has made of them.
    """

    def __init__(self, network: Network, canvas: tuple[int, int]) -> None:
        self.network = network
        self.canvas = canvas

    @property
    def midpoint_only(self) -> bool:
        """Whether the network predicts the middle alone, so that other times are middles of middles."""
        return False

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

    @abstractmethod
    def field(self, left: Tensor, right: Tensor, time: float) -> Field:
        """The motion of the frame at ``time``, 0 < time < 1, between two packed sources, in plain torch."""
