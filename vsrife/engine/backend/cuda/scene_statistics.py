"""What cuts and still pairs are decided by, found on a GPU by the kernels, in one pass over the planes.

Integers, the very same that vsrife.scene finds in plain torch, which defines them.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from vsrife.engine.backend.cuda.kernels import Kernels, resolve

__all__ = ["FusedMeasures", "measures_on"]


class FusedMeasures:
    """The measures by kernels, of planes [h, w] of uint8, uint16, float16 or float32 on their device, samples of a row
    side by side. They are queued on its current stream, which is waited for where the answer is no tensor.
    """

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels

    def cell_sums(self, planes: Sequence[Tensor], cell: int) -> Tensor:
        """The sums that a signature divides, int64 [ceil(h / cell), ceil(w / cell)], see `Kernels.signature_sums`."""
        cells = [-(-length // cell) for length in planes[0].shape]
        sums = torch.empty(cells, dtype=torch.int64, device=planes[0].device)
        self._kernels.signature_sums(planes, cell, sums)
        return sums

    def exceed(
        self, left: Sequence[Tensor], right: Sequence[Tensor], limits: Iterable[tuple[int, int, int, int]]
    ) -> bool:
        """Whether the frames differ by more than the limits of a still pair, see `Kernels.still`."""
        moved = torch.empty(1, dtype=torch.int32, device=left[0].device)
        self._kernels.still(left, right, list(limits), moved)
        return bool(moved)


def measures_on(device: torch.device) -> FusedMeasures | None:
    """The measures for planes on ``device``; None where it has no kernels, and plain torch finds them."""
    kernels, _ = resolve(device)
    return None if kernels is None else FusedMeasures(kernels)
