import subprocess
import sys

import pytest
import torch

from tests.network.small import ARCHITECTURES, ENSEMBLE, frames, infer, network
from vsrife.errors import ArgumentError
from vsrife.network.architecture import USER_SCALES
from vsrife.network.flow_and_mask import FlowAndMask
from vsrife.network.ifnet import IFNet

EVERY = pytest.mark.parametrize("name", ARCHITECTURES)


@EVERY
@pytest.mark.parametrize("scale", USER_SCALES)
def test_answers_the_contract_on_the_smallest_canvas(name, scale):
    net = network(name)
    side = net.modulus(scale)
    width = side if side > 64 else 3 * side
    motion = infer(net, *frames(side, width), t=0.3, scale=scale)
    assert motion.flow.shape == (1, 4, side, width)
    assert motion.mask.shape == (1, 1, side, width)
    assert motion.flow.dtype == motion.mask.dtype == torch.float32
    assert 0 <= motion.mask.min() <= motion.mask.max() <= 1
    assert motion.flow.isfinite().all()
    assert motion.flow.std() > 0


@EVERY
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_close(name, dtype):
    """Convolutions round at every layer: up to 0.5% of white for float16, eight times that for bfloat16."""
    left, right = frames(128, 128)
    net = network(name)
    exact = infer(net, left, right)
    halved = net.to(dtype)
    motion = infer(halved, left, right)
    assert motion.flow.dtype == motion.mask.dtype == torch.float32
    features = halved.encode(left)
    assert features is None or features.dtype == dtype
    bound = 5e-3 if dtype is torch.float16 else 4e-2
    difference = net.merge(left, right, motion) - net.merge(left, right, exact)
    assert 0 < difference.abs().mean() < bound


@EVERY
def test_time_may_be_a_number_or_a_tensor(name):
    net, (left, right) = network(name), frames(128, 128)
    number = infer(net, left, right, t=0.25)
    tensor = infer(net, left, right, t=torch.full((1, 1, 1, 1), 0.25))
    other = infer(net, left, right, t=0.75)
    assert torch.equal(number.flow, tensor.flow)
    assert torch.equal(number.mask, tensor.mask)
    assert not torch.equal(number.flow, other.flow)


@pytest.mark.parametrize("name", ENSEMBLE)
def test_an_ensemble_does_not_care_which_frame_is_left(name):
    net, (left, right) = network(name), frames(64, 128)
    there = infer(net, left, right, t=0.25, ensemble=True)
    back = infer(net, right, left, t=0.75, ensemble=True)
    torch.testing.assert_close(there.flow, back.flow[:, [2, 3, 0, 1]], atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(there.mask, 1 - back.mask, atol=1e-3, rtol=0)
    alone = infer(net, left, right, t=0.25)
    assert (alone.flow - there.flow).abs().max() > 0.05


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - set(ENSEMBLE)))
def test_ensemble_is_refused_where_there_is_none(name):
    net = network(name)
    assert not net.supports_ensemble
    with pytest.raises(ArgumentError, match=r"^ensemble \(1\) must be 0 for "):
        infer(net, *frames(128, 128), ensemble=True)


def count_blocks(net):
    calls = []
    for index in range(len(net.architecture.widths)):
        net.get_submodule(f"block{index}").register_forward_hook(lambda *_, index=index: calls.append(index))
    return calls


@pytest.mark.parametrize(
    ("name", "motion", "expected"),
    [("A", 1.0, [0, 1, 2, 3]), ("A", 400.0, [0, 1, 0, 1, 2, 3]), ("B", 400.0, [0, 1, 2, 3])],
)
def test_only_group_a_starts_again_for_large_motion(name, motion, expected):
    net = network(name, motion=motion)
    calls = count_blocks(net)
    infer(net, *frames(64, 128))
    assert calls == expected


def test_large_motion_of_one_frame_alone_does_not_start_again():
    net = network("A", motion=400.0)
    net.block1.lastconv.weight[:, 2:4] = 0
    net.block1.lastconv.bias[2:4] = 0
    calls = count_blocks(net)
    infer(net, *frames(64, 128))
    assert calls == [0, 1, 2, 3]


