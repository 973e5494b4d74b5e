import math

import pytest
import torch
from torch.autograd import gradcheck

from vsrife.errors import ArgumentError
from vsrife.training.losses import census, charbonnier, end_point_error, l1, laplacian, smoothness

PICTURES = [l1, charbonnier, laplacian, census]
SIZES = [(64, 96), (33, 57), (50, 35)]
EVERY = pytest.mark.parametrize("loss", PICTURES)


def pictures(height, width, batch=2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(height * width)
    return [torch.rand(batch, 3, height, width, generator=generator, dtype=dtype) for _ in range(2)]


@EVERY
@pytest.mark.parametrize("size", SIZES)
def test_a_picture_is_like_itself_and_unlike_another(loss, size):
    a, b = pictures(*size)
    assert loss(a, a) <= (1.001e-3 if loss is charbonnier else 0)
    assert loss(a, b) > 0.05
    torch.testing.assert_close(loss(a, b), loss(b, a))
    assert loss(a, b).shape == ()


@EVERY
def test_a_batch_is_the_mean_of_its_pictures(loss):
    a, b = pictures(33, 57)
    torch.testing.assert_close(loss(a, b), (loss(a[:1], b[:1]) + loss(a[1:], b[1:])) / 2)


@EVERY
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_arithmetic_is_float32_at_least(loss, dtype):
    a, b = (each.to(dtype) for each in pictures(33, 40))
    got = loss(a, b)
    assert got.dtype == (torch.float64 if dtype is torch.float64 else torch.float32)
    torch.testing.assert_close(got.float(), loss(a.float(), b.float()), rtol=1e-5, atol=0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(loss(a, b), got)


@EVERY
def test_the_gradient_is_the_losss(loss):
    size = (33, 34) if loss is laplacian else (8, 9)
    a, b = pictures(*size, batch=1, dtype=torch.float64)
    options = {"fast_mode": True} if loss is laplacian else {}
    assert gradcheck(loss, (a.requires_grad_(), b), **options)


@EVERY
def test_the_gradient_is_finite_where_there_is_no_difference(loss):
    a, _ = pictures(40, 33)
    loss(a.requires_grad_(), a.detach().clone()).backward()
    assert a.grad.isfinite().all()


@EVERY
def test_different_sizes_are_refused(loss):
    with pytest.raises(ArgumentError, match=r"^sizes \(33x40, 34x40\) must be the same for everything that "):
        loss(pictures(40, 33)[0], pictures(40, 34)[0])


def test_l1_and_charbonnier_by_hand():
    a, b = torch.zeros(1, 3, 4, 5), torch.full((1, 3, 4, 5), 0.25)
    assert l1(a, b).item() == 0.25
    assert charbonnier(a, b).item() == pytest.approx(math.sqrt(0.25**2 + 1e-6))
    assert charbonnier(a, b, epsilon=0.5).item() == pytest.approx(math.sqrt(0.25**2 + 0.25))


# The pyramid.


def test_what_is_even_everywhere_is_in_no_level():
    a, _ = pictures(48, 65)
    assert laplacian(a, a + 0.25) < 1e-5


def test_the_first_level_by_hand():
    """A plane that is 1 at one pixel: halved it is the window's even taps, doubled those spread by the window again."""
    size = 64
    point = torch.zeros(1, 1, size, size, dtype=torch.float64)
    point[..., 32, 32] = 1
    row = torch.zeros(size, dtype=torch.float64)
    row[[30, 32, 34]] = torch.tensor([1.0, 6.0, 1.0], dtype=torch.float64) / 16
    taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=torch.float64) / 8
    spread = torch.nn.functional.conv1d(row.view(1, 1, -1), taps.view(1, 1, -1), padding=2).flatten()
    expected = (point[0, 0] - spread[:, None] * spread).abs().mean()
    assert laplacian(point, torch.zeros_like(point), levels=1).item() == pytest.approx(expected.item())


def test_each_level_weighs_as_much_as_another():
    """A fine pattern is in the first level alone; a coarse one is in later ones."""
    ripple = (torch.arange(96) % 2).float().expand(1, 3, 96, 96)
    nothing = torch.zeros_like(ripple)
    assert laplacian(ripple, nothing, levels=1) > 0.45
    assert laplacian(ripple, nothing) - laplacian(ripple, nothing, levels=1) < 0.02
    wave = torch.sin(torch.arange(96) / 96 * 6 * math.pi).expand(1, 3, 96, 96)
    assert laplacian(wave, nothing, levels=1) < 0.04
    assert laplacian(wave, nothing) > 0.4


@pytest.mark.parametrize(("levels", "least"), [(5, 33), (3, 9), (1, 3)])
def test_a_picture_too_small_for_its_levels_is_refused(levels, least):
    assert laplacian(*pictures(least, least), levels=levels).isfinite()
    with pytest.raises(ArgumentError, match=rf"^picture \({least - 1}x{least}\) must be at least {least}x{least} for "):
        laplacian(*pictures(least, least - 1), levels=levels)


# The census.


def test_the_census_is_blind_to_brightness():
    a, b = pictures(20, 21)
    assert census(a * 0.5, a * 0.5 + 0.25) < 1e-6
    assert census(a, b) > 0.5


@pytest.mark.parametrize(("size", "radius"), [((20, 21), 3), ((9, 14), 2), ((7, 7), 3)])
def test_the_census_by_its_definition(size, radius):
    """Each sample with each of its neighbours; here every pair is looked at from both sides."""

    def transform(picture):
        luma = 255 * (0.2989 * picture[:, 0] + 0.5870 * picture[:, 1] + 0.1140 * picture[:, 2])
        windows = luma.unfold(1, 2 * radius + 1, 1).unfold(2, 2 * radius + 1, 1)
        apart = windows - luma[:, radius:-radius, radius:-radius, None, None]
        return apart / (0.81 + apart.square()).sqrt()

    def definition(a, b):
        squares = (transform(a) - transform(b)).square()
        return (squares / (0.1 + squares)).mean()

    a, b = (each.requires_grad_() for each in pictures(*size, dtype=torch.float64))
    torch.testing.assert_close(census(a, b, radius), definition(a, b))
    for mine, theirs in zip(*(torch.autograd.grad(loss, (a, b)) for loss in (census(a, b, radius), definition(a, b))),
                            strict=True):  # fmt: skip
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("size", [(64, 96), (45, 70), (33, 34), (50, 37)])
def test_the_pyramid_by_its_definition(size):
    """Halving: every second sample under the window. Doubling: zeros between the samples, the window times 4."""
    row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=torch.float64) / 16
    window = (row[:, None] * row)[None, None]

    def blurred(x):
        return torch.nn.functional.conv2d(torch.nn.functional.pad(x, (2, 2, 2, 2), mode="reflect"), window)

    a, b = pictures(*size, dtype=torch.float64)
    current, expected = (a - b).flatten(0, 1)[:, None], 0.0
    for _ in range(5):
        below = blurred(current)[..., ::2, ::2]
        spread = torch.zeros_like(current)
        spread[..., ::2, ::2] = below
        expected += (current - 4 * blurred(spread)).abs().mean()
        current = below
    torch.testing.assert_close(laplacian(a, b), expected)


