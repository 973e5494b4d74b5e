"""Checkpoints of a run on disk: exact ones, and compact ones for another machine.

    checkpoints/00001200/checkpoint.json, tensors.safetensors    float32: parameters, moving average, both moments
    compact/compact.json, compact-0.safetensors, ...             files of at most 16 MB

In the compact checkpoint each parameter takes 7 bytes: the parameter in float16 (2), its moving average as the
difference from it in 127ths of the largest difference of the tensor (1), both moments in bfloat16 (2 each). If this
exceeds the allowed size, the first moment is left out (5 bytes): it decays within ten steps, and AdamW then begins with
small steps. A checkpoint is written to a temporary folder which is then renamed, so it is complete or not there.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load, save
from torch import Tensor

from vsrife.errors import ArgumentError, RifeError

__all__ = [
    "COMPACT_FOLDER",
    "COMPACT_INDEX",
    "FOLDER",
    "INDEX",
    "MOST_IN_FILE",
    "SLOTS",
    "Snapshot",
    "newest_checkpoint",
    "read_checkpoint",
    "read_compact",
    "write_checkpoint",
    "write_compact",
]

FOLDER: Final = "checkpoints"
INDEX: Final = "checkpoint.json"

COMPACT_FOLDER: Final = "compact"
COMPACT_INDEX: Final = "compact.json"

SLOTS: Final = ("params", "ema", "exp_avg", "exp_avg_sq")
"""What a checkpoint has for each parameter: its value, its moving average and the moments of AdamW."""

MOST_IN_FILE: Final = 16_000_000
"""Bytes of a file of a compact checkpoint, at most."""

LARGEST: Final = torch.finfo(torch.float16).max
"""The largest value that float16 can hold."""

_FORMAT: Final = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """The complete state of a run.

    slots: for each of SLOTS the tensors by parameter name. buffers: of the module. about: values that JSON can hold.
    """

    slots: Mapping[str, Mapping[str, Tensor]]
    buffers: Mapping[str, Tensor]
    about: Mapping[str, Any]


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest exact checkpoint in a run's folder, or None."""
    found = sorted(each for each in (folder / FOLDER).glob("[0-9]*") if (each / INDEX).is_file())
    return found[-1] if found else None


def write_checkpoint(folder: Path, snapshot: Snapshot, *, keep: int) -> Path:
    """Write an exact checkpoint of the run in `folder` and remove all but the newest `keep`. Returns its folder."""
    tensors = {f"{slot}/{name}": each for slot, named in snapshot.slots.items() for name, each in named.items()}
    tensors |= {f"buffers/{name}": each for name, each in snapshot.buffers.items()}
    place = folder / FOLDER / f"{snapshot.about['step']:08d}"
    _write(place, INDEX, {"tensors.safetensors": tensors}, snapshot.about)
    for old in sorted((folder / FOLDER).glob("[0-9]*"))[:-keep]:
        shutil.rmtree(old)
    return place


def read_checkpoint(place: Path) -> Snapshot:
    """Read what `write_checkpoint` wrote. Raises ArgumentError, which names the file, if it is damaged."""
    about, tensors = _read(place, INDEX)
    parts: dict[str, dict[str, Tensor]] = {slot: {} for slot in (*SLOTS, "buffers")}
    for key, each in tensors.items():
        slot, _, name = key.partition("/")
        parts[slot][name] = each
    return Snapshot(slots={slot: parts[slot] for slot in SLOTS}, buffers=parts["buffers"], about=about)