@EVERY
def test_a_batch_is_its_pairs_one_by_one(name):
    net, (left, right) = network(name), frames(128, 128, batch=2)
    both = infer(net, left, right, t=torch.tensor([0.25, 0.5]))
    for index, t in enumerate((0.25, 0.5)):
        one = infer(net, left[index : index + 1], right[index : index + 1], t=t)
        torch.testing.assert_close(both.flow[index : index + 1], one.flow, atol=1e-3, rtol=1e-4)


@EVERY
def test_leaves_its_inputs_alone(name):
    net, (left, right) = network(name), frames(128, 128)
    features = net.encode(left), net.encode(right)
    kept = [x for x in (left, right, *features) if x is not None]
    before = [x.clone() for x in kept]
    with torch.inference_mode():
        net(left, right, *features, 0.5)
    assert all(torch.equal(x, y) for x, y in zip(kept, before, strict=True))


def test_values_out_of_range_are_limited():
    net, (left, right) = network("G"), frames(64, 64)
    wild = left * 3 - 1
    a, b = infer(net, wild, right), infer(net, wild.clamp(0, 1), right)
    assert torch.equal(a.flow, b.flow)
    assert torch.equal(net.merge(wild, right, a), net.merge(wild.clamp(0, 1), right, b))


@pytest.mark.parametrize(
    ("left", "right"), [((64, 65), (64, 65)), ((33, 64), (33, 64)), ((64, 64), (64, 96)), ((1, 1), (1, 1))]
)
def test_a_wrong_canvas_is_refused(left, right):
    net = network("B")
    with pytest.raises(ArgumentError, match=r"canvas \(.*\) must be .* multiple of 32"):
        infer(net, frames(*left)[0], frames(*right)[0])


@pytest.mark.parametrize("scale", [0, 0.3, 3.0, -1.0, float("nan")])
def test_a_wrong_scale_is_refused(scale):
    with pytest.raises(ArgumentError, match=r"^scale \(.*\) must be one of 0\.25, 0\.5, 1, 2, 4"):
        infer(network("B"), *frames(64, 64), scale=scale)


def test_features_must_be_those_of_the_network():
    left, right = frames(64, 64)
    for name, features in (("G", None), ("B", torch.zeros(1, 4, 64, 64)), ("G", torch.zeros(1, 4, 64, 64))):
        with pytest.raises(ArgumentError, match=r"features must have \d channels"):
            network(name)(left, right, features, features, 0.5)


def test_merge_takes_each_frame_from_where_the_flow_says():
    net = network("B")
    left, right = frames(32, 64)
    flow = torch.zeros(1, 4, 32, 64)
    flow[:, 0], flow[:, 3] = 2.0, -1.0
    mask = torch.full((1, 1, 32, 64), 0.25)
    expected = 0.25 * left[..., 1:-1, 2:] + 0.75 * right[..., :-2, :-2]
    got = net.merge(left, right, FlowAndMask(flow=flow, mask=mask))
    torch.testing.assert_close(got[..., 1:-1, :-2], expected, atol=1e-5, rtol=0)


def test_no_global_flag_of_torch_is_touched():
    program = """
import torch
def flags():
    return (torch.get_default_dtype(), torch.backends.cudnn.benchmark, torch.backends.cuda.matmul.allow_tf32,
            torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision(), torch.is_grad_enabled(),
            torch.get_num_threads(), torch.random.get_rng_state().sum().item())
before = flags()
import vsrife.network, vsrife.models.checkpoint
assert flags() == before, (before, flags())
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_new_network_can_be_trained():
    net = IFNet(ARCHITECTURES["I"])
    left, right = frames(32, 32)
    motion = net(left, right, net.encode(left), net.encode(right), 0.5)
    net.merge(left, right, motion).mean().backward()
    untouched = {key for key, value in net.named_parameters() if value.grad is None}
    assert untouched == set()
