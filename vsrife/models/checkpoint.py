"""Loading a network from a checkpoint file: its network is detected and its weights loaded strictly.

No code in a file is ever run. A file is read once, so the bytes that are verified are the bytes that are loaded.
"""

import hashlib
import io
import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from vsrife.errors import ModelError, one_line
from vsrife.models import store
from vsrife.models.catalogue import CHOOSE, entry_of_file
from vsrife.models.detection import detect_network
from vsrife.network.ifnet import IFNet
from vsrife.network.legacy.architecture import PaperArchitecture, V3Architecture
from vsrife.network.legacy.base import LegacyNetwork
from vsrife.network.legacy.paper import PaperNet
from vsrife.network.legacy.v3 import build

__all__ = ["EXTRAS", "REFINE", "TEACHERS", "files_of", "load", "read_state"]

TEACHERS = ("block_tea", "caltime", "teacher")
"""Parts that some checkpoints have from their training, and that only training reads."""

REFINE = ("contextnet", "unet")
"""The refine network of the paper and of 3.1; the official file of 4.0 has one that is not used."""

EXTRAS = tuple(sorted((*TEACHERS, *REFINE)))
"""All parts that a checkpoint of the 4.x line may have beyond its network."""


def read_state(path: Path, *, teacher: bool = False) -> dict[str, Tensor]:
    """The tensors of a checkpoint, float32 on the CPU, by key without `module.`, and without unused parts.

    Unused are EXTRAS in a network of four blocks or more, and TEACHERS in all others. teacher: read TEACHERS too.

    `.pkl`, `.pth` and `.pt` are read by torch with weights_only, so that only tensors can be created; `.safetensors` by
    safetensors. A file of the cache folder must have its known sha256.

    Raises ModelError, naming the file, its checksum and the remedy, for anything else than an intact checkpoint.
    """
    return _read(path, teacher=teacher)[0]


def _read(path: Path, *, teacher: bool = False) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The result of `read_state`, and the metadata of a `.safetensors` file."""
    where = f"model ({path})"
    if path.suffix.lower() not in store.SUFFIXES:
        raise ModelError(f"{where} must end in {', '.join(store.SUFFIXES)}; {CHOOSE}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{where} cannot be read: {error.strerror}; {CHOOSE}") from None

    digest = hashlib.sha256(data).hexdigest()
    expected = store.expected_sha256(path)
    flaw = store.flaw_in(data[:512])
    if flaw is None and expected not in (None, digest):
        flaw = "is damaged"
    if flaw is None:
        safetensors = path.suffix.lower() == ".safetensors"
        try:
            state = _tensors(_parse(data, safetensors=safetensors), teacher=teacher)
            return state, _metadata(data) if safetensors else {}
        except _UnsoundError as error:
            flaw = str(error)
    raise ModelError(f"{where} {flaw}; {_checksums(path, digest)}; {_remedy(path)}")


class _UnsoundError(Exception):
    """Why the content of a file is no checkpoint, as a predicate whose subject is the file."""


def _parse(data: bytes, *, safetensors: bool) -> object:
    try:
        if safetensors:
            return load_safetensors(data)
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # torch's own message is a page long and names ways to run the file's code.
        raise _UnsoundError("is not plain tensors: it is damaged, or holds code, which is never run") from None
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - the readers raise exceptions of any type for a broken file
        reason = one_line(error)[:120] or type(error).__name__
        raise _UnsoundError(f"cannot be read as a checkpoint, it is damaged or of another kind ({reason})") from None


def _metadata(data: bytes) -> dict[str, str]:
    """The metadata of an intact `.safetensors` file, which begins with eight bytes of length and JSON."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    found: dict[str, str] = header.get("__metadata__", {})
    return found


def _tensors(content: object, *, teacher: bool) -> dict[str, Tensor]:
    if not isinstance(content, Mapping) or not content:
        raise _UnsoundError(f"must hold tensors by key, not {type(content).__name__}")
    state: dict[str, Tensor] = {}
    is_four = any(str(key).removeprefix("module.").startswith("block3.") for key in content)
    unused = (() if teacher else TEACHERS) + (REFINE if is_four else ())
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise _UnsoundError(f"must hold tensors by key, but {str(key)[:80]!r} is {type(value).__name__}")
        name = key.removeprefix("module.")
        if name.split(".", 1)[0] in unused:
            continue
        if name in state:
            raise _UnsoundError(f"has {name} twice, with and without 'module.'")
        if value.layout is not torch.strided or not value.is_floating_point():
            raise _UnsoundError(f"must hold dense floating-point tensors, but {name} is {value.dtype}, {value.layout}")
        if value.device.type != "cpu" or value.untyped_storage().nbytes() < value.numel() * value.element_size():
            raise _UnsoundError(f"must hold whole tensors, but the file has less of {name} than {list(value.shape)}")
        state[name] = value.detach().to(torch.float32).contiguous()
        # numpy, because torch would start its threads for each of some hundred small tensors.
        if not np.isfinite(state[name].numpy()).all():
            raise _UnsoundError(f"has values that are not finite in {name}")
    return state


