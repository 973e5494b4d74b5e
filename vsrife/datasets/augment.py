"""The paper's augmentations of real frames, on whole batches, and the same for their flow."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vsrife.datasets.scene_rng import SceneRng

__all__ = ["Turn", "augment", "crop_places", "zoom_window", "zoomed"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Turn:
    """The flips of each of N samples, booleans [N] on their device, applied in this order.

    across: horizontal flip. down: vertical flip. exchanged: transposed, for square samples only.
    backwards: reversed in time.
    """

    across: Tensor
    down: Tensor
    exchanged: Tensor
    backwards: Tensor

    @classmethod
    def drawn(cls, rng: SceneRng, count: int, *, square: bool) -> Self:
        """Random flips, each for half of the samples; `exchanged` only if the samples are square."""
        across, down, exchanged, backwards = (rng.chance(count, of=0.5) for _ in range(4))
        # Together with the two flips, transposing gives all eight orientations of a square.
        return cls(across=across, down=down, exchanged=exchanged & square, backwards=backwards)

    def frames(self, frames: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the flips. frames: [N, 3, 3, H, W] of any dtype: left, truth, right. t: [N]. Returns new
        tensors; a reversed sample has left and right exchanged and 1 - t.
        """
        frames = self._in_place(frames)
        frames = torch.where(_beside(self.backwards, frames), frames.flip(1), frames)
        return frames, torch.where(self.backwards, 1 - t, t)

    def motion(self, flow: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the flips to the motion of the samples, as in `Batch`: flow [N, 4, H, W], visible [N, 2, H, W]. Returns
        new tensors.
        """
        flow, visible = self._in_place(flow), self._in_place(visible)
        flow = flow * torch.stack((1.0 - 2.0 * self.across, 1.0 - 2.0 * self.down), 1).repeat(1, 2)[..., None, None]
        # Indexing with lists of channels would copy them to the GPU and synchronize.
        exchanged = torch.stack((flow[:, 1], flow[:, 0], flow[:, 3], flow[:, 2]), dim=1)
        flow = torch.where(_beside(self.exchanged, flow), exchanged, flow)
        flow = torch.where(_beside(self.backwards, flow), flow.roll(2, 1), flow)
        return flow, torch.where(_beside(self.backwards, visible), visible.flip(1), visible)

    def _in_place(self, field: Tensor) -> Tensor:
        """[N, ..., H, W] with its pixels at their new places."""
        field = torch.where(_beside(self.across, field), field.flip(-1), field)
        field = torch.where(_beside(self.down, field), field.flip(-2), field)
        if field.shape[-1] == field.shape[-2]:
            field = torch.where(_beside(self.exchanged, field), field.transpose(-1, -2), field)
        return field


def augment(frames: Tensor, t: Tensor, rng: SceneRng) -> tuple[Tensor, Tensor]:
    """Flips both ways, quarter turns and time reversal, each for half of the samples, see `Turn`.

    frames: [N, 3, 3, H, W] of any dtype: left, truth, right. t: [N]. Returns new tensors of those shapes.
    """
    return Turn.drawn(rng, len(frames), square=frames.shape[-1] == frames.shape[-2]).frames(frames, t)


def _beside(condition: Tensor, field: Tensor) -> Tensor:
    """A condition [N] in a shape that broadcasts over a field [N, ...]."""
    return condition.view(-1, *[1] * (field.dim() - 1))


def zoomed(part: Tensor, size: tuple[int, int]) -> Tensor:
    """A part of a frame, uint8 [C, h, w], resized to a height and width, with antialiasing; the same tensor if it has
    that size already.
    """
    if tuple(part.shape[1:]) == size:
        return part
    made = interpolate(part[None].float(), size, mode="bilinear", antialias=True)[0]
    return made.round_().clamp_(0, 255).to(torch.uint8)


def zoom_window(factor: float, frame: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the window that `factor` enlarges to a crop; within the frame, with the crop's aspect."""
    factor = max(factor, *(side / whole for side, whole in zip(crop, frame, strict=True)))
    height, width = (min(whole, round(side / factor)) for side, whole in zip(crop, frame, strict=True))
    return height, width


def crop_places(share: tuple[float, float], frame: tuple[int, int], crop: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of a crop (height, width) in a frame. share: its offsets relative to the largest, 0 to 1."""
    top, left = (int(part * (size - side + 1)) for part, size, side in zip(share, frame, crop, strict=True))
    return slice(top, top + crop[0]), slice(left, left + crop[1])
