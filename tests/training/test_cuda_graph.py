"""Steps of several batches, and steps that learn the known flow alone."""

import copy
import dataclasses

import pytest
import torch

from tests.training.card import played
from tests.training.test_devices import learnt
from vsrife.errors import ArgumentError
from vsrife.network.points import Frames
from vsrife.training import cuda_graph, loop
from vsrife.training.checkpoint import newest_checkpoint, read_checkpoint
from vsrife.training.distributed import ProcessGroup, init_process_group
from vsrife.training.loop import Trainer
from vsrife.training.objective import PARTS, objective
from vsrife.training.resume_check import changed_key
from vsrife.training.sources import batch_specs

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
ALSO = "data.also=[{crop=[128, 192], batch=2, blocks=2}, {crop=[64, 128], batch=1}]"
FLOW_FIRST = ("loss.flow_first=0.5", "network.teacher=false", "network.detached=true")
NETWORK = "network={preset='4.26', widths=[12, 8, 8, 4], scales=[16, 8, 4, 2], head_width=4, contrast=20.0}"


def trainer(config) -> Trainer:
    return Trainer(config, ProcessGroup(), CPU)


def gradient(run, batches):
    run.forward_backward(batches)
    found, run.params.flat.grad = run.params.flat.grad, None
    return found


def test_each_step_has_a_batch_of_every_part(make):
    run = trainer(make(ALSO))
    main, coarse, wide = run.loader.batches(3)
    assert main.left.shape == (2, 3, 64, 64)
    assert coarse.left.shape == (2, 3, 128, 192)
    assert wide.left.shape == (1, 3, 64, 128)
    assert coarse.known.mean() > 0.3
    # Another position has other samples, the same one the same, and no part those of another.
    assert not torch.equal(run.loader.batches(4)[1].left, coarse.left)
    assert torch.equal(run.loader.batches(3)[1].left, coarse.left)


def test_an_older_entry_of_a_list_has_the_defaults_of_now(make):
    now = make(ALSO, "data.ring={}").as_plain()
    then = copy.deepcopy(now)
    for table, key in ((then["data"]["also"][0], "enlarged"), (then["data"]["mix"][0], "vimeo")):
        del table[key]
    del then["data"]["ring"]["times"]
    assert changed_key(then, now) is None
    then["data"]["also"][0]["batch"] = 4
    assert changed_key(then, now).startswith("data.also ([{")


def test_a_part_is_enlarged(make):
    """It is drawn at half of its size: so a quarter is cut out of scenes, in which all moves twice as far."""
    also = "data.also=[{{crop=[{}, {}], batch=2, blocks=2{}}}]"
    ring = "data.ring={scenes=6, first=4, frames=[[128, 192]], times=1, reduced=0.0}"
    enlarged = trainer(make(also.format(128, 192, ", enlarged=true"), ring)).loader.batches(3)[1]
    plain = trainer(make(also.format(64, 96, ""), ring)).loader.batches(3)[1]
    assert enlarged.left.shape == (2, 3, 128, 192)
    for name, each in plain.doubled().tensors().items():
        assert torch.equal(enlarged.tensors()[name], each), name


def test_the_gradient_is_that_of_all_batches_together(make):
    run = trainer(make(ALSO))
    batches = run.loader.batches(0)
    lesson, parts = run.forward_backward(batches)
    together, run.params.flat.grad = run.params.flat.grad, None
    alone = []
    for batch, blocks in zip(batches, (None, 2, None), strict=True):
        made = run.params(batch.left, batch.right, batch.t, None, blocks=blocks) if blocks else run.params(
            batch.left, batch.right, batch.t, run.model.seen_by_teacher(batch.truth)
        )  # fmt: skip
        numbers = objective(made, batch, run.config.loss)
        numbers[0].backward()
        alone.append(numbers.detach())
    torch.testing.assert_close(together, run.params.flat.grad)
    torch.testing.assert_close(parts[0], sum(each[0] for each in alone))
    # All other numbers are the first batch's, whose lesson is shown.
    torch.testing.assert_close(parts[1:], alone[0][1:])
    assert lesson.answer.shape == batches[0].truth.shape


def test_coarse_blocks_alone_learn_from_a_coarse_batch(make):
    run = trainer(make(ALSO))
    batch = run.loader.batches(0)[1]
    lesson = run.params(batch.left, batch.right, batch.t, blocks=2)
    assert lesson.picture is None
    assert len(lesson.levels) == 2
    objective(lesson, batch, run.config.loss)[0].backward()
    named = run.params.state_dict(run.params.flat.grad)
    assert named["network.block1.conv0.0.0.weight"].any()
    assert not named["network.block2.conv0.0.0.weight"].any()
    assert not any(each.any() for name, each in named.items() if name.startswith("teacher."))


def test_the_first_steps_learn_the_flow_alone_and_the_others_the_picture_too(make):
    run = trainer(make(NETWORK, *FLOW_FIRST))
    batches = run.loader.batches(0)
    _, parts = run.forward_backward(batches)
    numbers = dict(zip(PARTS, parts.tolist(), strict=True))
    assert numbers["total"] == numbers["flow"] > 0
    assert numbers["student"] == numbers["census"] == 0
    run.params.flat.grad = None
    run.optimiser.set_step_count(3)  # of 6
    _, parts = run.forward_backward(batches)
    numbers = dict(zip(PARTS, parts.tolist(), strict=True))
    weighed = numbers["student"] + 0.01 * numbers["flow"] + 0.05 * numbers["census"]
    assert numbers["total"] == pytest.approx(weighed, rel=1e-5)
    assert numbers["student"] > 0


