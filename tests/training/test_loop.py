import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.datasets.conftest import moving_square, save_clip, save_picture, smooth_tiles
from vsrife.datasets.batch import concatenate, without_motion
from vsrife.datasets.labels import Label, LabelFolder, Place
from vsrife.datasets.packing import PackSettings, write_pack
from vsrife.errors import ArgumentError, RifeError
from vsrife.models import checkpoint
from vsrife.network.ifnet import IFNet
from vsrife.network.legacy.paper import PaperNet
from vsrife.training import checkpointing, loop, run_log
from vsrife.training.checkpoint import newest_checkpoint, read_checkpoint
from vsrife.training.distributed import ProcessGroup, init_process_group
from vsrife.training.loop import Trainer
from vsrife.training.profile import profile

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def trainer(config) -> Trainer:
    return Trainer(config, ProcessGroup(), CPU)


def logged(config, kind="training") -> list[dict]:
    lines = (config.run.folder / "log.jsonl").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


def losses(config) -> dict[int, tuple[float, ...]]:
    """All that was learnt by, to the last bit."""
    names = ("total", "student", "teacher", "distillation", "census", "flow", "norm", "rate")
    return {entry["step"]: tuple(entry[name] for name in names) for entry in logged(config)}


def test_a_run_leaves_all_it_should(make, capsys):
    config = make()
    run = trainer(config)
    assert run.run() == "done"
    folder = config.run.folder
    assert {each.name for each in folder.iterdir()} >= {
        "model.safetensors",
        "config.json",
        "log.jsonl",
        "checkpoints",
        "compact",
    }
    assert [each.name for each in sorted((folder / "checkpoints").iterdir())] == ["00000004", "00000006"]
    assert list(losses(config)) == [1, 2, 3, 4, 5, 6]
    assert [entry["step"] for entry in logged(config, "validation")] == [3, 6]
    about = json.loads((folder / "config.json").read_text())
    assert about["config"]["network"]["widths"] == [12, 8, 8, 4]
    assert (about["step"], about["network"]["head"]) == (6, "clamped")
    told = capsys.readouterr().out
    assert "step 6/6  total " in told
    assert "plain average" in told
    assert "done at step 6 of 6" in told

    # A run that is over stays as it is.
    before = (folder / "model.safetensors").read_bytes()
    assert trainer(config).run() == "done"
    assert (folder / "model.safetensors").read_bytes() == before


def test_what_is_exported_loads_and_is_the_average(make):
    config = make()
    run = trainer(config)
    run.run()
    path = config.run.folder / "model.safetensors"
    assert all(each.dtype == torch.float16 for each in load_file(path).values())
    network = checkpoint.load(path)
    assert isinstance(network, IFNet)
    assert network.architecture == run.model.architecture
    average = run.params.state_dict(run.optimiser.ema)
    for key, each in network.state_dict().items():
        torch.testing.assert_close(each, average[f"network.{key}"], rtol=1e-3, atol=1e-6)
    left, right = torch.rand(2, 1, 3, 64, 96).unbind()
    with torch.no_grad():
        motion = network(left, right, network.encode(left), network.encode(right), 0.5)
        torch.testing.assert_close(
            network.merge(left, right, motion), run.predict(left, right, 0.5).picture, rtol=0, atol=5e-3
        )


@pytest.mark.parametrize("preset", ["RIFE", "RIFE-m", "RIFE-Large"])
def test_the_papers_networks_learn_too(make, preset):
    timed = preset == "RIFE-m"
    config = make(
        f"network={{preset='{preset}', widths=[12, 8, 8], context=4}}",
        *("run.steps=2", "optimiser.warm_up=1", "run.precision=bfloat16", "validation.every=9"),
        f"data.synthetic.any_time={0.5 if timed else 0.0}",
    )
    run = trainer(config)
    before = run.params.flat.detach().clone()
    run.run()
    moved = run.params.state_dict(run.params.flat.detach() - before)
    assert all(each.any() for each in moved.values())
    (path,) = config.run.folder.glob("*.safetensors")
    network = checkpoint.load(path)
    assert isinstance(network, PaperNet)
    assert network.architecture == run.model.architecture


