"""Video frame interpolation for VapourSynth with RIFE.

In a script nothing needs to be imported: ``core.rife.RIFE(clip, multi=2)`` is there once the package is installed.
`RIFE` is the same call with types and Fractions; `rife` takes the keywords of vs-rife, for scripts written for it.
"""

from vsrife._api import RIFE
from vsrife._compat import rife
from vsrife.errors import ArgumentError, ModelError, RifeError

__all__ = ["RIFE", "ArgumentError", "ModelError", "RifeError", "__version__", "rife"]

__version__ = "0.1.0"
