"""Batches of training samples: two frames, the frame between them, and their motion as far as it is known."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

__all__ = ["Batch", "Source", "concatenate", "with_motion", "without_motion"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Batch:
    """N samples of one size, float32, contiguous, on one device.

    left, right, truth: [N, 3, H, W], R, G, B in 0..1; `truth` is the frame at time t.
    t: [N, 1, 1, 1] in 0..1, from left (0) to right (1).
    flow: [N, 4, H, W] in pixels, for each pixel of `truth`: (dx, dy) to its place in left, then to that in right.
    visible: [N, 2, H, W] in 0..1: how much of the pixel is visible at that place of left, and of right.
    known: [N, 1, H, W] in 0..1: the share of the pixel's colour that comes from the surface with this flow; 0 where
        flow and visible are unknown (then both are 0), as in every sample of a clip without labels.
    For clips with labels `visible` is how far the flow to that side is trusted, and `known` is 1 where either is.
    """

    left: Tensor
    right: Tensor
    truth: Tensor
    t: Tensor
    flow: Tensor
    visible: Tensor
    known: Tensor

    def __len__(self) -> int:
        return len(self.t)

    def tensors(self) -> dict[str, Tensor]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def halved(self) -> "Batch":
        """The same samples at half their height and width. Each pixel is the mean of four, each flow the mean over
        those of the four that are visible.
        """
        each = self.visible.repeat_interleave(2, dim=1)
        counts = avg_pool2d(each, 2)
        left, right, truth, visible, known = (
            avg_pool2d(each, 2) for each in (self.left, self.right, self.truth, self.visible, self.known)
        )
        flow = avg_pool2d(self.flow * each, 2) / counts.clamp_min(1e-3) / 2
        return Batch(left=left, right=right, truth=truth, t=self.t, flow=flow, visible=visible, known=known)

    def doubled(self) -> "Batch":
        """The same samples at twice their height and width, by bilinear interpolation, with flows twice as long; flows
        are interpolated between visible pixels only.
        """
        each = self.visible.repeat_interleave(2, dim=1)
        counts = _enlarged(each)
        left, right, truth, known = (_enlarged(each) for each in (self.left, self.right, self.truth, self.known))
        flow = _enlarged(self.flow * each) / counts.clamp_min(1e-3) * 2
        visible = counts[:, ::2].contiguous()
        return Batch(left=left, right=right, truth=truth, t=self.t, flow=flow, visible=visible, known=known)

    def to(self, device: torch.device) -> "Batch":
        """The same samples on another device; copies from pinned memory are asynchronous."""
        return Batch(**{name: tensor.to(device, non_blocking=True) for name, tensor in self.tensors().items()})


class Source(Protocol):
    """A source of samples."""

    def draw(
        self,
        count: int,
        seed: int,
        *,
        size: tuple[int, int] | None = None,
        position: int = 0,
        as_made: bool = False,
    ) -> Batch:
        """`count` samples for the batch at `position`, of height and width `size`, by default the source's own.

        The same arguments give the same samples, on the same device and software.
        as_made: no sample is resized, which a source may otherwise do with some of them.
        """
        ...


def _enlarged(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="bilinear")


def concatenate(batches: Sequence[Batch]) -> Batch:
    """All samples in one batch. Needs one batch at least, all of one size on one device."""
    if len(batches) == 1:
        return batches[0]
    parts = [batch.tensors() for batch in batches]
    return Batch(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})


def without_motion(frames: Tensor, t: Tensor) -> Batch:
    """A batch of clips without known motion: frames [N, 3, 3, H, W] float32 (left, truth, right), t [N]."""
    count, _, _, height, width = frames.shape
    return with_motion(
        frames, t, frames.new_zeros((count, 4, height, width)), frames.new_zeros((count, 2, height, width))
    )


def with_motion(frames: Tensor, t: Tensor, flow: Tensor, visible: Tensor) -> Batch:
    """A batch of clips with estimated motion: as `without_motion`, with the flow [N, 4, H, W] and its trust `visible`,
    [N, 2, H, W]. It is known where either side is trusted.
    """
    left, truth, right = (frames[:, index].contiguous() for index in range(3))
    known = (visible > 0).any(1, keepdim=True)
    return Batch(
        left=left,
        right=right,
        truth=truth,
        t=t.to(frames).view(len(frames), 1, 1, 1),
        flow=(flow * known).contiguous(),
        visible=visible.contiguous(),
        known=known.to(frames),
    )
