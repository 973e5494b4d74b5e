"""Other processes for tests: a fresh Python, vspipe, and hosts written in C, each with this checkout's vsrife."""

import os
import shutil
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

import pytest
import vapoursynth as vs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGE = Path(vs.__file__).resolve().parent
"""Where VapourSynth's libraries are."""

POLICY = """
import vapoursynth as vs

class Policy(vs.EnvironmentPolicy):
    current = None
    def on_policy_registered(self, api): self.api = api
    def on_policy_cleared(self): pass
    def get_current_environment(self): return self.current
    def set_environment(self, environment): self.current = environment
    def is_alive(self, environment): return True

policy = Policy()
vs.register_policy(policy)
"""
"""The beginning of a program that makes and destroys cores of its own, as a player does at each seek."""


def environment(**changes: str | os.PathLike[str] | None) -> dict[str, str]:
    """This process's environment with changes; None removes a variable. PYTHONPATH is put before the checkout."""
    found = dict(os.environ)
    for name, value in changes.items():
        found.pop(name, None)
        if value is not None:
            found[name] = os.fspath(value)
    found["PYTHONPATH"] = os.pathsep.join(filter(None, [found.get("PYTHONPATH"), str(ROOT)]))
    return found


def start(command, **changes) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [os.fspath(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**changes),
    )


def finish(process: subprocess.Popen[str], timeout: float = 90) -> subprocess.CompletedProcess[str]:
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"did not end within {timeout} s: {process.args}\n{out[-2000:]}\n{err[-2000:]}")
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def start_python(code: str, *arguments, **changes) -> subprocess.Popen[str]:
    return start([sys.executable, "-c", code, *map(str, arguments)], **changes)


def python(code: str, *arguments, timeout: float = 90, **changes) -> subprocess.CompletedProcess[str]:
    return finish(start_python(code, *arguments, **changes), timeout)


def printed(code: str, *arguments, **changes) -> str:
    """What a Python program prints; it must succeed."""
    done = python(code, *arguments, **changes)
    assert done.returncode == 0, done.stderr
    return done.stdout


def vspipe_program() -> str:
    found = shutil.which("vspipe", path=sysconfig.get_path("scripts")) or shutil.which("vspipe")
    if found is None:
        pytest.skip("vspipe is not installed")
    return found


def configure(folder: Path) -> None:
    """Tell libvsscript which Python to run, in a configuration folder of the test's own (as XDG_CONFIG_HOME)."""
    done = finish(start([sys.executable, "-m", "vapoursynth", "config"], XDG_CONFIG_HOME=folder))
    if "successfully" not in done.stdout and "No configuration needed" not in done.stdout:
        pytest.skip(f"this Python cannot be run by VSScript: {done.stdout or done.stderr}")


@cache
def compiled(name: str, library: str, folder: Path) -> Path:
    """The program tests/hosts/NAME.c, linked with one of VapourSynth's libraries."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("needs a C compiler, and there is none")
    program = folder / name
    command = [compiler, "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, HERE / f"{name}.c"]
    command += [f"-I{vs.get_include()}", PACKAGE / library, f"-Wl,-rpath,{PACKAGE}", "-lpthread"]
    done = finish(start(command))
    assert done.returncode == 0, done.stderr
    return program
