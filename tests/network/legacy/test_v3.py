"""The networks of the 3.x line, and their parity with the upstream code."""

import numpy as np
import pytest
import torch

from tests.data import make_v3
from tests.network.legacy.networks import PICTURES, V3, answer, small
from tests.network.small import frames
from vsrife.errors import ArgumentError
from vsrife.network.legacy.architecture import V3Architecture, V3Version
from vsrife.network.legacy.v3 import build


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_flow_alone_is_that_of_the_whole_network(scale):
    """3.1 tells its flow without its fusion network, which is most of its work; frames beyond 0..1 are limited."""
    net = build(V3["3.1"])
    left, right = (torch.rand(2, 3, 128, 64, generator=torch.Generator().manual_seed(n)) * 1.2 - 0.1 for n in (1, 2))
    with torch.inference_mode():
        (whole,) = net.interpolate(left, right, scale=scale)
        assert torch.equal(net.flow(left, right, scale=scale), whole.motion.flow)
    with pytest.raises(ArgumentError, match=r"^canvas \(64x127, 64x127\) must be one size"):
        net.flow(left[:, :, :-1], right[:, :, :-1], scale=scale)


@pytest.fixture(scope="module")
def upstream_answers():
    with np.load(make_v3.TARGET) as data:
        return {key: data[key] for key in data}


@pytest.mark.parametrize("version", ["3.1", "3.5", "3.8"])
def test_the_3_x_line_answers_as_upstream(version, upstream_answers):
    """Odd sizes, padded; all scales, the ensemble, and motion far enough for 3.8 to double its scales."""
    numbers = {"width": 160, "context": 32} if version == "3.1" else {"width": 90}
    net = build(V3Architecture(version=V3Version(version), **numbers)).eval()
    shapes = {key: list(value.shape) for key, value in net.state_dict().items()}
    cases = [key for key in upstream_answers if key.startswith(f"{version}|")]
    assert len(cases) == {"3.1": 3, "3.5": 1, "3.8": 7}[version]
    for key in cases:
        scale, what = float(key.split("|")[1]), key.split("|")[2:]
        net.load_state_dict(make_v3.weights(shapes, 1.0 if what == [make_v3.FAR] else make_v3.SOFT))
        left, right = make_v3.padded(scale)
        _, picture = answer(net, left, right, scale=scale, ensemble=what == ["ensemble"])
        error = np.abs(make_v3.stored(picture).astype(int) - upstream_answers[key]).max() / make_v3.STEPS
        assert error < PICTURES, key


def test_3_5_at_another_scale_warps_the_frames_as_they_are():
    """Upstream samples the resized frames by the flow of the full ones; here the flow is that of the resized frames."""
    net, (left, right) = small("3.5"), frames(64, 128)
    motion = answer(net, left, right, scale=0.5)[0][0].motion
    half = [torch.nn.functional.interpolate(x, scale_factor=0.5, mode="bilinear") for x in (left, right)]
    expected = answer(net, *half)[0][0].motion.flow
    torch.testing.assert_close(
        motion.flow,
        2 * torch.nn.functional.interpolate(expected, scale_factor=2, mode="bilinear"),
        atol=1e-5,
        rtol=1e-5,
    )


def test_3_5_gives_the_mirrored_flow_for_the_swapped_pair():
    net, (left, right) = small("3.5"), frames(64, 96)
    there, back = answer(net, left, right)[0][0].motion, answer(net, right, left)[0][0].motion
    torch.testing.assert_close(there.flow, back.flow[:, [2, 3, 0, 1]], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(there.mask, 1 - back.mask, atol=1e-3, rtol=0)


def test_the_ensemble_of_3_8_mirrors():
    net, (left, right) = small("3.8"), frames(64, 96)
    there = answer(net, left, right, ensemble=True)[0][0].motion
    back = answer(net, right, left, ensemble=True)[0][0].motion
    torch.testing.assert_close(there.flow, back.flow[:, [2, 3, 0, 1]], atol=1e-3, rtol=1e-3)
    assert (answer(net, left, right)[0][0].motion.flow - there.flow).abs().max() > 1e-3


@pytest.mark.parametrize(("flow", "widths"), [(63.0, [16, 32, 64, 128]), (-65.0, [16, 16, 32, 64])])
def test_3_8_looks_first_and_doubles_its_scales_beyond_64_pixels(flow, widths):
    net = small("3.8")
    with torch.no_grad():
        net.block0.conv1[2].weight.zero_()
        net.block0.conv1[2].bias.zero_()[1] = flow / 8  # the first look is at an eighth
    sizes = []
    for index in range(3):
        net.get_submodule(f"block{index}").register_forward_pre_hook(lambda _, x: sizes.append(x[0].shape[-1]))
    answer(net, *frames(64, 128))
    assert sizes == widths
