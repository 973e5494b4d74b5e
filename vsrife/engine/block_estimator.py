"""The motion between two sources: a network's blocks, coarse to fine, each reading only what it needs.

The same output as `IFNet.forward`, which defines it, within float rounding. What differs is how: nothing is computed at
a resolution that no step reads, the convolutions are those of `convolutions`, and the finest tensors exist a band of
rows at a time.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol, override

import torch
from torch import Tensor

from vsrife.engine.backend import sampling
from vsrife.engine.backend.level import FLOW, MASK, Level, upsampled
from vsrife.engine.convolutions import HALO, Block
from vsrife.engine.field import Field
from vsrife.engine.motion_estimator import MotionEstimator
from vsrife.engine.networks import BlockNetwork
from vsrife.network.flow_and_mask import FlowAndMask
from vsrife.network.ifnet import LARGE_MOTION

__all__ = ["BlockEstimator", "Gather", "Sampler"]


class Gather(Protocol):
    """The input of one block, made a band of rows at a time.

    total: once all rows are made, the flow of all levels at every pixel [4, H, W], if it was made on the way.
    """

    total: Tensor | None

    def into(self, out: Tensor, first: int, above: Tensor | None = None) -> None:
        """Write the block's rows from ``first`` on into ``out``, see `sampling.Gather.into`."""


class Sampler(Protocol):
    """Makes the gather of a block; `sampling.Gather` is one, the CUDA kernels have another."""

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
    ) -> Gather:
        """The input of the block at ``scale``, see `sampling.Gather`.

        swapped: whether the pair is given in reverse, with 1 - time, as the second pass of ``ensemble`` has it.
        """


class BlockEstimator(MotionEstimator):
    """A 4.x network for canvases of one size. Any number of threads may use it at once.

    canvas: (height, width), multiples of `IFNet.modulus(scale)`.
    band: pixels of a block's input that exist at a time.
    ensemble: whether each block also estimates the pair in reverse, and the mean of both counts.
    strips: pieces that a block's picture is cut into where it is too large to be worked on whole. They overlap by as
        much as the convolutions reach, so the output stays the same except for rounding.
    """

    def __init__(
        self,
        network: BlockNetwork,
        canvas: tuple[int, int],
        *,
        scale: float = 1.0,
        ensemble: bool = False,
        band: int = 1 << 16,
        strips: int = 1,
    ) -> None:
        """Raises ArgumentError for a scale or an ensemble that the network does not take."""
        network.module.check_options(scale=scale, ensemble=ensemble)
        super().__init__(network, canvas)
        self.network: BlockNetwork = network
        self._architecture = network.module.architecture
        self._scale = scale
        self.ensemble = ensemble
        self._band = band
        self._strips = strips
        self._reductions = [each / scale for each in self._architecture.scales]

    @property
    def uses_reference(self) -> bool:
        """Whether the network runs as vsrife.network defines it: a user's scale above 1 enlarges the input of the
        finest blocks, which is too rare to be worth a fast path.
        """
        return min(self._reductions) < 1

    @property
    def capturable(self) -> bool:
        """Whether every pair takes the same launches, so that a CUDA graph can replay them. Networks of group A start a
        second time where the motion is large.
        """
        return not (self.uses_reference or self._architecture.reruns)

    @property
    def key(self) -> tuple[object, ...]:
        """What two estimators that do the same have in common."""
        return self.network, self.canvas, self._scale, self.ensemble, self._band, self._strips

    @override
    def encoded(self, packed: Tensor) -> Tensor:
        return packed if self.network.encoder is None else self.network.encoder(packed)

    @override
    def field(self, left: Tensor, right: Tensor, time: float, sampler: Sampler = sampling.Gather) -> Field:
        """The motion of the frame at ``time``, 0 < time < 1, between two packed sources.

        sampler: how blocks read; not used where `uses_reference`.
        """
        if self.uses_reference:
            return Field(
                (),
                adds_masks=self._architecture.adds_masks,
                band=self._band,
                motion=self._reference_motion(left, right, time),
            )
        run = _Run(self.network, self.canvas, sampler, band=self._band, strips=self._strips)
        reductions = [int(each) for each in self._reductions]
        levels: list[Level] = []
        before = None
        for index in range(len(reductions)):
            level = run.output(index, reductions, left, right, time, levels)
            if index == 1 and self._architecture.reruns and _moves_far(level):
                # As in IFNet.forward: once more from the start, without the swapped pair.
                reductions = [2 * each for each in reductions]
                levels = [run.output(0, reductions, left, right, time, [])]
                level = run.output(1, reductions, left, right, time, levels)
            before = run.total
            if self.ensemble:
                seen = [each.mirrored() for each in levels]
                other = run.output(index, reductions, right, left, 1.0 - time, seen, swapped=True)
                level = level.mean(other.mirrored())
            levels.append(level)
        return Field(levels, adds_masks=self._architecture.adds_masks, band=self._band, before=before)

    def _reference_motion(self, left: Tensor, right: Tensor, time: float) -> FlowAndMask:
        """The motion as vsrife.network finds it."""
        count = self._architecture.features
        frames = [source[:, :3].float() for source in (left, right)]
        features = [source[:, 3 : 3 + count] if count else None for source in (left, right)]
        motion: FlowAndMask = self.network.module(*frames, *features, time, scale=self._scale, ensemble=self.ensemble)
        return motion


