"""tools/train_default.py on data of a few pictures: everything but the quality."""

import json
import os
import runpy
import socket
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.training.data.conftest import moving_square, save_clip, save_picture, smooth_tiles
from vsrife.models import checkpoint, store

SETTINGS = [
    *("run.steps=2", "run.batch=2", "run.device=cpu", "run.precision=float32", "optimiser.warm_up=1"),
    *("network.widths=[12, 8, 8, 8, 4]", "network.head_width=4", "data.crop=[64, 64]", "validation.samples=1"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for index, tile in enumerate(smooth_tiles(4, 512, 12)):
        save_picture(tile, folder / ("photos" if index % 2 else "textures") / f"{index}.png")
    (folder / "sprites").mkdir()
    Image.fromarray(np.full((40, 30, 4), 200, np.uint8)).save(folder / "sprites" / "a.png")
    save_clip(moving_square(7, 80, 112, seed=3), folder / "clips_train" / "train.y4m")
    save_clip(moving_square(9, 80, 112), folder / "clips_eval" / "square.y4m")
    (folder / "SOURCES.tsv").write_text("0.png\tmade here\n")
    (folder / "README.md").write_text("CC0, all of them.\n")
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
    assert "not put in its place: " in told
    assert not weights.exists()

    # What is there already is not made again.
    assert call("--least=0") == 0
    assert "steps 2 to 2 of 2" in capsys.readouterr().out
    names = {
        "config.json",
        "evaluation.json",
        "evaluation.txt",
        "licences.md",
        "log.jsonl",
        "safetensors",
        "sources.tsv",
    }
    assert {each.name for each in weights.iterdir()} == {f"default.{name}" for name in names}
    assert "CC0, all of them." in (weights / "default.licences.md").read_text()
    monkeypatch.setattr(store, "EMBEDDED", weights)
    assert checkpoint.load(store.locate()).architecture.widths == (12, 8, 8, 8, 4)

    (weights / "default.safetensors").rename(weights / "other.safetensors")
    assert call("--least=0") == 2
    assert "must hold no other model than default, but has other.safetensors" in capsys.readouterr().err


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
    assert f"not finished: {step} of 9 steps are made; the same command goes on" in told[0]
