"""Long work on a GPU: many frames and threads, many filters, seeks, memory that must not grow or runs out."""

import gc
import hashlib
import random
import resource
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.engine.backend.cuda.kernels.inputs import yuv
from tests.engine.backend.cuda.test_sampler import made
from tests.network.small import network
from tests.plugin.clips import digest, numbered, samples, textured
from tests.plugin.test_determinism import all_at_once, shuffled, threads
from vsrife.bench.engine import device_memory
from vsrife.choices import chosen
from vsrife.engine import interpolator
from vsrife.engine.backend.cuda import graphs
from vsrife.engine.backend.cuda.backend import CudaBackend
from vsrife.engine.backend.cuda.graphs import most_graphs
from vsrife.engine.networks import Network
from vsrife.engine.transfer import host
from vsrife.plugin import callbacks

__all__ = ["threads"]  # a fixture

core = vs.core

LANES = chosen().lanes
MIB = 1 << 20


def rife(clip, model, device, **options):
    return core.rife.RIFE(clip, model=model, device=str(device), **{"sc": 0, "skip": 0, **options})


def used(device):
    """Bytes of the device in use, by whoever: also what neither torch nor cupy has in its books."""
    torch.cuda.synchronize(device)
    free, total = torch.cuda.mem_get_info(device)
    return total - free


