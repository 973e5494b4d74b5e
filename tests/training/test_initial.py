import pytest
import torch
from safetensors.torch import save_file

from tests.network.small import ARCHITECTURES, frames
from vsrife.errors import ArgumentError
from vsrife.network import IFNet
from vsrife.training.initial import begin_with, look_for_contrast


def network(name):
    torch.manual_seed(2)
    return IFNet(ARCHITECTURES[name])


@pytest.mark.parametrize("name", ["A", "D", "E", "J"])
def test_the_first_layers_do_not_see_how_bright_a_frame_is(name):
    """Another even colour over everything changes nothing inside; more contrast does."""
    net = network(name)
    look_for_contrast(net, 20.0)
    architecture = net.architecture
    weight = net.block0.conv0[0][0].weight
    seen = 2 * (3 + architecture.features)
    torch.testing.assert_close(weight[:, :seen].sum((2, 3)), torch.zeros(weight.shape[0], seen), atol=1e-4, rtol=0)
    if architecture.features:
        torch.testing.assert_close(
            next(net.encode.parameters()).sum((1, 2, 3)), torch.zeros(architecture.head_width), atol=1e-3, rtol=0
        )
    plain = network(name).block0.conv0[0][0].weight
    assert weight[:, :6].std() > 10 * plain[:, :6].std()
    assert torch.equal(weight[:, seen:], plain[:, seen:])


def test_a_network_begins_with_the_blocks_of_another(tmp_path):
    """Four blocks of one with five; what is not there stays random."""
    other, own = network("J"), network("J-lite")
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    fitting = begin_with(own, tmp_path / "other.safetensors")
    assert 0 < fitting < len(own.state_dict())
    assert torch.equal(own.block1.conv0[0][0].weight, other.block1.conv0[0][0].weight)
    assert not torch.equal(own.block4.conv0[1][0].weight[:4, :2], other.block4.conv0[1][0].weight[:4, :2])


def test_weights_that_fit_nowhere_are_refused(tmp_path):
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(ArgumentError, match=r"^network.weights \(.*text.safetensors\) must be a .safetensors file"):
        begin_with(network("J"), tmp_path / "text.safetensors")
    save_file({"one": torch.zeros(1)}, tmp_path / "one.safetensors")
    with pytest.raises(ArgumentError, match="none has its name and shape"):
        begin_with(network("J"), tmp_path / "one.safetensors")


def test_a_network_that_looks_for_contrast_still_answers():
    net = network("J")
    look_for_contrast(net, 20.0)
    left, right = frames(64, 64)
    with torch.no_grad():
        assert net(left, right, net.encode(left), net.encode(right), 0.5).flow.isfinite().all()