@pytest.mark.parametrize("stop", [2, 4])
def test_a_run_is_carried_on_before_and_after_the_flow_alone(make, tmp_path, stop):
    changes = (NETWORK, ALSO, *FLOW_FIRST)
    whole = trainer(make(*changes, f"run.folder={tmp_path / 'whole'}"))
    whole.run()
    config = make(*changes, f"run.folder={tmp_path / 'parts'}")
    trainer(config).run(until=stop)
    assert read_checkpoint(newest_checkpoint(config.run.folder)).about["step"] == stop
    carried = trainer(config)
    carried.run()
    for one, other in zip(carried.state.slots, whole.state.slots, strict=True):
        assert torch.equal(one, other)


def test_on_a_card_each_phase_is_a_graph_and_the_run_the_same(make, folders, monkeypatch):
    monkeypatch.setattr(cuda_graph, "_WARM", 1)
    # The CPU makes blocks' inputs as the card does, since both runs are compared to the bit.
    monkeypatch.setattr(loop, "resolve", lambda device, features: (Frames, ""))

    def made(device, graph):
        changes = (f"run.device={device!r}", f"run.graph={graph!r}", f"run.folder={folders['clips'] / device}")
        config = make(NETWORK, ALSO, *FLOW_FIRST, *changes, "data.prefetch=0")
        run = Trainer(config, *init_process_group(config.run.device))
        for position in (0, 1, 2, 3, 4):
            run.train_step(run.loader.batches(position))
        return run

    expected = learnt(made("cpu", "off"))
    with played(monkeypatch) as card:
        run = made("cuda", "auto")
        for one, other in zip(learnt(run), expected, strict=True):
            assert torch.equal(one, other)
        card.forget()


def test_several_processes_share_every_part(make):
    config = make(ALSO.replace("batch=1", "batch=2"), "run.batch=4")
    counts = [part.count for part in batch_specs(config, ProcessGroup(rank=1, world_size=2))]
    assert counts == [2, 1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["data.also=[{crop=[64, 80], batch=1}]"], r"^data.also.crop \(\[64, 80\]\) must be multiples of 32"),
        (["data.also=[{crop=[64], batch=1}]"], r"^data.also.crop \(\[64\]\) must be a height and a width"),
        (
            ["data.also=[{crop=[64, 96], blocks=1}]", "network.cells=4", "network.scales=[8, 4, 2, 1]"],
            "none of the first 1",
        ),
        (["data.also=[{crop=[96, 96], enlarged=true}]"], "^data.also.enlarged .* must be left out without data.ring"),
        (
            ["data.also=[{crop=[65, 96], enlarged=true}]"],
            r"^data.also.crop \(\[65, 96\]\) must be even",
        ),
        (
            ["run.start_blocks=[0, 1]"],
            r"^run.start_blocks \(\[0, 1\]\) must name blocks of run.start",
        ),
        (["data.also=[{crop=[64, 64], blocks=4}]"], r"^data.also.blocks \(4\) must be below the network's 4, or 0"),
        ([ALSO, "loss.flow=0.0"], r"^data.also.blocks \(2\) must be 0 without loss.flow"),
        (
            ["network.cells=4"],
            r"^network.cells \(4\) must be such that each block is trained.* scale 8 needs a crop of 128x128",
        ),
        (["loss.flow_first=1.0"], r"^loss.flow_first \(1\) must be from 0 to below 1"),
    ],
)
def test_what_cannot_be_taught_is_told(make, changes, message):
    with pytest.raises(ArgumentError, match=message):
        trainer(make(*changes))


def test_flow_alone_needs_samples_whose_flow_is_known(make, folders):
    clips = f"data.clips={str(folders['clips'])!r}"
    mix = "data.mix=[{clips=1.0}, {start=0.6, synthetic=1.0}]"
    with pytest.raises(ArgumentError, match=r"^loss.flow_first \(0.5\) must be at most the share"):
        trainer(make(clips, mix, "loss.flow_first=0.5"))
    with pytest.raises(ArgumentError, match=r"^loss.flow_first \(0.5\) must be 0 for RIFE"):
        trainer(make("network={preset='RIFE-m', widths=[12, 8, 8], context=4}", "loss.flow_first=0.5"))


def test_a_state_of_before_a_key_was_known_is_carried_on(make, monkeypatch):
    config = make()
    trainer(config).run(until=2)
    read = read_checkpoint

    def older(place):
        snapshot = read(place)
        about = dict(snapshot.about)
        about["config"] = {
            name: {
                key: value for key, value in table.items() if key not in ("contrast", "detached", "also", "flow_first")
            }
            for name, table in about["config"].items()
        }
        return dataclasses.replace(snapshot, about=about)

    monkeypatch.setattr("vsrife.training.checkpointing.read_checkpoint", older)
    assert trainer(config).step == 2
    with pytest.raises(ArgumentError, match=r"^network.contrast \(0.0 then, 3.0 now\) must stay as it was"):
        trainer(make("network.contrast=3.0"))
