"""Networks as the process keeps them."""

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vsrife.engine import loading, winograd
from vsrife.engine.loading import load_network
from vsrife.errors import ModelError

CPU = torch.device("cpu")


def test_a_network_is_loaded_once_until_its_file_changes(average_model, tmp_path):
    path = tmp_path / "net.safetensors"
    state = load_file(average_model)
    save_file(state, path)
    first = load_network(path, CPU, torch.float32)
    assert load_network(path, CPU, torch.float32) is first
    assert load_network(path, CPU, torch.bfloat16) is not first
    save_file(state | {"block0.conv0.0.0.bias": state["block0.conv0.0.0.bias"] + 1}, path)
    again = load_network(path, CPU, torch.float32)
    assert again is not first
    bias = again.module.get_parameter("block0.conv0.0.0.bias")
    assert torch.equal(bias, state["block0.conv0.0.0.bias"] + 1)


def test_weights_that_half_precision_cannot_hold_are_refused(average_model, tmp_path):
    path = tmp_path / "net.safetensors"
    state = load_file(average_model)
    save_file(state | {"block0.conv0.0.0.bias": torch.full_like(state["block0.conv0.0.0.bias"], 1e6)}, path)
    load_network(path, CPU, torch.bfloat16)
    with pytest.raises(ModelError, match=r'beyond the range of float16; pass precision="float32" or "bfloat16"'):
        load_network(path, CPU, torch.float16)


def test_a_cpu_without_fast_convolutions_is_one_log_line(average_model, monkeypatch, caplog):
    monkeypatch.setattr(loading, "_logged", set())
    monkeypatch.setattr(winograd, "resolve", lambda device, dtype: (0, "no AVX2"))
    with caplog.at_level("WARNING", "vsrife"):
        for dtype in (torch.bfloat16, torch.float32, torch.float32):
            monkeypatch.setattr(loading, "loaded_networks", OrderedDict())
            load_network(Path(average_model), CPU, dtype)
    assert [record.message for record in caplog.records] == [
        "convolutions are done by torch alone, which takes about twice as long: no AVX2"
    ]
