"""tools/train_default.py on data of a few pictures: everything but the quality."""

import json
import os
import re
import runpy
import socket
import subprocess
import sys
import types
from dataclasses import replace
from fractions import Fraction

import pytest
from safetensors import safe_open

from tests.conftest import ROOT
from tests.datasets.conftest import save_training_data
from vsrife.errors import RifeError
from vsrife.evaluation.run import AVERAGE, Result, Row, Score
from vsrife.models import checkpoint, store
from vsrife.training.config import Network
from vsrife.training.config_file import config_of
from vsrife.training.export import export
from vsrife.training.model import build_model

pytestmark = pytest.mark.slow

SETTINGS = [
    *("run.steps=2", "run.batch=2", "run.device=cpu", "run.precision=float32", "optimiser.warm_up=1"),
    *(
        "network.widths=[12, 8, 8, 4]",
        "network.head_width=4",
        "network.cells=0",
        "data.crop=[64, 64]",
        "validation.samples=1",
    ),
    *("data.also=[]", "data.held_out=[]", "data.ring={scenes=4, first=2, frames=[[64, 64]], times=1}"),
]


ANY = ("--least=0", "--below=99", "--apart=99")


def leaves(value):
    """All text and numbers of a JSON, as text."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from leaves(each)
    else:
        yield str(value)


@pytest.fixture(scope="module")
def tool():
    return types.SimpleNamespace(**runpy.run_path(str(ROOT / "tools" / "train_default.py")))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    save_training_data(folder, held_out=(80, 112))
    return folder


def test_one_command_remakes_the_model(data, tmp_path, monkeypatch, capsys):
    pytest.importorskip("imageio_ffmpeg")
    weights, models = tmp_path / "weights", tmp_path / "models"
    monkeypatch.setenv("VSRIFE_MODELS", str(models))

    def call(*options):
        argv = ["train_default.py", str(data), str(tmp_path / "out"), f"--weights={weights}", "--limit=1"]
        monkeypatch.setattr(sys, "argv", [*argv, *(f"--set={each}" for each in SETTINGS), *options])
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(ROOT / "tools" / "train_default.py"), run_name="__main__")
        return left.value.code

    assert call("--least=99") == 1
    told = capsys.readouterr().out
    assert "not compared with 4.0: model (4.0) is not on this machine" in told
    assert "not installed: " in told
    assert not weights.exists()

    assert call("--least=0", "--below=-99") == 1
    told = capsys.readouterr().out
    assert re.search(r"\nnot installed: square\S* has \d+\.\d\d dB, the plain average \d+\.\d\d, and --below", told)
    assert call("--least=0", "--below=99", "--apart=-99") == 1
    told = capsys.readouterr().out
    assert re.search(r"\nnot installed: t = 0\.\d+ has \d+\.\d\d dB, t = 0.5 has \d+\.\d\d, and --apart", told)
    assert not weights.exists()

    # What is there already is not made again.
    assert call(*ANY) == 0
    assert "steps 2 to 2 of 2" in capsys.readouterr().out
    names = {
        "config.json",
        "evaluation.json",
        "evaluation.txt",
        "about.md",
        "log.jsonl",
        "safetensors",
        "sources.tsv",
    }
    assert {each.name for each in weights.iterdir()} == {f"default.{name}" for name in names}
    note = (weights / "default.about.md").read_text()
    assert "CC0, all of them." in note
    assert "## Teachers" in note
    written = json.loads((weights / "default.config.json").read_text())
    assert written["config"]["run"]["seed"] == 1
    assert written["config"]["network"]["head_width"] == 4
    assert "device" not in written["config"]["run"]
    # What is left of it makes a configuration, with a folder and data.
    config_of(
        written["config"], ["run.folder=a", f"data={{pictures='{data / 'photos'}'}}", "data.mix=[{synthetic=1.0}]"]
    )
    values = list(leaves(written))
    assert len(values) > 40
    assert [each for each in values if "/" in each or "\\" in each or os.sep in each] == []
    for each in weights.iterdir():
        assert str(data).encode() not in each.read_bytes()
        assert str(tmp_path).encode() not in each.read_bytes()
    monkeypatch.setattr(store, "EMBEDDED", weights)
    assert checkpoint.load(store.locate()).architecture.widths == (12, 8, 8, 4)

    # Beside it a model by another name may lie, which is no default.
    assert call(*ANY, "--name=base") == 0
    assert {each.stem for each in weights.glob("*.safetensors")} == {"base", "default"}


def measured(values):
    """A result: clip by clip, for each time what model and plain average have."""
    rows = []
    for name, times in values.items():
        pairs = {Fraction(time): {"default": {"psnr": mine}, AVERAGE: {"psnr": plain}} for time, mine, plain in times}
        rows.append(Row(name=name, group="", scores=[Score(name="", time=t, values=v) for t, v in pairs.items()]))
    return Result(title="", measures=("psnr",), methods=(AVERAGE, "default"), rows=rows)


def test_what_the_model_must_have(tool):
    """Each clip by itself at 2x; the times' means over the clips at 4x."""
    options = types.SimpleNamespace(name="default", least=33.4, below=tool.BELOW, apart=tool.APART)
    good = {"a": [("1/2", 38.0, 30.0)], "b": [("1/2", 29.92, 30.0)]}
    even = {
        "a": [("1/4", 33.1, 9), ("1/2", 33.5, 9), ("3/4", 33.1, 9)],
        "b": [("1/4", 31.1, 9), ("1/2", 31.5, 9), ("3/4", 31.1, 9)],
    }

    def lacks(twice, four):
        return list(tool.lacks(measured(twice), measured(four), options))

    assert lacks(good, even) == []
    assert lacks(good | {"b": [("1/2", 28.7, 20.0)]}, even) == ["33.35 dB, and --least is 33.40"]
    worse = good | {"b": [("1/2", 29.88, 30.0)], "c": [("1/2", 40.0, 40.5)]}
    assert lacks(worse, even) == [
        "c has 40.00 dB, the plain average 40.50, and --below is 0.10",
        "b has 29.88 dB, the plain average 30.00, and --below is 0.10",
    ]
    late = even | {"a": [("1/4", 33.1, 9), ("1/2", 33.5, 9), ("3/4", 32.7, 9)]}
    assert lacks(good, late) == ["t = 0.75 has 31.90 dB, t = 0.5 has 32.50, and --apart is 0.50"]
    early = late | {"b": [("1/4", 28.1, 9), ("1/2", 31.5, 9), ("3/4", 31.1, 9)]}
    assert [each.split(" has")[0] for each in lacks(good, early)] == ["t = 0.25", "t = 0.75"]
    no_number = good | {"b": [("1/2", float("nan"), 30.0)]}
    assert len(lacks(no_number, even)) == 2


