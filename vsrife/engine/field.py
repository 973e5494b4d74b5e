"""The motion of one new frame, as the engine hands it from a network to the synthesis."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from torch import Tensor

from vsrife.engine.backend import sampling
from vsrife.engine.backend.level import Level
from vsrife.engine.backend.synthesis import Part
from vsrife.engine.picture import Layer
from vsrife.network.flow_and_mask import FlowAndMask

__all__ = ["Field"]


class Field:
    """The motion of one new frame: as the blocks have found it, one level for each, or at the canvas' size already.

    adds_masks: whether the mask is the sum of the levels' or the last one's.
    kept: what readers of the levels keep as long as their memory is the same, by keys of their own.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        *,
        adds_masks: bool,
        band: int,
        motion: FlowAndMask | None = None,
        before: Tensor | None = None,
    ) -> None:
        """band: pixels that `motion` makes at a time, where it is not given. before: see `sampling.motion_of`."""
        self._levels = levels
        self._renewed = False
        self.adds_masks = adds_masks
        self.kept: dict[object, Any] = {}
        self._band = band
        self._motion = motion
        self._before = before

    def parts(self, layer: Layer) -> tuple[Part, ...]:
        """The pictures whose mean is the frame, for planes like those of ``layer``: here one, for all planes."""
        del layer
        return (Part(motion=self.motion),)

    @property
    def without_residual(self) -> "Field":
        """The same without what a refine network adds to the picture."""
        return self

    @cached_property
    def levels(self) -> Sequence[Level]:
        """Coarse to fine; empty where only `motion` is there."""
        return [level.of(level.raw) for level in self._levels] if self._renewed else self._levels

    @property
    def has_levels(self) -> bool:
        """Whether there are any."""
        return bool(self._levels)

    def fresh(self) -> "Field":
        """The same levels, in the same memory, with nothing derived from what lies there yet."""
        field = Field(self._levels, adds_masks=self.adds_masks, band=self._band)
        field.kept = self.kept
        field._renewed = True  # its levels are made when they are needed; the kernels read their memory alone
        return field

    @cached_property
    def motion(self) -> FlowAndMask:
        """Flow and mask at every pixel of the canvas."""
        if self._motion is not None:
            return self._motion
        return sampling.motion_of(self.levels, adds_masks=self.adds_masks, band=self._band, before=self._before)
