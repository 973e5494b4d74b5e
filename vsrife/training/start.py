"""Where a new run begins: the averaged weights of another one, from a state of it."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from vsrife.errors import ArgumentError
from vsrife.training.state import Snapshot, largest_state, read_carry, read_state
from vsrife.training.weights import Weights

__all__ = ["begin_from"]


@torch.no_grad()
def begin_from(place: Path, weights: Weights, average: Tensor, buffers: Iterable[tuple[str, Tensor]]) -> str:
    """Take the averaged weights of a state as the weights and their average; returns a line that tells which.

    place: a state, a compact state, or a run's folder, of which the newest one counts. The moments of the gradient are
    not taken: those of a rate that had come down to its end say little of one that rises anew.
    Raises ArgumentError, naming run.start, where it is none of these or is of another network.
    """
    snapshot = _read(place)
    own, given = (
        {name: each.shape for name, each in row.items()}
        for row in (
            weights.views(weights.row),
            snapshot.rows["average"],
        )
    )
    different = next((name for name in sorted({*own, *given}) if own.get(name) != given.get(name)), None)
    if different is not None:
        raise ArgumentError(
            f"run.start ({place}) must be of the same network, and {different} is of one alone or has another shape; "
            "set network and its teacher as they were there, or take its weights by network.weights"
        )
    weights.take(weights.row, snapshot.rows["average"])
    average.copy_(weights.row)
    for name, buffer in buffers:
        buffer.copy_(snapshot.buffers[name])
    return f"beginning with the average of step {snapshot.about['step']} in {place}"


def _read(place: Path) -> Snapshot:
    """An exact state goes before a compact one."""
    exact = place if (place / "state.json").is_file() else largest_state(place)
    if exact is not None:
        return read_state(exact)
    for folder in (place, place / "carry"):
        if (folder / "carry.json").is_file():
            return read_carry(folder)
    raise ArgumentError(
        f"run.start ({place}) must be a state, a compact state or a run's folder; the weights in a file are "
        "network.weights"
    )
