"""The engine's own kernels: CUDA C++ compiled on first use, each with a definition in plain torch.

`resolve` returns the kernels of a device, or why there are none. The sources are plain enough for a compiler of
the host, by which the tests compare every kernel with its twin where there is no GPU.
"""

from vsrife.engine.backend.cuda.kernels.kernels import Kernels, Synthesis
from vsrife.engine.backend.cuda.kernels.loader import Loader, resolve
from vsrife.engine.backend.cuda.kernels.pair import PairMemory, new_pair
from vsrife.engine.backend.cuda.kernels.planes import PlacedPlanes
from vsrife.engine.backend.cuda.kernels.variants import KERNELS, Blocks, Variant

__all__ = [
    "KERNELS",
    "Blocks",
    "Kernels",
    "Loader",
    "PairMemory",
    "PlacedPlanes",
    "Synthesis",
    "Variant",
    "new_pair",
    "resolve",
]