def test_carried_on_it_is_the_run_that_was_not_stopped(make, tmp_path):
    """Bit for bit: every loss of every step, and the weights at the end."""
    changes = ("data.mix=[{start=0.0, synthetic=1.0}, {start=0.5, synthetic=2.0}]", "validation.every=4")
    whole, parts = (make(*changes, f"run.folder={tmp_path / name}") for name in ("whole", "parts"))
    first = trainer(whole)
    assert first.run() == "done"
    assert trainer(parts).run(until=3) == "interrupted"
    second = trainer(parts)
    assert second.step == 3
    assert second.run() == "done"
    assert losses(parts) == losses(whole)
    assert len(set(losses(whole).values())) == 6
    for one, other in zip(_slots(first), _slots(second), strict=True):
        assert torch.equal(one, other)
    assert logged(whole, "validation") == logged(parts, "validation")
    weights = [(each.run.folder / "model.safetensors").read_bytes() for each in (whole, parts)]
    assert weights[0] == weights[1]


def _slots(run: Trainer) -> list[torch.Tensor]:
    return [run.params.flat.detach(), run.optimiser.ema, run.optimiser.exp_avg, run.optimiser.exp_avg_sq]


def test_carried_on_from_the_compact_state(make, tmp_path):
    config = make()
    trainer(config).run(until=4)
    elsewhere = make(f"run.folder={tmp_path / 'elsewhere'}")
    (tmp_path / "elsewhere").mkdir()
    (config.run.folder / "compact").rename(tmp_path / "elsewhere" / "compact")
    here, there = trainer(config), trainer(elsewhere)
    assert (here.step, there.step) == (4, 4)
    for one, other in zip(_slots(here), _slots(there), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-2, atol=1e-4)
    assert [here.run(), there.run()] == ["done", "done"]
    mine, theirs = losses(config), losses(elsewhere)
    assert list(theirs) == [5, 6]
    assert theirs[6][0] == pytest.approx(mine[6][0], rel=0.01)


def test_another_configuration_is_not_carried_on(make):
    trainer(make()).run(until=1)
    with pytest.raises(ArgumentError, match=r"^run.seed \(1 then, 2 now\) must stay as it was to resume the run in .*"):
        trainer(make("run.seed=2"))
    assert trainer(make("log.every=3")).step == 1


def test_the_budget_stops_it_with_everything_saved(make, capsys):
    config = make("run.steps=100000", "run.budget=1.5", "save.every=100000", "validation.every=100000")
    run = trainer(config)
    assert run.run() == "budget"
    assert 0 < run.step < 100000
    assert int(newest_checkpoint(config.run.folder).name) == run.step
    assert (config.run.folder / "compact" / "compact.json").is_file()
    assert f"the budget is used up at step {run.step} of 100000" in capsys.readouterr().out
    assert trainer(config).step == run.step


def test_a_signal_stops_it_cleanly(make):
    config = make("run.steps=100000", "save.every=100000", "validation.every=100000")
    run = trainer(config)
    train_step, handler = run.train_step, signal.getsignal(signal.SIGTERM)

    def interrupted(batch):
        if run.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(batch)

    run.train_step = interrupted
    assert run.run() == "interrupted"
    assert run.step in (3, 4)
    assert read_checkpoint(newest_checkpoint(config.run.folder)).about["step"] == run.step
    assert signal.getsignal(signal.SIGTERM) is handler


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_nan_stops_it_and_keeps_the_last_good_state(make, monkeypatch, broken):
    config = make("save.every=1")
    run = trainer(config)
    objective = loop.objective

    def failing(lesson, batch, asked, **options):
        parts = objective(lesson, batch, asked, **options)
        if run.step < 3:
            return parts
        if broken == "loss":
            return parts * math.nan
        parts.register_hook(lambda gradient: gradient * math.inf)
        return parts

    monkeypatch.setattr(loop, "objective", failing)
    name = "total" if broken == "loss" else "gradient"
    with pytest.raises(RifeError) as raised:
        run.run()
    text = str(raised.value)
    assert text.startswith(f"{name} (nan) must be finite, and is not at step 4; the checkpoint of step 3 is kept in ")
    assert text.endswith("lower optimiser.rate (0.001) or loss.distillation (0.01), raise optimiser.warm_up (2) or "
                         "optimiser.decay (0.001)")  # fmt: skip
    kept = read_checkpoint(newest_checkpoint(config.run.folder))
    assert kept.about["step"] == 3
    assert all(bool(each.isfinite().all()) for named in kept.slots.values() for each in named.values())
    monkeypatch.setattr(loop, "objective", objective)
    assert trainer(config).run() == "done"


