"""The hyperparameters of a RIFE 4.x network. The letters are those of the groups in `families`.

The idea of intermediate flow with a mask is that of "Real-Time Intermediate Flow Estimation for Video Frame
Interpolation" (Huang et al., ECCV 2022), section 3.2.
"""

from dataclasses import dataclass
from enum import StrEnum

from vsrife.errors import ArgumentError

__all__ = [
    "COARSEST",
    "CONV_STRIDE",
    "HIDDEN_CHANNELS",
    "USER_SCALES",
    "Architecture",
    "Head",
    "Trunk",
    "modulus_at",
]

USER_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""The values of the user's ``scale``: below 1 the flow is estimated at a lower resolution."""

HIDDEN_CHANNELS = 8
"""Channels that a block of groups I to K hands to the next one."""

COARSEST = 64
"""The largest scale that a block may have; the public releases have at most 32."""

CONV_STRIDE = 4
"""The stride of a block's first two convolutions together."""


def modulus_at(scale: float, least: int) -> int:
    """The number that a canvas' width and height must be multiples of at the user's ``scale``.

    least: the number at a scale of 1, which holds for larger scales too.
    """
    return max(least, int(least / scale))


class Trunk(StrEnum):
    """The kind of the eight layers of a block's trunk."""

    PRELU = "prelu"
    """conv, PReLU; the trunk's input is added to its output."""
    LEAKY = "leaky"
    """conv, leaky ReLU."""
    RESIDUAL = "residual"
    """leaky ReLU of conv * beta + input."""


class Head(StrEnum):
    """The encoder that computes the features of a frame."""

    NONE = "none"
    LINEAR = "linear"
    """Two layers, no activation (group E)."""
    SEQUENTIAL = "sequential"
    """Four layers (group F)."""
    CLAMPED = "clamped"
    """Four layers, input limited to 0..1 (group G and later)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """The hyperparameters of a network of the 4.x line.

    widths: channels of each block's trunk, coarsest block first; even numbers.
    scales: how much each block's input is reduced at the user's scale 1: powers of two, each less than the one before.
        The last one need not be 1.
    trunk: see Trunk.
    groups: of the trunk's convolutions.
    outputs: channels of a block's last layer: 5, or 4 times the channels after the pixel shuffle (20, 24, 52).
    head, head_width, features: the frame encoder, its inner channels and its output channels (0 without one).
    """

    widths: tuple[int, ...]
    scales: tuple[int, ...]
    trunk: Trunk
    groups: int = 1
    outputs: int
    head: Head = Head.NONE
    head_width: int = 0
    features: int = 0

    def __post_init__(self) -> None:
        """Raises ArgumentError for hyperparameters that contradict each other."""
        if not self.widths or len(self.widths) != len(self.scales):
            raise ArgumentError(f"scales ({self.scales}) must be one for each of widths ({self.widths})")
        finer = zip(self.scales, (2 * COARSEST, *self.scales), strict=False)
        if any(scale < 1 or scale & (scale - 1) or scale >= before for scale, before in finer):
            raise ArgumentError(
                f"scales ({self.scales}) must be powers of two, at most {COARSEST}, each less than the one before"
            )
        if any(width < 2 or width % 2 or width % self.groups for width in self.widths):
            raise ArgumentError(f"widths ({self.widths}) must be even and a multiple of groups ({self.groups})")
        if self.outputs not in (5, 20, 24, 52):
            raise ArgumentError(f"outputs ({self.outputs}) must be 5, 20, 24 or 52")
        if (self.head is Head.NONE) != (self.features == 0) or (self.features == 0) != (self.head_width == 0):
            raise ArgumentError(f"features ({self.features}) must be more than 0 where there is a head, else 0")

    @property
    def shuffled(self) -> bool:
        """Whether a block ends in a pixel shuffle, so that its output has the size of its input (C and later)."""
        return self.outputs != 5

    @property
    def output_scale(self) -> int:
        """Factor from the size of a block's output to that of its input: 2 in groups A and B, else 1."""
        return 1 if self.shuffled else 2

    @property
    def hidden(self) -> int:
        """Channels passed from one block to the next, beside flow and mask."""
        return HIDDEN_CHANNELS if self.outputs == 52 else 0

    @property
    def adds_masks(self) -> bool:
        """Whether a block's mask is added to the one before (A to D) or replaces it."""
        return self.features == 0

    @property
    def reruns(self) -> bool:
        """Whether the network runs again at doubled scales where block 1 finds large motion (A).

        This depends on the data, so the host must wait for the device, and a CUDA graph cannot contain it.
        """
        return self.trunk is Trunk.PRELU

    @property
    def supports_ensemble(self) -> bool:
        """Whether the network can be averaged with its result for the swapped pair (A to H)."""
        return self.hidden == 0

    def block_inputs(self, index: int) -> int:
        """Channels that block ``index`` takes: frames, features, time; after the first also mask, hidden and flow."""
        first = 2 * 3 + 2 * self.features + 1
        return first if index == 0 else first + 1 + self.hidden + 4

    def modulus(self, scale: float = 1.0) -> int:
        """The number that a canvas' width and height must be multiples of at the user's ``scale``."""
        return modulus_at(scale, CONV_STRIDE * max(self.scales) * (2 if self.reruns else 1))
