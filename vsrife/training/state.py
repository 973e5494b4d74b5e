"""A run's state on the disk: exact, to carry on here as if nothing had been; and compact, to carry on elsewhere.

    state/00001200/state.json, tensors.safetensors    float32: weights, average, both moments
    carry/carry.json, carry-0.safetensors, ...        files of at most 16 MB

In the compact state a weight has 2 bytes (half), its average 1 (its distance from the weight, in 127ths of the tensor's
largest) and each moment 2 (bfloat16). Where that is more than may be, the first moment is left out: it forgets within
ten steps, and AdamW then begins with small ones. A folder is written beside its place, then renamed.
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
    "MOST_IN_FILE",
    "ROWS",
    "Snapshot",
    "largest_state",
    "read_carry",
    "read_state",
    "write_carry",
    "write_state",
]

ROWS: Final = ("weights", "average", "first", "second")
"""The rows of a snapshot; the moments are AdamW's."""

MOST_IN_FILE: Final = 16_000_000

LARGEST: Final = torch.finfo(torch.float16).max

_FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """All that is needed to carry on.

    rows: for each of ROWS the tensors by name; buffers: of the module. about: numbers and text, as JSON has them.
    """

    rows: Mapping[str, Mapping[str, Tensor]]
    buffers: Mapping[str, Tensor]
    about: Mapping[str, Any]


def largest_state(folder: Path) -> Path | None:
    """The newest state in a run's folder; None where there is none."""
    found = sorted(each for each in (folder / "state").glob("[0-9]*") if (each / "state.json").is_file())
    return found[-1] if found else None


def write_state(folder: Path, snapshot: Snapshot, *, keep: int) -> Path:
    """Write the exact state of a run and remove all but the newest `keep`. Returns its folder."""
    tensors = {f"{row}/{name}": each for row, named in snapshot.rows.items() for name, each in named.items()}
    tensors |= {f"buffers/{name}": each for name, each in snapshot.buffers.items()}
    place = folder / "state" / f"{snapshot.about['step']:08d}"
    _write(place, "state.json", {"tensors.safetensors": tensors}, snapshot.about)
    for old in sorted((folder / "state").glob("[0-9]*"))[:-keep]:
        shutil.rmtree(old)
    return place


def read_state(place: Path) -> Snapshot:
    """What `write_state` wrote. Raises ArgumentError, which names the file, where it is not whole."""
    about, tensors = _read(place, "state.json")
    parts: dict[str, dict[str, Tensor]] = {row: {} for row in (*ROWS, "buffers")}
    for key, each in tensors.items():
        row, _, name = key.partition("/")
        parts[row][name] = each
    return Snapshot(rows={row: parts[row] for row in ROWS}, buffers=parts["buffers"], about=about)


def write_carry(folder: Path, snapshot: Snapshot, *, most: int) -> int:
    """Write the compact state into `folder / "carry"`, in place of one that is there. Returns its bytes.

    Writes nothing and raises ArgumentError where it would be more than `most` bytes also without the first moment, and
    RifeError where a weight is beyond what half precision holds.
    """
    weights, average = snapshot.rows["weights"], snapshot.rows["average"]
    packed: dict[str, Tensor] = {f"buffers/{name}": each for name, each in snapshot.buffers.items()}
    for name, each in weights.items():
        half = each.half()
        if not bool(torch.isfinite(half).all()):
            raise RifeError(
                f"weight ({name}) must be from -{LARGEST:g} to {LARGEST:g} in half precision, but has "
                f"{_farthest(each):g}; carry on from the exact state, or raise optimiser.decay and begin anew"
            )
        away = average[name] - half.float()
        unit = away.abs().max().clamp_min(torch.finfo(torch.float32).tiny) / 127
        packed[f"weights/{name}"] = half
        packed[f"average/{name}"] = (away / unit).round().to(torch.int8)
        packed[f"unit/{name}"] = unit
        packed[f"second/{name}"] = snapshot.rows["second"][name].bfloat16()
    first = {f"first/{name}": each.bfloat16() for name, each in snapshot.rows["first"].items()}
    if _bytes(packed) + _bytes(first) <= most:
        packed |= first
    if _bytes(packed) > most:
        raise ArgumentError(f"save.carry ({most}) must be {_bytes(packed)} bytes or more for this network")
    shards: list[dict[str, Tensor]] = [{}]
    filled = 0
    for key, each in packed.items():
        size = _bytes({key: each})
        if filled + size > MOST_IN_FILE:
            shards.append({})
            filled = 0
        shards[-1][key] = each
        filled += size
    files = {f"carry-{index}.safetensors": shard for index, shard in enumerate(shards)}
    _write(folder / "carry", "carry.json", files, snapshot.about)
    return sum(each.stat().st_size for each in (folder / "carry").iterdir())


def read_carry(place: Path) -> Snapshot:
    """What `write_carry` wrote, in float32. Raises ArgumentError as `read_state`."""
    about, packed = _read(place, "carry.json")
    rows: dict[str, dict[str, Tensor]] = {row: {} for row in ROWS}
    for key in [key for key in packed if key.startswith("weights/")]:
        name = key.removeprefix("weights/")
        weight = packed[key].float()
        if not bool(torch.isfinite(weight).all()):
            raise ArgumentError(f"state ({place}) must have finite weights, and {name} is not; use an older one")
        rows["weights"][name] = weight
        rows["average"][name] = weight + packed[f"average/{name}"].float() * packed[f"unit/{name}"]
        rows["second"][name] = packed[f"second/{name}"].float()
        rows["first"][name] = packed.get(f"first/{name}", torch.zeros_like(weight)).float()
    buffers = {key.removeprefix("buffers/"): each for key, each in packed.items() if key.startswith("buffers/")}
    return Snapshot(rows=rows, buffers=buffers, about=about)


def _farthest(tensor: Tensor) -> float:
    """The number farthest from 0; one that is none counts as farthest."""
    return float(tensor.flatten()[tensor.abs().argmax()])


def _bytes(tensors: Mapping[str, Tensor]) -> int:
    """Of a file with them: the tensors, and a generous line about each."""
    return sum(each.numel() * each.element_size() + 2 * len(key) + 120 for key, each in tensors.items())


def _write(place: Path, index: str, files: Mapping[str, Mapping[str, Tensor]], about: Mapping[str, Any]) -> None:
    made = place.with_name(f".{place.name}-{os.getpid()}")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    sums = {}
    for name, tensors in files.items():
        data = save({key: each.detach().cpu().contiguous() for key, each in tensors.items()})
        sums[name] = hashlib.sha256(data).hexdigest()
        (made / name).write_bytes(data)
    text = json.dumps({"format": _FORMAT, **about, "files": sums}, indent=1)
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
        sums = dict(about.pop("files"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ArgumentError(f"state ({path}) must be one that a run wrote; it is not there or damaged") from None
    if about.get("format") != _FORMAT:
        raise ArgumentError(f"state ({path}) must be of format {_FORMAT}, not {about.get('format')}; begin anew")
    tensors: dict[str, Tensor] = {}
    for name, digest in sums.items():
        try:
            data = (place / name).read_bytes()
        except OSError as error:
            raise ArgumentError(
                f"state ({place / name}) must be readable: {error.strerror}; use an older one"
            ) from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise ArgumentError(f"state ({place / name}) must be as it was written; its sum differs, use an older one")
        tensors |= load(data)
    return about, tensors
