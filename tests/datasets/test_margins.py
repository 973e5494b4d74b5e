"""Samples with black rows below and black columns at the right."""

import torch

from vsrife.datasets.batch import Batch
from vsrife.datasets.margins import MOST, with_margins


def samples(count, height, width):
    """Everything known and to be seen; to the left frame things move 10 px down, to the right one 7 px across."""
    flow = torch.tensor([0.0, 10.0, 7.0, 0.0]).view(1, 4, 1, 1).expand(count, 4, height, width).contiguous()
    frames = torch.rand(3, count, 3, height, width) * 0.9 + 0.1
    return Batch(
        left=frames[0],
        truth=frames[1],
        right=frames[2],
        t=torch.full((count, 1, 1, 1), 0.5),
        flow=flow,
        visible=torch.ones(count, 2, height, width),
        known=torch.ones(count, 1, height, width),
    )


def test_margins_are_black_and_nothing_is_known_of_them():
    batch = samples(400, 48, 160)
    made = with_margins(batch, 0.5, 3)
    shown = made.left.amax(1) > 0
    heights, widths = shown.any(2).sum(1), shown.any(1).sum(1)
    # A share of them, each length as likely, at most half of the sample, none of them at the top or the left.
    assert 140 < int((heights < 48).sum()) < 260
    assert 140 < int((widths < 160).sum()) < 260
    assert int(heights.min()) == 24
    assert int(widths.min()) == 160 - MOST
    assert 122 < float(widths[widths < 160].float().mean()) < 134
    for n in range(400):
        rows, columns = int(heights[n]), int(widths[n])
        for name in ("left", "right", "truth", "known"):
            one, other = made.tensors()[name][n], batch.tensors()[name][n]
            assert torch.equal(one[:, :rows, :columns], other[:, :rows, :columns])
            assert not one[:, rows:].any()
            assert not one[:, :, columns:].any()
        # What leads out of the picture, or into its margin, is not to be seen.
        assert made.visible[n, 0].sum() == (rows - 10) * columns
        assert made.visible[n, 1].sum() == rows * (columns - 7)
    assert torch.equal(made.flow, batch.flow)


def test_a_seed_makes_the_same_margins_and_no_share_none():
    batch = samples(20, 64, 64)
    assert torch.equal(with_margins(batch, 0.5, 3).left, with_margins(batch, 0.5, 3).left)
    assert not torch.equal(with_margins(batch, 0.5, 3).left, with_margins(batch, 0.5, 4).left)
    assert with_margins(batch, 0.0, 3) is batch
