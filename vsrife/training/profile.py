"""Profiling a training step: how much of it is forward and backward."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from vsrife.network.points import Frames
from vsrife.network.teacher import IFNetWithTeacher
from vsrife.training.loop import Trainer
from vsrife.training.traffic import counted

__all__ = ["Profile", "profile"]

_WARM = 2
"""Steps that are made before anything is timed."""

_ROUNDS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """Times in seconds, each the mean of `steps` steps with one synchronization at the end.

    step: a step as in a run, with batches made ahead as configured.
    forward_backward: forward and backward only, repeatedly on one batch.
    batch_making: making a batch only, without making it ahead.
    update: all-reduce, clipping, AdamW and moving average only.
    waiting: the part of `step` in which the loop waits for a batch.
    operations, moved: operations of forward and backward without a CUDA graph, and the bytes that they read and write;
        see `Traffic`.
    """

    device: str
    steps: int
    batch: int
    step: float
    forward_backward: float
    batch_making: float
    update: float
    waiting: float
    operations: int
    moved: int

    @property
    def other(self) -> float:
        """The share of a step that is not forward and backward."""
        return max(0.0, 1 - self.forward_backward / self.step)

    def text(self) -> str:
        """As a table for the terminal."""
        lines = [
            f"{self.device}, {self.batch} samples per step, best of three times {self.steps} steps",
            f"step                  {1e3 * self.step:9.1f} ms   {self.batch / self.step:.1f} samples/s",
            f"forward and backward  {1e3 * self.forward_backward:9.1f} ms   alone",
            f"making a batch        {1e3 * self.batch_making:9.1f} ms   alone; in a run it is made ahead",
            f"update and average    {1e3 * self.update:9.1f} ms   alone",
            f"waiting for a batch   {1e3 * self.waiting:9.1f} ms   in a step",
            f"not forward/backward  {100 * self.other:9.1f} %    of a step",
            f"forward and backward  {self.operations:9} operations, {self.moved / 1e9:.1f} GB read and written",
        ]
        return "\n".join(lines)


def profile(trainer: Trainer, steps: int) -> Profile:
    """Time a trainer that must not be used afterwards: its weights change. Nothing is saved.

    Each figure is measured three times, in turns, and the smallest is used, because other load only adds to it.
    """
    # Steps that learn only the flow are cheaper.
    trainer.config = replace(trainer.config, loss=replace(trainer.config.loss, flow_first=0.0))
    device = trainer.device
    gradient = torch.zeros_like(trainer.params.flat)
    kept = trainer.loader.batches(trainer.loader.state.position)
    batches = iter(trainer.loader)

    def whole_step() -> None:
        trainer.train_step(next(batches))
        trainer.discard_metrics()

    def forward_backward() -> None:
        trainer.forward_backward(kept)
        trainer.params.flat.grad = None

    def make() -> None:
        trainer.loader.batches(trainer.loader.state.position)

    def update() -> None:
        trainer.params.flat.grad = gradient.clone()
        trainer.group.all_reduce_mean(trainer.params.flat.grad)
        trainer.optimiser.step(1e-6)

    def timed(action: Callable[[], None]) -> tuple[float, float]:
        """Seconds per call, and the part of them spent waiting for batches."""
        for _ in range(_WARM):
            action()
        _wait(device)
        waited, started = trainer.loader.waited, time.perf_counter()
        for _ in range(steps):
            action()
        _wait(device)
        return (time.perf_counter() - started) / steps, (trainer.loader.waited - waited) / steps

    found: dict[Callable[[], None], list[tuple[float, float]]] = {}
    for _ in range(_ROUNDS):
        # Batches are made ahead only while whole steps are timed.
        batches = iter(trainer.loader)
        with contextlib.closing(batches):  # type: ignore[type-var]
            found.setdefault(whole_step, []).append(timed(whole_step))
        for action in (forward_backward, make, update):
            found.setdefault(action, []).append(timed(action))
    step, waiting = min(found[whole_step])
    if isinstance(trainer.model.module, IFNetWithTeacher):
        # Count the operations of a GPU: those of the C module for CPUs cannot be counted.
        trainer.model.module.frames = Frames
    traffic = counted(lambda: trainer.forward_backward_eager(kept))
    return Profile(
        device=_name(device),
        steps=steps,
        batch=trainer.config.run.batch // trainer.group.world_size,
        step=step,
        forward_backward=min(found[forward_backward])[0],
        batch_making=min(found[make])[0],
        update=min(found[update])[0],
        waiting=waiting,
        operations=traffic.launches,
        moved=traffic.bytes,
    )


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
