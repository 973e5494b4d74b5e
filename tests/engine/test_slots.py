"""Places for frames, and the state of a thread that calls torch."""

import threading
import time

import pytest
import torch

from tests.hosts.processes import finish, start_python
from vsrife.engine import slots

CPU = torch.device("cpu")
needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="tells what a machine without a GPU is told")


def test_float32_is_float32_whatever_the_script_has_set():
    before = torch.backends.fp32_precision
    try:
        torch.backends.fp32_precision = "tf32"
        slots._use_exact_arithmetic()
        assert torch.backends.cudnn.conv.fp32_precision == "ieee"
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    finally:
        torch.backends.fp32_precision = before


READS_THE_OLDER_FLAGS = """
import torch
from vsrife.engine.slots import _use_exact_arithmetic
{before}
for _ in range(2):
    _use_exact_arithmetic()
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


def test_every_thread_computes_with_the_same_intra_op_count_and_without_gradients():
    torch.set_num_threads(3)  # what OMP_NUM_THREADS=3 would have done
    seen = []

    def work():
        with slots.inference_context():
            seen.append((torch.get_num_threads(), torch.is_inference_mode_enabled()))
            with slots.slot(CPU):
                seen.append(torch.get_num_threads())
            seen.append(torch.get_num_threads())
        seen.append(torch.is_inference_mode_enabled())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    # Outside of a slot a caller's thread works alone: there may be as many callers as cores.
    assert seen == [(1, True), slots.INTRA_OP_THREADS, 1, False]


def test_a_frame_that_takes_much_memory_takes_more_places(monkeypatch):
    """Eight places: a frame of three waits until as many are free, and a small one that comes after it waits for it."""
    monkeypatch.setattr(slots, "_cpu_slots", slots._Places(8))
    order, leave, entered = [], threading.Event(), threading.Semaphore(0)

    def work(name, places):
        with slots.slot(CPU, places * slots._SLOT_MEMORY):
            order.append(name)
            entered.release()
            leave.wait(10)

    threads = [threading.Thread(target=work, args=each) for each in (("first", 7), ("large", 3), ("small", 0))]
    threads[0].start()
    assert entered.acquire(timeout=10)
    threads[1].start()
    while not slots._cpu_slots._turn.locked():
        time.sleep(0.001)
    threads[2].start()
    assert not entered.acquire(timeout=0.05)
    leave.set()
    for thread in threads:
        thread.join(10)
    assert order == ["first", "large", "small"]
    assert slots._cpu_slots._free == 8
    with slots.slot(CPU, 100 * slots._SLOT_MEMORY):  # all there are, not more
        assert slots._cpu_slots._free == 0


def test_a_place_on_a_gpu_is_free_again_after_a_failure(monkeypatch):
    """Of the frame, or of what is done before it; and the device is the one before again."""
    current = threading.Lock()
    monkeypatch.setattr(torch.cuda, "device", lambda _device: current)
    monkeypatch.setattr(slots, "_gpu_places", {})
    exact = [None] * 3 + [RuntimeError("not exact")] * slots.gpu_slots()

    def promise():
        if error := exact.pop(0):
            raise error

    monkeypatch.setattr(slots, "_use_exact_arithmetic", promise)

    def fail():
        with slots.slot(torch.device("cuda", 0)):
            assert current.locked()
            assert slots._gpu_places[slots.gpu_slots()].qsize() == slots.gpu_slots() - 1
            raise ValueError("no")

    for _ in range(3):
        with pytest.raises(ValueError, match="no"):
            fail()
    while exact:
        with pytest.raises(RuntimeError, match="not exact"), slots.slot(torch.device("cuda", 0)):
            pass
    assert not current.locked()
    assert slots._gpu_places[slots.gpu_slots()].qsize() == slots.gpu_slots()


def test_the_threads_are_few_again_after_a_failure():
    with pytest.raises(RuntimeError, match="no"), slots.inference_context(), slots.slot(CPU):
        raise RuntimeError("no")
    assert torch.get_num_threads() == 1
