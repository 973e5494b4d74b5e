"""Devices and precisions by name, and the state of a thread that computes."""

import threading
import time

import pytest
import torch

from tests.hosts.processes import finish, start_python
from vsrife.engine import device as devices
from vsrife.errors import ArgumentError

CPU = torch.device("cpu")
needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="tells what a machine without a GPU is told")


@needs_no_gpu
def test_auto_is_the_cpu_where_there_is_no_gpu():
    assert devices.resolve_device("auto") == CPU


def test_cpu_by_name():
    assert devices.resolve_device("cpu") == CPU


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "", "cpu cpu", "cuda:-1", "xpu:300"])
def test_unknown_names_are_refused_with_the_choices(name):
    with pytest.raises(ArgumentError, match=r'device \(.*\) must be "auto", "cpu", "cuda"'):
        devices.resolve_device(name)


@needs_no_gpu
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_cuda_without_a_gpu_says_why_and_what_to_do(name):
    with pytest.raises(ArgumentError, match=rf'device \({name}\) cannot be used: .*; try device="cpu"'):
        devices.resolve_device(name)


def test_a_device_that_holds_no_data_is_refused():
    with pytest.raises(ArgumentError, match=r'device \(meta\) cannot be used here .* try device="cpu"'):
        devices.resolve_device("meta")


@pytest.mark.parametrize("index", [1, 3, 128, 256, 10**20])
def test_index_out_of_range(monkeypatch, index):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ArgumentError, match=rf"device \(cuda:{index}\) out of range; 1 device, counted from cuda:0"):
        devices.resolve_device(f"cuda:{index}")


def test_auto_takes_the_first_gpu_that_works_and_says_why_none_does(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    broken = {0}
    zeros = torch.zeros

    def on_gpu(*size, device):
        if device.index in broken:
            raise RuntimeError("no kernel image is available\nfor execution. A long explanation.")
        return zeros(*size)

    monkeypatch.setattr(torch, "zeros", on_gpu)
    devices._first_working_gpu.cache_clear()
    assert devices.resolve_device("auto") == torch.device("cuda", 1)
    assert devices.why_no_gpu() == ""
    broken.add(1)
    devices._first_working_gpu.cache_clear()
    assert devices.resolve_device("auto") == CPU
    assert devices.why_no_gpu().startswith("cuda:0: no kernel image is available for execution; cuda:1: ")
    devices._first_working_gpu.cache_clear()


def test_float32_is_float32_whatever_the_script_has_set():
    before = torch.backends.fp32_precision
    try:
        torch.backends.fp32_precision = "tf32"
        devices._promise_exact_arithmetic()
        assert torch.backends.cudnn.conv.fp32_precision == "ieee"
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    finally:
        torch.backends.fp32_precision = before


READS_THE_OLDER_FLAGS = """
import torch
from vsrife.engine.device import _promise_exact_arithmetic
{before}
for _ in range(2):
    _promise_exact_arithmetic()
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    assert [each.fp32_precision for each in (cudnn.conv, cudnn.rnn, matmul)] == ["ieee"] * 3
    assert not cudnn.allow_tf32 and not matmul.allow_tf32
    with cudnn.flags(enabled=False):
        assert not cudnn.enabled
    assert not cudnn.allow_tf32
"""


@pytest.mark.parametrize(
    "before",
    [
        "",
        'torch.backends.fp32_precision = "tf32"',
        "torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True",
        'torch.backends.cudnn.conv.fp32_precision = torch.backends.cuda.matmul.fp32_precision = "ieee"',
    ],
)
def test_others_in_the_process_may_still_read_and_set_the_older_flags(before):
    finished = finish(start_python(READS_THE_OLDER_FLAGS.format(before=before)), 60)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize(
    ("name", "device", "dtype"),
    [
        ("auto", torch.device("cuda", 0), torch.float16),
        ("auto", CPU, torch.float32),
        ("auto", torch.device("mps"), torch.float32),
        ("float32", torch.device("cuda", 0), torch.float32),
        ("float16", CPU, torch.float16),
        ("bfloat16", CPU, torch.bfloat16),
    ],
)
def test_precision(name, device, dtype):
    assert devices.resolve_precision(name, device) == dtype


def test_unknown_precision_lists_the_choices():
    with pytest.raises(ArgumentError, match=r"precision \(fp16\) must be one of auto, float32, float16, bfloat16"):
        devices.resolve_precision("fp16", CPU)


def test_every_thread_computes_with_the_same_intra_op_count_and_without_gradients():
    torch.set_num_threads(3)  # what OMP_NUM_THREADS=3 would have done
    seen = []

    def work():
        with devices.computing():
            seen.append((torch.get_num_threads(), torch.is_inference_mode_enabled()))
            with devices.slot(CPU):
                seen.append(torch.get_num_threads())
            seen.append(torch.get_num_threads())
        seen.append(torch.is_inference_mode_enabled())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    # Outside of a slot a caller's thread works alone: there may be as many callers as cores.
    assert seen == [(1, True), devices.INTRA_OP_THREADS, 1, False]


def test_a_frame_that_takes_much_memory_takes_more_places(monkeypatch):
    """Eight places: a frame of three waits until as many are free, and a small one that comes after it waits for it."""
    monkeypatch.setattr(devices, "_cpu_slots", devices._Places(8))
    order, leave, entered = [], threading.Event(), threading.Semaphore(0)

    def work(name, places):
        with devices.slot(CPU, places * devices._SLOT_MEMORY):
            order.append(name)
            entered.release()
            leave.wait(10)

    threads = [threading.Thread(target=work, args=each) for each in (("first", 7), ("large", 3), ("small", 0))]
    threads[0].start()
    assert entered.acquire(timeout=10)
    threads[1].start()
    while not devices._cpu_slots._turn.locked():
        time.sleep(0.001)
    threads[2].start()
    assert not entered.acquire(timeout=0.05)
    leave.set()
    for thread in threads:
        thread.join(10)
    assert order == ["first", "large", "small"]
    assert devices._cpu_slots._free == 8
    with devices.slot(CPU, 100 * devices._SLOT_MEMORY):  # all there are, not more
        assert devices._cpu_slots._free == 0


def test_a_place_on_a_gpu_is_free_again_after_a_failure(monkeypatch):
    """Of the frame, or of what is done before it; and the device is the one before again."""
    current = threading.Lock()
    monkeypatch.setattr(torch.cuda, "device", lambda _device: current)
    monkeypatch.setattr(devices, "_gpu_places", {})
    exact = [None] * 3 + [RuntimeError("not exact")] * devices.gpu_slots()

    def promise():
        if error := exact.pop(0):
            raise error

    monkeypatch.setattr(devices, "_promise_exact_arithmetic", promise)

    def fail():
        with devices.slot(torch.device("cuda", 0)):
            assert current.locked()
            assert devices._gpu_places[devices.gpu_slots()].qsize() == devices.gpu_slots() - 1
            raise ValueError("no")

    for _ in range(3):
        with pytest.raises(ValueError, match="no"):
            fail()
    while exact:
        with pytest.raises(RuntimeError, match="not exact"), devices.slot(torch.device("cuda", 0)):
            pass
    assert not current.locked()
    assert devices._gpu_places[devices.gpu_slots()].qsize() == devices.gpu_slots()


def test_the_threads_are_few_again_after_a_failure():
    with pytest.raises(RuntimeError, match="no"), devices.computing(), devices.slot(CPU):
        raise RuntimeError("no")
    assert torch.get_num_threads() == 1
