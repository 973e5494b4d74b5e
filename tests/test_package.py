"""The package as a whole: what importing it does (nothing), which names are public, and its version."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib

import vapoursynth as vs

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


def test_the_version_has_one_source():
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert vsrife.__version__ == version
    plugin = vs.core.rife.version
    assert f"{plugin.major}.{plugin.minor}" == ".".join(version.split(".")[:2])
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] in ("Unreleased", version)


def _modules() -> dict[str, ast.Module]:
    """The source of every module of the package by its name."""
    found = {}
    for path in (ROOT / "vsrife").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text())
    return found


def _listed(tree: ast.Module) -> list[str] | None:
    """What ``__all__`` of a module lists; None where it has none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            return ast.literal_eval(node.value)
    return None


def _used(modules: dict[str, ast.Module]) -> dict[str, set[str]]:
    """For each module the names that others of the package use: `from m import name`, or `m.name` of an imported m."""
    used: dict[str, set[str]] = {name: set() for name in modules}
    for tree in modules.values():
        known = {}
        for node in ast.walk(tree):
            for alias in node.names if isinstance(node, ast.ImportFrom) else ():
                if f"{node.module}.{alias.name}" in modules:
                    known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                elif node.module in modules:
                    used[node.module].add(alias.name)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
                used[known[node.value.id]].add(node.attr)
    return used


def test_every_module_lists_its_public_names_in_order():
    """`__all__` is there, sorted, true, and has whatever another module of the package uses."""
    modules = _modules()
    used = _used(modules)
    for name, tree in modules.items():
        listed = _listed(tree)
        defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        if listed is None:
            assert all(each.startswith("_") for each in defined), f"{name} has no __all__"
            continue
        # constants, then classes, then functions, as ruff sorts them
        assert listed == sorted(listed, key=lambda each: (not each.isupper(), each[0].islower(), each)), name
        assert len(listed) == len(set(listed)), name
        bound = {each for node in tree.body for each in _bound(node)}
        assert set(listed) <= bound, f"{name} does not define {set(listed) - bound}"
        missing = {each for each in used[name] & bound if not each.startswith("_")} - set(listed)
        assert not missing, f"__all__ of {name} lacks {missing}"


def _bound(node: ast.stmt) -> list[str]:
    """The names that a statement of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)]
    if isinstance(node, ast.AnnAssign):
        return [ast.unparse(node.target)]
    if isinstance(node, ast.TypeAlias):
        return [node.name.id]
    if isinstance(node, ast.ImportFrom | ast.Import):
        return [alias.asname or alias.name for alias in node.names]
    inner = [*getattr(node, "body", []), *getattr(node, "orelse", []), *getattr(node, "handlers", [])]
    return [each for child in inner for each in _bound(child)]
