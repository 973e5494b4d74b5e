import json
import types

import pytest
import torch

from vsrife.errors import ArgumentError
from vsrife.training import fit, loop
from vsrife.training.fit import most_steps
from vsrife.training.loop import Trainer
from vsrife.training.parallel import Group

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
        monkeypatch.setattr(fit, name, number)


def trainer(config) -> Trainer:
    return Trainer(config, Group(), CPU)


def rows(run) -> list[torch.Tensor]:
    return [row.detach().clone() for row in (*run.rows, *run.pupil.module.buffers())]


def losses(config) -> dict[int, tuple[float, float]]:
    lines = [json.loads(line) for line in (config.run.folder / "log.jsonl").read_text().splitlines()]
    return {line["step"]: (line["total"], line["rate"]) for line in lines if line["kind"] == "training"}


@pytest.mark.parametrize("seconds", [1.0, 7.5, 10.0, 33.3, 100.0])
@pytest.mark.parametrize(("saved", "validated"), [(4, 10), (1, 1), (100, 3)])
def test_as_many_as_fit(seconds, saved, validated):
    def taken(steps):
        return 0.5 * steps + 1.5 * (steps // saved + 1) + 2.5 * (steps // validated + 1)

    steps = most_steps(seconds, step=0.5, save=1.5, validation=2.5, saved=saved, validated=validated)
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

    monkeypatch.setattr(fit, "most_steps", lambda *_, **__: 5)
    config = make(*changes, "run.steps=100", "run.fit=50", f"run.folder={tmp_path / 'fitted'}")
    assert trainer(config).run(until=2) == "asked"
    assert "5 steps fit into 50 s: " in capsys.readouterr().out
    written = json.loads((config.run.folder / "config.json").read_text())["config"]["run"]
    assert (written["steps"], written["fit"]) == (5, 50)

    # Carried on it has the same number, whatever would fit now.
    monkeypatch.setattr(fit, "most_steps", lambda *_, **__: 9)
    got = trainer(config)
    assert got.run() == "done"
    assert got.step == 5
    for one, other in zip(rows(got), rows(expected), strict=True):
        assert torch.equal(one, other)
    assert losses(config) == losses(plain)


def test_a_number_of_steps_beside_the_time_is_not_read(make, folders, tmp_path, monkeypatch, capsys):
    """It may be left out; the steps that are timed are of the first shares."""
    monkeypatch.setattr(fit, "most_steps", lambda *_, **__: 5)
    mix = "data.mix=[{start=0.5, clips=1.0}, {start=0.0, synthetic=1.0}]"
    found = []
    for index, run in enumerate(("", ", steps=3", ", steps=1000000")):
        place = tmp_path / str(index)
        config = make(
            f"run={{folder='{place}', batch=2, device='cpu', precision='float32', fit=50{run}}}",
            *(mix, f"data.clips={folders['clips']}"),
        )
        got = trainer(config)
        drawn = []
        for name, source in got.sources.items():
            monkeypatch.setattr(source, "draw", noted(source.draw, name, drawn))
        timed = fit.fitted_steps(got, 50)
        assert timed == 5
        assert set(drawn) == {"synthetic"}
        assert json.loads((place / "config.json").read_text())["config"]["run"]["steps"] == 0

        assert trainer(config).run(until=1) == "asked"
        found.append(trainer(config))
        assert found[-1].config.run.steps == 5
        assert found[-1].run() == "done"
    assert "steps 1 to 5 of 2 samples" in capsys.readouterr().out
    for other in found[1:]:
        assert torch.equal(other.weights.row, found[0].weights.row)


def test_a_time_that_is_taken_back(make, monkeypatch):
    """Where no number was found yet the run has the steps that are asked for now."""
    got = trainer(make("run.fit=50"))
    got.write()
    got = trainer(make("run.steps=4"))
    assert got.run() == "done"
    assert got.step == 4
    with pytest.raises(ArgumentError, match=r"^run.steps \(4 then, 5 now\) must stay as it was"):
        trainer(make("run.steps=5"))


def test_a_start_that_was_broken_off_is_fitted_anew(make, monkeypatch):
    monkeypatch.setattr(fit, "most_steps", lambda *_, **__: 5)
    config = make("run.fit=50")
    run = trainer(config)
    monkeypatch.setattr(run, "learn", lambda batch: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run.run()
    run = trainer(config)
    run.save()
    monkeypatch.setattr(fit, "most_steps", lambda *_, **__: 4)
    run = trainer(config)
    assert run.run() == "done"
    assert run.step == 4


def test_it_ends_in_time(make, monkeypatch):
    """By a clock that steps, states and validations push on."""
    now = [0.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0], perf_counter=lambda: now[0])
    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(fit, "time", clock)

    def slowed(name, seconds):
        action = getattr(Trainer, name)

        def slow(*arguments):
            now[0] += seconds
            return action(*arguments)

        monkeypatch.setattr(Trainer, name, slow)

    for name, seconds in (("learn", 1.0), ("write", 2.0), ("measured", 4.0), ("_resume", 5.0)):
        slowed(name, seconds)
    config = make("run.fit=80", "save.every=5", "validation.every=10")
    run = trainer(config)
    assert run.run() == "done"
    assert 65 < now[0] <= 80
    assert run.step == run.config.run.steps > 20
    assert losses(config)[run.step][1] < 0.01 * config.optimiser.rate


def test_no_time_to_warm_up(make, monkeypatch):
    monkeypatch.setattr(fit, "most_steps", lambda *_, **__: 2)
    expected = (
        r"^run.fit \(0.5\) must be longer: there is time for 2 steps of \d+\.\d+ s, "
        r"and the learning rate alone rises for optimiser.warm_up \(2\); give more seconds, or lower that$"
    )
    with pytest.raises(ArgumentError, match=expected):
        trainer(make("run.fit=0.5")).run()
    # What it advises can be followed in the same folder, where nothing has been learnt.
    monkeypatch.undo()
    lowered = trainer(make("run.fit=0", "run.steps=3", "optimiser.warm_up=1"))
    assert lowered.run() == "done"
    assert lowered.step == 3


def test_all_processes_take_the_number_of_one(make, monkeypatch):
    run = trainer(make("run.fit=50"))
    run.group = types.SimpleNamespace(leads=False, mean=lambda *_: None, wait=lambda: None, share=lambda x: x.fill_(7))
    assert fit.fitted_steps(run, 50) == 7
    assert not (run.config.run.folder / "state").exists()


def test_the_budget_counts_from_the_beginning(make, monkeypatch):
    """Reading the data is part of it: whoever lends a machine counts that too."""
    now = [0.0]
    monkeypatch.setattr(loop, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    run = trainer(make("run.budget=10"))
    now[0] = 10.0
    assert run.run() == "budget"
    assert run.step == 2  # what a step says is read a step late
