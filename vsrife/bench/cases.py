"""The cases that the benchmark measures, and the options that all of them share."""

from dataclasses import dataclass
from pathlib import Path

import torch

from vsrife.bench.synthetic_input import ARCHITECTURES, save_seeded
from vsrife.bench.timing import Pace
from vsrife.errors import ModelError
from vsrife.models.catalogue import CATALOGUE, entry_of_file
from vsrife.models.store import embedded_models, locate

__all__ = ["SEEDED", "Case", "Model", "Plan", "resolve_model"]

SEEDED = "seeded:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A checkpoint. version: the name of this network in the catalogue, None for a file of another name."""

    name: str
    path: Path
    version: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A network, a frame size (width, height), and the precision of the convolutions."""

    model: Model
    size: tuple[int, int]
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the convolutions."""
        dtype: torch.dtype = getattr(torch, self.precision)
        return dtype


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The options of all cases. frames: source frames of one timed run of the filter."""

    device: torch.device
    pace: Pace
    frames: int
    in_flight: int
    engine_only: bool


def resolve_model(name: str, folder: Path) -> Model:
    """The checkpoint called ``name``: `seeded:NAME`, a name of the catalogue or of the package, or a file.

    A seeded one is written into ``folder``. Raises ModelError for any other name.
    """
    if name.startswith(SEEDED):
        version = name.removeprefix(SEEDED)
        if version not in ARCHITECTURES:
            choices = " or ".join(f"{SEEDED}{each}" for each in ARCHITECTURES)
            raise ModelError(f"model ({name}) must be {choices}, a model's name or a checkpoint file")
        path = folder / f"{version}.safetensors"
        save_seeded(ARCHITECTURES[version], path)
        return Model(name=name, path=path, version=version)
    path = locate(name)
    if name in CATALOGUE:
        return Model(name=name, path=path, version=name)
    if name in embedded_models():
        return Model(name=name, path=path, version=None)
    known = entry_of_file(f"{path.stem}.pkl")
    return Model(name=path.name, path=path, version=known[0].name if known else None)
