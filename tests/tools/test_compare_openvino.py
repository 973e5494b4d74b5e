"""The comparison with OpenVINO, as far as it goes without that plugin: our runs, the exported network, the table."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from vsrife.bench.synthetic_input import ARCHITECTURES, save_seeded, seeded_network

SCRIPT = ROOT / "tools" / "compare_openvino.py"


def test_a_run_of_ours(tmp_path):
    save_seeded(ARCHITECTURES["4.6"], tmp_path / "weights.safetensors")
    task = {
        "who": "ours", "model": "4.6", "weights": str(tmp_path / "weights.safetensors"), "onnx": "", "frames": 3,
        "precision": "float32", "size": [96, 64], "in_flight": 2, "picture": str(tmp_path / "ours.npy"),
    }  # fmt: skip
    command = [sys.executable, SCRIPT, "--task", json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["fps"] > 0
    assert found["cpu_ms"] > 0
    assert np.load(tmp_path / "ours.npy").shape == (64, 96)


def test_the_row_of_the_table(tool):
    runs = {
        "ours": [{"fps": fps, "cpu_ms": 100.0 + fps} for fps in (3.0, 2.0, 4.0)],
        "OpenVINO": [{"fps": fps, "cpu_ms": 200.0} for fps in (1.0, 2.0, 1.0)],
    }
    row = {"model": "4.26", "precision": "float32", "runs": runs, "db": 61.25}
    assert tool("compare_openvino").line(row) == (
        "| 4.26 | float32 | 3.00 | 1.00 | 1.00, 3.00, 4.00 | 103 | 200 | 61.2 |"
    )


def test_the_exported_module_is_the_network(tool):
    module = tool("compare_openvino").Interpolation(seeded_network(ARCHITECTURES["4.26"]).eval())
    frames = torch.rand((2, 1, 3, 64, 128), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        made = module(torch.cat([*frames, torch.full((1, 1, 64, 128), 0.5)], 1))
        features = [module.network.encode(frame) for frame in frames]
        expected = module.network.merge(*frames, module.network(*frames, *features, 0.5))
    assert made.std() > 0.01
    assert torch.equal(made, expected)


def test_without_the_plugin_it_names_the_way_out():
    import vapoursynth as vs

    if hasattr(vs.core, "ov"):
        pytest.skip("the plugin is here")
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2
    assert "pip install onnx vapoursynth-mlrt-ov" in done.stderr
