"""What a checkpoint of the networks before 4.0 is: told by its shapes and, where those cannot, by its name."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, get_args

from torch import Tensor

from vsrife.errors import ArgumentError, ModelError
from vsrife.network import HDArchitecture, HDVersion, PaperArchitecture

__all__ = ["VARIANT_KEY", "older_architecture"]

Variant = Literal["large", "3.6"]
"""What no shape tells: RIFE-Large, which is RIFE with other strides, and 3.6, which is 3.8 with another rule."""

VARIANT_KEY: Final = "variant"
"""Where the metadata of a `.safetensors` file says it."""

_IN_NAMES: Final[Mapping[str, Variant]] = {
    "large": "large",
    "2r": "large",
    "2t2r": "large",
    "3.6": "3.6",
    "v3.6": "3.6",
}

_SCALES: Final = (4, 2, 1)


def variant_in(name: str) -> Variant | None:
    """What the words of a file's name say: `large`, `2R` or `2T2R`, and `3.6` or `v3.6`; None where there is none."""
    words = re.split(r"[^a-z0-9.]+", re.sub(r"(?<=[a-zA-Z])(?=[A-Z][a-z])", " ", Path(name).stem).lower())
    return next((_IN_NAMES[word] for word in words if word in _IN_NAMES), None)


def older_architecture(
    state: Mapping[str, Tensor], *, variant: str | None, name: str = "", where: str = "the checkpoint"
) -> PaperArchitecture | HDArchitecture | None:
    """The architecture of a checkpoint (keys without `module.`), or None for one that is not of these networks.

    variant: which of two networks of the same shapes it is; None asks `variant_in` of ``name`` and, where that says
        nothing of use, means RIFE and 3.8.
    A network of the paper without `contextnet` has no refine network. Fewer blocks than three have the finest scales.
    Raises ModelError, with ``where`` as the subject, for a network that contradicts itself or has no such variant.
    """
    if variant not in (None, *get_args(Variant)):
        names = ", ".join(get_args(Variant))
        raise ModelError(
            f"variant ({variant}) must be one of {names}: what no shape tells; leave it out for all others"
        )
    try:
        if any(key.startswith(("block0.conv1.", "block0.convblock0.")) for key in state):
            return _hd(state, variant, name, where)
        if "block0.lastconv.weight" in state and "block3.conv0.1.0.weight" not in state:
            return _papers(state, variant, name, where)
    except ArgumentError as error:
        raise ModelError(f"{where} is not a network of RIFE: {error}") from None
    return None


def _hd(state: Mapping[str, Tensor], variant: str | None, name: str, where: str) -> HDArchitecture:
    shapes = {
        "block0.conv1.weight": HDVersion.V31,
        "block0.conv2.weight": HDVersion.V35,
        "block0.conv2.2.weight": HDVersion.V38,
    }
    version = next((version for key, version in shapes.items() if key in state), None)
    if version is None:
        raise ModelError(f"{where} looks like the 3.x line but has none of {', '.join(shapes)}")
    if variant == "large" or (variant == "3.6" and version is not HDVersion.V38):
        raise ModelError(f"{where} is RIFE {version} by its shapes; leave out the variant ({variant})")
    if version is HDVersion.V38 and (variant or variant_in(name)) == "3.6":
        version = HDVersion.V36
    width = _size(state, "block0.conv0.1.0.weight", 0, where)
    if version is not HDVersion.V31:
        return HDArchitecture(version=version, width=width)
    context = _size(state, "contextnet.conv0.conv1.0.weight", 0, where)
    return HDArchitecture(version=version, width=width, context=context)


def _papers(state: Mapping[str, Tensor], variant: str | None, name: str, where: str) -> PaperArchitecture:
    if variant == "3.6":
        raise ModelError(f"{where} is one of the paper's networks by its shapes; variant (3.6) must be large or none")
    count = sum(f"block{index}.conv0.1.0.weight" in state for index in range(len(_SCALES)))
    inputs = _size(state, "block0.conv0.0.0.weight", 1, where)
    refines = any(key.startswith("contextnet.") for key in state)
    architecture = PaperArchitecture(
        widths=tuple(_size(state, f"block{index}.conv0.1.0.weight", 0, where) for index in range(count)),
        scales=_SCALES[len(_SCALES) - count :],
        timed=inputs == PaperArchitecture(timed=True).block_inputs(0),
        large=(variant or variant_in(name)) == "large",
        context=_size(state, "contextnet.conv1.conv1.0.weight", 0, where) if refines else 0,
    )
    if architecture.timed and architecture.large:
        raise ModelError(f"{where} takes a time, as RIFE-m does, which has no large variant; rename it or name none")
    return architecture


def _size(state: Mapping[str, Tensor], key: str, dimension: int, where: str) -> int:
    try:
        return state[key].shape[dimension]
    except (KeyError, IndexError):
        raise ModelError(f"{where} is not a network of RIFE: it lacks {key}") from None
