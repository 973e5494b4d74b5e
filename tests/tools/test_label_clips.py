"""tools/label_clips.py with small networks: stopped, gone on with, read by a training."""

import sys
from pathlib import Path

import pytest
import torch

from tests.datasets.conftest import moving_square, save_clip, save_picture, smooth_tiles
from tests.network.small import ARCHITECTURES
from vsrife.datasets.packing import PackSettings, write_pack
from vsrife.network.ifnet import IFNet
from vsrife.training.config_file import config_of
from vsrife.training.distributed import ProcessGroup
from vsrife.training.sources import make_sources


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> Path:
    data = tmp_path_factory.mktemp("data")
    tiles = smooth_tiles(3, 80, 5)
    for kind, tile in zip(("photos", "textures", "sprites"), tiles, strict=True):
        save_picture(tile, data / kind / "0.png")
    save_clip(moving_square(12, 66, 98), data / "clips_train" / "one.y4m")
    save_clip(moving_square(4, 69, 75, seed=2), data / "clips_train" / "two.y4m")
    (data / "SOURCES.tsv").write_text("")
    (data / "README.md").write_text("")
    write_pack(data, data / "pack", PackSettings(), lambda _: None)
    return data / "pack"


@pytest.fixture
def script(tool, monkeypatch):
    """Runs it with networks that say that nothing moves, and a little more."""
    module = tool("label_clips")
    networks = []
    for kind in ("D", "J"):
        net = IFNet(ARCHITECTURES[kind])
        for parameter in net.parameters():
            torch.nn.init.zeros_(parameter)
        networks.append((net.eval(), 1.0))
    monkeypatch.setattr(module, "_networks", lambda models: (networks, {"networks": list(models)}))

    def run(*options: object) -> int:
        monkeypatch.setattr(sys, "argv", ["label_clips", *map(str, options)])
        threads = torch.get_num_threads()
        try:
            return module.main()
        finally:
            torch.set_num_threads(threads)

    return run


def test_labels_are_made_gone_on_with_and_learnt_from(script, pack, tmp_path, capsys):
    out = tmp_path / "labels"
    assert script(pack, out, "--every", "1", "--seconds", "1e-9") == 0
    assert "0 labels are there, 20 are wanted" in capsys.readouterr().out
    assert len(list(out.glob("*.safetensors"))) == 1
    assert script(pack, out, "--every", "1") == 0
    assert "1 labels are there, 20 are wanted" in capsys.readouterr().out
    assert script(pack, out, "--every", "1") == 0
    assert f"20 labels in {out}\n" in capsys.readouterr().out
    asked = {"pack": str(pack), "labels": str(out), "mix": [{"clips": 1.0}], "crop": [48, 64]}
    shots = {"spans": [2, 4], "labelled": 1.0}
    config = config_of({"run": {"folder": str(tmp_path / "run"), "steps": 10000}, "data": asked | {"shots": shots}})
    source = make_sources(config, torch.device("cpu"), ProcessGroup(rank=0, world_size=1), print)["clips"]
    batch = source.draw(6, 1)
    # The background stands still, which both networks say; the square does not.
    still = (batch.left - batch.truth).abs().amax(1) + (batch.right - batch.truth).abs().amax(1) < 0.01
    assert batch.visible[:, 0][still].mean() > 0.9
    moved = (batch.left - batch.truth).abs().amax(1) > 0.3
    assert batch.visible[:, 0][moved].mean() < 0.3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "4.0"), "model (4.0) must be given twice at least"),
        (("--every", "0"), "every (0) and distances ([1, 2]) must be 1 or more"),
        (("--distances", "0"), "every (3) and distances ([0]) must be 1 or more"),
        (("--distances", "1,x"), "distances (1,x) must be whole numbers with commas between them, as 1,2\n"),
        (
            ("--model", "4.0@x", "--model", "3.1"),
            "model (4.0@x) must be a name or file, @ and a scale above 0, as",
        ),
        (
            ("--model", "4.0@0", "--model", "3.1"),
            "model (4.0@0) must be a name or file, @ and a scale above 0, as",
        ),
    ],
)
def test_bad_options_are_one_line(tool, monkeypatch, pack, tmp_path, capsys, options, message):
    monkeypatch.setattr(sys, "argv", ["label_clips", str(pack), str(tmp_path / "out"), *options])
    threads = torch.get_num_threads()
    assert tool("label_clips").main() == 2
    torch.set_num_threads(threads)
    assert capsys.readouterr().err.startswith(f"label_clips: {message}")
