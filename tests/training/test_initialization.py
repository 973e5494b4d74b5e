import pytest
import torch

from tests.network.small import ARCHITECTURES, frames
from vsrife.network.ifnet import IFNet
from vsrife.training.initialization import make_contrast_sensitive


def network(name):
    torch.manual_seed(2)
    return IFNet(ARCHITECTURES[name])


@pytest.mark.parametrize("name", ["A", "D", "E", "J"])
def test_the_first_layers_do_not_see_how_bright_a_frame_is(name):
    """Another even colour over everything changes nothing inside; more contrast does."""
    net = network(name)
    make_contrast_sensitive(net, 20.0)
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


def test_a_network_that_looks_for_contrast_still_answers():
    net = network("J")
    make_contrast_sensitive(net, 20.0)
    left, right = frames(64, 64)
    with torch.no_grad():
        assert net(left, right, net.encode(left), net.encode(right), 0.5).flow.isfinite().all()
