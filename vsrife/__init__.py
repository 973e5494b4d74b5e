"""Video frame interpolation for VapourSynth with RIFE.

A script needs no import: the plugin ``core.rife.RIFE(clip, multi=2)`` is available once this package is installed.
`RIFE` is the same call with types and a docstring; `rife` accepts the keywords of vs-rife.
"""

from vsrife._api import RIFE, rife
from vsrife.errors import (
    ArgumentError,
    DeviceLostError,
    DownloadError,
    InstallationError,
    ModelError,
    OutOfMemoryError,
    RifeError,
)

__all__ = [
    "RIFE",
    "ArgumentError",
    "DeviceLostError",
    "DownloadError",
    "InstallationError",
    "ModelError",
    "OutOfMemoryError",
    "RifeError",
    "__version__",
    "rife",
]

__version__: str


def __getattr__(name: str) -> str:
    """The version of the installed package, from its metadata, whose reader takes some milliseconds to import."""
    if name != "__version__":
        raise AttributeError(f"module 'vsrife' has no attribute '{name}'")
    from importlib import metadata

    return metadata.version("vapoursynth-rife")
