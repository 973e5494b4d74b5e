"""Samples brought to twice and to half of their size."""

import torch

from vsrife.datasets.batch import Batch


def moved(flow, visible, *, height=6, width=10):
    """One sample of a plane that rises by 1/16 to the right."""
    frame = (torch.arange(width) / 16).expand(1, 3, height, width).contiguous()
    return Batch(
        left=frame,
        right=frame + 0.1,
        truth=frame + 0.05,
        t=torch.full((1, 1, 1, 1), 0.25),
        flow=flow.expand(1, 4, height, width).contiguous(),
        visible=visible.expand(1, 2, height, width).contiguous(),
        known=torch.ones(1, 1, height, width),
    )


def test_what_is_enlarged_moves_twice_as_far():
    flow = torch.tensor([1.0, -2.0, 3.0, 0.5]).view(1, 4, 1, 1)
    batch = moved(flow, torch.tensor([0.5, 1.0]).view(1, 2, 1, 1))
    made = batch.doubled()
    assert made.left.shape == made.truth.shape == (1, 3, 12, 20)
    torch.testing.assert_close(made.flow, (2 * flow).expand(1, 4, 12, 20))
    torch.testing.assert_close(made.visible[:, :1], torch.full((1, 1, 12, 20), 0.5))
    assert torch.equal(made.known, torch.ones(1, 1, 12, 20))
    assert torch.equal(made.t, batch.t)
    # A plane stays one, half as steep, and each pixel the mean of the four that it became.
    torch.testing.assert_close(made.left[..., 1:-1].diff(dim=-1), torch.full((1, 3, 12, 17), 1 / 32))
    back = made.halved()
    for name, each in batch.tensors().items():
        torch.testing.assert_close(back.tensors()[name][..., 1:-1], each[..., 1:-1], msg=name)
    assert all(each.is_contiguous() for each in made.tensors().values())


def test_flows_that_are_not_to_be_seen_do_not_spread():
    """The right half leads to what is hidden in the left frame: its flow there is no part of any mean."""
    flow, visible = torch.ones(1, 4, 6, 10), torch.ones(1, 2, 6, 10)
    flow[:, :2, :, 5:], visible[:, 0, :, 5:] = 100.0, 0.0
    made = moved(flow, visible).doubled()
    seen = made.visible[:, :1] > 0
    assert seen[..., 10].all()
    assert not seen[..., 11:].any()
    torch.testing.assert_close(made.flow[:, :2][seen.expand(1, 2, 12, 20)], torch.full((2 * 12 * 11,), 2.0))
    torch.testing.assert_close(made.flow[:, 2:], torch.full((1, 2, 12, 20), 2.0))
