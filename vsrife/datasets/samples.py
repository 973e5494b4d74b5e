"""What the training loop reads: batches mixed from sources, made ahead; a seed and a position make the same batch."""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import torch

from vsrife import cuda
from vsrife.datasets.batch import Batch, Source, concatenate
from vsrife.datasets.draws import GOLDEN, mixed_seed
from vsrife.datasets.margins import with_margins
from vsrife.errors import ArgumentError

__all__ = ["Part", "Samples", "SamplesState", "Stage"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """From batch `start` on, sources give samples in these shares; `weights` by source name, at least 0, not all 0."""

    start: int = 0
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Samples of one size that each step has: `count` of them, of height and width `crop`.

    sources: the names of those that they are drawn from; None means all. enlarged: they are drawn at ``crop``, and are
    twice as high and wide then.
    """

    count: int
    crop: tuple[int, int]
    sources: tuple[str, ...] | None = None
    enlarged: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplesState:
    """All that is needed to carry on: the seed, and how many batches were read."""

    seed: int
    position: int = 0


class Samples:
    """An endless iterable of what a step learns from, on `device`: a batch for each part.

    What step n gets depends on the seed, n, the sources, the stages and the parts alone, not on what was read before:
    carry on elsewhere with `state`. Of `world` processes, each reads every `world`-th of them, from `rank` on.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        stages: Sequence[Stage],
        *,
        parts: Sequence[Part],
        device: torch.device,
        state: SamplesState,
        margins: float = 0.0,
        prefetch: int = 2,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """margins: see `with_margins`. prefetch: batches made ahead by a thread, on a stream of its own on a CUDA
        device; 0 makes each when it is read. Raises ArgumentError for stages that name no source, have no weight or do
        not begin at 0.
        """
        _check(sources, stages, parts)
        self._sources = dict(sources)
        self._stages = list(stages)
        self._parts = tuple(parts)
        self._device = device
        self._state = state
        self._margins = margins
        self._prefetch = prefetch
        self._rank, self._world = rank, world
        self._stream = cuda.own_stream(device) if device.type == "cuda" and prefetch else None
        self.waited = 0.0
        """Seconds that readers have waited for batches, in total."""

    @property
    def state(self) -> SamplesState:
        """Where the next batch is; batches made ahead but not read do not count."""
        return self._state

    def batches(self, position: int) -> tuple[Batch, ...]:
        """Make what this process reads at a position."""
        return tuple(self._batch(index, part, position) for index, part in enumerate(self._parts))

    def _batch(self, index: int, part: Part, position: int) -> Batch:
        number = position * self._world + self._rank
        counts = self._counts(part, position, number)
        seeds = [mixed_seed(self._state.seed, number, index * len(counts) + place) for place in range(len(counts))]
        drawn = [
            self._sources[name].draw(count, seed, size=part.crop, position=position, as_made=part.enlarged)
            for (name, count), seed in zip(counts.items(), seeds, strict=True)
            if count
        ]
        batch = concatenate([each.to(self._device) for each in drawn])
        if part.enlarged:
            batch = batch.doubled()
        return with_margins(batch, self._margins, mixed_seed(self._state.seed, number, index, 1))

    def __iter__(self) -> Iterator[tuple[Batch, ...]]:
        if not self._prefetch:
            while True:
                started = time.perf_counter()
                batches = self.batches(self._state.position)
                self.waited += time.perf_counter() - started
                self._advance()
                yield batches
        yield from self._made_ahead()

    def _made_ahead(self) -> Iterator[tuple[Batch, ...]]:
        if self._stream:
            self._stream.wait_stream(torch.cuda.current_stream(self._device))  # what the sources were loaded by
        pending: deque[Future[tuple[tuple[Batch, ...], torch.cuda.Event | None]]] = deque()
        pool = ThreadPoolExecutor(1, thread_name_prefix="samples")
        try:
            while True:
                while len(pending) <= self._prefetch:
                    pending.append(pool.submit(self._made, self._state.position + len(pending)))
                started = time.perf_counter()
                batches, ready = pending.popleft().result()
                self.waited += time.perf_counter() - started
                if ready:
                    stream = torch.cuda.current_stream(self._device)
                    stream.wait_event(ready)
                    for tensor in (each for batch in batches for each in batch.tensors().values()):
                        tensor.record_stream(stream)
                self._advance()
                yield batches
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _made(self, position: int) -> tuple[tuple[Batch, ...], torch.cuda.Event | None]:
        if not self._stream:
            return self.batches(position), None
        with torch.cuda.stream(self._stream):
            batches = self.batches(position)
            return batches, self._stream.record_event()

    def _advance(self) -> None:
        self._state = SamplesState(seed=self._state.seed, position=self._state.position + 1)

    def _counts(self, part: Part, position: int, number: int) -> dict[str, int]:
        """Samples from each source, in the sources' order."""
        stage = max((stage for stage in self._stages if stage.start <= position), key=lambda stage: stage.start)
        shares = [
            stage.weights.get(name, 0.0) if part.sources is None else float(name in part.sources)
            for name in self._sources
        ]
        weights = torch.tensor(shares, dtype=torch.float64)
        limits = (weights / weights.sum()).cumsum(0)
        places = (torch.arange(part.count, dtype=torch.float64) + float(number * part.count)) * GOLDEN % 1.0
        chosen = torch.searchsorted(limits, places, right=True).clamp(max=int(weights.nonzero().max()))
        counts = torch.bincount(chosen, minlength=len(self._sources)).tolist()
        return dict(zip(self._sources, counts, strict=True))


def _check(sources: Mapping[str, Source], stages: Sequence[Stage], parts: Sequence[Part]) -> None:
    for part in parts:
        if part.count < 1:
            raise ArgumentError(f"count ({part.count}) must be at least 1; it is the number of samples in a batch")
        if part.sources is not None and not set(part.sources) & set(sources):
            raise ArgumentError(
                f"sources ({', '.join(part.sources)}) must name one that there is: {', '.join(sources)}"
            )
    if not any(stage.start == 0 for stage in stages):
        raise ArgumentError("stages must have one with start 0; it says what the first batch is mixed from")
    for stage in stages:
        unknown = sorted(set(stage.weights) - set(sources))
        if unknown:
            raise ArgumentError(f"weights ({unknown[0]}) must name a source; there are: {', '.join(sources)}")
        if min(stage.weights.values(), default=0.0) < 0 or sum(stage.weights.values()) <= 0:
            raise ArgumentError(f"weights ({dict(stage.weights)}) must be at least 0 and not all 0")
