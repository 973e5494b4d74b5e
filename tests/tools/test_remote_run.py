"""A run of tools/train_default.py --minutes as a whole: uploads, what it starts with, its results folder."""

import json
import re
import runpy
import shutil
import sys
import types

import pytest
import torch
from remote_run import ResultsFolder, upload_summary
from safetensors.torch import load_file, save_file

from tests.conftest import ROOT
from tests.datasets.conftest import moving_square, save_clip
from tests.tools.test_train_default import data
from vsrife.datasets.packing import PackSettings, write_pack
from vsrife.errors import ArgumentError, RifeError
from vsrife.models import checkpoint
from vsrife.training import time_limit
from vsrife.training.checkpoint import read_checkpoint, read_compact
from vsrife.training.config_file import read_config
from vsrife.training.distributed import ProcessGroup
from vsrife.training.loop import Trainer

__all__ = ["data"]  # a fixture

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
CONFIG = """
run = { folder = "none", steps = 1, batch = 2, device = "cpu", precision = "float32" }
network = { preset = "4.26", widths = [12, 8, 8, 8, 4], head_width = 4 }
optimiser = { warm_up = 1 }
data = { crop = [64, 64], synthetic = { layers = 2 } }
log = { every = 1 }
"""


@pytest.fixture
def call(data, tmp_path, monkeypatch, capsys):
    """The tool, on a pack; measuring how long a step takes is short."""
    pack = tmp_path / "pack"
    pack.mkdir()
    write_pack(data, pack, PackSettings(), lambda _line: None)
    for name, value in (("_WARM", 1), ("_TIMED", 1), ("_ROUNDS", 1)):
        monkeypatch.setattr(time_limit, name, value)

    config = tmp_path / "tiny.toml"
    config.write_text(CONFIG)

    def called(*options, source=pack, out=tmp_path / "out"):
        argv = ["train_default.py", str(source), str(out), f"--config={config}", *options]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(ROOT / "tools" / "train_default.py"), run_name="__main__")
        captured = capsys.readouterr()
        return left.value.code, captured.out, captured.err

    return called


@pytest.mark.timeout(400)
def test_minutes_on_a_lent_machine(call, tmp_path):
    back = tmp_path / "back"
    status, told, error = call("--minutes=0.8", f"--returns={back}", "--set=save.seconds=8")
    assert status == 0, error
    assert re.search(r"upload: pack \d\.\d MB; \d\.\d MB of 64, \d\d\.\d to spare\n", told)
    assert "a failure costs what was learnt since the last compact checkpoint; there is one every 8 s" in told
    states = [int(each) for each in re.findall(r"compact checkpoint of step (\d+): ", told)]
    assert len(states) > 2, told
    assert states == sorted(states)
    assert re.search(r"a failure would have cost at most \d+ s of 48, ", told)
    files = {path.relative_to(back).as_posix() for path in back.rglob("*") if path.is_file()}
    assert files == {"compact/compact.json", "compact/compact-0.safetensors", "log.jsonl", "model.safetensors"}
    assert re.search(r"returns: 4 files, \d\.\d MB, in ", told)
    carried = read_compact(back / "compact")
    assert carried.about["step"] == states[-1]
    network = checkpoint.load(back / "model.safetensors")
    assert network.architecture.widths == (12, 8, 8, 8, 4)

    # The results are a start for the next run, as a checkpoint or as weights, which have no teacher.
    begun = f"starting with the averaged weights of step {states[-1]} in "
    for place, said, part in ((back / "compact", begun, ""), (back / "model.safetensors", "", "network.")):
        again = tmp_path / f"again-{place.stem}"
        status, told, error = call("--minutes=0.6", f"--from={place}", "--set=run.budget=20", out=again)
        assert status == 0, error
        assert "start 0." in told.split("upload: ")[1].splitlines()[0]
        assert said in told
        first = read_checkpoint(again / "run" / "checkpoints" / "00000000")
        for name, given in carried.slots["ema"].items():
            near = 2e-3 * float(given.abs().max()) + 1e-6
            if name.startswith(part):
                assert (first.slots["params"][name] - given).abs().max() <= near, name
            assert torch.equal(first.slots["params"][name], first.slots["ema"][name])
        assert not any(bool(each.any()) for each in first.slots["exp_avg_sq"].values())


