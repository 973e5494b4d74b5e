"""The network of a run as others take it: half precision, and a JSON beside it that tells how it came about."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

import vsrife
from vsrife.errors import RifeError
from vsrife.models.metadata import metadata_of
from vsrife.network.legacy.architecture import PaperArchitecture
from vsrife.training.config import Config
from vsrife.training.model import TrainableModel

__all__ = ["export", "exported", "in_half"]


def exported(folder: Path, model: TrainableModel) -> Path:
    """Where `export` writes to. RIFE-Large has the shapes of RIFE, so its file has another name, and metadata."""
    return folder / ("model-large.safetensors" if _is_large(model) else "model.safetensors")


def in_half(weights: Mapping[str, Tensor], way_out: str) -> dict[str, Tensor]:
    """Weights in half precision, contiguous, on the CPU. Raises RifeError if one is not finite in half precision.

    way_out: the end of the error message.
    """
    made = {key: each.half().cpu().contiguous() for key, each in weights.items()}
    for key, each in made.items():
        if not bool(torch.isfinite(each).all()):
            raise RifeError(f"weight ({key}) must be finite in half precision; {way_out}")
    return made


def export(folder: Path, model: TrainableModel, config: Config, facts: Mapping[str, Any]) -> Path:
    """Write the current weights of the model, without teacher, and config.json. Returns the file of weights.

    Raises RifeError and writes nothing if a weight is beyond the range of half precision.
    """
    state = in_half(model.exported_state_dict(), "raise optimiser.decay and start a new run")
    path = exported(folder, model)
    about = {
        "config": config.as_plain(),
        "network": {"kind": type(model.architecture).__name__, **asdict(model.architecture)},
        "software": {"vsrife": vsrife.__version__, "torch": torch.__version__},
        **facts,
    }
    _replace(path, save(state, metadata_of(model.architecture)))
    _replace(folder / "config.json", (json.dumps(about, indent=1) + "\n").encode())
    return path


def _is_large(model: TrainableModel) -> bool:
    return isinstance(model.architecture, PaperArchitecture) and model.architecture.large


def _replace(path: Path, data: bytes) -> None:
    made = path.with_name(f".{path.name}-{os.getpid()}")
    made.write_bytes(data)
    made.replace(path)
