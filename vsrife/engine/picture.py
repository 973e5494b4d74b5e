"""A source frame, or the frame to be made, as the engine sees it: planes with a meaning, wherever their memory is.

The engine gets tensors on its device from these and hands its result back to them; where the planes are is hidden here.
For one frame to be made the order is:

1. `Layer.planes_on` of the sources before anything reads them, on each stream that will, with that stream current.
2. `Layer.targets_on` of the new frame, with the stream current that will write it. Where that is None, `Layer.receive`
   takes the result.
3. `release`, with a stream current that has followed all others. Then the frames may be given back or handed on.

After an error, or before a second try, `release` is called without pictures, on each stream that may still have work
for them: frames in host memory may be let go of then, and the owner of leased GPU memory waits for it.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from vsrife.engine.transfer import host
from vsrife.formats.colour import Colour
from vsrife.formats.pixel_format import PixelFormat
from vsrife.formats.rgb import difference, show_alpha

__all__ = ["Layer", "Lease", "Picture", "release"]


class Lease(Protocol):
    """GPU memory of frames, leased from its owner for the work on one new frame; all layers of that work share it."""

    def begin(self) -> None:
        """Let the current stream wait until the memory may be read; before its first use on each stream."""

    def signal_done(self) -> None:
        """Tell the owner when the current stream, which has followed all others, is here; waits only if it cannot."""


@dataclass(kw_only=True, slots=True, eq=False)  # not frozen: quicker to make
class Layer:
    """Planes that belong together: a picture's own, or its alpha.

    is_alpha: whether they are transparency, to which no refine network adds anything.
    views: one tensor [h, w] a plane, over the frame's own memory, samples adjacent and rows of any stride; valid while
    the frame is held. In host memory, of which `HostPlanes` makes views only where they are used, or with a
    ``lease`` in the memory of the engine's device.
    """

    format: PixelFormat
    colour: Colour
    views: Sequence[Tensor]
    lease: Lease | None = None
    is_alpha: bool = False

    def is_on(self, device: torch.device) -> bool:
        """Whether the planes on ``device`` are the frame's own memory: valid until `release`, never to be kept."""
        return host.device_of(self.views) == device

    def planes_on(self, device: torch.device) -> tuple[Tensor, ...]:
        """The planes on ``device``, to be read on its current stream: the views where they are there, else copies."""
        if self.lease is not None:
            self.lease.begin()
        return tuple(view if view.device == device else host.upload(view, device) for view in self.views)

    def targets_on(self, device: torch.device) -> tuple[Tensor, ...] | None:
        """The planes of a frame made for writing, to be written on the current stream of ``device``; None where its
        memory is elsewhere.
        """
        if not self.is_on(device):
            return None
        if self.lease is not None:
            self.lease.begin()
        return tuple(self.views)

    def difference(self, before: Tensor, after: Tensor) -> Tensor:
        """What must be added to planes like these to bring the network's view of them, float32 RGB [1, 3, h, w], from
        ``before`` to ``after``: float32 [planes, h, w] in code values, all planes at luma's size.
        """
        return difference(before[0], after[0], self.format, self.colour)

    def receive(self, planes: Sequence[Tensor]) -> None:
        """Write planes of a device into this layer's memory, whole after `release`; of a frame made for writing."""
        if self.lease is not None:
            self.lease.begin()
        if self.is_on(planes[0].device):
            for plane, view in zip(planes, self.views, strict=True):
                view.copy_(plane)
        else:
            host.download(planes, self.views)


@dataclass(kw_only=True, slots=True, eq=False)  # not frozen: quicker to make
class Picture:
    """One frame.

    number: its index in the clip. layers: the image and, where the frame carries one that is used, its alpha.
    see_through: whether the network sees the picture by its alpha; of both sources of a new frame, and that itself, or
    of none.
    """

    number: int
    width: int
    height: int
    layers: tuple[Layer, ...]
    see_through: bool = False

    @property
    def image(self) -> Layer:
        """The layer that the network sees."""
        return self.layers[0]

    @property
    def seen(self) -> Hashable:
        """Equal where the network sees a frame in the same way: of one frame, with either of its neighbours, it may not
        be. The neighbour's colour counts where the frame has no property for its own, and alphas count in pairs.
        """
        return self.image.colour, len(self.layers), self.see_through

    def show_alpha(self, view: Tensor, layers: Sequence[Sequence[Tensor]]) -> None:
        """Bring the network's view, [1, 3, H, W] of floats, to what the picture's alpha lets be seen, in place, where
        that counts. layers: the planes of each layer on the view's device.
        """
        if self.see_through and len(layers) > 1:
            show_alpha(view, layers[1][0], self.layers[1].format)


def release(device: torch.device, *pictures: Picture) -> None:
    """All work on ``pictures`` comes before this point of the current stream: make it safe to let go of their frames.

    Frames in host memory: waits until the stream is here. Frames in GPU memory: notifies their owner when it will be,
    and waits for nothing. Without pictures: waits.
    """
    leases = {layer.lease for picture in pictures for layer in picture.layers}
    for lease in leases - {None}:
        assert lease is not None
        lease.signal_done()
    if None in leases or not leases:
        host.finish(device)
