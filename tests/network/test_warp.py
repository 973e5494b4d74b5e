import pytest
import torch

from vsrife.network.warp import backward_warp, resize, resize_flow, swapped


def picture(height, width, channels=2, dtype=torch.float32):
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(5)).to(dtype)


def constant_flow(height, width, dx, dy):
    return torch.tensor([dx, dy], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, height, width)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (5, 1), (17, 33), (64, 96)])
def test_no_flow_is_the_picture(height, width):
    image = picture(height, width)
    torch.testing.assert_close(backward_warp(image, constant_flow(height, width, 0, 0)), image, atol=2e-5, rtol=0)


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (0, -2), (-4, 5)])
def test_whole_pixels_shift_and_the_border_is_repeated(dx, dy):
    height, width = 18, 34
    image = picture(height, width)
    columns = (torch.arange(width) + dx).clamp(0, width - 1)
    rows = (torch.arange(height) + dy).clamp(0, height - 1)
    expected = image[:, :, rows][:, :, :, columns]
    torch.testing.assert_close(backward_warp(image, constant_flow(height, width, dx, dy)), expected, atol=1e-5, rtol=0)


def test_half_a_pixel_is_the_mean_of_two():
    image = picture(9, 11)
    expected = (image[..., :-1] + image[..., 1:]) / 2
    got = backward_warp(image, constant_flow(9, 11, 0.5, 0))
    torch.testing.assert_close(got[..., :-1], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_samples_in_float32_whatever_comes(dtype):
    """At 4000 columns a half-precision coordinate would be off by whole pixels."""
    image = (torch.arange(4000) % 2).view(1, 1, 1, -1).expand(1, 1, 3, -1).to(dtype)
    got = backward_warp(image, constant_flow(3, 4000, 1, 0).to(dtype))
    assert got.dtype == torch.float32
    torch.testing.assert_close(got[..., :-1], image[..., 1:].float(), atol=1e-3, rtol=0)


def test_leaves_its_inputs_alone():
    image, flow = picture(8, 8), constant_flow(8, 8, 1.5, 0).clone()
    before = image.clone(), flow.clone()
    backward_warp(image, flow)
    assert torch.equal(image, before[0])
    assert torch.equal(flow, before[1])


def test_resizing_by_one_is_the_tensor_itself():
    image = picture(5, 7)
    assert resize(image, 1) is image
    assert resize(image, 1.0) is image


@pytest.mark.parametrize(("factor", "rows"), [(1 / 2, slice(0, 2)), (1 / 4, slice(1, 3)), (1 / 8, slice(3, 5))])
def test_a_smaller_pixel_is_the_mean_of_the_four_in_its_middle(factor, rows):
    cell = round(1 / factor)
    image = picture(3 * cell, 5 * cell, dtype=torch.float64)
    cells = image.unflatten(3, (5, cell)).unflatten(2, (3, cell))  # [1, C, 3, cell, 5, cell]
    expected = cells[:, :, :, rows][..., rows].mean((3, 5))
    torch.testing.assert_close(resize(image, factor), expected, atol=1e-12, rtol=0)


def test_a_larger_picture_lies_between_pixel_centres():
    image = torch.tensor([0.0, 4.0]).view(1, 1, 1, 2)
    assert resize(image, 2)[0, 0, 0].tolist() == [0.0, 1.0, 3.0, 4.0]


@pytest.mark.parametrize("factor", [1 / 4, 1 / 2, 1, 2])
def test_a_resized_flow_is_in_pixels_of_its_own_size(factor):
    flow = constant_flow(8, 16, 4.0, -6.0)
    expected = constant_flow(round(8 * factor), round(16 * factor), 4.0 * factor, -6.0 * factor)
    assert torch.equal(resize_flow(flow, factor), expected)


def test_a_flow_to_both_frames_changes_sides():
    flow = picture(3, 4, channels=4)
    assert torch.equal(swapped(flow), flow[:, [2, 3, 0, 1]])