class Shifted:
    """Textures that move to the right by 4 pixels: easy to learn, and the plain average blurs them."""

    def draw(self, count, seed, *, size=None, position=0, as_made=False):
        generator = torch.Generator().manual_seed(seed)
        wide = torch.nn.functional.interpolate(
            torch.rand((count, 3, 18, 20), generator=generator), size=(72, 80), mode="bicubic"
        ).clamp(0, 1)
        frames = torch.stack([wide[:, :, :64, 8 - shift : 72 - shift] for shift in (0, 2, 4)], dim=1)
        return without_motion(frames, torch.full((count,), 0.5))


def test_it_learns(make, monkeypatch):
    """From the plain average's loss to well below it, on samples of the same kind that it has not seen."""
    monkeypatch.setattr(loop, "make_sources", lambda *_: {"synthetic": Shifted()})
    config = make(
        *("run.steps=80", "run.batch=4", "optimiser.rate=3e-3", "optimiser.warm_up=10", "optimiser.ema=0.9"),
        *("loss={reconstruction='l1'}", "save.every=1000", "log.every=60"),
        *("network={preset='4.6', widths=[16, 16, 8, 8]}",),
    )
    run = trainer(config)
    run.held_out = ()
    run.run()
    batch = Shifted().draw(4, 123)
    average = ((batch.left + batch.right) / 2 - batch.truth).abs().mean()
    learnt = (run.predict(batch.left, batch.right, 0.5).picture - batch.truth).abs().mean()
    assert learnt < 0.3 * average


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("data.crop=[96, 64]", "data.crop ([96, 64]) must be multiples of 64 for this network; [64, 64] would be"),
        (
            "data.synthetic.any_time=0.5",
            "data.synthetic.any_time (0.5) must be 0 for RIFE, which only makes the middle frame",
        ),
        ("validation.multi=4", "validation.multi (4) must be 2 for RIFE, which only makes the middle frame"),
    ],
)
def test_what_does_not_go_together(make, change, expected):
    preset = "4.26" if "crop" in change else "RIFE"
    network = f"network={{preset='{preset}'}}"
    with pytest.raises(ArgumentError) as raised:
        trainer(make(network, "data.synthetic.any_time=0.0", change))
    assert str(raised.value) == expected


def test_bad_data_is_told_before_the_first_step(make, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"no picture")
    for changes, expected in (
        (
            [f"data.pictures={tmp_path / 'empty'}"],
            r"^data.pictures \(.*empty\) must be a folder with pictures; it holds none",
        ),
        ([f"data.pictures={tmp_path / 'broken'}"], r"^picture \(.*a.png\) must be a picture file"),
        ([f"validation.clips={tmp_path / 'empty'}"], r"^clips \(.*empty\) must be a folder with video files"),
        ([f"data.clips={tmp_path / 'empty'}", "data.mix=[{clips=1.0}]"], r"^clips \(.*empty\) must be a folder with"),
        ([f"run.folder={tmp_path / 'broken' / 'a.png' / 'run'}"], r"^run.folder \(.*\) must be a folder to write to"),
    ):
        with pytest.raises(ArgumentError, match=expected):
            trainer(make(*changes))


def test_the_device_is_there():
    assert init_process_group("cpu") == (ProcessGroup(), CPU)
    for name in ("gpu", "mps"):
        with pytest.raises(ArgumentError, match=rf"^run.device \({name}\) must be auto, cpu, cuda or cuda:1$"):
            init_process_group(name)
    with pytest.raises(
        ArgumentError, match=r"^run.device \(cuda:99\) must be one of the \d+ CUDA GPUs here; or use cpu$"
    ):
        init_process_group("cuda:99")


def test_a_batch_that_cannot_be_shared(make):
    with pytest.raises(ArgumentError, match=r"^run.batch \(2\) must be a multiple of the 3 processes$"):
        Trainer(make(), ProcessGroup(world_size=3), CPU)


TOGETHER = """
import sys, torch
from vsrife.training.config_file import read_config
from vsrife.training.loop import Trainer
from vsrife.training.distributed import init_process_group

config = read_config(sys.argv[1])
group, device = init_process_group("cpu")
trainer = Trainer(config, group, device)
trainer.run(until=3)
torch.save(trainer.params.flat.detach(), f"{sys.argv[2]}/{group.rank}.pt")
group.destroy()
"""


