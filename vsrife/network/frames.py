"""The inputs of every network: two frames on one canvas, a time between them, and the user's scale."""

import torch
from torch import Tensor

from vsrife.errors import ArgumentError
from vsrife.network.architecture import USER_SCALES

__all__ = ["as_time", "check_canvas", "check_scale", "limited"]


def limited(frame: Tensor) -> Tensor:
    """A frame in float32, limited to 0..1, as a new tensor."""
    return frame.float().clamp(0.0, 1.0)


def as_time(t: float | Tensor, device: torch.device) -> Tensor:
    """The time ``t``, a number or a tensor [N] or [N, 1, 1, 1], as float32 [1 or N, 1, 1, 1] on ``device``."""
    if isinstance(t, Tensor):
        return t.to(device=device, dtype=torch.float32).reshape(-1, 1, 1, 1)
    # Filled on the device: a copy from the host would block the host and cannot be captured in a CUDA graph.
    return torch.full((1, 1, 1, 1), float(t), dtype=torch.float32, device=device)


def check_scale(scale: float) -> None:
    """Raise ArgumentError for a ``scale`` that is not one of USER_SCALES."""
    if scale not in USER_SCALES:
        raise ArgumentError(f"scale ({scale:g}) must be one of {', '.join(f'{each:g}' for each in USER_SCALES)}")


def check_canvas(left: Tensor, right: Tensor, *, modulus: int, scale: float) -> None:
    """Raise ArgumentError for frames of two shapes, or whose height or width is no multiple of ``modulus``.

    scale: the one that the modulus belongs to, for the message.
    """
    height, width = left.shape[-2:]
    if left.shape != right.shape or height % modulus or width % modulus:
        raise ArgumentError(
            f"canvas ({width}x{height}, {right.shape[-1]}x{right.shape[-2]}) must be one size for both frames, "
            f"a multiple of {modulus} each way at scale {scale:g}; pad with zeros"
        )
