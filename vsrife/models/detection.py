"""Which network a checkpoint is: by its keys and shapes and, where no shape tells, by metadata or the file's name."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torch import Tensor

from vsrife.errors import ArgumentError, ModelError, RifeError
from vsrife.models.catalogue import CHOOSE
from vsrife.models.metadata import LARGE, VARIANT_KEY, scales_in
from vsrife.network.architecture import Architecture, Head, Trunk
from vsrife.network.families import released_scales
from vsrife.network.legacy.architecture import PaperArchitecture, V3Architecture, V3Version

__all__ = ["detect_ifnet", "detect_legacy", "detect_network", "is_large_by_name"]

_LARGE_IN_NAMES: Final = frozenset(("large", "2r", "2t2r"))

_PAPER_SCALES: Final = PaperArchitecture().scales

_ENCODERS: Final = (
    (Head.CLAMPED, "encode.cnn0.weight", "encode.cnn3.weight"),
    (Head.SEQUENTIAL, "encode.0.weight", "encode.6.weight"),
    (Head.LINEAR, "encode.0.weight", "encode.1.weight"),
)
"""Each encoder with the keys of its first and its last layer."""


def detect_network(
    state: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    *,
    name: str = "",
    where: str = "the checkpoint",
) -> Architecture | PaperArchitecture | V3Architecture:
    """The architecture of a checkpoint (keys without `module.`), by its keys, its shapes and its file's metadata.

    metadata: as `metadata_of` writes it; empty for a file that has none. name: as of `detect_legacy`.
    Raises ModelError, with ``where`` as the subject, for anything else than a network of RIFE, and where the metadata
    contradict the shapes.
    """
    legacy = detect_legacy(state, variant=metadata.get(VARIANT_KEY), name=name, where=where)
    scales = scales_in(metadata, where)
    if legacy is not None:
        if scales is not None:
            raise ModelError(
                f"{where} is a network from before 4.0 by its shapes, whose scales are fixed, but its metadata names "
                f"scales ({' '.join(map(str, scales))}); write the file again without them"
            )
        return legacy
    return detect_ifnet(state, scales=scales, where=where)


def detect_ifnet(
    state: Mapping[str, Tensor], *, scales: tuple[int, ...] | None = None, where: str = "the checkpoint"
) -> Architecture:
    """The architecture of a checkpoint of the 4.x line (keys without `module.`).

    scales: those of the file's metadata, as many as there are blocks; None means those of a public release, see
        `released_scales`.

    Raises ModelError, with ``where`` as the subject, for anything else than a network of the 4.x line, and for scales
    that it cannot have. Only some keys are looked at here; `checkpoint.load` compares all of them.
    """
    if any(key.startswith(("down0.", "conv4.")) for key in state):
        raise ModelError(
            f"{where} is a part of RIFE 3.1; pass the file with flownet in its name, and leave this beside it"
        )

    def size(key: str, dimension: int) -> int:
        return _size(state, key, dimension, where)

    count = 0
    while f"block{count}.conv0.1.0.weight" in state:
        count += 1
    widths = tuple(size(f"block{index}.conv0.1.0.weight", 0) for index in range(max(count, 4 if scales is None else 1)))
    if scales is None:
        scales = released_scales(widths)
        if scales is None:
            raise ModelError(f"{where} has {count} blocks; RIFE 4.x networks have 4 or 5; {CHOOSE}")
    elif len(scales) != count:
        raise ModelError(
            f"{where} has {count} blocks, but its metadata names {len(scales)} scales ({' '.join(map(str, scales))}); "
            f"write the file again, or {CHOOSE}"
        )

    groups = 1
    if "block0.convblock.0.beta" in state:
        trunk = Trunk.RESIDUAL
        groups = widths[0] // max(size("block0.convblock.0.conv.weight", 1), 1)
    else:
        trunk = Trunk.PRELU if "block0.conv0.0.1.weight" in state else Trunk.LEAKY
    plain = "block0.lastconv.weight" in state  # without a pixel shuffle behind it
    outputs = size("block0.lastconv.weight" if plain else "block0.lastconv.0.weight", 1)

    head, head_width, features = Head.NONE, 0, 0
    for kind, first, last in _ENCODERS:
        if last in state:
            head, head_width, features = kind, size(first, 0), size(last, 1)
            break
    try:
        return Architecture(
            widths=widths,
            scales=scales,
            trunk=trunk,
            groups=groups,
            outputs=outputs,
            head=head,
            head_width=head_width,
            features=features,
        )
    except RifeError as error:
        raise ModelError(f"{where} is not a network of RIFE: {error}; {CHOOSE}") from None


def is_large_by_name(name: str) -> bool:
    """Whether a file's name has the word `large`, `2R` or `2T2R` in it, in any case."""
    words = re.split(r"[^a-z0-9.]+", re.sub(r"(?<=[a-zA-Z])(?=[A-Z][a-z])", " ", Path(name).stem).lower())
    return not _LARGE_IN_NAMES.isdisjoint(words)


def detect_legacy(
    state: Mapping[str, Tensor], *, variant: str | None = None, name: str = "", where: str = "the checkpoint"
) -> PaperArchitecture | V3Architecture | None:
    """The architecture of a checkpoint of the networks before 4.0 (keys without `module.`); None for any other one.

    variant: the value of VARIANT_KEY in the file's metadata: LARGE for RIFE-Large. None: `is_large_by_name` decides.
    A network of the paper without `contextnet` has no refine network. One with fewer blocks than three has the finest
    scales.
    Raises ModelError, with ``where`` as the subject, for a network that contradicts itself or its metadata.
    """
    if variant not in (None, LARGE):
        raise ModelError(f"{where} has variant ({variant}) in its metadata, which must be {LARGE}; remove that key")
    try:
        if any(key.startswith(("block0.conv1.", "block0.convblock0.")) for key in state):
            return _v3(state, variant, where)
        if "block0.lastconv.weight" in state and "block3.conv0.1.0.weight" not in state:
            return _paper(state, variant, name, where)
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


def _paper(state: Mapping[str, Tensor], variant: str | None, name: str, where: str) -> PaperArchitecture:
    count = sum(f"block{index}.conv0.1.0.weight" in state for index in range(len(_PAPER_SCALES)))
    inputs = _size(state, "block0.conv0.0.0.weight", 1, where)
    refines = any(key.startswith("contextnet.") for key in state)
    architecture = PaperArchitecture(
        widths=tuple(_size(state, f"block{index}.conv0.1.0.weight", 0, where) for index in range(count)),
        scales=_PAPER_SCALES[len(_PAPER_SCALES) - count :],
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
        found = ", ".join(sorted(state)[:3]) or "nothing"
        raise ModelError(
            f"{where} is not a network of RIFE: its {len(state)} keys ({found} ...) lack {key}; {CHOOSE}"
        ) from None
