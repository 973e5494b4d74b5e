import json

import ablations
import pytest
from ablations import ABLATIONS, configs, report, run_all

from vsrife.errors import ArgumentError, RifeError
from vsrife.training.config_file import CONFIGS
from vsrife.training.distributed import init_process_group
from vsrife.training.loop import Trainer
from vsrife.training.model import build_model

pytestmark = pytest.mark.slow

SMALL = (
    *("run.steps=2", "run.batch=2", "run.precision=float32", "run.device=cpu", "optimiser.warm_up=1"),
    *(
        "data.crop=[64, 64]",
        "data.mix=[{synthetic = 1.0}]",
        "validation.every=1",
        "validation.samples=1",
        "log.every=1",
    ),
)


@pytest.fixture
def runs(folders, tmp_path):
    def made(*names, changes=SMALL):
        folder = (f"data.pictures={folders['pictures']}", f"validation.clips={folders['held_out']}")
        return configs(names, tmp_path, (*folder, *changes))

    return made


def test_every_ablation_is_a_file_that_changes_one_thing(runs):
    assert {path.stem for path in (CONFIGS / "ablations").iterdir()} == {*ABLATIONS, ablations.BASE}
    made = runs(*ABLATIONS)
    base = made[ablations.BASE]
    for name in ABLATIONS:
        config = made[name]
        assert (config.data, config.optimiser, config.run.steps) == (base.data, base.optimiser, base.run.steps)
        assert (config.network != base.network) != (config.loss != base.loss)
        build_model(config.network)


def test_narrower_networks_differ_as_the_whole_ones_do(folders, tmp_path):
    changes = (
        *(f"data.pictures={folders['pictures']}", f"validation.clips={folders['held_out']}"),
        "data.mix=[{synthetic = 1.0}]",
    )
    made = configs([*ABLATIONS], tmp_path, changes, width=0.5)
    widths = {name: tuple(config.network.widths) for name, config in made.items()}
    assert widths["base"] == widths["l1"] == (60, 38, 24)
    assert (widths["one-block"], widths["two-blocks"]) == ((24,), (38, 24))
    assert {config.network.context for config in made.values()} == {4}
    for width in (0, 1.5):
        with pytest.raises(ArgumentError, match=rf"^width \({width}\) must be above 0 and at most 1"):
            configs([], tmp_path, changes, width=width)


def test_one_that_is_asked_to_end_ends_them_all(runs):
    made, begun = runs("one-block", "l1"), []

    def train(config):
        begun.append(config.run.folder.name)
        config.run.folder.mkdir(parents=True)
        config.run.folder.joinpath("log.jsonl").write_text("")
        return "interrupted" if len(begun) == 2 else "done"

    outcomes = run_all(made, train)
    assert begun == ["base", "one-block"]
    assert outcomes[-1].failure == ablations.ASKED


def test_an_ablation_that_is_none(runs):
    with pytest.raises(ArgumentError, match=r"^ablation \(no-luck\) must be one of no-distillation, "):
        runs("no-luck")


def test_it_runs_and_reports(runs, tmp_path):
    """One that diverges is told of and does not end the others; one that is done is not repeated."""
    made = runs("one-block", "l1")
    trained = []

    def train(config):
        group, device = init_process_group("cpu")
        trainer = Trainer(config, group, device)
        trained.append((config.run.folder.name, trainer.step))
        if config.run.folder.name == "l1":
            trainer.config.run.folder.joinpath("log.jsonl").write_text("")
            raise RifeError("total (nan) must be finite, and is not at step 1; and so on")
        return trainer.run()

    outcomes = run_all(made, train)
    assert trained == [("base", 0), ("one-block", 0), ("l1", 0)]
    table = report(outcomes, made, tmp_path, 20.0)
    assert (tmp_path / "ablations.md").read_text() == table
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert [row.split(" | ")[0] for row in rows] == ["| base", "| one-block", "| l1"]
    assert rows[2].endswith("| total (nan) must be finite, and is not at step 1 |")
    assert [step for step, _ in json.loads((tmp_path / "ablations.json").read_text())["runs"]["base"]["curve"]] == [
        1,
        2,
    ]

    trained.clear()
    assert run_all({"base": made["base"]}, train)[0].last == outcomes[0].last
    assert trained == [("base", 2)]


def test_a_run_that_cannot_begin_ends_them_all(runs):
    def train(_config):
        raise RifeError("data are missing")

    with pytest.raises(RifeError, match="data are missing"):
        run_all(runs("l1"), train)


@pytest.mark.parametrize(
    ("last", "verdict"), [(20.0, "equal"), (20.04, "equal"), (19.0, "worse"), (21.0, "better: not reproduced")]
)
def test_the_verdict(runs, tmp_path, last, verdict):
    one, other = (
        ablations.Outcome(name=name, curve=((1, value),), failure="", seconds=1.0)
        for name, value in (("base", 20.0), ("l1", last))
    )
    assert report([one, other], runs("l1"), tmp_path, 1.0).splitlines()[-1].endswith(f"| {verdict} |")
