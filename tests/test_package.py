"""The package as a whole: what importing it does (nothing), and what it says of itself."""

import subprocess
import sys
import tomllib

import vsrife

from .conftest import ROOT


def _in_fresh_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_brings_neither_torch_nor_vapoursynth():
    code = "import vsrife, sys; print([m for m in ('torch', 'vapoursynth', 'numpy', 'cupy') if m in sys.modules])"
    assert _in_fresh_python(code) == "[]"


def test_loading_the_plugin_imports_nothing_of_ours():
    code = (
        "import vapoursynth as vs, sys; vs.core.rife.RIFE.signature;"
        "print([m for m in ('torch', 'vsrife', '_rife') if m in sys.modules])"
    )
    assert _in_fresh_python(code) == "[]"


def test_importing_changes_neither_environment_nor_logging():
    code = (
        "import os, logging; before = dict(os.environ), list(logging.getLogger().handlers);"
        "import vsrife; print(before == (dict(os.environ), list(logging.getLogger().handlers)))"
    )
    assert _in_fresh_python(code) == "True"


def test_public_names_are_sorted_and_exist():
    assert sorted(vsrife.__all__, key=lambda name: (not name.isupper(), name.startswith("_"), name)) is not None
    assert all(hasattr(vsrife, name) for name in vsrife.__all__)
    assert len(set(vsrife.__all__)) == len(vsrife.__all__)


def test_version_stands_once_more_in_pyproject():
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["version"] == vsrife.__version__
