import pytest
import torch
from torch.nn.functional import avg_pool2d

from tests.network.small import ARCHITECTURES, frames
from vsrife.network.ifnet import IFNet
from vsrife.network.points import Frames, Level, levels_of
from vsrife.training.known_flow import DECAY, FAR, known_flow


def level(flow, scale, size=(32, 48)):
    height, width = size[0] // scale, size[1] // scale
    numbers = torch.tensor(flow).view(1, 4, 1, 1).expand(1, 4, height, width).clone().requires_grad_()
    return Level(flow=numbers, mask=torch.zeros(1, 1, height, width), hidden=None, scale=scale)


def known(flow, size=(32, 48)):
    return torch.tensor(flow).view(1, 4, 1, 1).expand(1, 4, *size).clone()


EVERYWHERE = torch.ones(1, 2, 32, 48)
HALF = [0.5, 0.0, -0.5, 0.0]


def test_each_block_is_compared_with_all_that_is_found_by_then():
    levels = [level(HALF, 8), level(HALF, 2)]
    # After the first block half of the way is missing, 0.5 px of either side; after the second nothing.
    loss = known_flow(levels, known([1.0, 0.0, -1.0, 0.0]), EVERYWHERE)
    assert loss.item() == pytest.approx(DECAY * 0.5, abs=1e-6)
    assert known_flow(levels, known([1.0, 3.0, -1.0, 0.0]), EVERYWHERE, decay=0.0).item() == pytest.approx(
        1.5, abs=1e-6
    )


def test_what_is_not_known_does_not_count():
    weight = EVERYWHERE.clone()
    weight[:, :, :, 24:] = 0
    weight[:, 1] = 0
    truth = known([1.0, 0.0, 700.0, 0.0])
    truth[:, :, :, 24:] = -500.0
    levels = [level([1.0, 0.0, 0.0, 0.0], 8)]
    assert known_flow(levels, truth, weight).item() == pytest.approx(0, abs=1e-6)
    nothing = known_flow(levels, truth, torch.zeros_like(weight))
    nothing.backward()
    assert nothing.item() == 0
    assert (levels[0].flow.grad == 0).all()


def test_far_motion_counts_less():
    """A sample that moves by 100 px, and is off by all of it, counts as one that moves by FAR."""
    near, far = ([length, 0.0, length, 0.0] for length in (FAR, 100.0))
    still = [level([0.0] * 4, 4)]
    assert known_flow(still, known(near), EVERYWHERE).item() == pytest.approx(FAR, rel=1e-5)
    assert known_flow(still, known(far), EVERYWHERE).item() == pytest.approx(FAR, rel=1e-5)


def test_the_flow_of_a_cell_is_the_mean_of_what_counts():
    generator = torch.Generator().manual_seed(3)
    truth = torch.randn(1, 4, 32, 48, generator=generator)
    weight = (torch.rand(1, 2, 32, 48, generator=generator) > 0.4).float()
    each = weight.repeat_interleave(2, 1)
    counts = avg_pool2d(each, 8)
    reduced = avg_pool2d(truth * each, 8) / counts.clamp_min(1e-3)
    exact = Level(flow=reduced, mask=torch.zeros(1, 1, 4, 6), hidden=None, scale=8)
    assert known_flow([exact], truth, weight).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", ["A", "J", "J-lite"])
def test_every_block_learns_from_it_where_blocks_sample_constants(name):
    torch.manual_seed(1)
    architecture = ARCHITECTURES[name]
    net, side = IFNet(architecture), architecture.modulus()
    left, right = frames(side, 2 * side, batch=2)
    levels = levels_of(net, Frames.of(net, left, right, torch.tensor([0.3, 0.5])), detached=True)
    known_flow(levels, torch.randn(2, 4, side, 2 * side), torch.ones(2, 2, side, 2 * side)).backward()
    for index in range(len(architecture.widths)):
        assert net.get_submodule(f"block{index}").conv0[0][0].weight.grad.abs().sum() > 0
