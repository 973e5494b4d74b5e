"""Who queues on which stream: on a CPU nothing, and with a stand-in for CUDA the order of it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import torch

from vsrife import cuda
from vsrife.choices import chosen
from vsrife.engine import streams

LANES = chosen().lanes
CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


class Recorder:
    """Streams and events that write down what is asked of them."""

    def __init__(self):
        self.log = []
        self.made = []
        self.current = threading.local()

    def stream(self, device):
        time.sleep(0.01)
        name = f"stream{len(self.made)}"
        recorder = self

        class Stream:
            def wait_event(self, event):
                recorder.log.append((name, "follows", event.at))

        self.made.append(Stream())
        self.made[-1].name = name
        return self.made[-1]

    @contextmanager
    def use(self, stream):
        before, self.current.stream = getattr(self.current, "stream", None), stream
        try:
            yield
        finally:
            self.current.stream = before

    def event(self, *, blocking):
        assert blocking  # a spinning wait would take a core from the callers
        recorder = self

        class Event:
            def record(self, stream):
                self.at = stream.name

            def synchronize(self):
                recorder.log.append(("host", "waits for", self.at))

        return Event()


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(streams, "_streams", {})
    monkeypatch.setattr(cuda, "own_stream", recorder.stream)
    monkeypatch.setattr(torch.cuda, "Event", recorder.event)
    monkeypatch.setattr(torch.cuda, "stream", recorder.use)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: recorder.current.stream)
    return recorder


def test_a_cpu_has_one_lane_and_empty_marks():
    with streams.uploading(CPU):
        arrived = streams.mark(CPU)
    with streams.lane(CPU) as first, streams.lane(CPU) as second:
        arrived.follow()
        assert first is second
        assert first.stream is None
    with streams.downloading(CPU, arrived):
        arrived.wait()


def test_each_place_follows_the_one_before(recorder):
    with streams.uploading(CUDA):
        arrived = streams.mark(CUDA)
    with streams.lane(CUDA) as lane:
        arrived.follow()
        done = streams.mark(CUDA)
    with streams.downloading(CUDA, done):
        back = streams.mark(CUDA)
    back.wait()
    up, down = "stream0", "stream1"
    assert recorder.log == [
        (lane.stream.name, "follows", up),
        (down, "follows", lane.stream.name),
        ("host", "waits for", down),
    ]
    assert lane.stream.name not in (up, down)


def test_threads_that_begin_together_share_the_streams(recorder):
    together = threading.Barrier(8)

    def ask(_):
        together.wait(10)
        return streams._of(CUDA)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    assert len(recorder.made) == 2 + LANES


def test_no_more_frames_than_lanes_and_a_lane_comes_back_after_a_failure(recorder):
    inside, most = [], []

    def work(number):
        try:
            with streams.lane(CUDA) as lane:
                inside.append(lane.index)
                most.append(len(inside))
                assert len(set(inside)) == len(inside)  # nobody shares a lane
                time.sleep(0.005)
                inside.remove(lane.index)
                if number % 3 == 0:
                    raise ValueError("frame")
        except ValueError:
            return 1
        return 0

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(30))) == 10
    assert max(most) == LANES
