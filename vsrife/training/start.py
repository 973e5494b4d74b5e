"""Where a new run begins: with the averaged weights of another one, or with those of a file.

And what an old one goes on with.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vsrife.errors import ArgumentError
from vsrife.network.teacher import IFNetWithTeacher
from vsrife.training.config import Config
from vsrife.training.state import Snapshot, largest_state, read_carry, read_state
from vsrife.training.weights import Weights

__all__ = ["begin_as", "begin_from", "check_labels"]


@torch.no_grad()
def begin_from(
    place: Path,
    weights: Weights,
    average: Tensor,
    buffers: Iterable[tuple[str, Tensor]],
    blocks: Sequence[int] = (),
) -> str:
    """Take what lies there as the weights and their average; returns a line that tells what.

    place: a state, a compact state, or a run's folder, of which the newest one counts: the averaged weights of the same
    network. Or a `.safetensors` file as `export` writes them: what has the network's names and shapes is taken, all
    else stays as it is, so that a network with other blocks takes those that both have. The moments of the gradient
    are not taken: those of a rate that had come down to its end say little of one that rises anew.
    blocks: of a file, which of its blocks each block begins as, see `begin_as`; () for those of the same number.
    Raises ArgumentError, naming run.start, where it is none of these, is a state of another network, or nothing fits;
    and naming run.start_blocks where these do not go with it.
    """
    if place.is_file():
        told = _take_file(place, weights, blocks)
    elif blocks:
        raise ArgumentError(
            f"run.start_blocks ({list(blocks)}) must be left out where run.start ({place}) is no .safetensors file; "
            "begin with the model.safetensors of that run"
        )
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


def begin_as(own: Tensor, given: Tensor, name: str) -> Tensor:
    """What a tensor of a block begins as where it takes the place of another block's, which is as wide or narrower.

    The block then answers what the other one answers on the same frames: channels that it has beside are random, and
    nothing that was there reads them yet. Of the first layer's inputs those that both have are taken, which come first.

    own: the random tensor, float32. given: the other block's. name: in the block, as "conv0.0.0.weight".
    Raises ArgumentError where the other one is wider.
    """
    if own.shape == given.shape:
        return given
    if name.startswith("convblock") and own.dim() == 4 and own.shape[0] != own.shape[1] and not name.endswith("beta"):
        raise ArgumentError(
            f"run.start_blocks must name blocks of the same width where network.groups is above 1: {name} has "
            f"{list(given.shape)} there and {list(own.shape)} here; set network.widths"
        )
    if name == "conv0.0.0.weight":
        given = given[:, : own.shape[1]]
    if own.dim() != given.dim() or any(mine < other for mine, other in zip(own.shape, given.shape, strict=True)):
        raise ArgumentError(
            f"run.start_blocks must name blocks that are not wider than the ones which begin as they: {name} has "
            f"{list(given.shape)} there and {list(own.shape)} here; set network.widths"
        )
    made = own.clone()
    if own.dim() == 4 and not name.endswith("beta"):
        # Of a transposed kernel the first dimension is what it reads, of another one what it answers.
        made[... if name.startswith("lastconv") else slice(len(given))] = 0
    made[tuple(slice(length) for length in given.shape)] = given
    return made


def _take_file(path: Path, weights: Weights, blocks: Sequence[int]) -> str:
    try:
        given = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArgumentError(f"run.start ({path}) must be a .safetensors file: {error}") from None
    prefix = "network." if isinstance(weights.module, IFNetWithTeacher) else ""
    own = weights.views(weights.row)
    there = {name: name.removeprefix(prefix) for name in own}
    if blocks:
        count = len({number for name in there.values() if (number := _block_of(name)) is not None})
        if len(blocks) != count:
            raise ArgumentError(f"run.start_blocks ({list(blocks)}) must name {count} blocks, one for each it begins")
    fitting: dict[str, Tensor] = {}
    for name, here in there.items():
        number = _block_of(here)
        if blocks and number is not None:
            inside = here.partition(".")[2]
            file_name = f"block{blocks[number]}.{inside}"
            if file_name not in given:
                raise ArgumentError(f"run.start_blocks ({list(blocks)}) must name blocks of {path}: {file_name} is not")
            fitting[name] = begin_as(own[name], given[file_name].to(own[name]), inside)
        elif here in given and given[here].shape == own[name].shape:
            fitting[name] = given[here]
        elif blocks and here.startswith("encode."):
            raise ArgumentError(
                f"run.start_blocks ({list(blocks)}) must go with a file of the same encoder, and {here} of {path} is "
                "another; set network.head_width and network.features, or leave run.start_blocks out"
            )
    if not fitting:
        raise ArgumentError(f"run.start ({path}) must hold weights of this network; none has its name and shape")
    weights.take(weights.row, {**own, **fitting})
    told = f", its blocks {', '.join(map(str, blocks))}" if blocks else ""
    return f"{len(fitting)} of {len(own)} tensors of {path}{told}"


def _block_of(name: str) -> int | None:
    """The number in "block3.conv0.0.0.weight"."""
    number = name.partition(".")[0].removeprefix("block")
    return int(number) if number.isdecimal() else None


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