def _checksums(path: Path, digest: str) -> str:
    known = entry_of_file(path.name)
    expected = store.expected_sha256(path) or (known[1].sha256 if known else None)
    return f"sha256 is {digest}, expected {expected or 'one that is not known'}"


def _remedy(path: Path) -> str:
    known = entry_of_file(path.name)
    if known is None:
        return f"get the file again, or {CHOOSE}"
    command = f"python -m vsrife models fetch {known[0].name}"
    record = store.record_path(path)
    if store.expected_sha256(path) and record.is_file():
        # The only known checksum was recorded from this file, so fetching again would not detect the damage.
        return f"delete it and {record.name} beside it, then fetch it again: {command}"
    return f"fetch it again: {command}"


def load(path: Path) -> IFNet | LegacyNetwork:
    """The network of a checkpoint file, float32 on the CPU, `eval()`, without gradients: an IFNet for the 4.x line, a
    LegacyNetwork for the paper's networks and the 3.x line.

    3.1 is three files: that with `flownet` in its name, and beside it those with `contextnet` and `unet` in that place;
    or it is a single file with all parts.
    Keys and shapes must be those of its architecture, all of them and no others (EXTRAS apart).
    Raises ModelError, naming the file, the keys and the remedy, for any other file.
    """
    where = f"model ({path})"
    state, metadata = _read(path)
    if "block0.conv1.weight" in state and not any(key.startswith("contextnet.") for key in state):
        state |= _rest_of_31(path)
    found = detect_network(state, metadata, name=path.name, where=where)
    if isinstance(found, PaperArchitecture):
        return _filled(lambda: PaperNet(found), state, path)
    if isinstance(found, V3Architecture):
        return _filled(lambda: build(found), state, path)
    return _filled(lambda: IFNet(found), state, path)


def files_of(path: Path) -> list[Path]:
    """The existing files that `load` reads for ``path``: itself and, for 3.1, the other two."""
    return [path, *(each for each in _beside(path).values() if each != path and each.is_file())]


def _beside(path: Path) -> dict[str, Path]:
    """The paths of the other two files of 3.1, by part; ``path`` itself where its name does not contain flownet."""
    return {part: path.with_name(path.name.replace("flownet", part)) for part in REFINE}


def _rest_of_31(path: Path) -> dict[str, Tensor]:
    """The weights of 3.1's fusion network, from the two files beside its flow network."""
    where = f"model ({path}) is one of the three files of RIFE 3.1"
    if "flownet" not in path.name:
        raise ModelError(
            f"{where}; its name must have flownet in it, so that the other two are found beside it with contextnet and "
            "unet there instead; rename them, or fetch all three: python -m vsrife models fetch 3.1"
        )
    state: dict[str, Tensor] = {}
    for part, beside in _beside(path).items():
        if not beside.is_file():
            raise ModelError(
                f"{where} and lacks {beside.name} beside it; put it there, its name alike, "
                "or fetch all three: python -m vsrife models fetch 3.1"
            )
        state |= {f"{part}.{key}": value for key, value in read_state(beside).items()}
    return state


def _filled[N: nn.Module](build_network: Callable[[], N], state: dict[str, Tensor], path: Path) -> N:
    """The network with the weights of ``state``, whose keys and shapes must be exactly those of the network."""
    with torch.device("meta"):
        network = build_network()
    expected = {key: value.shape for key, value in network.state_dict().items()}
    differences = [
        _listing("misses", sorted(expected.keys() - state.keys())),
        _listing("has, beyond what the network has,", sorted(state.keys() - expected.keys())),
        _listing(
            "has in a wrong shape",
            [
                f"{key} {list(state[key].shape)} instead of {list(shape)}"
                for key, shape in expected.items()
                if key in state and state[key].shape != shape
            ],
        ),
    ]
    faults = [each for each in differences if each]
    if faults:
        raise ModelError(f"model ({path}) {'; '.join(faults)}; {_remedy(path)}")
    # The network takes the tensors over: ``state`` is not used after this.
    network.load_state_dict(state, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def _listing(what: str, keys: list[str]) -> str:
    shown = ", ".join(keys[:3]) + (" ..." if len(keys) > 3 else "")
    return f"{what} {len(keys)} key{'s' if len(keys) > 1 else ''}: {shown}" if keys else ""
