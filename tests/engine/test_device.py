"""Devices and precisions by name, and the state of a thread that computes."""

import threading

import pytest
import torch

from vsrife.engine import device as devices
from vsrife.errors import ArgumentError

CPU = torch.device("cpu")
needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="tells what a machine without a GPU is told")


@needs_no_gpu
def test_auto_is_the_cpu_where_there_is_no_gpu():
    assert devices.resolve_device("auto") == CPU


def test_cpu_by_name():
    assert devices.resolve_device("cpu") == CPU


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "", "cpu cpu"])
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


def test_index_out_of_range(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ArgumentError, match=r"device \(cuda:3\) out of range; 1 device"):
        devices.resolve_device("cuda:3")


@pytest.mark.parametrize(
    ("name", "device", "dtype"),
    [
        ("auto", CPU, torch.float32),
        ("auto", torch.device("cuda", 0), torch.float16),
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
    torch.set_num_threads(1)  # what OMP_NUM_THREADS=1 would have done
    seen = []

    def work():
        with devices.computing():
            seen.append((torch.get_num_threads(), torch.is_inference_mode_enabled()))
        seen.append(torch.is_inference_mode_enabled())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(devices.INTRA_OP_THREADS, True), False]