class _Run:
    """One block after the other, on one pair.

    total: what the last one's gather has kept, see `sampling.Gather`.
    """

    total: Tensor | None = None

    def __init__(
        self, network: BlockNetwork, canvas: tuple[int, int], sampler: Sampler, *, band: int, strips: int
    ) -> None:
        self._network = network
        self._architecture = network.module.architecture
        self._canvas = canvas
        self._sampler = sampler
        self._band = band
        self._strips = strips

    def output(
        self,
        index: int,
        reductions: Sequence[int],
        left: Tensor,
        right: Tensor,
        time: float,
        levels: Sequence[Level],
        *,
        swapped: bool = False,
    ) -> Level:
        """What block ``index`` makes of the levels before it; ``swapped``: see `Sampler`."""
        scale, adds_masks = reductions[index], self._architecture.adds_masks
        gather = self._sampler(left, right, time, levels, scale=scale, adds_masks=adds_masks, swapped=swapped)
        height, width = (length // scale for length in self._canvas)
        pieces = [
            self._strip(index, gather, slice(top, bottom), height, width) for top, bottom in _cuts(height, self._strips)
        ]
        self.total = gather.total
        last = index == len(reductions) - 1
        return Level(
            raw=pieces[0] if len(pieces) == 1 else torch.cat(pieces, 2),
            side=self._network.blocks[index].side,
            channels=MASK + (0 if last else self._architecture.hidden),
            scale=scale * self._architecture.output_scale,
        )

    def _strip(self, index: int, gather: Gather, rows: slice, height: int, width: int) -> Tensor:
        """The raw output of a block for some of its rows, worked out with as many beside them as count."""
        block = self._network.blocks[index]
        top, bottom = max(0, rows.start - HALO), min(height, rows.stop + HALO)
        raw = block.rest(self._first_layer(block, gather, index, slice(top, bottom), width))
        return raw[:, :, (rows.start - top) // block.stride : (rows.stop - top) // block.stride]

    def _first_layer(self, block: Block, gather: Gather, index: int, rows: slice, width: int) -> Tensor:
        """The block's first convolution over ``rows`` of its input, of which only a band exists at a time."""
        step = max(2, min(rows.stop - rows.start, self._band // width // 2 * 2))
        # A band, and above it the last row of the one before, which a 3x3 convolution of stride 2 reads as well.
        memory = torch.empty(
            (1, self._network.layout.inputs[index], min(step + 1, rows.stop - rows.start), width),
            dtype=self._network.dtype,
            device=self._network.device,
            memory_format=torch.channels_last,
        )

        def bands() -> Iterator[tuple[Tensor, tuple[int, int]]]:
            above = None
            for top in range(rows.start, rows.stop, step):
                first = top if above is None else top - 1
                band = memory[:, :, : min(top + step, rows.stop) - first]
                gather.into(band, first, above)
                yield band, (1 if above is None else 0, 1)
                above = band[:, :, -1:]

        return block.first.joined(bands())


def _cuts(height: int, pieces: int) -> list[tuple[int, int]]:
    """Rows 0..height in about as many pieces, each but the last a multiple of 4 high."""
    step = max(4, -(-height // pieces // 4) * 4)
    return [(top, min(height, top + step)) for top in range(0, height, step)]


def _moves_far(level: Level) -> bool:
    """Whether both frames move by more than group A's first start can follow, anywhere."""
    flow = upsampled(level.planes[:, :FLOW], level.scale).abs() * level.scale
    return bool(torch.minimum(flow[:, :2].amax(), flow[:, 2:].amax()) > LARGE_MOTION)