def test_what_is_wrong_is_one_line(call, tmp_path):
    def fails(*options, **places):
        status, _, err = call("--minutes=0.2", *options, **places)
        assert status == 2
        assert err.count("\n") == 1
        return err

    assert "from (nowhere) must be a checkpoint, a run's folder or a .safetensors file" in fails("--from=nowhere")
    assert "must be a pack, or " in fails(source=tmp_path / "nothing")
    (tmp_path / "large.safetensors").write_bytes(bytes(70_000_000))
    text = fails(f"--from={tmp_path / 'large.safetensors'}")
    assert re.search(
        r"pack \+ start \(pack \d\.\d MB, start 70\.0 MB\) must be 64 MB or less together, and is \d\.\d MB more", text
    )
    (tmp_path / "empty").mkdir()
    assert "run.start" in fails(f"--from={tmp_path / 'empty'}")
    # Anything that would prevent results is reported before time is spent.
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "photo.jpg").write_text("")
    assert "must hold nothing else, but has photo.jpg; name another" in fails(f"--returns={tmp_path / 'back'}")
    assert "there would be no results: " in fails("--set=save.compact=500")
    for option in ("--seconds=5", "--budget=5", "--least=9", "--name=a", "--limit=3", "--teachers=none"):
        name, _, value = option[2:].partition("=")
        assert re.search(rf"^train_default: {name} \({value}(\.0)?\) must be left out beside --minutes$", fails(option))
    assert "returns (back) must be left out without --minutes" in fails("--minutes=0", "--returns=back")


def test_what_the_default_begins_with(tmp_path):
    """A network that already finds flow need not begin with flow only; of a folder the compact one is uploaded."""
    tool = types.SimpleNamespace(**runpy.run_path(str(ROOT / "tools" / "train_default.py")))
    run = tmp_path / "run"
    (run / "compact").mkdir(parents=True)
    (run / "compact" / "compact.json").write_text("{}")
    for start, minutes, read in (
        (run, 9.0, run / "compact"),
        (run, 0.0, run),  # of which the newest checkpoint is read
        (run / "compact", 9.0, run / "compact"),
        (run.parent, 9.0, run.parent),
    ):
        changes = tool.start_changes(types.SimpleNamespace(start=start, minutes=minutes))
        config = read_config("default", ["data={pictures='.'}", *changes])
        assert (config.run.start, config.loss.flow_first) == (read, 0.0)
    assert tool.start_changes(types.SimpleNamespace(start=None, minutes=9.0)) == []


DEFAULT = [
    *("run.steps=2", "run.time_limit=0", "run.batch=2", "run.device=cpu", "optimiser.warm_up=1", "log.every=1"),
    *("network.widths=[12, 8, 8, 4]", "network.head_width=4", "data.held_out=[]", "data.prefetch=1"),
    *("data.ring.scenes=4", "data.ring.first=2", "validation.sizes=[]"),
]


@pytest.mark.timeout(900)
def test_the_default_itself_from_nothing_and_from_weights(call, data, tmp_path):
    """But for the network's widths, lengths and numbers: contrast, a ring, samples for coarse blocks."""
    large = tmp_path / "large"
    shutil.copytree(data, large)
    shutil.rmtree(large / "clips_train")
    save_clip(moving_square(5, 160, 176, seed=3), large / "clips_train" / "train.y4m")
    pack = tmp_path / "large-pack"
    write_pack(large, pack, PackSettings(), lambda _line: None)
    options = ["--config=default", "--minutes=6", *(f"--set={each}" for each in DEFAULT)]
    status, told, error = call(*options, source=pack)
    assert status == 0, error
    assert re.search(r"step 2/2 .*  flow \d", told)
    weights = tmp_path / "out" / "returns" / "model.safetensors"
    status, told, error = call(*options, f"--from={weights}", source=pack, out=tmp_path / "again")
    assert status == 0, error
    assert re.search(rf"starting with (\d+) of \1 tensors of {weights}", told)
    config = json.loads((tmp_path / "again" / "run" / "config.json").read_text())["config"]
    assert config["loss"]["flow_first"] == 0
    assert config["network"]["contrast"] == 20
    assert config["data"]["ring"]["frames"] == [[256, 384]]
    assert [each["blocks"] for each in config["data"]["also"]] == [3, 3, 2]


