"""How a new run gets its first weights: from a checkpoint of another run, or from a file of weights."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vsrife.errors import ArgumentError
from vsrife.network.teacher import IFNetWithTeacher
from vsrife.training.checkpoint import (
    COMPACT_FOLDER,
    COMPACT_INDEX,
    INDEX,
    Snapshot,
    newest_checkpoint,
    read_checkpoint,
    read_compact,
)
from vsrife.training.config import Config
from vsrife.training.flat_params import FlatParams

__all__ = ["check_labels", "load_block", "load_start"]


@torch.no_grad()
def load_start(
    place: Path,
    params: FlatParams,
    ema: Tensor,
    buffers: Iterable[tuple[str, Tensor]],
    blocks: Sequence[int] = (),
) -> str:
    """Load the weights at `place` as the parameters and their moving average. Returns a line that says what was loaded.

    place: an exact or compact checkpoint, or the folder of a run, whose newest exact checkpoint is read: the averaged
        weights of the same network. Or a `.safetensors` file as `export` writes them: the tensors that have the names
        and shapes of this network are loaded, all others keep their values. The moments of the gradient are not loaded:
        they belong to the end of a learning rate schedule, and this run begins another one.
    blocks: of a file, which of its blocks each block starts as, see `load_block`; () for the same blocks.
    Raises ArgumentError, naming run.start, if it is none of these, is a checkpoint of another network, or nothing fits;
    naming run.start_blocks, if these do not fit the file.
    """
    if place.is_file():
        description = _load_file(place, params, blocks)
    elif blocks:
        raise ArgumentError(
            f"run.start_blocks ({list(blocks)}) must be left out if run.start ({place}) is no .safetensors file; "
            "start with the model.safetensors of that run"
        )
    else:
        snapshot = _read(place)
        _load_checkpoint(place, params, snapshot.slots["ema"])
        for name, buffer in buffers:
            buffer.copy_(snapshot.buffers[name])
        description = f"the averaged weights of step {snapshot.about['step']} in {place}"
    ema.copy_(params.flat)
    return f"starting with {description}"


def check_labels(config: Config, about: Mapping[str, Any], labels: str | None) -> None:
    """Raise ArgumentError if a run is resumed with other labels than before. Their folder may be another one.

    about: of its checkpoint. labels: digest of the current labels, None for none.
    """
    before = about["config"]["data"].get("labels")
    expected = about.get("labels", (labels or "unknown") if before else None)
    if labels != expected:
        raise ArgumentError(
            f"data.labels ({config.data.labels or 'missing'}) must be the labels that the run in "
            f"{config.run.folder} started with ({before or 'none'}); set these, or another run.folder"
        )


def load_block(own: Tensor, given: Tensor, name: str) -> Tensor:
    """The first value of a tensor of a block that starts as another block, which is as wide or narrower.

    The block then has the output of the other one for the same frames: its additional channels are random, and no
    loaded weight reads them. Of the inputs of the first layer those that both blocks have are loaded; they come first.

    own: the random tensor, float32. given: that of the other block. name: in the block, such as "conv0.0.0.weight".
    Raises ArgumentError if the other block is wider.
    """
    if own.shape == given.shape:
        return given
    if name.startswith("convblock") and own.dim() == 4 and own.shape[0] != own.shape[1] and not name.endswith("beta"):
        raise ArgumentError(
            f"run.start_blocks must name blocks of the same width if network.groups is above 1: {name} has "
            f"{list(given.shape)} there and {list(own.shape)} here; set network.widths"
        )
    if name == "conv0.0.0.weight":
        given = given[:, : own.shape[1]]
    if own.dim() != given.dim() or any(mine < other for mine, other in zip(own.shape, given.shape, strict=True)):
        raise ArgumentError(
            f"run.start_blocks must name blocks that are not wider than the blocks which start as them: {name} has "
            f"{list(given.shape)} there and {list(own.shape)} here; set network.widths"
        )
    made = own.clone()
    if own.dim() == 4 and not name.endswith("beta"):
        # Kernels are [out, in, h, w], transposed ones [in, out, h, w].
        made[... if name.startswith("lastconv") else slice(len(given))] = 0
    made[tuple(slice(length) for length in given.shape)] = given
    return made


def _load_file(path: Path, params: FlatParams, blocks: Sequence[int]) -> str:
    try:
        given = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArgumentError(f"run.start ({path}) must be a .safetensors file: {error}") from None
    prefix = "network." if isinstance(params.module, IFNetWithTeacher) else ""
    own = params.views(params.flat)
    there = {name: name.removeprefix(prefix) for name in own}
    if blocks:
        count = len({number for name in there.values() if (number := _block_of(name)) is not None})
        if len(blocks) != count:
            raise ArgumentError(f"run.start_blocks ({list(blocks)}) must name {count} blocks, one for each block")
    fitting: dict[str, Tensor] = {}
    for name, here in there.items():
        number = _block_of(here)
        if blocks and number is not None:
            inside = here.partition(".")[2]
            file_name = f"block{blocks[number]}.{inside}"
            if file_name not in given:
                raise ArgumentError(
                    f"run.start_blocks ({list(blocks)}) must name blocks of {path}, which has no {file_name}"
                )
            fitting[name] = load_block(own[name], given[file_name].to(own[name]), inside)
        elif here in given and given[here].shape == own[name].shape:
            fitting[name] = given[here]
        elif blocks and here.startswith("encode."):
            raise ArgumentError(
                f"run.start_blocks ({list(blocks)}) must be used with a file of the same encoder, and {here} of {path} "
                "differs; set network.head_width and network.features, or leave run.start_blocks out"
            )
    if not fitting:
        raise ArgumentError(f"run.start ({path}) must hold weights of this network; no name and shape match")
    params.load_state_dict(params.flat, {**own, **fitting})
    which = f", its blocks {', '.join(map(str, blocks))}" if blocks else ""
    return f"{len(fitting)} of {len(own)} tensors of {path}{which}"


def _block_of(name: str) -> int | None:
    """The number in "block3.conv0.0.0.weight"."""
    number = name.partition(".")[0].removeprefix("block")
    return int(number) if number.isdecimal() else None


def _load_checkpoint(place: Path, params: FlatParams, given: Mapping[str, Tensor]) -> None:
    own = params.views(params.flat)
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
            f"run.start ({place}) must be of the same network, and {different} is missing in one of the two or has "
            "another shape; set network and its teacher as in that run, or start with its .safetensors file"
        )
    params.load_state_dict(params.flat, given)


def _read(place: Path) -> Snapshot:
    """The exact checkpoint in a run's folder, else the compact one."""
    exact = place if (place / INDEX).is_file() else newest_checkpoint(place)
    if exact is not None:
        return read_checkpoint(exact)
    for folder in (place, place / COMPACT_FOLDER):
        if (folder / COMPACT_INDEX).is_file():
            return read_compact(folder)
    raise ArgumentError(
        f"run.start ({place}) must be a checkpoint, a compact checkpoint, a run's folder or a .safetensors file"
    )
