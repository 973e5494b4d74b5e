"""What a checkpoint of the networks before 4.0 is: told by its shapes and, where those cannot, by its name."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torch import Tensor

from vsrife.errors import ArgumentError, ModelError
from vsrife.network import PaperArchitecture, V3Architecture, V3Version

VARIANT_KEY: Final = "variant"
"""The key of a `.safetensors` file's metadata that distinguishes RIFE-Large, which has the shapes of RIFE."""

LARGE: Final = "large"
"""The value of that key for RIFE-Large; there is no other one."""

_LARGE_IN_NAMES: Final = frozenset(("large", "2r", "2t2r"))

_SCALES: Final = (4, 2, 1)


def is_large_by_name(name: str) -> bool:
    """Whether a file's name has the word `large`, `2R` or `2T2R` in it, in any case."""
    words = re.split(r"[^a-z0-9.]+", re.sub(r"(?<=[a-zA-Z])(?=[A-Z][a-z])", " ", Path(name).stem).lower())
    return not _LARGE_IN_NAMES.isdisjoint(words)


def legacy_architecture(
    state: Mapping[str, Tensor], *, variant: str | None = None, name: str = "", where: str = "the checkpoint"
) -> PaperArchitecture | V3Architecture | None:
    """The architecture of a checkpoint (keys without `module.`), or None for one that is not of these networks.

    variant: the value of VARIANT_KEY in the file's metadata: LARGE for RIFE-Large. None: `is_large_by_name` decides.
    A network of the paper without `contextnet` has no refine network. Fewer blocks than three have the finest scales.
    Raises ModelError, with ``where`` as the subject, for a network that contradicts itself or its metadata.
    """
    if variant not in (None, LARGE):
        raise ModelError(f"{where} has variant ({variant}) in its metadata, which must be {LARGE}; remove that key")
    try:
        if any(key.startswith(("block0.conv1.", "block0.convblock0.")) for key in state):
            return _v3(state, variant, where)
        if "block0.lastconv.weight" in state and "block3.conv0.1.0.weight" not in state:
            return _papers(state, variant, name, where)
    except ArgumentError as error:
        raise ModelError(f"{where} is not a network of RIFE: {error}") from None
    return None


def _v3(state: Mapping[str, Tensor], variant: str | None, where: str) -> V3Architecture:
    shapes = {
        "block0.conv1.weight": V3Version.V31,
        "block0.conv2.weight": V3Version.V35,
        "block0.conv2.2.weight": V3Version.V38,
    }
    version = next((version for key, version in shapes.items() if key in state), None)
    if version is None:
        raise ModelError(f"{where} looks like the 3.x line but has none of {', '.join(shapes)}")
    if variant is not None:
        raise ModelError(
            f"{where} is RIFE {version} by its shapes, but its metadata names variant ({variant}); remove that key"
        )
    width = _size(state, "block0.conv0.1.0.weight", 0, where)
    if version is not V3Version.V31:
        return V3Architecture(version=version, width=width)
    context = _size(state, "contextnet.conv0.conv1.0.weight", 0, where)
    return V3Architecture(version=version, width=width, context=context)


def _papers(state: Mapping[str, Tensor], variant: str | None, name: str, where: str) -> PaperArchitecture:
    count = sum(f"block{index}.conv0.1.0.weight" in state for index in range(len(_SCALES)))
    inputs = _size(state, "block0.conv0.0.0.weight", 1, where)
    refines = any(key.startswith("contextnet.") for key in state)
    architecture = PaperArchitecture(
        widths=tuple(_size(state, f"block{index}.conv0.1.0.weight", 0, where) for index in range(count)),
        scales=_SCALES[len(_SCALES) - count :],
        timed=inputs == PaperArchitecture(timed=True).block_inputs(0),
        large=variant == LARGE or is_large_by_name(name),
        context=_size(state, "contextnet.conv1.conv1.0.weight", 0, where) if refines else 0,
    )
    if architecture.timed and architecture.large:
        raise ModelError(
            f"{where} takes a time, as RIFE-m does, which has no large variant; rename the file or remove that key"
        )
    return architecture


def _size(state: Mapping[str, Tensor], key: str, dimension: int, where: str) -> int:
    try:
        return state[key].shape[dimension]
    except (KeyError, IndexError):
        raise ModelError(f"{where} is not a network of RIFE: it lacks {key}") from None
