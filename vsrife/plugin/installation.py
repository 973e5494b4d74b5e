"""Checks of the installation, made by the first RIFE() call, and the errors that they raise."""

import functools
import importlib.metadata
import importlib.util

from vsrife.errors import InstallationError

__all__ = ["check"]

NEEDED = ("torch", "numpy", "safetensors", "platformdirs", "pooch")


@functools.cache
def check() -> None:
    """Raise InstallationError for a conflicting package or a missing dependency.

    Reads which packages are installed and imports none of them. A success is cached.
    """
    try:
        peer = importlib.metadata.version("vsrife")
    except importlib.metadata.PackageNotFoundError:
        pass
    else:
        raise InstallationError(
            f"PyPI's vsrife {peer} is installed and shares the import name of vapoursynth-rife; run "
            "`pip uninstall -y vsrife`, then install vapoursynth-rife again, since both wrote into one folder"
        )
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise InstallationError(
            f"needs {', '.join(missing)}, not installed here; run `pip install {' '.join(missing)}`"
        )
