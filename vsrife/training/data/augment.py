"""The paper's augmentations of real frames, on whole batches."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vsrife.training.data.draws import Draws

__all__ = ["augment", "crop_places", "zoom_window", "zoomed"]


def augment(frames: Tensor, t: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Flips both ways, quarter turns and time reversal, each for half of the samples.

    frames: [N, 3, 3, H, W] of any dtype: left, truth, right. t: [N]. Returns new tensors of those shapes; a sample
    whose time is reversed has left and right exchanged and 1 - t. Quarter turns need H = W and are left out otherwise.
    """
    count = len(frames)
    shape = (count, 1, 1, 1, 1)
    across, down, turned = (draws.chance(*shape, of=0.5) for _ in range(3))
    backwards = draws.chance(count, of=0.5)
    frames = torch.where(across, frames.flip(-1), frames)
    frames = torch.where(down, frames.flip(-2), frames)
    if frames.shape[-1] == frames.shape[-2]:
        # With the two flips, exchanging rows and columns makes all eight positions of a square.
        frames = torch.where(turned, frames.transpose(-1, -2), frames)
    frames = torch.where(backwards.view(shape), frames.flip(1), frames)
    return frames, torch.where(backwards, 1 - t, t)


def zoomed(part: Tensor, size: tuple[int, int]) -> Tensor:
    """A part of a frame, uint8 [C, h, w], brought to a height and width, filtered where it gets smaller; where it has
    that size already, the same tensor.
    """
    if tuple(part.shape[1:]) == size:
        return part
    made = interpolate(part[None].float(), size, mode="bilinear", antialias=True)[0]
    return made.round_().clamp_(0, 255).to(torch.uint8)


def zoom_window(factor: float, frame: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int]:
    """Height and width of what is enlarged by `factor` to make a crop; within the frame, and of the crop's shape."""
    factor = max(factor, *(side / whole for side, whole in zip(crop, frame, strict=True)))
    height, width = (min(whole, round(side / factor)) for side, whole in zip(crop, frame, strict=True))
    return height, width


def crop_places(share: tuple[float, float], frame: tuple[int, int], crop: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of a crop (height, width) within a frame; `share`: of the room down and across, 0 to below 1."""
    top, left = (int(part * (size - side + 1)) for part, size, side in zip(share, frame, crop, strict=True))
    return slice(top, top + crop[0]), slice(left, left + crop[1])
