"""Devices and precisions by name, and the state of a thread that computes."""

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
