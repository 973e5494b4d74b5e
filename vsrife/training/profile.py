"""How much of a step is not forward and backward."""

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
"""Steps before anything is timed."""

_ROUNDS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """Seconds, each the mean of `steps`; the device's work is waited for after all of them.

    step: as in a run: a new batch each time, made ahead as the configuration says, and the weights changed.
    teaching: forward and backward alone, again and again on one batch, while nothing else goes on.
    making: a batch alone, as if nothing was made ahead.
    updating: the mean over processes, clipping, AdamW and the average alone.
    waiting: of `step`, what the loop waited for a batch.
    operations, moved: of forward and backward, what is launched without a CUDA graph, and the bytes read and written by
        that; see `Traffic`.
    """

    device: str
    steps: int
    batch: int
    step: float
    teaching: float
    making: float
    updating: float
    waiting: float
    operations: int
    moved: int

    @property
    def other(self) -> float:
        """The share of a step that is not forward and backward: what it would be shorter by if that were all."""
        return max(0.0, 1 - self.teaching / self.step)

    def text(self) -> str:
        """For people."""
        lines = [
            f"{self.device}, {self.batch} samples a step, the best of three times {self.steps} steps",
            f"step                  {1e3 * self.step:9.1f} ms   {self.batch / self.step:.1f} samples/s",
            f"forward and backward  {1e3 * self.teaching:9.1f} ms   alone",
            f"making a batch        {1e3 * self.making:9.1f} ms   alone; in a run it is made ahead",
            f"update and average    {1e3 * self.updating:9.1f} ms   alone",
            f"waiting for a batch   {1e3 * self.waiting:9.1f} ms   in a step",
            f"not forward/backward  {100 * self.other:9.1f} %    of a step",
            f"forward and backward  {self.operations:9} operations, {self.moved / 1e9:.1f} GB read and written",
        ]
        return "\n".join(lines)


def profile(trainer: Trainer, steps: int) -> Profile:
    """Time a trainer that is not used for anything else afterwards: its weights change, nothing is saved.

    Each figure is measured three times, in turns, and the least counts: what else the machine does only adds to it.
    """
    # Steps that learn the flow alone are the cheaper ones.
    trainer.config = replace(trainer.config, loss=replace(trainer.config.loss, flow_first=0.0))
    device = trainer.device
    gradient = torch.zeros_like(trainer.weights.row)
    kept = trainer.samples.batches(trainer.samples.state.position)
    batches = iter(trainer.samples)

    def whole_step() -> None:
        trainer.learn(next(batches))
        trainer.forget_numbers()

    def teach() -> None:
        trainer.teach(kept)
        trainer.weights.row.grad = None

    def make() -> None:
        trainer.samples.batches(trainer.samples.state.position)

    def update() -> None:
        trainer.weights.row.grad = gradient.clone()
        trainer.group.mean(trainer.weights.row.grad)
        trainer.descent.descend(1e-6)

    def timed(action: Callable[[], None]) -> tuple[float, float]:
        """Seconds of one, and of these the waiting."""
        for _ in range(_WARM):
            action()
        _wait(device)
        waited, started = trainer.samples.waited, time.perf_counter()
        for _ in range(steps):
            action()
        _wait(device)
        return (time.perf_counter() - started) / steps, (trainer.samples.waited - waited) / steps

    found: dict[Callable[[], None], list[tuple[float, float]]] = {}
    for _ in range(_ROUNDS):
        # Batches are made ahead during whole steps alone.
        batches = iter(trainer.samples)
        with contextlib.closing(batches):  # type: ignore[type-var]
            found.setdefault(whole_step, []).append(timed(whole_step))
        for action in (teach, make, update):
            found.setdefault(action, []).append(timed(action))
    step, waiting = min(found[whole_step])
    if isinstance(trainer.pupil.module, IFNetWithTeacher):
        # What a GPU would do: the C module of a CPU is not seen by what counts.
        trainer.pupil.module.frames = Frames
    traffic = counted(lambda: trainer.launched(kept))
    return Profile(
        device=_name(device),
        steps=steps,
        batch=trainer.config.run.batch // trainer.group.world,
        step=step,
        teaching=min(found[teach])[0],
        making=min(found[make])[0],
        updating=min(found[update])[0],
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
