"""A source frame, or the frame to be made, as the engine sees it: planes with a meaning, wherever their memory is.

The engine asks these for tensors on its device and hands its result back to them. It never asks where the planes are;
these never ask what is done with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vsrife.video import host
from vsrife.video.colour import Colour
from vsrife.video.formats import PixelFormat
from vsrife.video.rgb import to_rgb

__all__ = ["Layer", "Picture", "settle"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Layer:
    """Planes that belong together, in host memory: a picture's own, or its alpha.

    views: one tensor [h, w] a plane, of the frame's own memory; valid while the frame is held.
    """

    format: PixelFormat
    colour: Colour
    views: tuple[Tensor, ...]

    def planes_on(self, device: torch.device) -> tuple[Tensor, ...]:
        """The planes on ``device``: on the CPU the views themselves, elsewhere copies, queued until `settle`."""
        return tuple(host.upload(view, device) for view in self.views)

    def receive(self, planes: Sequence[Tensor]) -> None:
        """Write planes of a device into this layer's memory, whole after `settle`. Only of a frame made for writing."""
        for plane, view in zip(planes, self.views, strict=True):
            host.download(plane, view)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Picture:
    """One frame. number: its index in the clip. alpha: None where the frame carries none that is used."""

    number: int
    width: int
    height: int
    layer: Layer
    alpha: Layer | None = None

    def rgb(self, planes: Sequence[Tensor], canvas: tuple[int, int]) -> Tensor:
        """The network's view of ``planes``, which `Layer.planes_on` gave: float32 RGB [1, 3, *canvas] in 0..1."""
        layer = self.layer
        return to_rgb(planes, layer.format, layer.colour, width=self.width, height=self.height, pad_to=canvas)


def settle(device: torch.device) -> None:
    """Wait until no queued copy reads or writes a frame's memory: before frames are released or handed on."""
    host.finish(device)
