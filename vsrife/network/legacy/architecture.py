"""The hyperparameters of the paper's networks and of the 3.x line.

The paper is "Real-Time Intermediate Flow Estimation for Video Frame Interpolation" (Huang et al., ECCV 2022).
"""

from dataclasses import dataclass
from enum import StrEnum

from vsrife.errors import ArgumentError
from vsrife.network.architecture import CONV_STRIDE, modulus_at

__all__ = ["FRAMES", "LEAST_MODULUS", "PaperArchitecture", "V3Architecture", "V3Version"]

FRAMES = 2 * 3
"""Channels of both frames together."""

LEAST_MODULUS = 32
"""The sides of a canvas are multiples of it at a scale of 1, as in the public releases."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperArchitecture:
    """One of the paper's networks: RIFE; RIFE-m, which takes a time; RIFE-Large, which works at twice the resolution.

    widths: channels of each block's trunk, coarsest block first; even numbers.
    scales: how much each block's input is reduced at the user's scale 1.
    timed: whether it takes any time (RIFE-m); else it makes the middle frame only.
    large: whether blocks and refine network have one stride of 2 less (RIFE-Large, also "2R"). No tensor's shape
        depends on it.
    context: channels of the refine network's first features, 0 without refine network.
    """

    widths: tuple[int, ...] = (240, 150, 90)
    scales: tuple[int, ...] = (4, 2, 1)
    timed: bool = False
    large: bool = False
    context: int = 16

    def __post_init__(self) -> None:
        """Raises ArgumentError where the numbers contradict each other."""
        if not self.widths or len(self.widths) != len(self.scales):
            raise ArgumentError(f"scales ({self.scales}) must be one for each of widths ({self.widths})")
        if any(width < 2 or width % 2 for width in self.widths):
            raise ArgumentError(f"widths ({self.widths}) must be even numbers above 0")
        if self.context < 0:
            raise ArgumentError(f"context ({self.context}) must be 0, for no refine network, or more")

    @property
    def output_scale(self) -> int:
        """Factor from the size of a block's output to that of its input: 2, or 1 in RIFE-Large."""
        return 1 if self.large else 2

    def block_inputs(self, index: int) -> int:
        """Channels that block ``index`` takes: frames and time; after the first also warped frames, mask and flow."""
        first = FRAMES + self.timed
        return first if index == 0 else first + FRAMES + 1 + 4

    @property
    def teacher_inputs(self) -> int:
        """Channels that the teacher takes: those of another block, and the true frame."""
        return self.block_inputs(1) + 3

    def modulus(self, scale: float = 1.0) -> int:
        """The number that a canvas' width and height must be multiples of at the user's ``scale``."""
        return modulus_at(scale, max(LEAST_MODULUS, CONV_STRIDE * max(self.scales)))


class V3Version(StrEnum):
    """The networks between the paper and 4.0, which make the middle frame only."""

    V31 = "3.1"
    """Flow at half resolution, and a fusion network for mask and residual; three files."""
    V35 = "3.5"
    """Blocks return flow and mask and also run on the swapped pair; the user's scale resizes the frames."""
    V38 = "3.8"
    """Two layers behind each trunk; the output of block 0 at a coarser scale may double all scales."""


@dataclass(frozen=True, kw_only=True, slots=True)
class V3Architecture:
    """A network of the 3.x line.

    version: see V3Version.
    width: channels of every block's trunk, an even number.
    context: channels of the first features of 3.1's fusion network, 0 in the others, which have none.
    """

    version: V3Version
    width: int = 90
    context: int = 0

    def __post_init__(self) -> None:
        """Raises ArgumentError where the numbers contradict each other."""
        if self.width < 2 or self.width % 2:
            raise ArgumentError(f"width ({self.width}) must be an even number above 0")
        if self.context < 0 or (self.context > 0) != (self.version is V3Version.V31):
            raise ArgumentError(f"context ({self.context}) must be above 0 for 3.1, and 0 for all others")

    @property
    def deep(self) -> bool:
        """Whether two layers follow the trunk, up to the resolution that the block was given (3.8)."""
        return self.version is V3Version.V38

    @property
    def output_scale(self) -> int:
        """Factor from the size of a block's output to that of its input: 2, or 1 in a deep one."""
        return 1 if self.deep else 2

    @property
    def mirrored(self) -> bool:
        """Whether every block always runs on the swapped pair too (3.5)."""
        return self.version is V3Version.V35

    @property
    def probes(self) -> bool:
        """Whether the scales depend on the data (3.8): the host must wait, and a CUDA graph cannot contain it."""
        return self.version is V3Version.V38

    def modulus(self, scale: float = 1.0) -> int:
        """The number that a canvas' width and height must be multiples of at the user's ``scale``."""
        return modulus_at(scale, LEAST_MODULUS)
