"""The native library as a Python module.

VapourSynth loads the library as a plugin. At the first RIFE() call its create function calls `connect` with the path of
the library; Python then loads the same file as an extension module (abi3) and registers the callbacks.
"""

import importlib.util
import sys
from importlib.machinery import ExtensionFileLoader
from types import ModuleType

__all__ = ["connect"]

MODULE = "_rife"  # the name that generate.py gives it, which the PyInit_ symbol contains


def connect(path: str) -> None:
    """Load the plugin library at ``path`` as a module and register vsrife's callbacks with it. Idempotent."""
    from vsrife.plugin import callbacks

    callbacks.register(_load(path))


def _load(path: str) -> ModuleType:
    loaded = sys.modules.get(MODULE)
    if loaded is not None:
        return loaded
    loader = ExtensionFileLoader(MODULE, path)
    spec = importlib.util.spec_from_file_location(MODULE, path, loader=loader)
    if spec is None:
        raise ImportError(f"no import specification for {path}")
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[MODULE] = module
    return module
