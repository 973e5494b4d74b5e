"""The data loader of training: batches mixed from several sources, made ahead, determined by a seed and a position."""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import torch

from vsrife import cuda
from vsrife.datasets.batch import Batch, Source, concatenate
from vsrife.datasets.margins import with_margins
from vsrife.datasets.scene_rng import GOLDEN, mixed_seed
from vsrife.errors import ArgumentError

__all__ = ["BatchSpec", "LoaderState", "MixPhase", "MixedDataLoader"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MixPhase:
    """The shares of the sources from batch `start` on. weights: by source name, at least 0 and not all 0."""

    start: int = 0
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchSpec:
    """The samples of one size in each step: `count` of them, of height and width `crop`.

    sources: names of the sources to draw from; None for all. enlarged: samples are drawn at `crop` and then enlarged to
        twice the height and width.
    """

    count: int
    crop: tuple[int, int]
    sources: tuple[str, ...] | None = None
    enlarged: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class LoaderState:
    """What is needed to resume: the seed, and how many batches were read."""

    seed: int
    position: int = 0


class MixedDataLoader:
    """An endless iterable of the batches of each step, on `device`: one batch per `BatchSpec`.

    The batches of step n depend on the seed, n, the sources, the phases and the specs alone, not on what was read
    before; `state` is all that is needed to resume. Of `world_size` processes each reads every `world_size`-th batch,
    the first being `rank`.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        phases: Sequence[MixPhase],
        *,
        specs: Sequence[BatchSpec],
        device: torch.device,
        state: LoaderState,
        margins: float = 0.0,
        prefetch: int = 2,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """margins: see `with_margins`. prefetch: batches made ahead by a thread, on a CUDA device on a stream of its
        own; 0 makes each batch when it is read. Raises ArgumentError for phases that name an unknown source, have no
        weight or do not begin at 0.
        """
        _check(sources, phases, specs)
        self._sources = dict(sources)
        self._phases = list(phases)
        self._specs = tuple(specs)
        self._device = device
        self._state = state
        self._margins = margins
        self._prefetch = prefetch
        self._rank, self._world_size = rank, world_size
        self._stream = cuda.own_stream(device) if device.type == "cuda" and prefetch else None
        self.waited = 0.0
        """Total time in seconds that readers have waited for batches."""

    @property
    def state(self) -> LoaderState:
        """The position of the next batch to be read; batches that were only made ahead do not count."""
        return self._state

    def batches(self, position: int) -> tuple[Batch, ...]:
        """Make the batches that this process reads at a position."""
        return tuple(self._batch(index, spec, position) for index, spec in enumerate(self._specs))

    def _batch(self, index: int, spec: BatchSpec, position: int) -> Batch:
        number = position * self._world_size + self._rank
        counts = self._counts(spec, position, number)
        seeds = [mixed_seed(self._state.seed, number, index * len(counts) + place) for place in range(len(counts))]
        drawn = [
            self._sources[name].draw(count, seed, size=spec.crop, position=position, as_made=spec.enlarged)
            for (name, count), seed in zip(counts.items(), seeds, strict=True)
            if count
        ]
        batch = concatenate([each.to(self._device) for each in drawn])
        if spec.enlarged:
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
            self._stream.wait_stream(torch.cuda.current_stream(self._device))  # the sources were loaded on that stream
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
        self._state = LoaderState(seed=self._state.seed, position=self._state.position + 1)

    def _counts(self, spec: BatchSpec, position: int, number: int) -> dict[str, int]:
        """The number of samples from each source, in the sources' order."""
        phase = max((phase for phase in self._phases if phase.start <= position), key=lambda phase: phase.start)
        shares = [
            phase.weights.get(name, 0.0) if spec.sources is None else float(name in spec.sources)
            for name in self._sources
        ]
        weights = torch.tensor(shares, dtype=torch.float64)
        limits = (weights / weights.sum()).cumsum(0)
        places = (torch.arange(spec.count, dtype=torch.float64) + float(number * spec.count)) * GOLDEN % 1.0
        chosen = torch.searchsorted(limits, places, right=True).clamp(max=int(weights.nonzero().max()))
        counts = torch.bincount(chosen, minlength=len(self._sources)).tolist()
        return dict(zip(self._sources, counts, strict=True))


def _check(sources: Mapping[str, Source], phases: Sequence[MixPhase], specs: Sequence[BatchSpec]) -> None:
    for spec in specs:
        if spec.count < 1:
            raise ArgumentError(f"count ({spec.count}) must be at least 1; it is the number of samples in a batch")
        if spec.sources is not None and not set(spec.sources) & set(sources):
            raise ArgumentError(f"sources ({', '.join(spec.sources)}) must name one of these: {', '.join(sources)}")
    if not any(phase.start == 0 for phase in phases):
        raise ArgumentError("phases must have one with start 0, which defines the first batch")
    for phase in phases:
        unknown = sorted(set(phase.weights) - set(sources))
        if unknown:
            raise ArgumentError(f"weights ({unknown[0]}) must name one of the sources: {', '.join(sources)}")
        if min(phase.weights.values(), default=0.0) < 0 or sum(phase.weights.values()) <= 0:
            raise ArgumentError(f"weights ({dict(phase.weights)}) must be at least 0 and not all 0")
