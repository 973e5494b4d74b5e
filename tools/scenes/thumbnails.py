"""The detector that this project had before it asked the network: what is hard for it, and a column to compare."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vsrife.datasets.thumbnails import CELLS, CUT, cut_score
from vsrife.scene.signature import Signature, signature

__all__ = ["CUT", "Signature", "cut_score", "thumbnail"]


def thumbnail(frame: NDArray[Any], bits: int = 8) -> Signature:
    """Of a frame [h, w] (luma) or [h, w, 3] (RGB)."""
    planes = [frame] if frame.ndim == 2 else [frame[..., c] for c in range(3)]
    return signature([torch.from_numpy(np.array(plane)) for plane in planes], bits, cells=CELLS)