def resident():
    """Bytes of host memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def held():
    """The filters that live, and how many sources are cached for them, of how many bytes."""
    return set(callbacks.instances), len(interpolator.cached_sources), interpolator.cached_sources.weight


def held_again(before):
    """Wait until no more is held than ``before``; VapourSynth frees a filter in a thread of its own."""
    until = time.monotonic() + 10
    while held() != before and time.monotonic() < until:
        gc.collect()
        time.sleep(0.01)
    return held() == before


# Case 20


@pytest.mark.timeout(120)
def test_two_thousand_frames_with_32_threads_and_deep_prefetch(cuda, moving_model, threads):
    """Eight frames over and over: 1000 sources, of which every eighth is the same, and so every 16th new frame."""
    threads(32)
    source = core.std.Loop(textured(8, 640, 360), 125)
    out = rife(source, moving_model, cuda, sc=1, skip=1)
    assert len(out) == 2000
    first, count = {}, 0
    for n, frame in enumerate(out.frames(prefetch=96, backlog=192, close=True)):
        found = hashlib.sha256(b"".join(plane.tobytes() for plane in samples(frame))).digest()
        if n < 1999:  # the last one holds the last source frame
            assert first.setdefault(n % 16, found) == found, n
        count += 1
    assert count == 2000
    assert len(set(first.values())) == 16


# Case 21


def test_a_filter_of_a_filter(cuda, average_model, threads):
    threads(16)
    out = rife(rife(numbered(5), average_model, cuda), average_model, cuda)
    futures = [out.get_frame_async(n) for n in reversed(range(20))]
    levels = [int(samples(future.result(60))[0][0, 0]) for future in reversed(futures)]
    first = [0, 5, 10, 15, 20, 25, 30, 35, 40, 40]
    means = [int(np.rint((a + b) / 2)) for a, b in zip(first, [*first[1:], 40], strict=True)]
    assert levels == [level for pair in zip(first, means, strict=True) for level in pair]


def test_two_at_once_do_not_mix(cuda, moving_model, average_model, threads):
    threads(16)
    # Two of one size share their graphs; one of another size, and one of another network, have their own.
    made_of = [
        (textured(6, 322, 182), moving_model),
        (core.std.Invert(textured(6, 322, 182)), moving_model),
        (textured(6, 96, 34), moving_model),
        (textured(6, 322, 182), average_model),
    ]
    alone = [all_at_once(rife(clip, model, cuda), range(12)) for clip, model in made_of]
    for _ in range(3):
        outs = [rife(clip, model, cuda) for clip, model in made_of]
        with ThreadPoolExecutor(len(outs)) as pool:
            together = list(pool.map(lambda out: all_at_once(out, shuffled(12)), outs))
        assert together == alone


def test_more_sizes_at_once_than_graphs_are_kept(cuda, moving_model, threads):
    """A graph is dropped, and its lane waited for, while that lane's next frame may be capturing another."""
    threads(16)
    clips = [textured(5, 96 + 64 * n, 64 + 32 * n) for n in range(most_graphs() // LANES + 2)]
    alone = [all_at_once(rife(clip, moving_model, cuda), range(10)) for clip in clips]
    for turn in range(4):
        outs = [rife(clip, moving_model, cuda) for clip in clips]
        futures = [(size, n, outs[size].get_frame_async(n)) for n in shuffled(10) for size in range(len(outs))]
        for size, n, future in futures:
            found = b"".join(plane.tobytes() for plane in samples(future.result(60)))
            assert found == alone[size][n], (turn, size, n)
    assert len(graphs.replays) <= most_graphs()


# Case 22


class Busy:
    """Threads that allocate, free and launch on streams of their own, while it is entered."""

    def __init__(self, device, cupy, count=3):
        self._device, self._cupy = device, cupy
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(count)
        self._count = count
        self.rounds = 0

    def _work(self, number):
        rng = random.Random(number)
        kept = []
        with torch.cuda.device(self._device), torch.cuda.stream(torch.cuda.Stream(self._device)):
            while not self._stop.is_set():
                # Larger than what is cached, so that the driver is asked for memory again and again.
                x = torch.full((rng.randrange(1, 48) << 18,), 1.0, device=self._device)
                kept = [*kept[-3:], x * 2 + 1]
                with self._cupy.cuda.Device(self._device.index or 0):
                    self._cupy.zeros(rng.randrange(1, 1 << 22), dtype="u1")
                assert float(kept[-1][-1]) == 3.0  # waits for this stream alone
                if rng.random() < 0.1:
                    del x
                    kept.clear()
                    torch.cuda.empty_cache()
                self.rounds += 1

    def __enter__(self):
        self._futures = [self._pool.submit(self._work, number) for number in range(self._count)]
        return self

    def __exit__(self, *_):
        self._stop.set()
        for future in self._futures:
            future.result(60)
        self._pool.shutdown()


def test_a_capture_while_other_threads_allocate_and_launch(cuda, cupy, kernels, caplog):
    fmt, size, times = yuv(1, 1), (642, 362), [Fraction(k % 4 + 1, 5) for k in range(3 * LANES)]
    nets = [Network.of(network(name), cuda, torch.float16, CudaBackend(kernels)) for name in ("G", "J")]
    graphs.drop_all()
    quiet = [made(net, fmt, *size, times) for net in nets]
    with Busy(cuda, cupy) as busy:
        for _ in range(8):
            graphs.drop_all()
            caplog.clear()
            with caplog.at_level("WARNING", "vsrife"):
                found = [made(net, fmt, *size, times) for net in nets]
            # Where the driver allows no capture, a line says so, once in each lane of a network, and frames go on.
            said = [record.message for record in caplog.records]
            assert all(line.startswith("a CUDA graph could not be captured (") for line in said), said
            refused = [replay._graph is None for replay in graphs.replays.values()]
            assert len(refused) == 2 * LANES
            assert refused.count(True) == len(said)
            for one, other in zip(found, quiet, strict=True):
                assert all(all(map(torch.equal, a, b)) for a, b in zip(one, other, strict=True))
        assert busy.rounds > 20
    graphs.drop_all()


def test_a_capture_in_a_thread_that_has_computed_nothing_before(cuda, kernels, caplog):
    """VapourSynth asks from whichever thread is free, so the one that captures is seldom the one that made the frame
    before. The convolution library's handle of a thread, made when it is first needed, must not break the capture.
    """
    net = Network.of(network("C"), cuda, torch.float16, CudaBackend(kernels))  # it has no encoder to make the handle
    count = 3 * LANES
    graphs.drop_all()
    (expected,) = made(net, yuv(1, 1), 150, 98, [Fraction(1, 2)])
    graphs.drop_all()
    end = threading.Event()

    def one_frame(future):
        future.set_result(made(net, yuv(1, 1), 150, 98, [Fraction(1, 2)])[0])
        end.wait(60)  # a thread that ends would hand its handle on to the next one

    futures = [Future() for _ in range(count)]
    with caplog.at_level("WARNING", "vsrife"), ThreadPoolExecutor(count) as pool:
        try:
            for future in futures:
                pool.submit(one_frame, future)
                assert all(map(torch.equal, future.result(60), expected))
        finally:
            end.set()
    assert [replay._graph is not None for replay in graphs.replays.values()] == [True] * LANES, caplog.text


# Case 24


@pytest.mark.timeout(150)
def test_memory_after_5000_random_seeks_is_that_after_500(cuda, moving_model):
    source = core.std.Loop(textured(8, 320, 180), 250)
    out = rife(source, moving_model, cuda, sc=1)
    rng = random.Random(5)
    seen = {}
    for n in range(1, 5001):
        out.get_frame(rng.randrange(len(out))).close()
        if n in (500, 5000):
            seen[n] = used(cuda), sum(device_memory(cuda).values())
    for before, after in zip(seen[500], seen[5000], strict=True):
        assert after <= before * 1.02 + 16 * MIB, seen


# Case 25


@pytest.mark.timeout(150)
def test_host_and_device_memory_over_1000_frames_of_2160p(cuda, moving_model, threads):
    threads(8)
    clip = core.std.BlankClip(format=vs.YUV420P8, width=3840, height=2160, length=500, fpsnum=24, keep=True)
    out = rife(clip, moving_model, cuda)
    ours, here = [], []
    for n, frame in enumerate(out.frames(prefetch=8, close=True)):
        if n % 20 == 19:
            ours.append(sum(device_memory(cuda).values()))
            here.append(resident())
        del frame
    assert len(ours) == 50
    # A source is 135 MB there and a frame 12 MB here, so even a few that stay would be seen.
    assert max(ours[25:]) <= max(ours[5:25]) + 128 * MIB, ours
    assert max(here[25:]) <= max(here[5:25]) + 128 * MIB, here


# Case 27


def test_a_script_evaluated_twenty_times_leaves_nothing(cuda, moving_model):
    source = textured(6, 642, 362)
    gc.collect()
    before = held()
    graphs.drop_all()
    allocated, replays, digests = [], [], []
    for _ in range(20):
        out = rife(source, moving_model, cuda)
        digests.append(digest(out, (1, 3, 5, 7)))
        flying = [out.get_frame_async(n) for n in (9, 3, 1)]
        del out  # with frames in flight
        for frame in flying:
            frame.result(60).close()
        del flying, frame
        assert held_again(before), held()
        torch.cuda.synchronize(cuda)
        allocated.append((torch.cuda.memory_allocated(cuda), used(cuda)))
        replays.append({id(replay): replay._graph is not None for replay in graphs.replays.values()})
    assert all(each == digests[0] for each in digests)
    # The graphs of the first evaluations serve all the others.
    assert replays[2] == replays[19]
    assert list(replays[19].values()) == [True] * LANES
    for first, last in zip(allocated[2], allocated[19], strict=True):
        assert last <= first + 4 * MIB, allocated


# Case 28


@pytest.fixture
def limit(cuda):
    """Sets how many bytes torch may take from the device beside what it has, None for nothing at all, not even what it
    has given back; at the end there is no limit again.
    """
    total = torch.cuda.get_device_properties(cuda).total_memory

    def allow(more):
        torch.cuda.synchronize(cuda)
        torch.cuda.empty_cache()
        share = 0.0 if more is None else (torch.cuda.memory_reserved(cuda) + more) / total
        torch.cuda.set_per_process_memory_fraction(share, cuda)

    yield allow
    torch.cuda.set_per_process_memory_fraction(1.0, cuda)


NEEDED = r"^RIFE: frame 1: out of memory on cuda:0: the frame needs \d+ MiB, \d+ MiB are free; try scale=0.5, "


def test_memory_that_runs_out_is_had_from_the_caches(cuda, moving_model, limit, caplog):
    """Ten sources of 33 MB and the graphs are cached; another source does not fit beside them, and is made all the
    same.
    """
    clip = textured(11, 1920, 1080)
    want = digest(rife(clip, moving_model, cuda), (1,))
    interpolator.drop_cached()
    out = rife(clip, moving_model, cuda)
    for n in range(3, 21, 2):
        out.get_frame(n).close()
    cached = len(interpolator.cached_sources)
    assert cached == 10
    limit(4 * MIB)
    with caplog.at_level("WARNING", "vsrife"):
        assert digest(out, (1,)) == want
    said = [record.message for record in caplog.records if record.message.startswith("out of memory on cuda:0")]
    assert len(said) == 1, caplog.text
    assert len(interpolator.cached_sources) <= 2


def test_memory_that_cannot_be_had_is_a_line_and_the_next_frame_works(cuda, moving_model, limit):
    clip = textured(4, 1920, 1080)
    want = digest(rife(clip, moving_model, cuda), (1, 3))
    out = rife(clip, moving_model, cuda)
    interpolator.drop_cached()
    limit(None)
    for _ in range(2):
        with pytest.raises(vs.Error, match=NEEDED):
            out.get_frame(1)
    torch.cuda.set_per_process_memory_fraction(1.0, cuda)
    assert digest(out, (3, 1)) == want


@pytest.mark.parametrize("times", [1, 2])
def test_cupy_s_memory_counts_too(cuda, cupy, moving_model, monkeypatch, caplog, times):
    inner, left = host._to_device, [times]

    def full(*arguments):
        if left[0]:
            left[0] -= 1
            raise cupy.cuda.memory.OutOfMemoryError(1 << 30, 1 << 40)
        return inner(*arguments)

    clip = textured(3, 322, 182)
    want = digest(rife(clip, moving_model, cuda), (1,))
    out = rife(clip, moving_model, cuda)
    monkeypatch.setattr(host, "_to_device", full)
    with caplog.at_level("WARNING", "vsrife"):
        if times == 2:
            with pytest.raises(vs.Error, match=NEEDED):
                out.get_frame(1)
        assert digest(out, (1,)) == want
    assert caplog.text.count("out of memory on cuda:0") == 1


def test_memory_that_runs_out_in_every_thread_at_once(cuda, moving_model, threads, limit, caplog):
    """Frames in both lanes give up their memory at the same time; each is right or says so, and nothing hangs."""
    threads(16)
    clip = textured(8, 1920, 1080)
    want = all_at_once(rife(clip, moving_model, cuda), range(16))
    interpolator.drop_cached()
    out = rife(clip, moving_model, cuda)
    limit(100 * MIB)  # three sources; four at least would be kept
    futures = [(n, out.get_frame_async(n)) for n in range(16)]
    failed = {}
    with caplog.at_level("WARNING", "vsrife"):
        for n, future in futures:
            try:
                frame = future.result(60)
            except vs.Error as error:
                failed[n] = str(error)
            else:
                assert b"".join(plane.tobytes() for plane in samples(frame)) == want[n], n
    assert all(n % 2 for n in failed), "a source frame is handed on as it is"
    assert all("out of memory on cuda:0: the frame needs" in text for text in failed.values()), failed
    assert "out of memory on cuda:0" in caplog.text
    torch.cuda.set_per_process_memory_fraction(1.0, cuda)
    assert all_at_once(out, range(16)) == want
