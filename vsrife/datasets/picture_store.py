"""The pictures of synthetic scenes, in a pack or in folders."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vsrife.datasets.bank import Bank, make_bank
from vsrife.datasets.packing import open_pack
from vsrife.datasets.pictures import read_picture
from vsrife.errors import ArgumentError

__all__ = ["PictureStore"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureStore:
    """pack: a folder made by tools/pack_data.py; or, without one, folders of pictures and, optionally, cut-outs."""

    pack: Path | None = None
    pictures: Path | None = None
    cutouts: Path | None = None

    def bank(self) -> Bank:
        """Read all pictures. Raises ArgumentError, which names the folder or file, if one cannot be read."""
        if self.pack:
            pack = open_pack(self.pack)
            return make_bank(pack.pictures(), pack.cutouts())
        return make_bank(
            (read_picture(path) for path in _files("pictures", self.pictures)),
            (read_picture(path, alpha=True) for path in _files("cutouts", self.cutouts)),
        )

    def digest(self) -> str:
        """A digest of the files' bytes, independent of their place. Raises ArgumentError as `bank`."""
        if self.pack:
            files = open_pack(self.pack).about["files"]
            sums = [figures["sha256"] for name, figures in files.items() if name.startswith("pictures-")]
        else:
            found = (*_files("pictures", self.pictures), *_files("cutouts", self.cutouts))
            sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in found]
        return hashlib.sha256(" ".join(sums).encode()).hexdigest()


def _files(kind: str, folder: Path | None) -> Iterator[Path]:
    if folder is None:
        return
    found = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not found:
        raise ArgumentError(f"data.{kind} ({folder}) must be a folder with pictures; it holds none")
    yield from found
