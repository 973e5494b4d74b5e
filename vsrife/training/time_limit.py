"""The number of steps of a run with a time limit: `run.time_limit`.

The time of a step, a checkpoint and a validation is measured on the run's own data before its first step; then
everything is restored, so that the run is, bit for bit, one that was configured with this number of steps.
"""

import contextlib
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import torch

from vsrife.errors import ArgumentError
from vsrife.training.validation import early_steps

if TYPE_CHECKING:
    from vsrife.training.loop import Trainer

__all__ = ["max_steps", "steps_within"]

_WARM: Final = 10
"""Steps that are not timed: libraries choose algorithms, graphs are captured, batches are made ahead."""

_ROUNDS: Final = 3
_TIMED: Final = 30
"""Steps of a round; the slowest round is used."""

RESERVE: Final = 0.04
"""Share of the time that is kept in reserve for other load of the machine."""


def max_steps(
    seconds: float, *, step: float, save: float, validation: float, saved: int, validated: int, early: int = 0
) -> int:
    """How many steps fit into `seconds`, with a checkpoint every `saved` steps and a validation every `validated`.

    step, save, validation: seconds that each of them takes. One more checkpoint and validation at the end and `early`
    validations are included; 0 if not even these fit.
    """
    left = seconds - save - validation * (1 + early)
    each = step + save / saved + validation / validated
    return max(0, math.floor(left / each))


def steps_within(trainer: "Trainer", seconds: float) -> int:
    """How many steps a trainer that has made none yet can make within `seconds` from now; its state is restored.

    All processes must call this, and all get the same number. Raises ArgumentError if the steps would not exceed the
    warm-up of the learning rate.
    """
    started = time.perf_counter()
    config = trainer.config
    kept = [(each, each.detach().clone()) for each in (*trainer.state.slots, *trainer.model.module.buffers())]
    step = _step(trainer)
    validation = _timed(trainer, trainer.evaluate)
    with torch.no_grad():
        for each, before in kept:
            each.copy_(before)
    trainer.optimiser.set_step_count(0)
    save = _timed(trainer, trainer.write_checkpoint)
    compact = 0.0
    if config.save.seconds:
        compact = _timed(trainer, trainer.write_compact) * (1 + seconds // config.save.seconds)
    left = (seconds - (time.perf_counter() - started)) * (1 - RESERVE) - compact
    steps = max_steps(
        left, step=step, save=save, validation=validation, saved=config.save.every, validated=config.validation.every,
        early=len(early_steps(config.validation)),
    )  # fmt: skip
    agreed = torch.tensor([steps], device=trainer.device)
    trainer.group.broadcast(agreed)
    steps = int(agreed)
    if steps <= config.optimiser.warm_up:
        raise ArgumentError(
            f"run.time_limit ({config.run.time_limit:g}) must be longer: there is time for {steps} steps of "
            f"{step:.3f} s, and optimiser.warm_up ({config.optimiser.warm_up}) takes all of them; give more "
            "seconds, or lower it"
        )
    trainer.log.line(
        f"{steps} steps fit into {config.run.time_limit:g} s: {1e3 * step:.1f} ms each, a checkpoint {save:.1f} s, "
        f"a validation {validation:.1f} s"
    )
    return steps


def _step(trainer: "Trainer") -> float:
    """Seconds of a step, including making its batch."""
    batches = iter(trainer.loader)

    def train(number: int) -> None:
        for _ in range(number):
            current = next(batches)
            trainer.remember_batches(current)
            trainer.train_step(current)
        trainer.discard_metrics()

    with contextlib.closing(batches):  # type: ignore[type-var]
        train(_WARM)
        rounds = [_timed(trainer, lambda: train(_TIMED)) / _TIMED for _ in range(_ROUNDS)]
    return max(rounds)


def _timed(trainer: "Trainer", action: Callable[[], object]) -> float:
    trainer.synchronize()
    started = time.perf_counter()
    action()
    trainer.synchronize()
    return time.perf_counter() - started