def test_what_is_installed_is_still_large(tool, tmp_path):
    """The name, which tells it in the run's folder, is another one there."""
    config = config_of({"run": {"folder": str(tmp_path), "steps": 5000}, "data": {"pictures": str(tmp_path)}})
    asked = Network(preset="RIFE-Large", widths=(12, 8, 8), context=4, teacher=False)
    made = export(tmp_path, build_model(asked), replace(config, network=asked), {})
    for name in ("log.jsonl", "evaluation.txt", "evaluation.json", "SOURCES.tsv", "LICENCES.md"):
        (tmp_path / name).write_text("")
    pack = {"format": 1, "files": {}}
    (tmp_path / "pack.json").write_text(json.dumps(pack))
    weights = tmp_path / "weights"
    tool.install(made, tmp_path, "", types.SimpleNamespace(weights=weights, name="default", out=tmp_path))
    with safe_open(weights / "default.safetensors", "pt") as file:
        assert file.metadata() == {"variant": "large"}
    assert checkpoint.load(weights / "default.safetensors").architecture.large


def test_what_the_note_tells_of_teachers(tool, tmp_path):
    """Nothing that is not so: the networks that found the flow of clips, and what is not known here is asked for."""
    own = config_of({"run": {"folder": "a", "steps": 5000}, "data": {"pictures": str(tmp_path)}})
    assert tool.teachers(own) == tool.TEACHERS
    begun = replace(own, run=replace(own.run, start=tmp_path))
    with pytest.raises(RifeError, match=r"^teachers \(missing\) must name those of .* too; add"):
        tool.teachers(begun)
    networks = [{"file": "flownet_v4.0.pkl", "sha256": ["0a1b"], "scale": 1.0}]
    table = {"pack": str(tmp_path), "labels": str(tmp_path), "mix": [{"clips": 1.0}]}
    labelled = config_of({"run": {"folder": "a", "steps": 5000}, "data": table})
    (tmp_path / "labels.json").write_text(json.dumps({"made_of": {"networks": networks}}))
    assert tool.teachers(labelled).endswith(":\n\n- RIFE 4.0, MIT, sha256 0a1b")
    networks[0]["file"] = "mine.pkl"
    (tmp_path / "labels.json").write_text(json.dumps({"made_of": {"networks": networks}}))
    with pytest.raises(RifeError, match=r"^teachers \(missing\) must name the licence of mine.pkl, which made"):
        tool.teachers(labelled)


def test_one_of_several_processes_packs(data, tmp_path):
    """The others wait for it, and learn with it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    out = tmp_path / "out"
    command = [sys.executable, "-W", "ignore", str(ROOT / "tools" / "train_default.py"), str(data), str(out)]
    command += [f"--weights={tmp_path / 'weights'}", "--budget=0.1"]
    command += [f"--set={each}" for each in (*SETTINGS, "run.steps=9")]
    environment = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            command, env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, stdout=subprocess.PIPE, text=True
        )
        for rank in (0, 1)
    ]
    told = [process.communicate(timeout=150)[0] for process in processes]
    assert [process.returncode for process in processes] == [1, 0]
    assert "photos: 2 files" in told[0]
    assert told[1] == ""
    step = json.loads((out / "run" / "config.json").read_text())["step"]
    assert f"not finished: step {step} of 9; run the same command to continue" in told[0]
