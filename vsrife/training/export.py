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
from vsrife.training.networks import Pupil

__all__ = ["export", "exported", "in_half"]


def exported(folder: Path, pupil: Pupil) -> Path:
    """Where `export` writes to: no shape tells RIFE-Large from RIFE, so the name does, and the file's metadata."""
    return folder / ("model-large.safetensors" if _is_large(pupil) else "model.safetensors")


def in_half(weights: Mapping[str, Tensor], way_out: str) -> dict[str, Tensor]:
    """Weights in half precision, contiguous, on the CPU. Raises RifeError, which ends in the way out, where one is not
    finite then.
    """
    made = {key: each.half().cpu().contiguous() for key, each in weights.items()}
    for key, each in made.items():
        if not bool(torch.isfinite(each).all()):
            raise RifeError(f"weight ({key}) must be finite in half precision; {way_out}")
    return made


def export(folder: Path, pupil: Pupil, config: Config, facts: Mapping[str, Any]) -> Path:
    """Write the weights that the pupil has, without teacher, and config.json. Returns the weights' file.

    Raises RifeError, and writes nothing, where a weight is beyond what half precision holds.
    """
    state = in_half(pupil.weights(), "raise optimiser.decay, and begin anew")
    path = exported(folder, pupil)
    about = {
        "config": config.as_plain(),
        "network": {"kind": type(pupil.architecture).__name__, **asdict(pupil.architecture)},
        "software": {"vsrife": vsrife.__version__, "torch": torch.__version__},
        **facts,
    }
    _replace(path, save(state, metadata_of(pupil.architecture)))
    _replace(folder / "config.json", (json.dumps(about, indent=1) + "\n").encode())
    return path


def _is_large(pupil: Pupil) -> bool:
    return isinstance(pupil.architecture, PaperArchitecture) and pupil.architecture.large


def _replace(path: Path, data: bytes) -> None:
    made = path.with_name(f".{path.name}-{os.getpid()}")
    made.write_bytes(data)
    made.replace(path)
