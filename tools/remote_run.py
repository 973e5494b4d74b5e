"""A training run on a remote machine: limits of what is uploaded, and a results folder that is complete at any time."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from vsrife.errors import ArgumentError
from vsrife.training.checkpoint import COMPACT_FOLDER, MOST_IN_FILE

__all__ = ["MOST_FILES", "MOST_UPLOAD", "ResultsFolder", "upload_summary"]

MOST_UPLOAD: Final = 64_000_000
"""Bytes that may be uploaded: pack, labels, checkpoint or weights, validation clips."""

MOST_FILES: Final = 8
"""Files that may be downloaded, each of MOST_IN_FILE bytes at most."""

_NEW: Final = f"{COMPACT_FOLDER}.new"
_OWN: Final = (COMPACT_FOLDER, _NEW, "log.jsonl", "model.safetensors", "model-large.safetensors")
"""What `ResultsFolder` writes; while a file is written, a dot precedes its name."""


def upload_summary(parts: Mapping[str, Path]) -> str:
    """A line with the sizes of the files and folders to upload, by their names.

    Raises ArgumentError if they are more than MOST_UPLOAD together.
    """
    sizes = {name: _bytes(path) for name, path in parts.items()}
    total = sum(sizes.values())
    listed = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items())
    if total > MOST_UPLOAD:
        raise ArgumentError(
            f"{' + '.join(parts)} ({listed}) must be {MOST_UPLOAD / 1e6:.0f} MB or less together, and is "
            f"{(total - MOST_UPLOAD) / 1e6:.1f} MB more; leave out the clips, or start with weights only"
        )
    spare = (MOST_UPLOAD - total) / 1e6
    return f"upload: {listed}; {total / 1e6:.1f} MB of {MOST_UPLOAD / 1e6:.0f}, {spare:.1f} to spare"


class ResultsFolder:
    """A folder with the results of a run so far, which may be downloaded at any time.

    A new compact checkpoint is copied next to the previous one and replaces it when it is complete.
    """

    def __init__(self, folder: Path) -> None:
        """Raises ArgumentError if the folder cannot be written to or has files that are not results of a run."""
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            other = next((each.name for each in folder.iterdir() if each.name.removeprefix(".") not in _OWN), None)
        except OSError as error:
            raise ArgumentError(f"returns ({folder}) must be a folder to write to: {error.strerror}") from None
        if other is not None:
            raise ArgumentError(f"returns ({folder}) must hold nothing else, but has {other}; name another")

    def update(self, run: Path, weights: Path) -> None:
        """Copy the compact checkpoint in a run's folder, and the log and the weights if they exist.

        Raises ArgumentError if they cannot be written, or if two checkpoints would be too many files.
        """
        most = (MOST_FILES - 2) // 2
        compact = run / COMPACT_FOLDER
        count = len(list(compact.iterdir()))
        if count > most:
            raise ArgumentError(
                f"compact checkpoint ({compact}) must be {most} files or less, so that two of them can be downloaded, "
                f"and is {count}; lower save.compact"
            )
        try:
            self._copy(run, weights)
        except OSError as error:
            raise ArgumentError(f"returns ({self.folder}) must be a folder to write to: {error}") from None

    def _copy(self, run: Path, weights: Path) -> None:
        new, current = self.folder / _NEW, self.folder / COMPACT_FOLDER
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(run / COMPACT_FOLDER, new)
        shutil.rmtree(current, ignore_errors=True)
        new.rename(current)
        for path in (run / "log.jsonl", weights):
            if path.is_file():
                unfinished = self.folder / f".{path.name}"
                shutil.copyfile(path, unfinished)
                unfinished.replace(self.folder / path.name)

    def summary(self) -> str:
        """A line about the files that are there. Raises ArgumentError if they are too many or too large."""
        files = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        large = [path.name for path in files if path.stat().st_size > MOST_IN_FILE]
        if large or len(files) > MOST_FILES:
            raise ArgumentError(
                f"returns ({self.folder}) must hold at most {MOST_FILES} files of {MOST_IN_FILE / 1e6:.0f} MB, but has "
                f"{len(files)}, too large: {', '.join(large) or 'none'}; empty it, or lower save.compact"
            )
        total = sum(path.stat().st_size for path in files)
        return f"returns: {len(files)} files, {total / 1e6:.1f} MB, in {self.folder}"


def _bytes(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
