"""The metadata of a `.safetensors` file: what the shapes of its tensors do not determine."""

from collections.abc import Mapping
from typing import Final

from vsrife.errors import ModelError
from vsrife.network.architecture import Architecture
from vsrife.network.legacy.architecture import PaperArchitecture

__all__ = ["LARGE", "SCALES_KEY", "VARIANT_KEY", "metadata_of", "scales_in"]

VARIANT_KEY: Final = "variant"
"""The key that distinguishes RIFE-Large, which has the shapes of RIFE."""

LARGE: Final = "large"
"""The value of that key for RIFE-Large; there is no other one."""

SCALES_KEY: Final = "scales"
"""The key for how much each block's input is reduced, coarse to fine, separated by spaces: `16 8 4 2`."""

_MOST_BLOCKS: Final = 8


def metadata_of(architecture: Architecture | PaperArchitecture) -> dict[str, str] | None:
    """The metadata to write with the weights of such a network; None where its shapes determine the architecture."""
    if isinstance(architecture, Architecture):
        return {SCALES_KEY: " ".join(map(str, architecture.scales))}
    return {VARIANT_KEY: LARGE} if architecture.large else None


def scales_in(metadata: Mapping[str, str], where: str) -> tuple[int, ...] | None:
    """The scales that a file's metadata names, or None where it names none.

    Raises ModelError, with ``where`` as the subject, for anything else than whole numbers separated by spaces. Whether
    a network can have them is checked by `Architecture`.
    """
    text = metadata.get(SCALES_KEY)
    if text is None:
        return None
    words = text.split()
    numbers = all(word.isascii() and word.isdecimal() and len(word) < 4 for word in words)
    if not (numbers and 1 <= len(words) <= _MOST_BLOCKS):
        raise ModelError(
            f"{where} names scales ({text[:60]!r}) in its metadata, which must be 1 to {_MOST_BLOCKS} whole numbers "
            "with spaces between them, as in 16 8 4 2; write the file again"
        )
    return tuple(map(int, words))
