"""Streams of our own and captures that fail, with stand-ins for cupy and for torch's allocator."""

import contextlib
import math
import sys
from types import SimpleNamespace

import pytest
import torch

from vsrife import cuda

DEVICE = torch.device("cuda", 0)


class Pooled:
    """Stands in for torch.cuda.Stream, of which there are 32."""

    made = 0

    def __init__(self, device, priority=0):
        self.cuda_stream = Pooled.made % 32
        Pooled.made += 1


@pytest.fixture
def pool(monkeypatch):
    monkeypatch.setattr(Pooled, "made", 0)
    monkeypatch.setattr(torch.cuda, "Stream", Pooled)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(cuda, "_kept", [])


@pytest.fixture
def cupy(pool, monkeypatch):
    """A cupy whose streams are destroyed with their last reference; yields those that live, by their address."""
    alive = {}

    class Stream:
        def __init__(self, *, non_blocking, priority):
            self.ptr = 1000 + len(alive)
            alive[self.ptr] = non_blocking, priority

        def __del__(self):
            alive.pop(self.ptr, None)

    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(Stream=Stream)))
    monkeypatch.setattr(torch.cuda, "ExternalStream", lambda ptr, device: SimpleNamespace(cuda_stream=ptr))
    return alive


def test_a_stream_of_our_own_is_handed_to_nobody_else(cupy):
    ours = {cuda.own_stream(DEVICE).cuda_stream for _ in range(5)}
    others = {torch.cuda.Stream(DEVICE).cuda_stream for _ in range(40)}
    assert len(ours) == 5
    assert not ours & others
    assert cuda.own_stream(DEVICE, priority=-1).cuda_stream in cupy
    assert sorted(cupy.values()) == [(True, -1), *[(True, 0)] * 5]  # alive, and wait for nobody


@pytest.mark.parametrize(("broken", "lines"), [(None, 0), (SimpleNamespace(), 1)], ids=["absent", "broken"])
def test_without_cupy_it_is_one_of_torch_s(pool, monkeypatch, caplog, broken, lines):
    monkeypatch.setitem(sys.modules, "cupy", broken)
    with caplog.at_level("WARNING", "vsrife"):
        assert isinstance(cuda.own_stream(DEVICE), Pooled)
    logged = [record.message for record in caplog.records]
    assert len(logged) == lines
    assert all(line.startswith("a CUDA stream is taken from PyTorch's pool, since cupy cannot") for line in logged)


class Allocator:
    """Which pools torch's allocator fills at present, and who holds them.

    mended: whether a capture that fails is ended by torch itself, as later than 2.11, or not.
    """

    def __init__(self, *, mended, fails_at=None):
        self.mended, self.fails_at = mended, fails_at
        self.underway, self.holders = set(), {}
        self.current = "before"

    @contextlib.contextmanager
    def graph(self, graph, *, pool, stream, capture_error_mode):
        assert capture_error_mode == "thread_local"
        self.current = stream
        self.underway.add(pool)
        self.holders[pool] = 1
        graph.pool = pool
        if self.fails_at == "begin":
            raise RuntimeError("capture_begin")
        failed = True
        try:
            yield
            failed = self.fails_at == "end"
        finally:
            if self.mended or not failed:
                self.underway.remove(pool)
        if failed:
            raise RuntimeError("capture_end")
        self.current = "before"

    def end(self, device, pool):
        if pool not in self.underway:
            raise RuntimeError("not currently recording to mempool_id")
        self.underway.remove(pool)

    def release(self, device, pool):
        self.holders[pool] -= 1
        assert self.holders[pool] >= 0


@pytest.fixture
def allocator(monkeypatch, request):
    made = Allocator(**request.param)

    class Graph:
        pool = None

        def replay(self):
            """Of the device."""

        def reset(self):
            if made.mended and self.pool is not None and self.pool not in made.underway:
                made.release(0, self.pool)

    for name, value in {
        "CUDAGraph": Graph,
        "graph": made.graph,
        "graph_pool_handle": lambda: (0, 7),
        "current_stream": lambda: made.current,
        "set_stream": lambda stream: setattr(made, "current", stream),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", made.end, raising=False)
    monkeypatch.setattr(torch._C, "_cuda_releasePool", made.release, raising=False)
    return made


def refuse():
    raise RuntimeError("work")


STREAM = SimpleNamespace(device=DEVICE)


@pytest.mark.parametrize(
    ("allocator", "work"),
    [
        ({"mended": mended, "fails_at": fails_at}, refuse if fails_at is None else lambda: 1)
        for mended in (False, True)
        for fails_at in ("begin", "end", None)
    ],
    indirect=["allocator"],
)
def test_a_capture_that_fails_leaves_torch_as_it_was(allocator, work):
    with pytest.raises(RuntimeError):
        cuda.captured(work, STREAM)
    assert not allocator.underway
    assert set(allocator.holders.values()) == {0}
    assert allocator.current == "before"


@pytest.mark.parametrize("allocator", [{"mended": False}, {"mended": True}], indirect=True)
def test_a_capture_keeps_its_pool(allocator):
    replay, answer = cuda.captured(lambda: 42, STREAM)
    replay()
    assert (answer, allocator.underway, allocator.holders) == (42, set(), {(0, 7): 1})


@pytest.mark.parametrize("allocator", [{"mended": False, "fails_at": "end"}], indirect=True)
def test_a_torch_without_these_functions_still_gives_the_reason(allocator, monkeypatch):
    monkeypatch.delattr(torch._C, "_cuda_endAllocateToPool")
    with pytest.raises(RuntimeError, match="capture_end"):
        cuda.captured(lambda: 1, STREAM)


def test_tries_are_few_and_far_between():
    retries, tried, later = cuda.Retries(), [], []
    for call in range(2000):
        if retries.due():
            tried.append(call)
            later.append(retries.failed())
    assert tried == [0, 17, 274]
    assert later == [True, True, False]
    assert retries._left == math.inf
