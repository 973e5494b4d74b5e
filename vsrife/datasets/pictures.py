"""Still pictures and sequences of pictures <-> tensors and bytes, by Pillow."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from vsrife.errors import ArgumentError, RifeError

__all__ = ["decode", "decode_sequence", "encode", "encode_sequence", "picture_size", "read_picture"]

_AVIF_SPEED: Final = 8
"""Encoder speed from 0 (small) to 10 (fast). 6 takes nine times as long for files that are a few percent smaller."""


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise RifeError("pictures need Pillow, which is not installed; run: pip install 'pillow>=11.3'") from error
    return Image


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height, from the file header. Raises ArgumentError as `read_picture`."""
    try:
        with _pillow().open(path) as image:
            width, height = image.size
            return width, height
    except OSError as error:
        raise ArgumentError(f"picture ({path}) must be a picture file; {error}") from error


def read_picture(path: Path, *, alpha: bool = False) -> Tensor:
    """A picture, uint8 [3, h, w], or [4, h, w] with alpha last. Raises ArgumentError, which names the file."""
    try:
        return decode(path.read_bytes(), alpha=alpha)
    except OSError as error:
        raise ArgumentError(f"picture ({path}) must be a picture file; {error}") from error


def decode(data: bytes, *, alpha: bool = False) -> Tensor:
    """As `read_picture`, from the file's bytes; raises OSError on bad ones."""
    with _pillow().open(io.BytesIO(data)) as image:
        return _tensor(image, "RGBA" if alpha else "RGB")


def decode_sequence(data: bytes) -> Tensor:
    """All pictures of an animated file: uint8 [F, 3, h, w]."""
    return torch.stack(list(_frames(data)))


def _frames(data: bytes) -> Iterator[Tensor]:
    with _pillow().open(io.BytesIO(data)) as image:
        for index in range(image.n_frames):
            image.seek(index)
            yield _tensor(image, "RGB")


def encode(picture: Tensor, kind: str, quality: int) -> bytes:
    """A picture, uint8 [3 or 4, h, w], as a file of kind "AVIF", "WEBP" or "JPEG" at quality 0 to 100, or "PNG"."""
    return _saved([picture], kind, quality)


def encode_sequence(frames: Sequence[Tensor], quality: int) -> bytes:
    """Frames, uint8 [3, h, w] of one size, as an AVIF sequence: a frame is coded by its difference from others."""
    return _saved(frames, "AVIF", quality)


def _saved(frames: Sequence[Tensor], kind: str, quality: int) -> bytes:
    first, *others = (_pillow().fromarray(frame.permute(1, 2, 0).contiguous().numpy()) for frame in frames)
    options: dict[str, Any] = {"quality": quality}
    if kind == "AVIF":
        options |= {"speed": _AVIF_SPEED, "subsampling": "4:2:0"}
    if others:
        options |= {"save_all": True, "append_images": others}
    stream = io.BytesIO()
    first.save(stream, kind, **options)
    return _undated(stream.getvalue()) if others else stream.getvalue()


def _undated(data: bytes) -> bytes:
    """An AVIF sequence without its creation times, so that the same frames give the same bytes."""
    undated = bytearray(data)
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        at = data.find(box)
        if at >= 0:
            start = (
                at + 8
            )  # the name, the version and 3 bytes of flags; two times of 8 bytes each follow, of 4 before 1
            length = 16 if data[at + 4] == 1 else 8
            undated[start : start + length] = bytes(length)
    return bytes(undated)


def _tensor(image: Any, mode: str) -> Tensor:
    return torch.from_numpy(np.array(image.convert(mode))).permute(2, 0, 1).contiguous()
