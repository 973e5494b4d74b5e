"""A run that is over in a second: pictures, held-out clips, a network of a few thousand numbers."""

import os
import tomllib
from pathlib import Path

import pytest

from tests.datasets.conftest import moving_square, save_clip, save_picture, smooth_tiles
from vsrife.training.config import Config
from vsrife.training.config_file import config_of

TINY = """
[run]
steps = 6
batch = 2
precision = "float32"
device = "cpu"

[network]
preset = "4.15.lite"
widths = [12, 8, 8, 4]
head_width = 4

[loss]
flow = 0.01
census = 0.05

[optimiser]
warm_up = 2
rate = 1e-3

[data]
crop = [64, 64]
synthetic = { layers = 2 }
prefetch = 1

[validation]
every = 3
samples = 1

[save]
every = 2

[log]
every = 1
"""


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[str, Path]:
    """pictures: smooth ones. clips, held_out: a clip of a square that moves."""
    folder = tmp_path_factory.mktemp("data")
    for index, tile in enumerate(smooth_tiles(4, 512, 12)):
        save_picture(tile, folder / "pictures" / f"{index}.png")
    save_clip(moving_square(5, 80, 112), folder / "held_out" / "square.y4m")
    save_clip(moving_square(7, 80, 112, seed=3), folder / "clips" / "square.y4m")
    return {name: folder / name for name in ("pictures", "clips", "held_out")}


@pytest.fixture
def table(folders, tmp_path) -> dict:
    """The tables of a tiny run in a folder of its own."""
    tables = tomllib.loads(TINY)
    tables["run"]["folder"] = str(tmp_path / "run")
    tables["data"]["pictures"] = str(folders["pictures"])
    tables["validation"]["clips"] = str(folders["held_out"])
    return tables


@pytest.fixture
def make(table):
    """A configuration of that run, with changes like "run.steps=3"."""

    def made(*changes: str) -> Config:
        return config_of(table, changes)

    return made


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No variables of torchrun's, whoever started the tests."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        if name in os.environ:
            monkeypatch.delenv(name)
