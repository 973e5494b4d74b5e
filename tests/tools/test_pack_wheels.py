"""tools/pack_wheels.py without a network: what it asks pip and apt-get for, and the size it keeps to."""

import pathlib
import re
import subprocess

import pytest


@pytest.fixture
def asked(tool, monkeypatch):
    """The commands that are run; each leaves what the real one would, 1 MB a wheel."""
    commands = []

    def run(command, *, check, cwd=None):
        assert check
        commands.append([str(part) for part in command])
        if "wheel" in command:
            names, folder = ["vapoursynth_rife-1"], command[command.index("--wheel-dir") + 1]
        elif "--dest" in command:
            at = command.index("--dest")
            names, folder = [re.split("[>=]", name)[0] for name in command[at + 2 :]], command[at + 1]
        elif command[-1] == "libvulkan1":
            (pathlib.Path(cwd) / "libvulkan1_1.4_amd64.deb").touch()
            return
        elif command[0] == "dpkg":
            for part in ("usr/lib/x86_64-linux-gnu/libvulkan.so.1", "usr/share/doc/libvulkan1/copyright"):
                path = pathlib.Path(command[-1]) / part
                path.parent.mkdir(parents=True)
                path.write_text(part)
            return
        else:
            return
        for name in names:
            (pathlib.Path(folder) / f"{name}.whl").write_bytes(bytes(1_000_000))

    monkeypatch.setattr(tool("pack_wheels").subprocess, "run", run)
    return commands


def test_packs_ours_and_what_it_needs_and_nothing_old(tool, asked, tmp_path, capsys):
    (tmp_path / "old-1.whl").touch()
    (tmp_path / "kept.txt").touch()
    assert tool("pack_wheels").main([str(tmp_path), "--also", "pytest-timeout"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "kept.txt",
        *(
            f"{name}.whl"
            for name in ("vapoursynth_rife-1", "vapoursynth", "cffi", "pycparser", "platformdirs", "pooch")
        ),
        *(f"{name}.whl" for name in ("nvidia-cudnn-frontend", "pytest-timeout")),
    }
    _, download = asked
    assert {"--no-deps", "--only-binary=:all:", "--python-version=3.12"} < set(download)
    assert "8.00 MB  in all" in capsys.readouterr().out


def test_more_than_the_limit_is_refused(tool, asked, tmp_path, capsys):
    assert tool("pack_wheels").main([str(tmp_path), "--limit=5.9", "--without-cudnn"]) == 1
    assert "more than 5.9 MB" in capsys.readouterr().err
    assert tool("pack_wheels").main([str(tmp_path), "--limit=6.1", "--without-cudnn"]) == 0


def test_vulkan_s_loader_is_a_file_beside_its_licence(tool, asked, tmp_path):
    assert tool("pack_wheels").main([str(tmp_path), "--vulkan"]) == 0
    folder = tmp_path / tool("gpu_stages.surroundings").VULKAN
    assert {path.name for path in folder.iterdir()} == {"libvulkan.so.1", "copyright"}
    assert not (folder / "libvulkan.so.1").is_symlink()
    lists = [each for command in asked if command[0] == "apt-get" for each in command if "Dir::State::Lists" in each]
    assert lists
    assert not any("/var/lib/apt" in each for each in lists), "the machine's own lists"


def test_what_cannot_be_had_is_one_line(tool, monkeypatch, tmp_path, capsys):
    def run(command, **_options):
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(tool("pack_wheels").subprocess, "run", run)
    assert tool("pack_wheels").main([str(tmp_path)]) == 1
    assert "is not complete" in capsys.readouterr().err


def test_it_names_all_that_the_package_needs(tool):
    """But what a machine with PyTorch and pytest has."""
    import tomllib

    from tests.conftest import ROOT

    def names(requirements):
        return {re.split(r"[>=<\[; ]", each)[0] for each in requirements}

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert names(project["dependencies"]) - {"torch", "numpy", "safetensors"} <= names(tool("pack_wheels").NEEDED)
