"""tools/run_dvf.py on data of a few pictures: everything but the quality."""

import json
import runpy
import sys
import types

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from tests.conftest import ROOT
from tests.datasets.conftest import save_training_data, smooth_tiles
from vsrife.datasets import PackSettings, write_pack
from vsrife.errors import ArgumentError
from vsrife.training.config import Optimiser

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """pack: a few pictures and a clip. clips: a clip that measures, of odd size."""
    pytest.importorskip("imageio_ffmpeg")
    folder = tmp_path_factory.mktemp("data")
    save_training_data(folder, held_out=(75, 101))
    write_pack(folder, folder / "pack", PackSettings(), lambda line: None)
    return {"pack": folder / "pack", "clips": folder / "clips_eval"}


@pytest.fixture
def call(data, monkeypatch, tmp_path):
    """The tool with options; its exit status."""

    def called(*options: str) -> int:
        given = [f"--pack={data['pack']}", f"--clips={data['clips']}", "--crop=66", "--batch=2", "--stored=6"]
        monkeypatch.setattr(sys, "argv", ["run_dvf.py", str(tmp_path), *given, "--steps=3", "--samples=2", *options])
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(ROOT / "tools" / "run_dvf.py"), run_name="__main__")
        return left.value.code

    return called


@pytest.fixture(scope="module")
def run_dvf():
    return types.SimpleNamespace(**runpy.run_path(str(ROOT / "tools" / "run_dvf.py")))


def test_one_command_makes_the_table_and_the_picture(call, tmp_path, capsys):
    assert call("--seeds", "1", "2", "--apart=4") == 0
    text = (tmp_path / "dvf.md").read_text()
    assert capsys.readouterr().out.endswith(text + "\n")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith(("| dvf |", "| privileged |"))]
    assert [(row[0], row[2]) for row in rows] == [
        ("| dvf", "1"),
        ("| privileged", "1"),
        ("| dvf", "2"),
        ("| privileged", "2"),
    ]
    told = json.loads((tmp_path / "dvf.json").read_text())
    assert [f"{run['psnr']:.2f}" for run in told["runs"]] == [row[3] for row in rows]
    assert all(len(run["losses"]) == 3 for run in told["runs"])
    assert told["pairs"] == 2
    with Image.open(tmp_path / "dvf.png") as picture:
        assert picture.width == 1200
    with safe_open(tmp_path / "privileged-2.safetensors", "pt") as file:
        assert file.get_slice("last.weight").get_shape() == [3, 24, 3, 3]


def test_the_same_again(call, tmp_path):
    """A run depends on its seeds and options alone."""
    figures = []
    for _ in range(2):
        assert call("--seeds=5") == 0
        runs = json.loads((tmp_path / "dvf.json").read_text())["runs"]
        figures.append([(run["losses"], run["psnr"], run["flow error"]) for run in runs])
    assert figures[0] == figures[1]
    plain, privileged = figures[0]
    assert plain[0] != privileged[0]


def test_in_a_given_time(call, tmp_path):
    """Both make the same steps, as many as there is time for, whatever `--steps` is."""
    given = 6  # seconds: in two some processors made three steps alone
    assert call(f"--seconds={given}") == 0
    plain, privileged = json.loads((tmp_path / "dvf.json").read_text())["runs"]
    assert len(plain["losses"]) == len(privileged["losses"]) > 3
    assert plain["seconds"] + privileged["seconds"] < 2 * given
    steps = [line.split(" | ")[5] for line in (tmp_path / "dvf.md").read_text().splitlines() if "| 1 |" in line]
    assert steps == [str(len(plain["losses"]))] * 2


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("--apart=3", "apart (3) must be even, so that there is a true frame in the middle"),
        ("--apart=0", "apart (0) must be 2 or more"),
        ("--stored=1", "stored (1) must be 2 or more"),
        ("--frame=7", "frame (7) must be below 7 for "),
        ("--seconds=-1", "seconds (-1) must be 0 or more"),
        ("--clips=nowhere", "clips (nowhere) must be a folder of clips that measure"),
        ("--synthetic=1.5", "synthetic (1.5) must be above 0, "),
        ("--synthetic=0", "synthetic (0) must be above 0, "),
        ("--steps=0", "steps (0) must be 1 or more"),
        ("--batch=0", "run.batch (0) must be 1 or more"),
        ("--samples=0", "validation.samples (0) must be 1 or more"),
        ("--crop=65", "crop (65) must be 66 or more"),
    ],
)
def test_what_is_not_as_it_must_be(call, capsys, option, line):
    assert call(option) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"run_dvf: {line}")
    assert told.count("\n") == 1


@pytest.fixture
def contestants(run_dvf):
    return {name: run_dvf.Contestant(name, 1, Optimiser(warm_up=1)) for name in run_dvf.SEES}


def test_both_begin_with_the_same_weights(contestants):
    plain, privileged = contestants.values()
    assert torch.equal(plain.params.flat, privileged.params.flat)


def test_the_true_frame_reaches_one_of_them_and_by_its_edges_alone(contestants):
    """Also after a few steps, when the channel means something to the privileged one."""
    left, truth, right, other = (smooth_tiles(4, 96, 12).float() / 255).split(1)
    for each in contestants.values():
        for _ in range(3):
            each.learn(left, truth, right, 1e-3)
    plain, privileged = contestants.values()
    for shown in (other, 1 - truth):
        assert torch.equal(plain.shown(left, truth, right).picture, plain.shown(left, shown, right).picture)
    seen = privileged.shown(left, truth, right).flow
    assert (privileged.shown(left, other, right).flow - seen).abs().max() > 1e-3
    negative = privileged.shown(left, 1 - truth, right).flow
    torch.testing.assert_close(negative, seen, atol=1e-4, rtol=0)


def test_batches_depend_on_seed_and_number_alone(run_dvf):
    pool = torch.randint(0, 256, (9, 3, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    once, again, later = (run_dvf.batch_of(pool, 1, number, 4) for number in (3, 3, 4))
    for one, same, other in zip(once, again, later, strict=True):
        assert one.shape == (4, 3, 16, 16)
        assert torch.equal(one, same)
        assert not torch.equal(one, other)
    # The truth stays in the middle, whichever way the time goes.
    marked = torch.tensor([10, 128, 20], dtype=torch.uint8).view(1, 3, 1, 1, 1).expand(9, 3, 3, 16, 16)
    left, truth, right = run_dvf.batch_of(marked, 1, 0, 8)
    assert (truth * 255).round().unique().tolist() == [128]
    assert torch.equal((left + right).mul(255).round().unique(), torch.tensor([30.0]))


def test_a_frame_beyond_the_clip(run_dvf, data):
    with pytest.raises(ArgumentError, match=r"^frame \(5\) must be below 5 for .*square.y4m with apart \(4\)$"):
        run_dvf.frames_of(data["clips"] / "square.y4m", 5, 4)
