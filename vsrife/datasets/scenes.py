"""Synthetic scenes: two inputs, and the frames at several times between them, with the motion of each pixel."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from vsrife.datasets.batch import Batch
from vsrife.datasets.layer_motion import pixel_places
from vsrife.datasets.scene_rng import SceneRng, mixed_seed

__all__ = ["Scenes", "concatenated", "flow_of", "lands_inside", "scene_times"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scenes:
    """N scenes of one size with T truths each, float32, on one device.

    frames: [N, T + 2, 3, H, W], R, G, B in 0..1: left, the truths, right.
    t: [N, T], the times of the truths.
    motion: [N, T, 2, H, W], pixels from left to right of what each pixel of a truth shows; motion is even, so its place
        in left is at -t of that, its place in right at 1 - t.
    visible: [N, T, 2, H, W]; known: [N, T, 1, H, W]; as in `Batch`.
    """

    frames: Tensor
    t: Tensor
    motion: Tensor
    visible: Tensor
    known: Tensor

    def __getitem__(self, which: slice) -> "Scenes":
        """A slice of the scenes, as views."""
        return Scenes(**{field.name: getattr(self, field.name)[which] for field in fields(self)})

    def batch(self) -> Batch:
        """Each scene with its first true frame, as a sample."""
        left, truth, right = (self.frames[:, frame].contiguous() for frame in (0, 1, -1))
        t = self.t[:, 0].reshape(-1, 1, 1, 1).clone()
        return Batch(
            left=left,
            right=right,
            truth=truth,
            t=t,
            flow=flow_of(self.motion[:, 0], t),
            visible=self.visible[:, 0].contiguous(),
            known=self.known[:, 0].contiguous(),
        )


def flow_of(motion: Tensor, t: Tensor) -> Tensor:
    """Flow [N, 4, H, W], as in `Batch`, of motion [N, 2, H, W] from left to right, at t [N, 1, 1, 1]."""
    return torch.cat((-t * motion, (1 - t) * motion), dim=1)


def lands_inside(flow: Tensor) -> Tensor:
    """Whether the flow [N, 2, H, W] of each pixel ends within the frame: [N, 1, H, W], booleans."""
    height, width = flow.shape[-2:]
    away = (pixel_places(height, width, flow.device) + flow).abs()
    return (away[:, :1] <= (width - 1) / 2 + 1e-3) & (away[:, 1:] <= (height - 1) / 2 + 1e-3)


def scene_times(seed: int, number: int, truths: int, any_time: float) -> list[float]:
    """The times of a scene's truths: 1/2 first, unless all are anywhere; the others one in each of as many equal parts.

    any_time: share of the samples whose time is anywhere. With one truth that share of the scenes has it anywhere.
    """
    rng = SceneRng(mixed_seed(seed, number, 1), torch.device("cpu"))
    middle = float(rng.uniform()) >= any_time if truths == 1 else any_time < 1
    others = truths - middle
    places = rng.uniform(others).tolist()
    return [0.5] * middle + [(part + place) / others for part, place in enumerate(places)]


def concatenated(parts: Sequence[Scenes]) -> Scenes:
    """Scenes of one size and number of true frames in one."""
    return Scenes(**{field.name: torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Scenes)})
