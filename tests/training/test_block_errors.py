"""What each block leaves of the known motion, and the line about one that does nothing."""

import json
import re

import pytest
import torch

from tests.training.test_cuda_graph import trainer
from vsrife.network.points import Level
from vsrife.training.block_errors import IDLE, LATE, BlockErrors, idle
from vsrife.training.known_flow import errors_and_motion

FLOW = torch.tensor([3.0, 4.0, -3.0, -4.0]).view(1, 4, 1, 1).expand(1, 4, 32, 48)
EVERYWHERE = torch.ones(1, 2, 32, 48)


def level(share, scale):
    flow = FLOW[..., ::scale, ::scale] * share
    return Level(flow=flow, mask=flow[:, :1], hidden=None, scale=scale)


def test_errors_are_those_after_each_block():
    """A third of the way is found by the first block, half of it by the second, and nothing by the last."""
    levels = [level(1 / 3, 16), level(1 / 6, 8), level(0.0, 2)]
    after, before, motion = errors_and_motion(levels, FLOW, EVERYWHERE)
    torch.testing.assert_close(after / motion, torch.tensor([2 / 3, 1 / 2, 1 / 2]))
    torch.testing.assert_close(before / motion, torch.tensor([1.0, 2 / 3, 1 / 2]))
    # 5 px each way, of every cell of each resolution.
    torch.testing.assert_close(motion, 2 * 5.0 * torch.tensor([2.0 * 3, 4 * 6, 16 * 24]))
    found = BlockErrors.of(levels, FLOW, EVERYWHERE, name="32x48", first=1)
    assert found.left == pytest.approx([2 / 3, 1 / 2, 1 / 2])
    assert found.kept == pytest.approx([2 / 3, 3 / 4, 1.0])
    assert str(found) == "- 0.50 0.50 on 32x48"


def test_a_block_that_refines_does_something_though_its_own_resolution_is_harder():
    """Half of the picture moves one way, half the other, and the border is in the middle of a coarse cell.
    The fine block leaves more of the motion in fine cells than the coarse one of that in coarse cells,
    and half of what there was.
    """
    flow = FLOW.clone()
    flow[..., 24:] *= -1
    coarse = Level(flow=torch.nn.functional.avg_pool2d(flow, 16), mask=flow[:, :1], hidden=None, scale=16)
    fine = Level(
        flow=(flow - torch.nn.functional.interpolate(coarse.flow, scale_factor=16, mode="bilinear"))[..., ::2, ::2] / 2,
        mask=flow[:, :1],
        hidden=None,
        scale=2,
    )
    found = BlockErrors.of([coarse, fine], flow, EVERYWHERE, name="32x48", first=0)
    assert found.left[0] < 0.01 < 0.1 < found.left[1]
    assert found.kept[1] == pytest.approx(0.5, abs=0.1)
    assert idle([found], LATE) is None


def test_nothing_is_said_of_samples_that_stand_still():
    levels = [level(0.0, 16)]
    assert BlockErrors.of(levels, 0 * FLOW, EVERYWHERE, name="", first=0) is None
    assert BlockErrors.of(levels, FLOW, 0 * EVERYWHERE, name="", first=0) is None


def errors(*kept, first=0, name="512x768"):
    return BlockErrors(name=name, left=kept, kept=kept, first=first)


DOES, IDLES = IDLE - 0.01, IDLE + 0.01


@pytest.mark.parametrize(
    ("found", "block"),
    [
        ([errors(DOES, DOES, DOES)], None),
        ([errors(IDLES, DOES, DOES)], 0),
        ([errors(DOES, DOES, IDLES)], 2),
        ([errors(IDLES, IDLES, DOES, first=2)], None),  # what a size does not teach is not its business
        ([errors(DOES, IDLES, name="a"), errors(DOES, DOES, name="b")], None),  # it does something there
        ([errors(IDLES, IDLES, name="a"), errors(DOES, IDLES, name="b")], 1),  # whatever one before it does
        ([errors(DOES, DOES, name="a"), errors(IDLES, DOES, IDLES, first=1, name="b")], 2),
    ],
)
def test_a_block_that_does_nothing_is_warned_of(found, block):
    assert idle(found, LATE - 1) is None
    told = idle(found, LATE)
    if block is None:
        assert told is None
    else:
        assert told.startswith(f"warning: block {block} does not reduce the flow error (")
        assert "run.start_blocks" in told


@pytest.mark.slow
def test_a_run_tells_them(make, capsys):
    """With trunks of 4x4 cells crops of 64 pixels teach all but block 0. Two parts of one size have two names."""
    coarse = ("network.scales=[8, 4, 2, 1]", "network.cells=4", "loss.flow=0.1")
    also = "data.also=[{crop=[128, 192], batch=2, blocks=2}, {crop=[128, 192], batch=2, blocks=3}]"
    run = trainer(make(also, *coarse, "validation.every=2", "run.steps=3"))
    run.run()
    text = capsys.readouterr().out
    line = next(
        each for each in text.splitlines() if each.startswith("flow error after each block, relative to no flow: ")
    )
    number = r"\d+\.\d\d"
    parts = (
        rf"- {number} {number} {number} on 64x64",
        rf"{number} {number} on 128x192",
        rf"({number} ){{3}}on 128x192 #2",
    )
    assert re.fullmatch("; ".join(parts), line.partition(": ")[2])
    assert "of 2 of 64x64, 2 of 128x192, 2 of 128x192 #2 samples" in text
    records = [json.loads(each) for each in (run.config.run.folder / "log.jsonl").read_text().splitlines()]
    told = next(each for each in records if each["kind"] == "validation")
    assert {key for key in told if key.startswith("flow error")} == {
        *(f"flow error 64x64/{n}" for n in range(4)),
        *(f"flow error 128x192/{n}" for n in range(2)),
        *(f"flow error 128x192 #2/{n}" for n in range(3)),
    }
