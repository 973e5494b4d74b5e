import subprocess
import sys

import pytest

from tests.training.conftest import TINY, folders  # noqa: F401 - a fixture
from vsrife.cli import main


@pytest.fixture
def config(tmp_path, folders):  # noqa: F811
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return [str(path), *(f"--set={key}" for key in (
        f"run.folder={tmp_path / 'run'}", f"data.pictures={folders['pictures']}", "run.steps=3"
    ))]  # fmt: skip


def test_it_trains(config, tmp_path, capsys):
    assert main(["train", *config]) == 0
    out, err = capsys.readouterr()
    assert "done at step 3 of 3" in out
    assert err == ""
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_it_checks_and_profiles_without_training(config, tmp_path, capsys):
    assert main(["train", *config, "--check"]) == 0
    assert "all is well: the next step is 1 of 3" in capsys.readouterr().out
    assert main(["train", *config, "--profile", "1"]) == 0
    assert "not forward/backward" in capsys.readouterr().out
    assert not (tmp_path / "run" / "state").exists()


def test_the_budget(config, capsys):
    assert main(["train", *config, "--set", "run.steps=100000", "--budget", "0.01"]) == 0
    assert "the budget is used up at step" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nothing.toml"], "vsrife: config (nothing.toml) must be a file that can be read"),
        (["default"], "vsrife: data.held_out ("),
        (["default", "--budget", "0"], "vsrife: budget (0) must be above 0"),
        (["default", "--profile", "-1"], "vsrife: profile (-1) must be above 0"),
        (["default", "--set", "run.rate=1"], "vsrife: run.rate (1) must be left out; there are: folder"),
    ],
)
def test_an_error_is_one_line(capsys, arguments, complaint):
    assert main(["train", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(complaint)
    assert err.count("\n") == 1


def test_importing_it_brings_no_torch():
    code = "import vsrife.cli.train, sys; assert not {'torch', 'vapoursynth', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
