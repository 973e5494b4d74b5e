"""Where a new run begins: with the averaged weights of another one, or with those of a file.

And what an old one goes on with.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vsrife.errors import ArgumentError
from vsrife.network import Taught
from vsrife.training.config import Config
from vsrife.training.state import Snapshot, largest_state, read_carry, read_state
from vsrife.training.weights import Weights

__all__ = ["begin_from", "check_labels"]


@torch.no_grad()
def begin_from(place: Path, weights: Weights, average: Tensor, buffers: Iterable[tuple[str, Tensor]]) -> str:
    """Take what lies there as the weights and their average; returns a line that tells what.

    place: a state, a compact state, or a run's folder, of which the newest one counts: the averaged weights of the same
    network. Or a `.safetensors` file as `export` writes them: what has the network's names and shapes is taken, all
    else stays as it is, so that a network with other blocks takes those that both have. The moments of the gradient
    are not taken: those of a rate that had come down to its end say little of one that rises anew.
    Raises ArgumentError, naming run.start, where it is none of these, is a state of another network, or nothing fits.
    """
    if place.is_file():
        told = _take_file(place, weights)
    else:
        snapshot = _read(place)
        _take_state(place, weights, snapshot.rows["average"])
        for name, buffer in buffers:
            buffer.copy_(snapshot.buffers[name])
        told = f"the average of step {snapshot.about['step']} in {place}"
    average.copy_(weights.row)
    return f"beginning with {told}"


def check_labels(config: Config, about: Mapping[str, Any], labels: str | None) -> None:
    """Raise ArgumentError where a run would be carried on with other labels than it began with, or without them.

    about: of its state. labels: the digest of those that are read now, None for none. They may lie elsewhere.
    """
    then = about["config"]["data"].get("labels")
    known = about.get("labels", (labels or "unknown") if then else None)
    if labels != known:
        raise ArgumentError(
            f"data.labels ({config.data.labels or 'missing'}) must be made as those that the run in "
            f"{config.run.folder} began with ({then or 'none'}); set these, or run.folder"
        )


def _take_file(path: Path, weights: Weights) -> str:
    try:
        given = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArgumentError(f"run.start ({path}) must be a .safetensors file: {error}") from None
    prefix = "network." if isinstance(weights.module, Taught) else ""
    own = weights.views(weights.row)
    fitting = {
        name: given[file_name]
        for name, view in own.items()
        if (file_name := name.removeprefix(prefix)) in given and given[file_name].shape == view.shape
    }
    if not fitting:
        raise ArgumentError(f"run.start ({path}) must hold weights of this network; none has its name and shape")
    weights.take(weights.row, {**own, **fitting})
    return f"{len(fitting)} of {len(own)} tensors of {path}"


def _take_state(place: Path, weights: Weights, given: Mapping[str, Tensor]) -> None:
    own = weights.views(weights.row)
    different = next(
        (
            name
            for name in sorted({*own, *given})
            if name not in own or name not in given or own[name].shape != given[name].shape
        ),
        None,
    )
    if different is not None:
        raise ArgumentError(
            f"run.start ({place}) must be of the same network, and {different} is of one alone or has another shape; "
            "set network and its teacher as they were there, or begin with its .safetensors file"
        )
    weights.take(weights.row, given)


def _read(place: Path) -> Snapshot:
    """An exact state goes before a compact one."""
    exact = place if (place / "state.json").is_file() else largest_state(place)
    if exact is not None:
        return read_state(exact)
    for folder in (place, place / "carry"):
        if (folder / "carry.json").is_file():
            return read_carry(folder)
    raise ArgumentError(
        f"run.start ({place}) must be a state, a compact state, a run's folder or a .safetensors file; it is none"
    )
