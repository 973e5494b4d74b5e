"""The networks inside the package, described by their files' headers and the notes beside them. No torch.

A file NAME.safetensors in `store.EMBEDDED` is the model NAME. NAME.about.md beside it names its training data and its
teachers with their licences.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vsrife.errors import ModelError
from vsrife.models import store

__all__ = ["ABOUT", "LICENCE", "MOST_BYTES", "Embedded", "embedded"]

ABOUT: Final = ".about.md"

LICENCE: Final = "MIT"
"""The licence of all of them, since they are part of this package."""

MOST_BYTES: Final = 12_000_000
"""The largest size of one of them, in half precision."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Embedded:
    """One of them. parameters: how many it has. about: the note on data and teachers, None where there is none."""

    name: str
    path: Path
    parameters: int
    size: int
    sha256: str
    about: Path | None
    licence: str = LICENCE


def embedded() -> list[Embedded]:
    """All of them, by name. Raises ModelError for a file that is damaged."""
    return [_of(name, path) for name, path in store.embedded_models().items()]


def _of(name: str, path: Path) -> Embedded:
    data = path.read_bytes()
    about = path.with_name(name + ABOUT)
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        parameters = sum(math.prod(each["shape"]) for key, each in header.items() if key != "__metadata__")
    except (ValueError, AttributeError, KeyError, TypeError):
        raise ModelError(f"model ({name}) in {path} is damaged; install vapoursynth-rife again") from None
    return Embedded(
        name=name,
        path=path,
        parameters=parameters,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        about=about if about.is_file() else None,
    )
