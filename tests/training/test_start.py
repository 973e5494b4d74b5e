"""What a run begins with, from a file of weights; test_rental.py has states."""

import pytest
import torch
from safetensors.torch import save_file

from tests.network.small import ARCHITECTURES
from vsrife.errors import ArgumentError
from vsrife.network import IFNet, PaperArchitecture, PaperNet, Taught
from vsrife.training.start import begin_from
from vsrife.training.weights import Weights

CPU = torch.device("cpu")


def rows(module):
    """Weights of the module, and an average that is another one."""
    weights = Weights(module, CPU, torch.float32)
    return weights, torch.full_like(weights.row, 7.0).detach()


def test_a_network_begins_with_the_blocks_of_another(tmp_path):
    """Four blocks of one with five, of half precision; what is not there stays random."""
    torch.manual_seed(2)
    other, own = IFNet(ARCHITECTURES["J"]), IFNet(ARCHITECTURES["J-lite"])
    path = tmp_path / "other.safetensors"
    save_file({name: each.half() for name, each in other.state_dict().items()}, path)
    weights, average = rows(Taught(own))
    before = {name: each.clone() for name, each in weights.named(weights.row).items()}
    told = begin_from(path, weights, average, ())
    after = weights.named(weights.row)
    taken = {name for name, each in after.items() if not torch.equal(each, before[name])}
    assert 0 < len(taken) < len(after)
    assert f" of {len(after)} tensors of {path}" in told
    assert torch.equal(own.block1.conv0[0][0].weight, other.block1.conv0[0][0].weight.half().float())
    assert not any(name.startswith("teacher.") for name in taken)
    assert torch.equal(average, weights.row)


def test_the_papers_network_begins_with_a_file_too(tmp_path):
    torch.manual_seed(3)
    architecture = PaperArchitecture(widths=(12, 8, 8), context=4)
    other, own = PaperNet(architecture, teacher=False), PaperNet(architecture, teacher=True)
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    begin_from(tmp_path / "other.safetensors", *rows(own), ())
    given = other.state_dict()
    assert all(torch.equal(each, own.state_dict()[name]) for name, each in given.items())


def test_weights_that_fit_nowhere_are_refused(tmp_path):
    weights, average = rows(IFNet(ARCHITECTURES["A"]))
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(ArgumentError, match=r"^run.start \(.*text.safetensors\) must be a .safetensors file"):
        begin_from(tmp_path / "text.safetensors", weights, average, ())
    save_file({"one": torch.zeros(1)}, tmp_path / "one.safetensors")
    with pytest.raises(ArgumentError, match="none has its name and shape"):
        begin_from(tmp_path / "one.safetensors", weights, average, ())
    with pytest.raises(
        ArgumentError, match=r"^run.start \(.*\) must be a state, .* or a .safetensors file; it is none"
    ):
        begin_from(tmp_path / "nothing.safetensors", weights, average, ())