def test_the_census_does_not_see_the_border():
    a, _ = pictures(20, 21)
    b = a.clone()
    b[..., 0] = 0
    assert census(a[..., 3:], b[..., 3:]) == 0
    assert 0 < census(a, b) < 0.2
    with pytest.raises(ArgumentError, match=r"^picture \(9x6\) must be at least 7x7 for a radius of 3"):
        census(*pictures(6, 9))


# Flows.


def test_end_point_error_by_hand():
    flow = torch.tensor([3.0, 4.0, 0.0, 0.0]).view(1, 4, 1, 1).expand(2, 4, 3, 5)
    nothing = torch.zeros_like(flow)
    assert end_point_error(flow[:, :2], nothing[:, :2]).item() == 5
    assert end_point_error(flow, nothing).item() == 2.5


def test_only_what_is_visible_counts():
    flow, truth = torch.zeros(1, 4, 4, 6), torch.zeros(1, 4, 4, 6)
    flow[:, :2, :, :3] = 7.0
    visible = torch.zeros(1, 2, 4, 6)
    visible[:, :, :, 3:] = 1
    assert end_point_error(flow, truth, visible) == 0
    assert end_point_error(flow, truth, torch.zeros(1, 1, 4, 6)) == 0
    visible[:, 0] = 1
    assert end_point_error(flow, truth, visible).item() == pytest.approx(7 * math.sqrt(2) * 12 / 36)


def test_the_gradient_of_flow_losses():
    generator = torch.Generator().manual_seed(2)
    flow, truth = (torch.randn(1, 4, 5, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    visible = torch.rand(1, 1, 5, 6, generator=generator, dtype=torch.float64)
    picture = torch.rand(1, 3, 5, 6, generator=generator, dtype=torch.float64)
    flow.requires_grad_()
    assert gradcheck(lambda x: end_point_error(x, truth, visible), (flow,))
    assert gradcheck(lambda x: smoothness(x, picture), (flow,))
    same = truth.clone().requires_grad_()
    (end_point_error(same, truth) + smoothness(same * 0)).backward()
    assert same.grad.isfinite().all()


def test_smoothness_by_hand():
    flow = torch.arange(6.0).expand(1, 2, 5, 6)
    assert smoothness(flow * 0 + 3) == 0
    assert smoothness(flow).item() == 0.5  # 1 pixel across, 0 down
    edge = (torch.arange(6) >= 3).float().expand(1, 3, 5, 6)
    assert smoothness(flow, edge).item() == pytest.approx((4 + math.exp(-10)) / 5 / 2)
    assert smoothness(flow, edge, edge=0.0).item() == 0.5


def test_a_flow_and_a_picture_of_other_sizes_are_refused():
    with pytest.raises(ArgumentError, match=r"^sizes \(6x5, 7x5\) must be the same"):
        smoothness(torch.zeros(1, 4, 5, 6), picture=torch.zeros(1, 3, 5, 7))
