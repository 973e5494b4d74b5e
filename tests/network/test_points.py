import pytest
import torch

from tests.network.small import ARCHITECTURES, OWN, frames
from vsrife.network.flow_state import Pair, accumulate
from vsrife.network.frames import limited
from vsrife.network.ifnet import IFNet
from vsrife.network.points import Frames, flow_of, levels_of, mask_of

EVERY_NETWORK = ARCHITECTURES | OWN
EVERY = pytest.mark.parametrize("name", EVERY_NETWORK)


def network(name):
    torch.manual_seed(5)
    return IFNet(EVERY_NETWORK[name])


def pair(name, batch=2):
    side = EVERY_NETWORK[name].modulus(1.0)
    return frames(2 * side, 3 * side, batch=batch)


def defined(net, left, right, t):
    """Flow and mask after each block, as IFNet defines it: whole frames are warped, then reduced."""
    whole = warped = Pair.of(limited(left), limited(right), t, net.encode(left), net.encode(right))
    state, found = None, []
    for index, scale in enumerate(net.architecture.scales):
        state = accumulate(state, net.run_block(index, warped, state, scale), adds_masks=net.architecture.adds_masks)
        warped = whole.warped(state.flow)
        found.append(state)
    return found


def numbers(flow, mask):
    """One number that every pixel counts in differently."""
    weights = torch.linspace(-1, 1, flow.numel()).view_as(flow).sin()
    return (flow * weights).mean() + (mask.sigmoid() * weights[:, :1]).mean()


def gradients(net, number):
    net.zero_grad()
    number.backward()
    return {name: value.grad.clone() for name, value in net.named_parameters() if value.grad is not None}


@EVERY
def test_the_answers_are_the_networks_own(name):
    net, (left, right) = network(name), pair(name)
    t = torch.tensor([0.25, 0.6])
    with torch.no_grad():
        levels, expected = levels_of(net, Frames.of(net, left, right, t)), defined(net, left, right, t)
    assert len(levels) == len(expected)
    for end, state in enumerate(expected, start=1):
        torch.testing.assert_close(flow_of(levels[:end]), state.flow, atol=2e-4, rtol=1e-4)
        mask = mask_of(levels[:end], adds_masks=net.architecture.adds_masks)
        torch.testing.assert_close(mask, state.mask, atol=2e-4, rtol=1e-4)


@EVERY
def test_the_gradients_are_the_networks_own(name):
    net, (left, right) = network(name), pair(name)
    got = levels_of(net, Frames.of(net, left, right, 0.4))
    mine = gradients(net, numbers(flow_of(got), mask_of(got, adds_masks=net.architecture.adds_masks)))
    last = defined(net, left, right, 0.4)[-1]
    expected = gradients(net, numbers(last.flow, last.mask))
    assert mine.keys() == expected.keys()
    for key, value in expected.items():
        apart = (mine[key] - value).norm() / value.norm().clamp_min(1e-6)
        assert apart < 2e-3, f"{key}: {apart:.1e}"


@pytest.mark.parametrize("name", ["A", "J", "J-lite"])
def test_a_flow_at_a_levels_own_resolution_is_its_own_and_the_others_in_the_middle_of_its_cells(name):
    net, (left, right) = network(name), pair(name, 1)
    with torch.no_grad():
        levels = levels_of(net, Frames.of(net, left, right, 0.5))
    for end, level in enumerate(levels[1:], start=1):
        scale, expected = level.scale, flow_of(levels[:end])
        if scale > 1:
            cells = expected.unflatten(-1, (-1, scale)).unflatten(-3, (-1, scale))
            middle = slice(scale // 2 - 1, scale // 2 + 1)
            expected = cells[:, :, :, middle, :, middle].mean((3, 5))
        torch.testing.assert_close(flow_of(levels[: end + 1], scale), expected + level.flow, atol=1e-4, rtol=1e-4)


def test_the_first_blocks_alone():
    net, (left, right) = network("J"), pair("J", 1)
    with torch.no_grad():
        frames_ = Frames.of(net, left, right, 0.5)
        some, every = levels_of(net, frames_, blocks=3), levels_of(net, frames_)
    assert [level.scale for level in some] == [16, 8, 4]
    for one, other in zip(some, every, strict=False):
        assert torch.equal(one.flow, other.flow)


def test_where_a_block_samples_may_be_a_constant():
    """The flow is the same, and a coarse block's gradient comes by sums alone: none of it through a later block."""
    net, (left, right) = network("J"), pair("J", 1)
    free = levels_of(net, Frames.of(net, left, right, 0.5))
    bound = levels_of(net, Frames.of(net, left, right, 0.5), detached=True)
    assert torch.equal(free[-1].flow, bound[-1].flow)
    key = "block0.lastconv.0.bias"
    through = gradients(net, free[-1].flow.square().mean())[key]
    around = gradients(net, bound[-1].flow.square().mean())[key]
    # Hidden channels and masks are handed on either way; the flow's own channels are not sampled through.
    assert through[:16].abs().sum() > 0
    assert (around[:16] == 0).all()


def test_autocast_rounds_no_flow():
    net, (left, right) = network("J"), pair("J", 1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        levels = levels_of(net, Frames.of(net, left, right, 0.5))
        assert flow_of(levels).dtype == torch.float32


def test_blocks_without_an_inside_are_constants():
    """At 128x192 the trunk of scale 16 has 2x3 cells, that of scale 8 has 4x6: of four each way the first has none."""
    net, (left, right) = network("J"), pair("J", 1)
    assert left.shape[-2:] == (128, 192)
    frames_ = Frames.of(net, left, right, 0.5)
    some, every = levels_of(net, frames_, cells=4), levels_of(net, frames_)
    assert torch.equal(flow_of(some), flow_of(every))
    found = gradients(net, numbers(flow_of(some), mask_of(some, adds_masks=False)))
    taught = {name.split(".")[0] for name in found}
    assert taught == {"encode", "block1", "block2", "block3", "block4"}
    # The coarse block's hidden channels teach it neither.
    assert not some[0].hidden.requires_grad