def test_two_processes_are_one_with_the_double_batch(make, table, tmp_path):
    """The same samples, shared or not: the same weights but for the order of sums."""
    # The flow's loss is a mean over the pixels that are known, of which the processes have different numbers.
    changes = ("run.batch=4", "data.prefetch=0", "loss.flow=0", "validation.every=100")
    config = make(*changes)
    path = tmp_path / "config.toml"
    path.write_text(_as_toml(config.as_plain()))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = os.environ | {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-W", "ignore", "-c", TOGETHER, str(path), str(tmp_path)]
    processes = [
        subprocess.Popen(command, env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in (0, 1)
    ]
    assert [process.wait(120) for process in processes] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert torch.equal(first, second)

    alone = trainer(make(*changes, f"run.folder={tmp_path / 'alone'}"))
    begin = alone.params.flat.detach().clone()
    halves = [loop.make_loader(config, alone.sources, CPU, ProcessGroup(rank=rank, world_size=2), 0) for rank in (0, 1)]
    for position in range(3):
        alone.train_step((concatenate([half.batches(position)[0] for half in halves]),))
    # AdamW's first steps divide each gradient by its own size, so that rounding of the smallest ones shows.
    with torch.no_grad():
        apart = (alone.params.flat - first).norm() / (alone.params.flat - begin).norm()
    assert apart < 1e-4
    assert [entry["step"] for entry in logged(config)] == [1, 2, 3]


def _as_toml(plain: dict) -> str:
    return "".join(
        f"[{name}]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in part.items())
        for name, part in plain.items()
    )


def _value(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


def test_the_profile_adds_up(make):
    run = trainer(make())
    figures = profile(run, 2)
    assert 0 <= figures.other < 1
    assert min(figures.step, figures.forward_backward, figures.batch_making, figures.update) > 0
    assert "not forward/backward" in figures.text()
    assert not (run.config.run.folder / "checkpoints").exists()


def test_without_tensorboard_it_says_so(make, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    run_log.RunLog(make().run.folder).close()
    assert capsys.readouterr().out.startswith(
        "TensorBoard is not installed: scalars are written to log.jsonl, images are not written;"
    )


class Board:
    def __init__(self, folder):
        assert Path(folder).name == "board"
        self.told = {}

    def add_scalar(self, name, value, step):
        self.told.setdefault(step, set()).add(name)

    def add_image(self, name, picture, step):
        assert picture.shape == (3, 64, 128)
        assert 0 <= picture.min() <= picture.max() <= 1
        self.told.setdefault(step, set()).add(name)

    def close(self):
        self.told["closed"] = True


def test_with_tensorboard_it_shows_scalars_and_pictures(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", type("Module", (), {"SummaryWriter": Board}))
    run = trainer(make("log.pictures=2", "run.steps=3"))
    run.run()
    told = run.log._board.told
    pictures = {"prediction", "truth", "flow", "mask", "teacher", "teacher's flow"}
    assert told["closed"]
    assert pictures <= told[2]
    assert not pictures & told[1]
    assert {"training/total", "training/norm", "training/rate", "validation/mean"} <= told[3]


def test_steps_of_flow_alone_have_no_pictures_to_show(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", type("Module", (), {"SummaryWriter": Board}))
    flow_first = ("loss.flow_first=0.5", "network.teacher=false", "loss.flow=0.1")
    run = trainer(make("log.pictures=1", "run.steps=4", *flow_first))
    run.run()
    told = run.log._board.told
    assert "training/flow" in told[1]
    assert "prediction" not in told[1]
    assert "prediction" in told[4]


def test_the_colours_of_a_flow():
    flow = torch.zeros(1, 2, 1, 3)
    flow[0, 0, 0, 1] = 2.0
    flow[0, 0, 0, 2] = -1.0
    shown = run_log.flow_image(flow)[0, :, 0].T
    expected = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0.5, 1, 1]])
    torch.testing.assert_close(shown, expected, rtol=0, atol=1e-5)


def test_a_weight_too_large_to_travel_ends_no_run(make, capsys, monkeypatch):
    """Everything else is written; a line says which weight it is."""
    run = trainer(make("run.steps=1", "optimiser.warm_up=0"))
    validate = run._validate

    def enlarged():
        validate()
        with torch.no_grad():
            run.params.flat[0] = 1e6

    monkeypatch.setattr(run, "_validate", enlarged)
    assert run.run() == "done"
    assert "no compact checkpoint: weight (" in capsys.readouterr().out
    assert newest_checkpoint(run.config.run.folder).name == "00000001"
    assert not (run.config.run.folder / "compact").exists()


@pytest.mark.parametrize("where", ["write_compact", "on_compact"])
def test_a_compact_state_that_cannot_be_written_is_tried_in_its_time(make, monkeypatch, capsys, where):
    """Not at every step; and none of that time counts as if there were one."""
    now, tries = [0.0], []
    clock = types.SimpleNamespace(monotonic=lambda: now[0])
    for module in (loop, checkpointing):
        monkeypatch.setattr(module, "time", clock)
    run = trainer(make("run.steps=10", "save.seconds=3", "validation.every=100"))
    train_step = run.train_step

    def slow(batches):
        now[0] += 1.0
        return train_step(batches)

    def fails(*_arguments, **_options):
        tries.append(run.step)
        raise RifeError("disk (full) must have room")

    monkeypatch.setattr(run, "train_step", slow)
    monkeypatch.setattr(run.checkpoints if where == "on_compact" else checkpointing, where, fails)
    assert run.run() == "done"
    assert tries == [3, 6, 9, 10]
    assert capsys.readouterr().out.count("no compact checkpoint: disk (full) must have room") == 4
    assert (run.checkpoints.compact_step, run.checkpoints.longest_unsaved) == (None, 10.0)
    if where == "on_compact":
        run.checkpoints.on_compact = lambda: None
        run.write_compact()
        assert run.checkpoints.compact_step == 10


def test_other_labels_are_another_run(make, tmp_path):
    """They may lie elsewhere, but neither go nor come nor be made in another way."""
    data = tmp_path / "data"
    for kind in ("photos", "textures", "sprites"):
        save_picture(smooth_tiles(1, 64, 4)[0], data / kind / "a.png")
    save_clip(moving_square(5, 80, 112), data / "clips_train" / "a.y4m")
    for name in ("SOURCES.tsv", "README.md"):
        (data / name).write_text("all of it is free\n")
    pack = write_pack(data, tmp_path / "pack", PackSettings(), lambda _line: None)
    folders = [tmp_path / name for name in ("labels", "moved", "others")]
    for folder, made_of in zip(folders, "aab", strict=True):
        labels = LabelFolder(folder, pack)
        labels.begin({"networks": [made_of]})
        size = (20, 28)
        labels.add({Place(0, 2, 1): Label(flow=torch.zeros(4, *size).half(), trust=torch.zeros(2, *size).byte())})

    def run(labels, folder="run"):
        table = f"data={{pack='{pack.folder}', crop=[64, 64], mix=[{{clips=1.0}}]}}"
        told = [f"data.labels={labels}"] if labels else []
        return trainer(make(table, *told, f"run.folder={tmp_path / folder}"))

    run(folders[0]).run(until=1)
    assert run(folders[1]).step == 1
    for other in (None, folders[2]):
        with pytest.raises(
            ArgumentError, match=rf"^data.labels \({other or 'missing'}\) must be the labels that the run"
        ):
            run(other)
    run(None, "without").run(until=1)
    with pytest.raises(ArgumentError, match=r"^data.labels \(.*labels\) .* started with \(none\); set these"):
        run(folders[0], "without")


def test_a_run_that_is_over_has_no_makers_of_scenes(make, monkeypatch):
    """Also one that was broken off."""
    ring = "data.ring={scenes=6, first=2, serves=1.0, frames=[[64, 80]], times=2}"
    for until in (1, None):
        run = trainer(make(ring))
        if until is None:
            monkeypatch.setattr(run, "train_step", lambda _: 1 / 0)
        with contextlib.nullcontext() if until else pytest.raises(ZeroDivisionError):
            run.run(until)
        (made,) = run.sources["synthetic"]._rings
        assert made._maker is None


def test_a_run_from_a_ring_that_is_carried_on_is_the_run_that_was_not_stopped(make, tmp_path):
    """Also where the ring's scenes were lost; the folder of a ring may be another one then."""

    def run(folder, until=None, ring="ring"):
        made = trainer(
            make(
                f"run.folder={str(tmp_path / folder)!r}",
                "data.ring={scenes=6, first=2, serves=1.0, frames=[[64, 80]], times=2}",
                f"data.ring.folder={str(tmp_path / ring)!r}",
                "data.synthetic={layers=2, any_time=0.5}",
            )
        )
        made.run(until)
        return [row.clone() for row in made.state.slots]

    whole = run("whole")
    run("parts", until=4, ring="own")
    for one, other in zip(run("parts", ring="lost"), whole, strict=True):
        assert torch.equal(one, other)
