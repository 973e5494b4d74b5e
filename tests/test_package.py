"""The package as a whole: what importing it does (nothing), and what it says of itself."""

import inspect
import subprocess
import sys
import tomllib

import vsrife
from vsrife.engine import device
from vsrife.network.architecture import USER_SCALES
from vsrife.plugin import arguments
from vsrife.scene import duplicates

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


def test_public_names():
    errors = [name for name in vsrife.errors.__all__ if name.endswith("Error")]
    expected = ["RIFE", *errors, "__version__", "rife"]
    assert vsrife.__all__ == expected
    assert all(hasattr(vsrife, name) for name in expected)
    found = {name for name, value in vars(vsrife).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert found == set(expected) - {"__version__"}


def test_what_stands_twice_agrees():
    """Where importing the other one would bring torch, a constant stands in the torch-free module as well."""
    assert tuple(USER_SCALES) == arguments.SCALES
    assert ("auto", *device.PRECISIONS) == arguments.PRECISIONS
    assert duplicates.DEFAULT_STILL_THRESHOLD == arguments.DEFAULT_SKIP_THRESHOLD


def test_version_stands_once_more_in_pyproject():
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["version"] == vsrife.__version__
