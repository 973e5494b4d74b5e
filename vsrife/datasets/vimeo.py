"""Vimeo90K in its official layout: triplets or septuplets, as shots of three or seven frames."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal

from torch import Tensor

from vsrife.datasets.pictures import picture_size, read_picture
from vsrife.errors import ArgumentError

__all__ = ["Vimeo"]

_FRAMES: Final = {"tri": 3, "sep": 7}
_SEQUENCE: Final = re.compile(r"\d{5}/\d{4}")
_CHECKED: Final = 16  # sequences, spread over the list, whose pictures must exist before anything starts


class Vimeo:
    """Shots of `sequences/00001/0001/im1.png` ... as `tri_trainlist.txt` or `sep_trainlist.txt` lists them.

    Frames are decoded on request, by `threads` threads. Thread-safe.
    """

    def __init__(self, folder: Path, split: Literal["train", "test"] = "train", *, threads: int = 8) -> None:
        """Raises ArgumentError, which names the folder or file and what is expected, if the layout is different."""
        kinds = [kind for kind in _FRAMES if (folder / f"{kind}_{split}list.txt").is_file()]
        expected = f"tri_{split}list.txt or sep_{split}list.txt, and sequences/00001/0001/im1.png"
        if len(kinds) != 1 or not (folder / "sequences").is_dir():
            found = (
                "both lists"
                if len(kinds) > 1
                else f"no sequences beside {kinds[0]}_{split}list.txt"
                if kinds
                else "no list"
            )
            raise ArgumentError(f"vimeo ({folder}) must be a folder with {expected}; found {found}")
        (kind,) = kinds
        self._sequences = folder / "sequences"
        self._names = _listed(folder / f"{kind}_{split}list.txt")
        self.lengths: Sequence[int] = [_FRAMES[kind]] * len(self._names)
        for name in self._names[:: max(1, len(self._names) // _CHECKED)] + self._names[-1:]:
            for frame in range(_FRAMES[kind]):
                path = self._path(name, frame)
                if not path.is_file():
                    raise ArgumentError(f"vimeo ({folder}) must hold {path.relative_to(folder)}, which its list names")
        width, height = picture_size(self._path(self._names[0], 0))
        self.smallest = (height, width)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="vimeo")

    def read(self, places: Sequence[tuple[int, int]]) -> Sequence[Tensor]:
        """Decode the frames. Raises ArgumentError for a picture that is missing or damaged."""
        return list(self._pool.map(lambda place: read_picture(self._path(self._names[place[0]], place[1])), places))

    def _path(self, name: str, frame: int) -> Path:
        return self._sequences / name / f"im{frame + 1}.png"


def _listed(path: Path) -> list[str]:
    names = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    for name in names:
        if not _SEQUENCE.fullmatch(name):
            raise ArgumentError(f"vimeo ({path}) must have lines like 00001/0001, not {name[:40]!r}")
    if not names:
        raise ArgumentError(f"vimeo ({path}) must list sequences, one a line like 00001/0001; it is empty")
    return names
