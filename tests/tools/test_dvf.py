"""The network of the experiment with an edge map, and that it is told nothing but that map of the true frame."""

import numpy as np
import pytest
import torch
from dvf import REACH, Dvf, edge_map

from tests.datasets.conftest import moving_square, smooth_tiles
from vsrife.errors import ArgumentError
from vsrife.evaluation.metrics import psnr
from vsrife.network.warp import backward_warp
from vsrife.training.losses import laplacian
from vsrife.training.validation import HeldOut, Prediction


def network(seed: int = 1) -> Dvf:
    torch.manual_seed(seed)
    return Dvf((8, 12, 16))


def frames(height: int, width: int, count: int = 3) -> list[torch.Tensor]:
    tiles = smooth_tiles(count, max(height, width), 12)[:, :, :height, :width].float() / 255
    return list(tiles.split(1))


def always(dvf: Dvf, *answer: float) -> None:
    """The network answers the same everywhere, whatever it sees."""
    with torch.no_grad():
        dvf.last.weight.zero_()
        dvf.last.bias.copy_(torch.tensor(answer))


def test_it_is_small():
    assert sum(each.numel() for each in Dvf().parameters()) < 500_000


@pytest.mark.parametrize(("height", "width"), [(128, 128), (97, 151), (33, 250), (1, 5)])
def test_any_size(height, width):
    left, truth, right = frames(height, width)
    answer = network()(left, right, edge_map(truth))
    assert answer.flow.shape == (1, 2, height, width)
    assert answer.both.shape == (1, 4, height, width)
    assert answer.weight.shape == (1, 1, height, width)
    assert answer.picture.shape == left.shape
    assert answer.weight.min() >= 0
    assert answer.weight.max() <= 1


def test_the_flow_is_in_pixels_and_of_opposite_sign_to_either_frame():
    """A texture that moves by (6, -4) from left to right is made where it is half way."""
    whole = frames(120, 150, 1)[0]
    left, truth, right = (whole[..., 10 + y : 106 + y, 10 + x : 138 + x] for x, y in ((0, 0), (-3, 2), (-6, 4)))
    dvf = network()
    always(dvf, 3 / REACH, -2 / REACH, 0.0)
    answer = dvf(left, right)
    assert answer.flow[0, :, 50, 50].tolist() == pytest.approx([3, -2], abs=1e-5)
    inner = (..., slice(4, -4), slice(4, -4))
    torch.testing.assert_close(answer.picture[inner], truth[inner], atol=1e-4, rtol=0)
    torch.testing.assert_close(backward_warp(left, answer.both[:, :2])[inner], truth[inner], atol=1e-4, rtol=0)
    torch.testing.assert_close(backward_warp(right, answer.both[:, 2:])[inner], truth[inner], atol=1e-4, rtol=0)


def test_the_weight_is_of_left():
    left, _, right = frames(40, 48)
    dvf = network()
    always(dvf, 0.0, 0.0, 30.0)
    torch.testing.assert_close(dvf(left, right).picture, left)
    always(dvf, 0.0, 0.0, -30.0)
    torch.testing.assert_close(dvf(left, right).picture, right)


def test_it_begins_close_to_the_plain_average():
    left, truth, right = frames(96, 112)
    begun = Dvf()(left, right, edge_map(truth))
    assert begun.flow.abs().max() < 1.5
    assert (begun.weight - 0.5).abs().max() < 0.1


def test_edges_are_used_and_their_absence_is_a_map_of_zeros():
    left, truth, right = frames(64, 80)
    dvf = network()
    without, edges = dvf(left, right), edge_map(truth)
    assert (dvf(left, right, edges).flow - without.flow).abs().max() > 1e-3
    assert torch.equal(dvf(left, right, torch.zeros_like(edges)).picture, without.picture)


def test_edges_of_another_size():
    left, truth, right = frames(64, 80)
    with pytest.raises(ArgumentError, match=r"^edges \(79x64\) must have the size of the frames, 80x64$"):
        network()(left, right, edge_map(truth)[..., :-1])


def test_every_weight_learns():
    left, truth, right = frames(64, 80)
    dvf = network()
    laplacian(dvf(left, right, edge_map(truth)).picture, truth).backward()
    for name, each in dvf.named_parameters():
        assert each.grad.abs().sum() > 0, name


def test_an_edge_map_of_a_step():
    """1 beside a step from black to white along an axis, on either side of it, and 0 elsewhere and at the border."""
    step = torch.zeros(1, 3, 33, 41)
    step[..., 20:] = 1
    for picture, at in ((step, (..., slice(19, 21))), (step.transpose(2, 3), (..., slice(19, 21), slice(None)))):
        edges = edge_map(picture)
        assert edges.shape == (1, 1, *picture.shape[2:])
        torch.testing.assert_close(edges[at], torch.ones_like(edges[at]))
        edges[at] = 0
        assert edges.abs().max() < 1e-6


def test_an_edge_map_tells_no_colour_no_brightness_and_no_sign():
    picture = frames(37, 50)[0]
    edges = edge_map(picture)
    assert edges.max() > 0.01
    for other in (1 - picture, picture + 0.1, picture + torch.tensor([0.1140, 0.0, -0.2990]).view(1, 3, 1, 1)):
        torch.testing.assert_close(edge_map(other), edges, atol=1e-6, rtol=0)
    grey = (picture * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    torch.testing.assert_close(edge_map(grey.expand(-1, 3, -1, -1)), edges, atol=1e-6, rtol=0)


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    pytest.importorskip("vapoursynth")
    from tests.datasets.conftest import save_clip

    folder = tmp_path_factory.mktemp("held_out")
    save_clip(moving_square(5, 83, 115), folder / "square.y4m")
    return HeldOut.of_clips(folder, samples=4, multi=2)


def test_a_measurement_tells_what_it_is_asked_to_and_nothing_else_of_the_true_frame(held_out):
    """The frames are those that any network gets; of the truth there is `tell` of it, before padding, and no more."""
    plain, told, truths = [], [], []

    def tell(truth):
        truths.append(truth)
        return edge_map(truth)

    def predict(left, right, t):
        plain.append((left, right, t))
        return Prediction((left + right) / 2, left.new_zeros((1, 4, *left.shape[-2:])))

    def predict_told(left, right, t, edges):
        told.append((left, right, t, edges))
        return (left + right) / 2

    device = torch.device("cpu")
    scores = held_out.scores(predict, device, 32)
    assert held_out.privileged_scores(predict_told, tell, device, 32) == scores
    assert scores.mean == pytest.approx(held_out.average.mean, abs=0.01)
    assert len(plain) == len(told) == len(truths) == len(held_out)
    for (left, right, t), (same_left, same_right, same_t, edges), truth in zip(plain, told, truths, strict=True):
        assert torch.equal(left, same_left)
        assert torch.equal(right, same_right)
        assert t == same_t == 0.5
        assert left.shape == (1, 3, 96, 128)
        assert truth.shape == (1, 3, 83, 115)
        assert edges.shape == (1, 1, 96, 128)
        assert torch.equal(edges[..., :83, :115], edge_map(truth))
        assert not edges[..., 83:, :].any()
        assert not edges[..., 115:].any()


def test_what_is_told_may_be_the_answer(held_out):
    """It is the true frame that is told of, not one of its neighbours."""
    scores = held_out.privileged_scores(
        lambda left, right, t, truth: truth, lambda truth: truth, torch.device("cpu"), 16
    )
    same = np.zeros((3, 8, 8), np.uint8)
    assert set(scores.clips.values()) == {psnr(same, same)}
