"""The tool that averages the weights of several steps."""

import runpy
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.conftest import ROOT

SCALES = {"scales": "16 8 4 2"}


@pytest.fixture
def call(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["average_weights.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / "tools" / "average_weights.py"), run_name="__main__")
        out, error = capsys.readouterr()
        return ended.value.code, out + error

    return call


@pytest.fixture
def files(tmp_path):
    """0, 1 and 5 everywhere, of half precision."""

    def written(value, name, shape=(2, 3), metadata=SCALES):
        save_file({"a.weight": torch.full(shape, value).half(), "a.bias": torch.zeros(4).half()}, name, metadata)
        return name

    return [written(value, tmp_path / f"{value}.safetensors") for value in (0.0, 1.0, 5.0)], written


def test_it_is_the_mean_of_all_files(call, files, tmp_path):
    out = tmp_path / "out.safetensors"
    assert call(out, *files[0]) == (0, f"{out}: the mean of 3 files\n")
    made = load_file(out)
    assert made["a.weight"].dtype == torch.float16
    assert torch.equal(made["a.weight"], torch.full((2, 3), 2.0).half())
    assert not made["a.bias"].any()
    with safe_open(out, "pt") as file:
        assert file.metadata() == SCALES


def test_what_is_no_file_of_the_same_network_is_refused(call, files, tmp_path):
    (first, *_), written = files
    out, other = tmp_path / "out.safetensors", tmp_path / "other.safetensors"
    for make, text in (
        (lambda: written(1.0, other, shape=(3, 3)), f"must hold the network of {first}, and a.weight differs"),
        (lambda: written(1.0, other, metadata={"scales": "8 4"}), "and its metadata differs"),
        (lambda: written(float("inf"), other), "weight (a.weight) must be finite in half precision"),
        (lambda: tmp_path / "nothing.safetensors", "must be a .safetensors file"),
    ):
        status, told = call(out, first, make())
        assert status == 2
        assert told.startswith("average_weights: ")
        assert text in told
    assert not out.exists()
