"""Type checkers accept what README.md and the examples pass: mypy with the stubs that vsstubs writes for the plugin."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT

pytestmark = pytest.mark.slow

CONFIG = """
[mypy]
check_untyped_defs = true
ignore_missing_imports = true
follow_imports = silent

[mypy-torch.*]
follow_imports = skip
"""

PREAMBLE = "from vapoursynth import core; clip = core.std.BlankClip()"
"""The names that a piece of README.md uses without defining them."""


def pieces() -> dict[str, str]:
    """Python source by the name of a module, with as many lines before each piece as in the file that it is from."""
    found = {}
    readme = (ROOT / "README.md").read_text()
    for block in re.finditer(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL):
        line = readme[: block.start()].count("\n") + 1
        found[f"readme_{line}"] = PREAMBLE + "\n" * line + block[1]
    for script in sorted((ROOT / "examples").glob("*.vpy")):
        found[script.stem] = script.read_text()
    return found


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """Run mypy over modules; its output, empty where it accepts all of them."""
    folder = tmp_path_factory.mktemp("stubs")
    stubs = folder / "vapoursynth" / "__init__.pyi"
    subprocess.run([sys.executable, "-m", "vsstubs", "--quiet", "--output", str(stubs)], check=True, timeout=60)
    (folder / "mypy.ini").write_text(CONFIG)

    def run(sources: dict[str, str]) -> str:
        for name, text in sources.items():
            (folder / f"{name}.py").write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", *(f"{name}.py" for name in sources)],
            cwd=folder,
            env={"MYPYPATH": str(folder), "PATH": str(Path(sys.executable).parent)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.stderr, done.stderr
        return done.stdout if done.returncode else ""

    return run


def test_every_call_of_the_readme_and_the_examples_has_the_right_types(check):
    sources = pieces()
    assert len(sources) > 6
    assert check(sources) == ""


def test_a_wrong_type_is_found(check):
    calls = "core.rife.RIFE(clip, multi=2, sc=True, skip=0, fps_num=60)", 'core.rife.RIFE(clip, multi="5/2")'
    right, wrong = (f"{PREAMBLE}\n{call}\n" for call in calls)
    assert check({"right": right}) == ""
    assert 'Argument "multi" ' in check({"wrong": wrong})


def test_the_typed_call_takes_numbers_and_fractions(check):
    text = f"""{PREAMBLE}
from fractions import Fraction
import vsrife
made = vsrife.RIFE(clip, Fraction(1001, 400), model="4.0", sc=True, device="cpu")
made = vsrife.RIFE(clip, 2.5).std.Trim(0, 5)
vsrife.RIFE(clip, "5/2")
"""
    (line,) = [line for line in check({"typed": text}).splitlines() if "error:" in line]
    assert line.startswith('typed.py:6: error: Argument 2 to "RIFE" has incompatible type "str"')
