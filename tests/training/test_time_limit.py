import json
import types

import pytest
import torch

from vsrife.errors import ArgumentError
from vsrife.training import checkpointing, loop, time_limit
from vsrife.training.distributed import ProcessGroup
from vsrife.training.loop import Trainer
from vsrife.training.time_limit import max_steps

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
NORMED = "network={preset='4.22.lite', widths=[12, 8, 8, 4], head_width=4, batch_norm=true}"


def noted(draw, name, drawn):
    """`draw`, that writes down whose it is."""

    def told(*arguments, **named):
        drawn.append(name)
        return draw(*arguments, **named)

    return told


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A few steps are timed."""
    for name, number in (("_WARM", 1), ("_TIMED", 2), ("_ROUNDS", 1)):
        monkeypatch.setattr(time_limit, name, number)


def trainer(config) -> Trainer:
    return Trainer(config, ProcessGroup(), CPU)


def tensors(run) -> list[torch.Tensor]:
    return [each.detach().clone() for each in (*run.state.slots, *run.model.module.buffers())]


def losses(config) -> dict[int, tuple[float, float]]:
    lines = [json.loads(line) for line in (config.run.folder / "log.jsonl").read_text().splitlines()]
    return {line["step"]: (line["total"], line["rate"]) for line in lines if line["kind"] == "training"}


@pytest.mark.parametrize("seconds", [1.0, 7.5, 10.0, 33.3, 100.0])
@pytest.mark.parametrize(("saved", "validated"), [(4, 10), (1, 1), (100, 3)])
def test_as_many_as_fit(seconds, saved, validated):
    def taken(steps):
        return 0.5 * steps + 1.5 * (steps // saved + 1) + 2.5 * (steps // validated + 1)

    steps = max_steps(seconds, step=0.5, save=1.5, validation=2.5, saved=saved, validated=validated)
    assert steps >= 0
    assert not steps or taken(steps) <= seconds
    assert taken(steps + saved + validated + 1) > seconds


@pytest.mark.parametrize("network", ["network.teacher=true", NORMED])
def test_it_is_the_run_of_so_many_steps(make, tmp_path, monkeypatch, capsys, network):
    """Bit for bit: what was tried is undone; rate and sources' shares are those of the new number."""
    changes = (network, "data.mix=[{start=0.0, synthetic=1.0}, {start=0.5, synthetic=2.0}]")
    plain = make(*changes, "run.steps=5", f"run.folder={tmp_path / 'plain'}")
    expected = trainer(plain)
    expected.run()

    monkeypatch.setattr(time_limit, "max_steps", lambda *_, **__: 5)
    config = make(*changes, "run.steps=100", "run.time_limit=50", f"run.folder={tmp_path / 'fitted'}")
    assert trainer(config).run(until=2) == "interrupted"
    assert "5 steps fit into 50 s: " in capsys.readouterr().out
    written = json.loads((config.run.folder / "config.json").read_text())["config"]["run"]
    assert (written["steps"], written["time_limit"]) == (5, 50)

    # Carried on it has the same number, whatever would fit now.
    monkeypatch.setattr(time_limit, "max_steps", lambda *_, **__: 9)
    got = trainer(config)
    assert got.run() == "done"
    assert got.step == 5
    for one, other in zip(tensors(got), tensors(expected), strict=True):
        assert torch.equal(one, other)
    assert losses(config) == losses(plain)


def test_a_number_of_steps_beside_the_time_is_not_read(make, folders, tmp_path, monkeypatch, capsys):
    """It may be left out; the steps that are timed are of the first shares."""
    monkeypatch.setattr(time_limit, "max_steps", lambda *_, **__: 5)
    mix = "data.mix=[{start=0.5, clips=1.0}, {start=0.0, synthetic=1.0}]"
    found = []
    for index, run in enumerate(("", ", steps=3", ", steps=1000000")):
        place = tmp_path / str(index)
        config = make(
            f"run={{folder='{place}', batch=2, device='cpu', precision='float32', time_limit=50{run}}}",
            *(mix, f"data.clips={folders['clips']}"),
        )
        got = trainer(config)
        drawn = []
        for name, source in got.sources.items():
            monkeypatch.setattr(source, "draw", noted(source.draw, name, drawn))
        timed = time_limit.steps_within(got, 50)
        assert timed == 5
        assert set(drawn) == {"synthetic"}
        assert json.loads((place / "config.json").read_text())["config"]["run"]["steps"] == 0

        assert trainer(config).run(until=1) == "interrupted"
        found.append(trainer(config))
        assert found[-1].config.run.steps == 5
        assert found[-1].run() == "done"
    assert "steps 1 to 5 of 2 samples" in capsys.readouterr().out
    for other in found[1:]:
        assert torch.equal(other.params.flat, found[0].params.flat)


