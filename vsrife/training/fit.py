"""How many steps a run has where its time is given instead: `run.fit`.

What a step, a state and a validation take is measured on the run's own data, before its first step; then all is put
back, so that the run is, bit for bit, the one that has this number of steps from the beginning.
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

__all__ = ["fitted_steps", "most_steps"]

_WARM: Final = 10
"""Steps that do not count: libraries choose algorithms, graphs are captured, batches are made ahead."""

_ROUNDS: Final = 3
_TIMED: Final = 30
"""Steps of a round. The slowest round counts."""

RESERVE: Final = 0.04
"""Share of the time that is left free, for what else the machine does."""


def most_steps(
    seconds: float, *, step: float, save: float, validation: float, saved: int, validated: int, early: int = 0
) -> int:
    """How many steps fit into `seconds`, with a state every `saved` steps and a validation every `validated`.

    step, save, validation: seconds of each. At the end both are made once more, and `early` validations before. 0 where
    not even these fit.
    """
    left = seconds - save - validation * (1 + early)
    each = step + save / saved + validation / validated
    return max(0, math.floor(left / each))


def fitted_steps(trainer: "Trainer", seconds: float) -> int:
    """Steps that `trainer`, which has made none yet, can make within so many seconds from now; it is left as it was.

    Of several processes all must call this, and all get the same number. Raises ArgumentError where there is no time
    for more steps than the learning rate takes to warm up.
    """
    started = time.perf_counter()
    asked = trainer.config
    kept = [(each, each.detach().clone()) for each in (*trainer.rows, *trainer.pupil.module.buffers())]
    step = _step(trainer)
    validation = _timed(trainer, trainer.measured)
    with torch.no_grad():
        for each, before in kept:
            each.copy_(before)
    trainer.descent.set_step(0)
    save = _timed(trainer, trainer.write)
    carries = 0.0
    if asked.save.seconds:
        carries = _timed(trainer, trainer.carry) * (1 + seconds // asked.save.seconds)
    left = (seconds - (time.perf_counter() - started)) * (1 - RESERVE) - carries
    made = most_steps(
        left, step=step, save=save, validation=validation, saved=asked.save.every, validated=asked.validation.every,
        early=len(early_steps(asked.validation)),
    )  # fmt: skip
    agreed = torch.tensor([made], device=trainer.device)
    trainer.group.share(agreed)
    made = int(agreed)
    if made <= asked.optimiser.warm_up:
        raise ArgumentError(
            f"run.fit ({asked.run.fit:g}) must be longer: there is time for {made} steps of {step:.3f} s, and "
            f"the learning rate alone rises for optimiser.warm_up ({asked.optimiser.warm_up}); give more seconds, or "
            "lower that"
        )
    trainer.record.say(
        f"{made} steps fit into {asked.run.fit:g} s: {1e3 * step:.1f} ms each, a state {save:.1f} s, "
        f"a validation {validation:.1f} s"
    )
    return made


def _step(trainer: "Trainer") -> float:
    """Seconds of one, with the making of its batch."""
    batches = iter(trainer.samples)

    def steps(number: int) -> None:
        for _ in range(number):
            given = next(batches)
            trainer.keep(given)
            trainer.learn(given)
        trainer.forget_numbers()

    with contextlib.closing(batches):  # type: ignore[type-var]
        steps(_WARM)
        rounds = [_timed(trainer, lambda: steps(_TIMED)) / _TIMED for _ in range(_ROUNDS)]
    return max(rounds)


def _timed(trainer: "Trainer", action: Callable[[], object]) -> float:
    trainer.catch_up()
    started = time.perf_counter()
    action()
    trainer.catch_up()
    return time.perf_counter() - started
