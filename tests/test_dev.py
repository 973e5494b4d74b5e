"""The script `dev` as far as it goes without a network: what it finds on a bare machine, and what it says."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("sh", "cat", "cksum", "date", "dirname", "getconf", "mkdir", "rm")


class Machine:
    """A checkout under a name with a space, on a machine with next to nothing installed."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.programs, self.home = folder / "a checkout", folder / "bin", folder / "home"
        for each in (self.checkout, self.programs, self.home):
            each.mkdir()
        for name in ("dev", "pyproject.toml", "CMakeLists.txt"):
            shutil.copy2(ROOT / name, self.checkout)
        for folder in ("vsrife/plugin", "vsrife/engine/winograd", "vsrife/training/gather"):
            shutil.copytree(ROOT / folder, self.checkout / folder)
        shutil.copy2(ROOT / "vsrife/engine/generate.py", self.checkout / "vsrife/engine")
        for tool in TOOLS:
            (self.programs / tool).symlink_to(str(shutil.which(tool)))

    def install(self, path: Path | str, *answers: str) -> None:
        """A program that prints the next of ``answers`` for each kind of call: as a script's reader, with -c, else."""
        program = self.programs / path
        program.parent.mkdir(parents=True, exist_ok=True)
        judged, version, other = (*answers, "", "", "")[:3]
        cases = f"-) echo '{judged}' ;; -c) echo '{version}' ;; *) echo '{other}' $* >&2; exit 1 ;;"
        program.write_text(f"#!/bin/sh\ncase $1 in {cases} esac\n")
        program.chmod(0o755)

    def dev(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.programs), "HOME": str(self.home)}
        return subprocess.run(
            [self.checkout / "dev", *arguments], env=environment, capture_output=True, text=True, timeout=60
        )


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of a run that failed."""
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines()[-1]


def test_help_lists_the_verbs(machine):
    done = machine.dev("help")
    assert done.returncode == 0
    for verb in ("demo", "test", "check", "setup"):
        assert f"./dev {verb}" in done.stdout
    assert machine.dev().stdout == done.stdout


def test_an_unknown_verb_is_an_error(machine):
    assert said(machine.dev("tset")) == "dev: no such verb: tset"


@pytest.mark.parametrize("verb", ["demo", "test", "check", "setup"])
def test_no_compiler(machine, verb):
    assert "no C compiler found" in said(machine.dev(verb))


def test_no_python(machine):
    machine.install("cc")
    assert "no Python 3.12 or later found" in said(machine.dev("demo"))


def test_only_an_old_python(machine):
    machine.install("cc")
    machine.install("python3", "is older than 3.12")
    assert "no Python 3.12 or later found" in said(machine.dev("demo"))


def test_a_python_without_headers(machine):
    machine.install("cc")
    machine.install("python3", "is older than 3.12")
    machine.install("python3.13", "has no headers: install its development package (python3-dev)")
    assert said(machine.dev("demo")) == "dev: python3.13 has no headers: install its development package (python3-dev)"


def test_pyenvs_python_need_not_be_selected(machine):
    machine.install("cc")
    machine.install("python3", "is older than 3.12")
    machine.install(machine.home / ".pyenv/versions/3.11.9/bin/python", "ok", "3.11 IS CHOSEN")
    machine.install(machine.home / ".pyenv/versions/3.12.9/bin/python", "ok", "3.12.9 IS CHOSEN")
    done = machine.dev("demo")
    assert "dev: making .venv with 3.12.9 IS CHOSEN" in done.stderr
    assert f"-m venv --clear {machine.checkout}/.venv" in done.stderr
    assert "could not make .venv" in said(done)


def fingerprint(machine) -> str:
    """The content of a stamp that holds."""
    return subprocess.run(
        "cat pyproject.toml CMakeLists.txt vsrife/plugin/signature.py vsrife/plugin/native/*.[chpv]* "
        "vsrife/engine/generate.py vsrife/engine/winograd/*.[ch] vsrife/training/gather/*.[ch] | cksum",
        shell=True, cwd=machine.checkout, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def test_the_stamp_spares_a_second_setup(machine):
    environment = machine.checkout / ".venv"
    machine.install(environment / "bin/python", "ok", "", "RUN")
    (environment / ".installed-test").write_text(fingerprint(machine))
    done = machine.dev("setup")
    assert (done.returncode, done.stderr) == (0, "")

    (machine.checkout / "pyproject.toml").write_text("changed")
    assert "no C compiler found" in said(machine.dev("setup"))


@pytest.mark.parametrize(("verb", "extra"), [("setup", "cli"), ("demo", "cli"), ("test", "test"), ("check", "test")])
@pytest.mark.parametrize("driver", [False, True])
def test_a_machine_with_an_nvidia_driver_gets_the_extra_cuda(machine, verb, extra, driver):
    machine.install("cc")
    machine.install(machine.checkout / ".venv/bin/python", "ok", "", "RUN")
    if driver:
        machine.install("nvidia-smi")
    done = machine.dev(verb)
    wanted = f".[{extra},cuda]" if driver else f".[{extra}]"
    assert f"RUN -m pip install --disable-pip-version-check --editable {wanted}\n" in done.stderr
    assert "pip did not finish" in said(done)


@pytest.mark.parametrize("driver", [False, True])
def test_what_is_installed_is_stamped(machine, driver):
    environment = machine.checkout / ".venv"
    machine.install("cc")
    machine.install(environment / "bin/python")
    (environment / "bin/python").write_text("#!/bin/sh\nexit 0\n")
    machine.install(environment / "bin/vapoursynth")
    (environment / "bin/vapoursynth").write_text("#!/bin/sh\necho No configuration needed\n")
    if driver:
        machine.install("nvidia-smi")
    for said_installing in (True, False):
        done = machine.dev("setup")
        assert done.returncode == 0, done.stderr
        assert ("installing the project" in done.stderr) is said_installing
    (stamp,) = environment.glob(".installed-*")
    assert stamp.name == (".installed-cli,cuda" if driver else ".installed-cli")
    assert stamp.read_text() == fingerprint(machine)


def test_a_driver_that_came_later_means_installing_again(machine):
    environment = machine.checkout / ".venv"
    machine.install("cc")
    machine.install(environment / "bin/python", "ok", "", "RUN")
    (environment / ".installed-test").write_text(fingerprint(machine))
    assert machine.dev("setup").returncode == 0
    machine.install("nvidia-smi")
    assert "RUN -m pip install --disable-pip-version-check --editable .[cli,cuda]\n" in machine.dev("setup").stderr

    (environment / ".installed-test,cuda").write_text(fingerprint(machine))
    done = machine.dev("setup")
    assert (done.returncode, done.stderr) == (0, "")


def test_continuous_integration_runs_the_readmes_test_command():
    script = (ROOT / ".ci" / "run").read_text()
    assert "exec ./dev test" in script
    assert "./dev test" in (ROOT / "README.md").read_text()
