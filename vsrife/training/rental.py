"""Training on a machine that is lent for minutes: what travels there, and what is there to come back at any moment."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from vsrife.errors import ArgumentError
from vsrife.training.state import MOST_IN_FILE

__all__ = ["MOST_FILES", "MOST_TRAVELS", "Returns", "travels"]

MOST_TRAVELS: Final = 64_000_000
"""Bytes that are brought to the machine: pack, labels, state or weights, clips that measure."""

MOST_FILES: Final = 8
"""That come back, each of MOST_IN_FILE bytes at most."""

_MADE: Final = ("carry", "carry.new", "log.jsonl", "model.safetensors", "model-large.safetensors")
"""What `Returns` puts into its folder, a file also with a dot before its name while it is written."""


def travels(parts: Mapping[str, Path]) -> str:
    """A line about what has to be brought along, by what it is: files or folders.

    Raises ArgumentError where it is more than MOST_TRAVELS together.
    """
    sizes = {name: _bytes(path) for name, path in parts.items()}
    total = sum(sizes.values())
    listed = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items())
    if total > MOST_TRAVELS:
        raise ArgumentError(
            f"{' + '.join(parts)} ({listed}) must be {MOST_TRAVELS / 1e6:.0f} MB or less together, and is "
            f"{(total - MOST_TRAVELS) / 1e6:.1f} MB more; leave out the clips, or begin with weights alone"
        )
    spare = (MOST_TRAVELS - total) / 1e6
    return f"travels: {listed}; {total / 1e6:.1f} MB of {MOST_TRAVELS / 1e6:.0f}, {spare:.1f} to spare"


class Returns:
    """A folder that comes back when the machine is given back, or taken away in the middle of it.

    A compact state is copied beside the one before and takes its place when it is whole, so there is one at any time.
    """

    def __init__(self, folder: Path) -> None:
        """Raises ArgumentError where it cannot be written to, or holds anything but what was put there before."""
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            other = next((each.name for each in folder.iterdir() if each.name.removeprefix(".") not in _MADE), None)
        except OSError as error:
            raise ArgumentError(f"returns ({folder}) must be a folder to write to: {error.strerror}") from None
        if other is not None:
            raise ArgumentError(f"returns ({folder}) must hold nothing else, but has {other}; name another")

    def take(self, run: Path, weights: Path) -> None:
        """Copy the compact state of a run's folder, its log, and the weights, if they are there.

        Raises ArgumentError where it cannot be written, or both states would be more files than come back.
        """
        most = (MOST_FILES - 2) // 2
        count = len(list((run / "carry").iterdir()))
        if count > most:
            raise ArgumentError(
                f"compact state ({run / 'carry'}) must be {most} files or less, so that two of them come back, and is "
                f"{count}; lower save.carry"
            )
        try:
            self._copy(run, weights)
        except OSError as error:
            raise ArgumentError(f"returns ({self.folder}) must be a folder to write to: {error}") from None

    def _copy(self, run: Path, weights: Path) -> None:
        fresh, kept = self.folder / "carry.new", self.folder / "carry"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(run / "carry", fresh)
        shutil.rmtree(kept, ignore_errors=True)
        fresh.rename(kept)
        for path in (run / "log.jsonl", weights):
            if path.is_file():
                made = self.folder / f".{path.name}"
                shutil.copyfile(path, made)
                made.replace(self.folder / path.name)

    def summary(self) -> str:
        """A line about what is there. Raises ArgumentError where it is more than comes back."""
        files = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        large = [path.name for path in files if path.stat().st_size > MOST_IN_FILE]
        if large or len(files) > MOST_FILES:
            raise ArgumentError(
                f"returns ({self.folder}) must hold at most {MOST_FILES} files of {MOST_IN_FILE / 1e6:.0f} MB, but has "
                f"{len(files)}, too large: {', '.join(large) or 'none'}; empty it, or lower save.carry"
            )
        total = sum(path.stat().st_size for path in files)
        return f"returns: {len(files)} files, {total / 1e6:.1f} MB, in {self.folder}"


def _bytes(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
