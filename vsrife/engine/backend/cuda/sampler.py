"""The estimator's steps by the CUDA kernels: what `sampling` does in plain torch, in fewer passes."""

import copy
from collections.abc import Sequence

from torch import Tensor

from vsrife.engine.backend.cuda.kernels import Kernels, PairMemory, new_pair
from vsrife.engine.backend.level import Level
from vsrife.engine.networks import BlockNetwork

__all__ = ["FusedSampler"]


class FusedSampler:
    """A `Sampler` for canvases of one size. Its memory belongs to one lane, in which work is queued one after another.

    The addresses of the sources and the time are read by the kernels from the device's memory, so a captured graph can
    be replayed for others. There are two such places, the second for a pair in reverse: a graph with ``ensemble`` reads
    both.
    """

    def __init__(self, network: BlockNetwork, canvas: tuple[int, int], kernels: Kernels) -> None:
        self._network = network
        self._canvas = canvas
        self._kernels = kernels
        self._pairs = new_pair(network.device), new_pair(network.device)
        self._bound = False

    def set_pair(self, left: Tensor, right: Tensor, time: float, *, swapped: bool = False) -> None:
        """Let gathers that are queued from now on, and are ``swapped`` likewise, read these sources and this time."""
        self._kernels.set_pair(self._pairs[swapped], left, right, time)

    def bound(self) -> "FusedSampler":
        """The same sampler in the same memory, but its gathers read the pair of the last `set_pair`, whatever sources
        and time they are called with: what a graph captures.
        """
        sampler = copy.copy(self)
        sampler._bound = True
        return sampler

    def __call__(
        self,
        left: Tensor,
        right: Tensor,
        time: float,
        levels: Sequence[Level],
        *,
        scale: int,
        adds_masks: bool,
        swapped: bool = False,
    ) -> "_FusedGather":
        """See `block_estimator.Sampler`."""
        if not self._bound:
            self.set_pair(left, right, time, swapped=swapped)
        return _FusedGather(self, self._pairs[swapped], levels, scale=scale, adds_masks=adds_masks)

    def gather(
        self, pair: PairMemory, levels: Sequence[Level], scale: int, out: Tensor, first: int, *, adds_masks: bool
    ) -> None:
        """Rows of a block's input, from ``first`` on, into ``out``."""
        self._kernels.gather(
            pair,
            levels,
            scale,
            out,
            canvas=self._canvas,
            channels=self._network.layout.source,
            adds_masks=adds_masks,
            hidden=self._network.module.architecture.hidden,
            first_row=first,
        )


class _FusedGather:
    total: Tensor | None = None  # the levels are read where they lie, by the synthesis too

    def __init__(
        self, sampler: FusedSampler, pair: PairMemory, levels: Sequence[Level], *, scale: int, adds_masks: bool
    ) -> None:
        self._sampler = sampler
        self._pair = pair
        self._levels = levels
        self._scale = scale
        self._adds_masks = adds_masks

    def into(self, out: Tensor, first: int, above: Tensor | None = None) -> None:  # noqa: ARG002 - it is made anew
        """See `block_estimator.Gather`. To make the row above once more costs less than to launch its copy."""
        self._sampler.gather(self._pair, self._levels, self._scale, out, first, adds_masks=self._adds_masks)
