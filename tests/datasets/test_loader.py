"""The mixture: its shares, its order, how it carries on, and how it ends."""

import itertools
import threading

import pytest
import torch

from vsrife.datasets.batch import Batch, without_motion
from vsrife.datasets.loader import BatchSpec, LoaderState, MixedDataLoader, MixPhase
from vsrife.errors import ArgumentError, RifeError

CPU = torch.device("cpu")


class Marked:
    """A source whose samples are its own number, and random numbers from the seed."""

    def __init__(self, mark: float) -> None:
        self.mark = mark

    def draw(self, count: int, seed: int, *, size=None, position=0, as_made=False) -> Batch:
        frames = torch.rand((count, 3, 3, 2, 3), generator=torch.Generator().manual_seed(seed))
        batch = without_motion(frames, torch.full((count,), 0.5))
        batch.truth[:] = self.mark
        return batch


class Broken:
    def draw(self, count: int, seed: int, *, size=None, position=0, as_made=False) -> Batch:
        raise RifeError("picture (a.png) must be a picture file")


def samples(
    size: int = 8, position: int = 0, seed: int = 1, phases: list[MixPhase] | None = None, **options
) -> MixedDataLoader:
    sources = {"synthetic": Marked(0.25), "clips": Marked(0.75)}
    return MixedDataLoader(
        sources,
        phases or [MixPhase(weights={"synthetic": 0.7, "clips": 0.3})],
        specs=[BatchSpec(count=size, crop=(2, 3))],
        device=CPU,
        state=LoaderState(seed=seed, position=position),
        **options,
    )


def first(reader: MixedDataLoader, count: int) -> list[Batch]:
    return [batches[0] for batches in itertools.islice(reader, count)]


def share(batch: Batch) -> float:
    return float((batch.truth[:, 0, 0, 0] == 0.25).float().mean())


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.tensors().values(), b.tensors().values(), strict=True))


def test_sources_have_their_shares_in_every_batch() -> None:
    shares = [share(batch) for batch in first(samples(size=50), 12)]
    assert all(abs(found - 0.7) <= 0.04 for found in shares)
    assert sum(shares) / 12 == pytest.approx(0.7, abs=0.01)


def test_small_batches_too_in_the_long_run() -> None:
    shares = [share(batch) for batch in first(samples(size=1), 200)]
    assert sum(shares) / 200 == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_it_carries_on_where_it_was(prefetch: int) -> None:
    whole = first(samples(), 7)
    reader = samples(prefetch=prefetch)
    begun = first(reader, 3)
    assert reader.state == LoaderState(seed=1, position=3)
    resumed = first(samples(position=3, prefetch=prefetch), 4)
    again = first(reader, 4)
    for n, batch in enumerate(whole):
        assert same(batch, (begun + resumed)[n])
        assert same(batch, (begun + again)[n])
    assert not same(whole[0], whole[1])
    assert not same(whole[0], first(samples(seed=2), 1)[0])


def test_processes_share_the_batches_out() -> None:
    alone = first(samples(), 6)
    for rank in range(2):
        for n, batch in enumerate(first(samples(rank=rank, world_size=2), 3)):
            assert same(batch, alone[2 * n + rank])


def test_phases_follow_each_other() -> None:
    phases = [MixPhase(weights={"synthetic": 1}), MixPhase(start=2, weights={"clips": 2.0})]
    assert [share(batch) for batch in first(samples(phases=phases), 4)] == [1, 1, 0, 0]


@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_fault_of_a_source_reaches_the_reader_and_no_thread_stays(prefetch: int) -> None:
    reader = MixedDataLoader(
        {"broken": Broken()},
        [MixPhase(weights={"broken": 1})],
        specs=[BatchSpec(count=2, crop=(2, 3))],
        device=CPU,
        state=LoaderState(seed=1),
        prefetch=prefetch,
    )
    with pytest.raises(RifeError, match=r"^picture \(a.png\)"):
        next(iter(reader))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("samples")]


def test_a_reader_that_stops_leaves_no_thread() -> None:
    batches = iter(samples())
    next(batches)
    assert [thread for thread in threading.enumerate() if thread.name.startswith("samples")]
    batches.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("samples")]


def test_time_that_readers_waited_is_counted() -> None:
    reader = samples(prefetch=0)
    first(reader, 2)
    assert 0 < reader.waited < 10


@pytest.mark.parametrize(
    ("size", "phases", "message"),
    [
        (0, [MixPhase(weights={"clips": 1})], r"^count \(0\) must be at least 1"),
        (1, [MixPhase(start=5, weights={"clips": 1})], r"^phases must have one with start 0"),
        (1, [MixPhase(weights={"films": 1})], r"^weights \(films\) must name one of the sources: synthetic, clips$"),
        (1, [MixPhase(weights={"clips": 0})], r"must be at least 0 and not all 0$"),
        (1, [MixPhase(weights={"clips": 2, "synthetic": -1})], r"must be at least 0 and not all 0$"),
        (1, [MixPhase()], r"must be at least 0 and not all 0$"),
    ],
)
def test_what_cannot_be_is_told_before_the_first_batch(size: int, phases: list[MixPhase], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        samples(size=size, phases=phases)
