"""The part of a run that a checkpoint stores: parameters, their moving average, the optimiser, the best validation."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from vsrife.training.checkpoint import SLOTS, Snapshot
from vsrife.training.config import Optimiser
from vsrife.training.flat_params import FlatParams
from vsrife.training.model import TrainableModel
from vsrife.training.optimiser import AdamWWithEma

__all__ = ["TrainState"]


class TrainState:
    """A model in training.

    best: the highest validation PSNR so far in dB, minus infinity before the first validation.
    seconds: training time of the earlier processes of the run.
    """

    def __init__(self, model: TrainableModel, device: torch.device, dtype: torch.dtype, settings: Optimiser) -> None:
        """dtype: precision of the convolutions. The model is moved to `device`."""
        self.model = model
        self.params = FlatParams(model.module, device, dtype)
        self.optimiser = AdamWWithEma(self.params.flat, settings)
        self.best = -math.inf
        self.seconds = 0.0

    @property
    def step(self) -> int:
        """The number of steps that were made."""
        return self.optimiser.step_count

    @property
    def slots(self) -> tuple[Tensor, ...]:
        """The flat tensors that a step changes, one for each of SLOTS."""
        return (self.params.flat, self.optimiser.ema, self.optimiser.exp_avg, self.optimiser.exp_avg_sq)

    @property
    def best_or_none(self) -> float | None:
        """`best` as JSON can hold it."""
        return self.best if math.isfinite(self.best) else None

    def snapshot(self, about: dict[str, Any]) -> Snapshot:
        """A copy for a checkpoint. about: further values to store with it."""
        return Snapshot(
            slots={name: self.params.state_dict(flat) for name, flat in zip(SLOTS, self.slots, strict=True)},
            buffers=dict(self.model.module.named_buffers()),
            about={"step": self.step, "best": self.best_or_none, **about},
        )

    @torch.no_grad()
    def load(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot of the same network."""
        for name, flat in zip(SLOTS, self.slots, strict=True):
            self.params.load_state_dict(flat, snapshot.slots[name])
        for name, buffer in self.model.module.named_buffers():
            buffer.copy_(snapshot.buffers[name])
        self.optimiser.set_step_count(int(snapshot.about["step"]))
        self.seconds = float(snapshot.about["seconds"])
        self.best = -math.inf if snapshot.about["best"] is None else float(snapshot.about["best"])

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """While it is entered, the module has the moving average as its parameters."""
        kept = self.params.flat.detach().clone()
        with torch.no_grad():
            self.params.flat.copy_(self.optimiser.ema)
        try:
            yield
        finally:
            with torch.no_grad():
                self.params.flat.copy_(kept)
