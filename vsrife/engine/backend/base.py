"""The seam between the engine and the arithmetic of a device: what a backend does.

`torch_backend` defines the results; `cuda.backend` computes the same with CUDA kernels and graphs. A network holds the
backend of its device (`resolve.resolve_backend`), and the engine calls it without asking which one it is. Only the log
and the measures of frames in host memory depend on that.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from vsrife.formats.colour import Colour
from vsrife.formats.pixel_format import PixelFormat
from vsrife.scene.block_sums import Limits

if TYPE_CHECKING:
    from vsrife.engine.convolution_layers import Epilogue
    from vsrife.engine.field import Field
    from vsrife.engine.picture import Layer
    from vsrife.engine.streams import Lane

__all__ = ["Backend", "Estimating"]


class Estimating(Protocol):
    """What estimates motion in plain torch; `engine.motion_estimator.MotionEstimator` is one."""

    def field(self, left: Tensor, right: Tensor, time: float) -> "Field":
        """The motion of the frame at ``time``, 0 < time < 1, between two packed sources."""


class Backend(ABC):
    """The arithmetic of one device. Any number of threads may use it at once.

    padded_channels: whether packed sources and inputs of blocks have unused channels, so that a pixel begins where a
        kernel can load it at once, see `convolutions.Layout`.
    epilogue: what follows a convolution, in one pass; None leaves it to torch.
    """

    padded_channels: bool
    epilogue: "Epilogue | None"

    @abstractmethod
    def source_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """Type of packed sources for a network whose convolutions are in ``dtype``."""

    @abstractmethod
    def convert(
        self,
        planes: Sequence[Tensor],
        fmt: PixelFormat,
        colour: Colour,
        *,
        width: int,
        height: int,
        source: Callable[[], Tensor],
    ) -> Tensor:
        """A packed source with the network's view of a frame, see `formats.rgb.to_rgb`.

        planes: `fmt.planes` tensors [h, w] of the format's own type and sizes, rows of any stride.
        source: makes its memory, [1, C, H, W] channels-last, the canvas. R, G and B in 0..1 become channels 0 to 2;
            every other channel, and all right of and below the picture, becomes 0.
        """

    @abstractmethod
    def estimate(self, held: "Lane", estimator: Estimating, left: Tensor, right: Tensor, time: float) -> "Field":
        """The motion at ``time``, 0 < time < 1, between two packed sources: `Estimating.field`.

        It is worked out in the lane ``held`` and valid until that is given back.
        """

    @abstractmethod
    def synthesize(
        self,
        left: Sequence[Tensor],
        right: Sequence[Tensor],
        field: "Field",
        layer: "Layer",
        *,
        width: int,
        height: int,
        out: Sequence[Tensor] | None = None,
    ) -> tuple[Tensor, ...]:
        """The planes between those of two frames, see `synthesis.synthesize`.

        layer: what the planes mean. width, height: of the picture. out: where to write; None makes new tensors.
        Returns the planes written.
        """

    @abstractmethod
    def cell_sums(self, planes: Sequence[Tensor], cell: int) -> Tensor:
        """The sums that a frame's signature divides, see `scene.signature.cell_sums`."""

    @abstractmethod
    def exceed(self, left: Sequence[Tensor], right: Sequence[Tensor], limits: Iterable[Limits]) -> bool:
        """Whether two frames differ by more than duplicates may, see `scene.duplicates.exceed`."""
