"""What each block leaves of the known motion, and the line about one that does nothing."""

import json

import pytest
import torch

from tests.training.test_several_batches import ALSO, trainer
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
    errors, motion = errors_and_motion(levels, FLOW, EVERYWHERE)
    torch.testing.assert_close(errors / motion, torch.tensor([2 / 3, 1 / 2, 1 / 2]))
    # 5 px each way, of every cell of each resolution.
    torch.testing.assert_close(motion, 2 * 5.0 * torch.tensor([2.0 * 3, 4 * 6, 16 * 24]))
    found = BlockErrors.of([(levels, FLOW, EVERYWHERE), (levels, 2 * FLOW, EVERYWHERE)], size=(32, 48), first=1)
    # The second batch moves twice as far: 5/3 and 5/2 of 5 px, then (10/3 + 25/3) of 15.
    assert found.left == pytest.approx([(2 / 3 + 5 / 3) / 3, (1 / 2 + 3 / 2) / 3, (1 / 2 + 3 / 2) / 3])
    assert str(found) == "- 0.67 0.67 on 32x48"


def test_nothing_is_said_of_samples_that_stand_still():
    levels = [level(0.0, 16)]
    assert BlockErrors.of([(levels, 0 * FLOW, EVERYWHERE)], size=(32, 48), first=0) is None
    assert BlockErrors.of([(levels, FLOW, 0 * EVERYWHERE)], size=(32, 48), first=0) is None


def errors(*left, first=0, name="512x768"):
    return BlockErrors(name=name, left=left, first=first)


@pytest.mark.parametrize(
    ("found", "block"),
    [
        ([errors(0.6, 0.4, 0.2)], None),
        ([errors(1.0, 0.4, 0.2)], 0),
        ([errors(0.6, 0.6 * IDLE + 0.01, 0.2)], 1),
        ([errors(1.0, 1.0, 0.3, first=2)], None),  # what a size does not teach is not its business
        ([errors(0.5, 0.5, name="a"), errors(0.5, 0.4, name="b")], None),  # it does something there
        ([errors(0.5, 0.4, name="a"), errors(1.0, 0.8, 0.8, first=1, name="b")], 2),
    ],
)
def test_a_block_that_does_nothing_is_warned_of(found, block):
    assert idle(found, LATE - 1) is None
    told = idle(found, LATE)
    if block is None:
        assert told is None
    else:
        assert told.startswith(f"warning: block {block} takes nothing off the flow's error (")
        assert "run.start_blocks" in told


@pytest.mark.slow
def test_a_run_tells_them(make, capsys):
    """Of 4.26 whose blocks are taught where their trunk has 4x4 cells: none but the finest on crops of 64 pixels."""
    run = trainer(
        make(
            ALSO, "network.cells=4", "loss.flow=0.1", "validation.every=2", "run.steps=3", "network.scales=[8, 4, 2, 1]"
        )
    )
    run.run()
    text = capsys.readouterr().out
    line = next(each for each in text.splitlines() if "flow error after each block" in each)
    assert "on 128x192" in line
    records = [json.loads(each) for each in (run.config.run.folder / "log.jsonl").read_text().splitlines()]
    told = [each for each in records if "flow error 128x192/0" in each]
    assert told
    assert all(0 < each["flow error 128x192/1"] < 5 for each in told)
