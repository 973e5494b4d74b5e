"""Working sets chosen by size, and what happens where memory runs out."""

import logging
import threading

import pytest
import torch

from tests.network.legacy.networks import small
from tests.network.small import frames, network
from vsrife.engine import memory
from vsrife.engine.block_estimator import BlockEstimator
from vsrife.engine.networks import Network
from vsrife.engine.streams import capture_lock
from vsrife.errors import RifeError

CPU = torch.device("cpu")
GIB = 1 << 30


@pytest.fixture(scope="module")
def net():
    return Network.of(network("J"), CPU, torch.float32)


def test_strips_follow_the_size_and_the_memory_and_nothing_else(net):
    def strips(height, total, scale=1.0):
        return memory.choose_working_set(net, (height, 2 * height), scale=scale, total=total).strips

    assert strips(1088, 8 * GIB) == 1
    assert strips(8704, GIB) > strips(4352, GIB) > 1
    assert strips(4352, GIB, scale=0.5) < strips(4352, GIB)
    assert strips(4352, GIB) == strips(4352, GIB)


def test_what_is_needed_grows_with_the_picture(net):
    small, large = (
        memory.choose_working_set(net, size, scale=1.0, total=8 * GIB).needed for size in ((576, 1024), (2176, 3840))
    )
    assert 10 < large / small < 16
    # Two sources alone: 7 channels of float32 each.
    assert small > 2 * 7 * 4 * 576 * 1024


@pytest.mark.parametrize("name", ["A", "G", "J"])
def test_what_is_needed_holds_the_answers_of_all_blocks(name):
    """A pixel's bytes: two sources, flow and mask made and merged, the largest block's layers, and each level."""
    net = Network.of(network(name), CPU, torch.float32)
    height, width = canvas = (256, 384)
    estimator = BlockEstimator(net, canvas)
    with torch.inference_mode():
        left, right = (estimator.pack(frame) for frame in frames(height, width))
        levels = estimator.field(left, right, 0.5).levels
    pixels = height * width
    blocks = zip(net.module.architecture.widths, net.module.architecture.scales, strict=True)
    layers = max(4 * channels * pixels / reduction**2 * (1 / 8 + 3 / 16) for channels, reduction in blocks)
    held = left.nbytes + right.nbytes + 2 * 5 * 4 * pixels + layers + sum(level.raw.nbytes for level in levels)
    once, four_times = (
        memory.choose_working_set(net, size, scale=1.0, total=64 * GIB).needed
        for size in (canvas, (2 * height, 2 * width))
    )
    assert four_times - once == pytest.approx(3 * held, abs=2)


@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
def test_networks_that_are_run_whole_need_what_they_need(scale):
    """Measured in float32, bytes a pixel at a scale of 1: 629 (3.8), 911 (RIFE) and 2284 (RIFE-Large)."""
    plain, refined, large = (
        memory.choose_working_set(Network.of(small(kind), CPU, torch.float32), (512, 1024), scale=scale).needed
        for kind in ("3.8", "rife", "rife_large_2r")
    )
    pixels = 512 * 1024 * max(1, scale) ** 2
    assert 600 < plain / pixels < 700
    assert 900 < refined / pixels < 1000
    assert 2200 < large / pixels < 2400


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    MemoryError("Unable to allocate 7.45 GiB for an array"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried ..."),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_one_retry_with_emptied_caches_and_a_line_in_the_log(error, caplog):
    calls, released = [], []

    def attempt():
        calls.append(len(released))
        if len(calls) == 1:
            raise error

    with caplog.at_level(logging.WARNING, "vsrife"):
        memory.retry_on_oom(attempt, CPU, 5 << 20, lambda: released.append(1))
    assert calls == [0, 1]  # what could be had again was given back between them
    assert "out of memory on cpu" in caplog.text


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_the_second_time_it_says_what_is_needed_and_what_is_free(error):
    def attempt():
        raise error

    with pytest.raises(RifeError, match=r"the frame needs 5 MiB, \d+ MiB are free; try scale=0\.5") as raised:
        memory.retry_on_oom(attempt, CPU, 5 << 20, lambda: None)
    assert raised.value.__cause__ is None


def test_nothing_is_waited_for_or_released_while_a_graph_is_captured():
    released = threading.Event()

    def attempt():
        if not released.is_set():
            raise MemoryError

    with capture_lock:  # as a capture holds it
        retry = threading.Thread(target=memory.retry_on_oom, args=(attempt, CPU, 0, released.set))
        retry.start()
        assert not released.wait(0.1)
    assert released.wait(10)
    retry.join(10)


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory",
        "unable to find an engine to execute this computation",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA_ERROR_OUT_OF_MEMORY: out of memory",
    ],
)
def test_other_words_for_it(text):
    assert memory.is_out_of_memory(RuntimeError(text))
    assert not memory.is_out_of_memory(RuntimeError("an illegal memory access was encountered"))


def test_another_error_passes_at_once():
    calls = []

    def attempt():
        calls.append(1)
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        memory.retry_on_oom(attempt, CPU, 0, lambda: None)
    assert len(calls) == 1


def test_a_real_allocation_that_is_too_large_is_recognised():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 58, dtype=torch.uint8)
    assert memory.is_out_of_memory(raised.value)
