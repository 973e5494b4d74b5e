"""The interface that all networks before 4.0 have in common."""

from fractions import Fraction

import pytest
import torch

from tests.network.legacy.networks import EVERY, answer, small
from tests.network.small import frames
from vsrife.errors import ArgumentError
from vsrife.network.flow_and_mask import FlowAndMask
from vsrife.network.legacy.base import LegacyNetwork, Prediction


@EVERY
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_answers_the_contract_on_the_smallest_canvas(kind, scale):
    net = small(kind)
    side = net.modulus(scale)
    assert side == 32 / min(scale, 1)
    predictions, picture = answer(net, *frames(side, 3 * side, batch=2), scale=scale)
    assert len(predictions) == 1
    motion, residual = predictions[0].motion, predictions[0].residual
    assert motion.flow.shape == (2, 4, side, 3 * side)
    assert motion.mask.shape == (2, 1, side, 3 * side)
    assert 0 <= motion.mask.min() < motion.mask.max() <= 1
    assert motion.flow.std() > 0.01
    assert (residual is None) == (kind in ("without refine", "3.5", "3.8"))
    assert residual is None or (residual.shape == picture.shape and -1 <= residual.min() < 0 < residual.max() <= 1)
    assert picture.shape == (2, 3, side, 3 * side)
    assert 0 <= picture.min() <= picture.max() <= 1
    assert {motion.flow.dtype, motion.mask.dtype, picture.dtype} == {torch.float32}


@EVERY
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_close(kind, dtype):
    left, right = frames(64, 96)
    net = small(kind)
    exact = answer(net, left, right)[1]
    halved = answer(net.to(dtype), left, right)[1]
    assert halved.dtype == torch.float32
    assert 0 < (halved - exact).abs().mean() < (5e-3 if dtype is torch.float16 else 4e-2)


@EVERY
def test_a_batch_is_its_pairs_one_by_one(kind):
    net, (left, right) = small(kind), frames(64, 96, batch=2)
    both = answer(net, left, right)[1]
    for index in range(2):
        one = answer(net, left[index : index + 1], right[index : index + 1])[1]
        torch.testing.assert_close(both[index : index + 1], one, atol=1e-4, rtol=0)


def test_a_turned_prediction_makes_the_turned_picture():
    left, right = frames(32, 64)
    generator = torch.Generator().manual_seed(1)
    flow, mask = torch.randn(1, 4, 32, 64, generator=generator), torch.rand(1, 1, 32, 64, generator=generator)
    there = Prediction(
        motion=FlowAndMask(flow=flow, mask=mask), residual=torch.rand(1, 3, 32, 64, generator=generator) - 0.5
    )
    net = small("rife")
    picture = net.picture(left, right, [there])
    turned = net.picture(left.flip(2, 3), right.flip(2, 3), [there.turned()])
    torch.testing.assert_close(turned.flip(2, 3), picture, atol=1e-5, rtol=0)
    assert torch.equal(there.turned().turned().motion.flow, flow)


@pytest.mark.parametrize("kind", ["3.1", "3.5"])
def test_ensemble_is_refused_where_there_is_none(kind):
    net = small(kind)
    assert not net.supports_ensemble
    with pytest.raises(ArgumentError, match=r"^ensemble \(1\) must be 0 for this model: "):
        net.interpolate(*frames(32, 32), ensemble=True)


@EVERY
def test_leaves_its_inputs_alone_and_limits_what_it_sees(kind):
    net, (left, right) = small(kind), frames(32, 64)
    wild = left * 3 - 1
    before = wild.clone()
    got = answer(net, wild, right)[1]
    assert torch.equal(wild, before)
    assert torch.equal(got, answer(net, before.clamp(0, 1), right)[1])


@EVERY
@pytest.mark.parametrize(("left", "right"), [((64, 65), (64, 65)), ((33, 64), (33, 64)), ((64, 64), (64, 96))])
def test_a_wrong_canvas_is_refused(kind, left, right):
    with pytest.raises(
        ArgumentError, match=r"^canvas \(.*\) must be .* a multiple of 32 each way at scale 1; "
    ) as error:
        small(kind).interpolate(frames(*left)[0], frames(*right)[0])
    assert "\n" not in str(error.value)


def test_a_wrong_scale_is_refused():
    with pytest.raises(ArgumentError, match=r"^scale \(0\.3\) must be one of 0\.25, 0\.5, 1, 2, 4"):
        small("rife").interpolate(*frames(32, 32), scale=0.3)


@pytest.mark.parametrize("kind", ["rife", "3.1", "3.8"])
def test_other_times_are_middles_of_middles(kind):
    net, (left, right) = small(kind), frames(32, 64)

    def middle(a, b):
        return answer(net, a, b)[1]

    with torch.inference_mode():
        assert torch.equal(net.frame(left, right, 0.5), middle(left, right))
        half = middle(left, right)
        assert torch.equal(net.frame(left, right, Fraction(3, 8)), middle(middle(left, half), half))


def test_a_network_of_any_time_does_not_halve():
    net, (left, right) = small("rife_m"), frames(32, 64)
    with torch.inference_mode():
        assert torch.equal(net.frame(left, right, Fraction(3, 8)), answer(net, left, right, 0.375)[1])


def test_a_base_class_is_no_network():
    with pytest.raises(TypeError, match="abstract"):
        LegacyNetwork()
