import pytest
import torch

from vsrife.network.flow_and_mask import FlowAndMask, merged
from vsrife.network.flow_state import FlowState, Pair, accumulate
from vsrife.network.training_output import StageOutput
from vsrife.network.warp import backward_warp

SIZE = (6, 10)


def noise(channels, seed, batch=2):
    return torch.randn(batch, channels, *SIZE, generator=torch.Generator().manual_seed(seed))


def flow_state(seed, hidden=True):
    return FlowState(flow=noise(4, seed), mask=noise(1, seed + 1), hidden=noise(8, seed + 2) if hidden else None)


def pair(features=True):
    given = (noise(5, 23).half(), noise(5, 24).half()) if features else ()
    return Pair.of(noise(3, 21).sigmoid(), noise(3, 22).sigmoid(), torch.tensor([0.25, 0.5]), *given)


def test_an_answer_is_brought_to_the_canvas_with_its_flow_in_its_pixels():
    numbers = torch.tensor([1.0, -2.0, 3.0, 0.0, 0.5])
    got = FlowState.of(numbers.view(1, 5, 1, 1).expand(1, 5, 3, 5), 2)
    assert torch.equal(got.flow, 2 * numbers[:4].view(1, 4, 1, 1).expand(1, 4, *SIZE))
    assert torch.equal(got.mask, torch.full((1, 1, *SIZE), 0.5))
    assert got.hidden is None


def test_a_steps_motion_has_the_mask_between_0_and_1():
    one = flow_state(1)
    assert torch.equal(one.motion.flow, one.flow)
    torch.testing.assert_close(one.motion.mask, 1 / (1 + torch.exp(-one.mask)))


def test_a_mirrored_step_makes_the_same_picture_of_the_swapped_frames():
    one, frames = flow_state(1), pair(features=False)
    left, right = frames.images
    mirrored = one.mirrored()
    assert mirrored.hidden is None
    torch.testing.assert_close(merged(right, left, mirrored.motion), merged(left, right, one.motion))
    assert torch.equal(mirrored.mirrored().flow, one.flow)
    assert torch.equal(mirrored.mirrored().mask, one.mask)


def test_the_mean_of_two_steps():
    got = FlowState(flow=torch.tensor(1.0), mask=torch.tensor(-2.0)).mean(
        FlowState(flow=torch.tensor(4.0), mask=torch.tensor(1.0))
    )
    assert (got.flow, got.mask, got.hidden) == (2.5, -0.5, None)


@pytest.mark.parametrize("adds_masks", [True, False])
def test_blocks_correct_each_other(adds_masks):
    state, block_output = flow_state(1), flow_state(11)
    got = accumulate(state, block_output, adds_masks=adds_masks)
    assert torch.equal(got.flow, state.flow + block_output.flow)
    assert torch.equal(got.mask, state.mask + block_output.mask if adds_masks else block_output.mask)
    assert got.hidden is block_output.hidden
    assert accumulate(None, block_output, adds_masks=adds_masks) is block_output


def test_images_are_in_the_order_of_the_blocks_and_in_float32():
    frames = pair()
    expected = [noise(3, 21).sigmoid(), noise(3, 22).sigmoid(), noise(5, 23).half(), noise(5, 24).half()]
    assert all(torch.equal(got, image.float()) for got, image in zip(frames.images, expected, strict=True))
    assert {image.dtype for image in frames.images} == {torch.float32}
    assert len(pair(features=False).images) == 2


def test_a_swapped_pair_is_the_same_moment_seen_from_the_other_side():
    frames = pair()
    swapped = frames.swapped()
    assert swapped.left == frames.right
    assert swapped.right == frames.left
    assert swapped.time.flatten().tolist() == [0.75, 0.5]


def test_either_side_is_warped_by_its_own_half_of_the_flow():
    frames, flow = pair(), noise(4, 3)
    warped = frames.warped(flow)
    halves = flow[:, :2], flow[:, 2:]
    expected = [backward_warp(image, halves[index % 2]) for index, image in enumerate(frames.images)]
    assert all(torch.equal(got, image) for got, image in zip(warped.images, expected, strict=True))
    assert warped.time is frames.time


def test_a_time_fills_a_plane_of_any_size():
    plane = pair().time_like(torch.zeros(2, 3, 4, 7))
    assert torch.equal(plane, torch.tensor([0.25, 0.5]).view(2, 1, 1, 1).expand(2, 1, 4, 7))
    left, right = pair(features=False).images
    assert Pair.of(left, right, 0.3).time_like(left).shape == (2, 1, *SIZE)


def test_a_stage_is_what_the_motion_makes_of_the_frames():
    state, frames = flow_state(1), pair()
    stage = StageOutput.of(state, frames.warped(state.flow))
    assert isinstance(stage.motion, FlowAndMask)
    assert torch.equal(stage.picture, merged(*frames.images[:2], state.motion))
