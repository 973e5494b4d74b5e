"""What no shape of a checkpoint tells, in the metadata of a `.safetensors` file: written and read here alone."""

from collections.abc import Mapping
from typing import Final

from vsrife.errors import ModelError
from vsrife.models.legacy import LARGE, VARIANT_KEY
from vsrife.network import Architecture, PaperArchitecture

__all__ = ["SCALES_KEY", "metadata_of", "scales_in"]

SCALES_KEY: Final = "scales"
"""How much each block's input is reduced, coarse to fine, as numbers with spaces between them: `16 8 4 2`."""

_MOST: Final = 8
"""Blocks of a network."""


def metadata_of(architecture: Architecture | PaperArchitecture) -> dict[str, str] | None:
    """What a file with the weights of such a network must say beside its tensors; None where they tell it all."""
    if isinstance(architecture, Architecture):
        return {SCALES_KEY: " ".join(map(str, architecture.scales))}
    return {VARIANT_KEY: LARGE} if architecture.large else None


def scales_in(metadata: Mapping[str, str], where: str) -> tuple[int, ...] | None:
    """The scales that a file's metadata names, or None where it names none.

    Raises ModelError, with ``where`` as the subject, for anything but some whole numbers with spaces between them.
    Whether they are those of a network, `Architecture` finds out.
    """
    text = metadata.get(SCALES_KEY)
    if text is None:
        return None
    words = text.split()
    numbers = all(word.isascii() and word.isdecimal() and len(word) < 4 for word in words)
    if not (numbers and 1 <= len(words) <= _MOST):
        raise ModelError(
            f"{where} names scales ({text[:60]!r}) in its metadata, which must be 1 to {_MOST} whole numbers with "
            "spaces between them, as in 16 8 4 2; write the file again"
        )
    return tuple(map(int, words))
