"""The first weights of a run, from a file; tests/tools/test_remote_run.py has checkpoints."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from tests.network.small import ARCHITECTURES
from vsrife.errors import ArgumentError
from vsrife.network.ifnet import IFNet
from vsrife.network.legacy.architecture import PaperArchitecture
from vsrife.network.legacy.paper import PaperNet
from vsrife.network.teacher import IFNetWithTeacher
from vsrife.training.flat_params import FlatParams
from vsrife.training.warm_start import load_start

CPU = torch.device("cpu")


def params_of(module):
    """FlatParams of the module, and an average that is another one."""
    params = FlatParams(module, CPU, torch.float32)
    return params, torch.full_like(params.flat, 7.0).detach()


def test_a_network_begins_with_the_blocks_of_another(tmp_path):
    """Four blocks of one with five, of half precision; what is not there stays random."""
    torch.manual_seed(2)
    other, own = IFNet(ARCHITECTURES["J"]), IFNet(ARCHITECTURES["J-lite"])
    path = tmp_path / "other.safetensors"
    save_file({name: each.half() for name, each in other.state_dict().items()}, path)
    params, average = params_of(IFNetWithTeacher(own))
    before = {name: each.clone() for name, each in params.state_dict(params.flat).items()}
    told = load_start(path, params, average, ())
    after = params.state_dict(params.flat)
    taken = {name for name, each in after.items() if not torch.equal(each, before[name])}
    assert 0 < len(taken) < len(after)
    assert f" of {len(after)} tensors of {path}" in told
    assert torch.equal(own.block1.conv0[0][0].weight, other.block1.conv0[0][0].weight.half().float())
    assert not any(name.startswith("teacher.") for name in taken)
    assert torch.equal(average, params.flat)


def test_the_papers_network_begins_with_a_file_too(tmp_path):
    torch.manual_seed(3)
    architecture = PaperArchitecture(widths=(12, 8, 8), context=4)
    other, own = PaperNet(architecture, teacher=False), PaperNet(architecture, teacher=True)
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    load_start(tmp_path / "other.safetensors", *params_of(own), ())
    given = other.state_dict()
    assert all(torch.equal(each, own.state_dict()[name]) for name, each in given.items())


def test_weights_that_fit_nowhere_are_refused(tmp_path):
    params, average = params_of(IFNet(ARCHITECTURES["A"]))
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(ArgumentError, match=r"^run.start \(.*text.safetensors\) must be a .safetensors file"):
        load_start(tmp_path / "text.safetensors", params, average, ())
    save_file({"one": torch.zeros(1)}, tmp_path / "one.safetensors")
    with pytest.raises(ArgumentError, match="no name and shape match"):
        load_start(tmp_path / "one.safetensors", params, average, ())
    with pytest.raises(ArgumentError, match=r"^run.start \(.*\) must be a checkpoint, .* or a .safetensors file"):
        load_start(tmp_path / "nothing.safetensors", params, average, ())


def answers(network, index, images):
    """What a block makes of the first inputs, all others 0."""
    block = network.get_submodule(f"block{index}")
    x = images.new_zeros(len(images), block.conv0[0][0].in_channels, *images.shape[2:])
    x[:, : images.shape[1]] = images
    return block(x)


@pytest.mark.parametrize("widths", [(8, 8, 8, 4), (12, 10, 8, 4)], ids=["as wide", "wider"])
def test_a_block_begins_as_a_finer_one(tmp_path, widths):
    """Frames, features and time come first among the inputs of all blocks: on these it answers the same."""
    torch.manual_seed(5)
    other = IFNet(replace(ARCHITECTURES["J-lite"], widths=(12, 8, 8, 4), scales=(16, 8, 4, 2)))
    own = IFNet(replace(other.architecture, widths=widths))
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    params, average = params_of(own)
    told = load_start(tmp_path / "other.safetensors", params, average, (), [1, 1, 2, 3])
    assert told.endswith("other.safetensors, its blocks 1, 1, 2, 3")
    images = torch.rand(2, other.block0.conv0[0][0].in_channels, 16, 24)
    with torch.no_grad():
        for index, source in enumerate((1, 1, 2, 3)):
            torch.testing.assert_close(answers(own, index, images), answers(other, source, images))
    assert torch.equal(own.encode.cnn0.weight, other.encode.cnn0.weight)
    # Channels that it has beside can learn.
    if widths[0] > 8:
        assert own.block0.convblock[0].conv.weight[8:].any()


def test_groups_and_encoders_that_differ_are_refused(tmp_path):
    """Their channels would fall into other groups, or onto other inputs, without a word."""
    torch.manual_seed(5)
    grouped = replace(ARCHITECTURES["J-lite"], widths=(8, 8, 8, 4), scales=(16, 8, 4, 2), groups=2)
    save_file(IFNet(grouped).state_dict(), tmp_path / "grouped.safetensors")
    load_start(tmp_path / "grouped.safetensors", *params_of(IFNet(grouped)), (), [1, 1, 2, 3])
    wider = params_of(IFNet(replace(grouped, widths=(12, 8, 8, 4))))
    with pytest.raises(ArgumentError, match=r"^run.start_blocks must name blocks of the same width if .*groups is"):
        load_start(tmp_path / "grouped.safetensors", *wider, (), [1, 1, 2, 3])
    other = params_of(IFNet(replace(grouped, head_width=2 * grouped.head_width)))
    with pytest.raises(ArgumentError, match=r"must be used with a file of the same encoder, and encode\..* differs"):
        load_start(tmp_path / "grouped.safetensors", *other, (), [1, 1, 2, 3])


def test_blocks_that_cannot_begin_as_others_are_refused(tmp_path):
    torch.manual_seed(5)
    other = IFNet(replace(ARCHITECTURES["J-lite"], widths=(12, 8, 8, 4), scales=(16, 8, 4, 2)))
    path = tmp_path / "other.safetensors"
    save_file(other.state_dict(), path)
    for blocks, text in (
        ([1, 1, 2], r"^run.start_blocks \(\[1, 1, 2\]\) must name 4 blocks, one for each block"),
        ([0, 1, 2, 7], r"must name blocks of .*other.safetensors, which has no block7.conv0.0.0.weight"),
        ([0, 0, 2, 3], r"must name blocks that are not wider .*conv0.0.0.weight has \[6, .* there and \[4, "),
    ):
        with pytest.raises(ArgumentError, match=text):
            load_start(path, *params_of(IFNet(other.architecture)), (), blocks)
    with pytest.raises(ArgumentError, match=r"must be left out if run.start .* is no .safetensors file"):
        load_start(tmp_path, *params_of(IFNet(other.architecture)), (), [0, 1, 2, 3])