def write_compact(folder: Path, snapshot: Snapshot, *, most: int) -> int:
    """Write the compact checkpoint of the run in `folder`, replacing the previous one. Returns its size in bytes.

    Writes nothing and raises ArgumentError if it would exceed `most` bytes even without the first moment, and RifeError
    if a parameter is beyond the range of float16.
    """
    ema = snapshot.slots["ema"]
    packed: dict[str, Tensor] = {f"buffers/{name}": each for name, each in snapshot.buffers.items()}
    for name, each in snapshot.slots["params"].items():
        half = each.half()
        if not bool(torch.isfinite(half).all()):
            raise RifeError(
                f"weight ({name}) must be from -{LARGEST:g} to {LARGEST:g} in half precision, but has "
                f"{_farthest(each):g}; resume from the exact checkpoint, or raise optimiser.decay and start a new run"
            )
        difference = ema[name] - half.float()
        scale = difference.abs().max().clamp_min(torch.finfo(torch.float32).tiny) / 127
        packed[f"params/{name}"] = half
        packed[f"ema/{name}"] = (difference / scale).round().to(torch.int8)
        packed[f"scale/{name}"] = scale
        packed[f"exp_avg_sq/{name}"] = snapshot.slots["exp_avg_sq"][name].bfloat16()
    first_moment = {f"exp_avg/{name}": each.bfloat16() for name, each in snapshot.slots["exp_avg"].items()}
    if _bytes(packed) + _bytes(first_moment) <= most:
        packed |= first_moment
    if _bytes(packed) > most:
        raise ArgumentError(f"save.compact ({most}) must be {_bytes(packed)} bytes or more for this network")
    shards: list[dict[str, Tensor]] = [{}]
    filled = 0
    for key, each in packed.items():
        size = _bytes({key: each})
        if filled + size > MOST_IN_FILE:
            shards.append({})
            filled = 0
        shards[-1][key] = each
        filled += size
    files = {f"compact-{index}.safetensors": shard for index, shard in enumerate(shards)}
    place = folder / COMPACT_FOLDER
    _write(place, COMPACT_INDEX, files, snapshot.about)
    return sum(each.stat().st_size for each in place.iterdir())


def read_compact(place: Path) -> Snapshot:
    """Read what `write_compact` wrote, as float32. Raises ArgumentError as `read_checkpoint`."""
    about, packed = _read(place, COMPACT_INDEX)
    slots: dict[str, dict[str, Tensor]] = {slot: {} for slot in SLOTS}
    for key in [key for key in packed if key.startswith("params/")]:
        name = key.removeprefix("params/")
        param = packed[key].float()
        if not bool(torch.isfinite(param).all()):
            raise ArgumentError(f"checkpoint ({place}) must have finite weights, and {name} is not; use an older one")
        slots["params"][name] = param
        slots["ema"][name] = param + packed[f"ema/{name}"].float() * packed[f"scale/{name}"]
        slots["exp_avg_sq"][name] = packed[f"exp_avg_sq/{name}"].float()
        slots["exp_avg"][name] = packed.get(f"exp_avg/{name}", torch.zeros_like(param)).float()
    buffers = {key.removeprefix("buffers/"): each for key, each in packed.items() if key.startswith("buffers/")}
    return Snapshot(slots=slots, buffers=buffers, about=about)


def _farthest(tensor: Tensor) -> float:
    """The element with the largest magnitude; NaN if there is one."""
    return float(tensor.flatten()[tensor.abs().argmax()])


def _bytes(tensors: Mapping[str, Tensor]) -> int:
    """The size of a file with these tensors, with an upper bound of what its header has for each."""
    return sum(each.numel() * each.element_size() + 2 * len(key) + 120 for key, each in tensors.items())


def _write(place: Path, index: str, files: Mapping[str, Mapping[str, Tensor]], about: Mapping[str, Any]) -> None:
    made = place.with_name(f".{place.name}-{os.getpid()}")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    digests = {}
    for name, tensors in files.items():
        data = save({key: each.detach().cpu().contiguous() for key, each in tensors.items()})
        digests[name] = hashlib.sha256(data).hexdigest()
        (made / name).write_bytes(data)
    text = json.dumps({"format": _FORMAT, **about, "files": digests}, indent=1)
    (made / index).write_text(text + "\n", encoding="utf-8")
    old = place.with_name(f".{place.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    made.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def _read(place: Path, index: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    path = place / index
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        digests = dict(about.pop("files"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ArgumentError(f"checkpoint ({path}) must be one that a run wrote; it is missing or damaged") from None
    if about.get("format") != _FORMAT:
        raise ArgumentError(
            f"checkpoint ({path}) must be of format {_FORMAT}, not {about.get('format')}; start a new run"
        )
    tensors: dict[str, Tensor] = {}
    for name, digest in digests.items():
        try:
            data = (place / name).read_bytes()
        except OSError as error:
            raise ArgumentError(
                f"checkpoint ({place / name}) must be readable: {error.strerror}; use an older one"
            ) from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise ArgumentError(
                f"checkpoint ({place / name}) must be as it was written; its checksum differs, use an older one"
            )
        tensors |= load(data)
    return about, tensors
