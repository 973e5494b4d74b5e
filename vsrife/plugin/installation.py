"""The check of the installation at the first call of RIFE."""

import functools
import importlib.metadata
import importlib.util

from vsrife.errors import InstallationError

__all__ = ["check"]

NEEDED = ("torch", "numpy", "safetensors", "platformdirs", "pooch")


@functools.cache
def check() -> None:
    """Raise InstallationError for a missing dependency and for PyPI's vsrife, which has the same import name.

    Reads the metadata of what is installed and imports nothing. A success is remembered.
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
