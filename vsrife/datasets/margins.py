"""Black margins below and at the right of samples, as frames have them that are padded to what a network takes.

A network that never saw them is disturbed by them as far as its blocks see, and errs along the edges of the picture.
"""

import torch
from torch import Tensor

from vsrife.datasets.batch import Batch
from vsrife.datasets.scene_rng import SceneRng

__all__ = ["MOST", "with_margins"]

MOST = 63
"""Pixels: canvases are multiples of 64. A margin is never more than half of the sample."""


@torch.no_grad()
def with_margins(batch: Batch, share: float, seed: int) -> Batch:
    """The samples, of which this share has black rows below, and as many black columns at the right; up to `MOST`.

    What is black is of no known motion, and what moves there is not to be seen.
    """
    if not share:
        return batch
    height, width = batch.left.shape[-2:]
    device = batch.left.device
    rng = SceneRng(seed, device)
    least = []
    for side in (height, width):
        margin = 1 + (rng.uniform(len(batch)) * min(MOST, side // 2)).floor()
        least.append((side - margin * rng.chance(len(batch), of=share)).view(-1, 1, 1, 1))
    y = torch.arange(height, device=device, dtype=torch.float32).view(1, 1, -1, 1)
    x = torch.arange(width, device=device, dtype=torch.float32)

    def inside(down: Tensor | float, across: Tensor | float) -> Tensor:
        return (y + down <= least[0] - 1) & (x + across <= least[1] - 1)

    shown = inside(0.0, 0.0)
    lands = torch.cat([inside(batch.flow[:, side + 1, None], batch.flow[:, side, None]) for side in (0, 2)], dim=1)
    return Batch(
        left=batch.left * shown,
        right=batch.right * shown,
        truth=batch.truth * shown,
        t=batch.t,
        flow=batch.flow,
        visible=batch.visible * (lands & shown),
        known=batch.known * shown,
    )