def test_a_checkpoint_of_another_network_is_no_start(make, tmp_path):
    run = Trainer(make("run.steps=1", "optimiser.warm_up=0"), ProcessGroup(), CPU)
    run.run()
    place = run.config.run.folder
    other = (f"run.start={place}", f"run.folder={tmp_path / 'other'}")
    with pytest.raises(
        ArgumentError, match=r"^run.start \(.*\) must be of the same network, and network\.block0\."
    ) as raised:
        Trainer(make(*other, "network.widths=[16, 8, 8, 4]"), ProcessGroup(), CPU)
    assert "\n" not in str(raised.value)
    # A checkpoint of step 0 is not resumed: it is that of a run that had too little time.
    Trainer(make(other[1], "run.seed=9"), ProcessGroup(), CPU).save()
    fresh = Trainer(make(*other, "run.seed=9"), ProcessGroup(), CPU)
    assert fresh.step == 0
    assert torch.equal(fresh.params.flat.detach(), run.optimiser.ema)
    assert torch.equal(fresh.optimiser.ema, run.optimiser.ema)
    # A resumed run has a checkpoint of its own, so its start is not read again.
    fresh.config.run.folder.mkdir(exist_ok=True)
    fresh.run()
    shutil.rmtree(place)
    again = Trainer(make(*other, "run.seed=9"), ProcessGroup(), CPU)
    assert again.step == fresh.step > 0
    with pytest.raises(ArgumentError, match=r"^run.start \(.* then, .*elsewhere now\) must stay as it was"):
        Trainer(make(other[1], f"run.start={tmp_path / 'elsewhere'}", "run.seed=9"), ProcessGroup(), CPU)


def test_a_machine_that_fails_while_checkpoints_are_copied(tmp_path, monkeypatch):
    """There is a complete one at any time, under one of two names, and never more files than may be downloaded."""
    run, back = tmp_path / "run", ResultsFolder(tmp_path / "back")
    (run / "compact").mkdir(parents=True)
    for index in range(2):
        save_file({"x": torch.full((3,), index)}, run / "compact" / f"compact-{index}.safetensors")
    (run / "compact" / "compact.json").write_text("1")
    (run / "log.jsonl").write_text("{}\n")
    save_file({"x": torch.zeros(3)}, run / "model.safetensors")
    back.update(run, run / "model.safetensors")
    assert back.summary().startswith("returns: 5 files, 0.0 MB, in ")
    (run / "compact" / "compact.json").write_text("2")
    removed = shutil.rmtree

    def taken_away(place, **options):
        if place.name == "compact":
            raise KeyboardInterrupt
        removed(place, **options)

    monkeypatch.setattr("remote_run.shutil.rmtree", taken_away)
    with pytest.raises(KeyboardInterrupt):
        back.update(run, run / "model.safetensors")
    assert (back.folder / "compact" / "compact.json").read_text() == "1"
    assert (back.folder / "compact.new" / "compact.json").read_text() == "2"
    assert load_file(back.folder / "compact" / "compact-1.safetensors")["x"].tolist() == [1, 1, 1]
    assert back.summary().startswith("returns: 8 files")
    (back.folder / "more").write_text("")
    with pytest.raises(RifeError, match=r"must hold at most 8 files of 16 MB, but has 9, too large: none"):
        back.summary()


def test_a_state_comes_back_or_a_line_says_why_not(tmp_path, monkeypatch):
    run, back = tmp_path / "run", ResultsFolder(tmp_path / "back")
    (run / "compact").mkdir(parents=True)
    for index in range(3):
        (run / "compact" / f"compact-{index}.safetensors").write_text("")
    back.update(run, run / "model.safetensors")
    ResultsFolder(back.folder)  # may be gone on with
    (run / "compact" / "compact.json").write_text("")
    with pytest.raises(
        ArgumentError, match=r"must be 3 files or less, so that two of them can be downloaded, and is 4; lower"
    ):
        back.update(run, run / "model.safetensors")
    (run / "compact" / "compact.json").unlink()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("remote_run.shutil.copytree", full)
    with pytest.raises(ArgumentError, match=r"^returns \(.*back\) must be a folder to write to: .*No space left"):
        back.update(run, run / "model.safetensors")


def test_the_upload_counts_files_in_folders_too(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(bytes(2_500_000))
    (tmp_path / "d").write_bytes(bytes(61_000_000))
    assert upload_summary({"one": tmp_path / "a", "two": tmp_path / "d"}).endswith("63.5 MB of 64, 0.5 to spare")