def test_a_time_that_is_taken_back(make, monkeypatch):
    """Where no number was found yet the run has the steps that are asked for now."""
    got = trainer(make("run.time_limit=50"))
    got.write_checkpoint()
    got = trainer(make("run.steps=4"))
    assert got.run() == "done"
    assert got.step == 4
    with pytest.raises(ArgumentError, match=r"^run.steps \(4 then, 5 now\) must stay as it was"):
        trainer(make("run.steps=5"))


def test_a_start_that_was_broken_off_is_fitted_anew(make, monkeypatch):
    monkeypatch.setattr(time_limit, "max_steps", lambda *_, **__: 5)
    config = make("run.time_limit=50")
    run = trainer(config)
    monkeypatch.setattr(run, "train_step", lambda batch: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run.run()
    run = trainer(config)
    run.save()
    monkeypatch.setattr(time_limit, "max_steps", lambda *_, **__: 4)
    run = trainer(config)
    assert run.run() == "done"
    assert run.step == 4


def test_it_ends_in_time(make, monkeypatch):
    """By a clock that steps, states and validations push on."""
    now = [0.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0], perf_counter=lambda: now[0])
    for module in (loop, checkpointing, time_limit):
        monkeypatch.setattr(module, "time", clock)

    def slowed(owner, name, seconds):
        action = getattr(owner, name)

        def slow(*arguments):
            now[0] += seconds
            return action(*arguments)

        monkeypatch.setattr(owner, name, slow)

    slowed(Trainer, "train_step", 1.0)
    slowed(checkpointing.Checkpointer, "write", 2.0)
    slowed(Trainer, "evaluate", 4.0)
    slowed(Trainer, "_resume", 5.0)
    config = make("run.time_limit=80", "save.every=5", "validation.every=10")
    run = trainer(config)
    assert run.run() == "done"
    assert 65 < now[0] <= 80
    assert run.step == run.config.run.steps > 20
    assert losses(config)[run.step][1] < 0.01 * config.optimiser.rate


def test_no_time_to_warm_up(make, monkeypatch):
    monkeypatch.setattr(time_limit, "max_steps", lambda *_, **__: 2)
    expected = (
        r"^run.time_limit \(0.5\) must be longer: there is time for 2 steps of \d+\.\d+ s, "
        r"and optimiser.warm_up \(2\) takes all of them; give more seconds, or lower it$"
    )
    with pytest.raises(ArgumentError, match=expected):
        trainer(make("run.time_limit=0.5")).run()
    # What it advises can be followed in the same folder, where nothing has been learnt.
    monkeypatch.undo()
    lowered = trainer(make("run.time_limit=0", "run.steps=3", "optimiser.warm_up=1"))
    assert lowered.run() == "done"
    assert lowered.step == 3


class SecondProcess(ProcessGroup):
    """Receives 7 as the number of steps of the main process."""

    def broadcast(self, *tensors):
        for each in tensors:
            if not each.is_floating_point():
                each.fill_(7)


def test_all_processes_take_the_number_of_one(make):
    run = Trainer(make("run.time_limit=50"), SecondProcess(rank=1), CPU)
    assert time_limit.steps_within(run, 50) == 7
    assert not (run.config.run.folder / "checkpoints").exists()


def test_the_budget_counts_from_the_beginning(make, monkeypatch):
    """Reading the data is part of it: a rented machine is paid for during that time too."""
    now = [0.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0])
    for module in (loop, checkpointing):
        monkeypatch.setattr(module, "time", clock)
    run = trainer(make("run.budget=10"))
    now[0] = 10.0
    assert run.run() == "budget"
    assert run.step == 2  # what a step says is read a step late
