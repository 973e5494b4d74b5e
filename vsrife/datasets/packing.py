"""Packs: all pictures and clips for training in a few small files, which need no video decoder.

A pack is a folder:

    pack.json            what it holds: counts, sizes, qualities, the sum of each file
    pictures-0.safetensors, clips-0.safetensors, ...
                         each value the bytes (uint8, one dimension) of one AVIF picture or AVIF sequence; at most 16 MB
    SOURCES.tsv, LICENCES.md
                         where each picture comes from and under what licence it may be used

Reading needs safetensors and Pillow, and no video decoder. docs/data.md has the measurements behind the format.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor
from torch.nn.functional import avg_pool2d

from vsrife.datasets.clips import CLIP_KINDS, find_clips, read_clip, split_shots
from vsrife.datasets.pictures import decode, decode_sequence, encode, encode_sequence, read_picture
from vsrife.errors import ArgumentError

__all__ = ["CLIPS", "Pack", "PackSettings", "open_pack", "write_pack"]

PICTURES: Final = ("photos", "textures", "sprites")
CLIPS: Final = "clips_train"
HELD_OUT: Final = "clips_eval"
"""The folder of evaluation clips, which must never be trained on."""

_FORMAT: Final = 1
_SHARD: Final = 16_000_000  # bytes of pictures in a file, at most
_LICENCES: Final = ("SOURCES.tsv", "README.md")


@dataclass(frozen=True, kw_only=True, slots=True)
class PackSettings:
    """pictures, clips: qualities of AVIF, 0 to 100. most: bytes that the pictures and clips may have.

    large: shorter side from which a clip is packed twice: halved, and as a window of its own size where most moves.
    window: height and width of that one.
    """

    pictures: int = 60
    clips: int = 75
    most: int = 33_000_000
    large: int = 700
    window: tuple[int, int] = (320, 448)


@dataclass(frozen=True, kw_only=True)
class Pack:
    """A pack, whose files are read on request. about: the content of pack.json."""

    folder: Path
    about: dict[str, Any]

    def pictures(self) -> Iterator[Tensor]:
        """Photographs and textures: uint8 [3, h, w]."""
        return self._decoded(("photos/", "textures/"), decode)

    def cutouts(self) -> Iterator[Tensor]:
        """Sprites: uint8 [4, h, w], alpha last."""
        return self._decoded(("sprites/",), lambda data: decode(data, alpha=True))

    def shots(self) -> Iterator[Tensor]:
        """Runs of frames without a cut or a repeated frame: uint8 [F, 3, h, w]."""
        return self._decoded((f"{CLIPS}/",), decode_sequence)

    def shot_names(self) -> list[str]:
        """The names of `shots`, in their order."""
        return list(self._names((f"{CLIPS}/",)))

    def shot(self, name: str) -> Tensor:
        """One of `shots`, by its name."""
        file = self._names((name,))[name]
        with safe_open(self.folder / file, "numpy") as shard:
            return decode_sequence(shard.get_tensor(name).tobytes())

    def _names(self, kinds: tuple[str, ...]) -> dict[str, str]:
        """The entries of some kinds in their order, and the file of each."""
        names: dict[str, str] = {}
        for file in self.about["files"]:
            with safe_open(self.folder / file, "numpy") as shard:
                names.update((key, file) for key in shard.keys() if key.startswith(kinds))  # noqa: SIM118
        return names

    def _decoded(self, kinds: tuple[str, ...], decoder: Callable[[bytes], Tensor]) -> Iterator[Tensor]:
        with ThreadPoolExecutor() as pool:
            yield from pool.map(decoder, self._entries(kinds))

    def _entries(self, kinds: tuple[str, ...]) -> Iterator[bytes]:
        for name in self.about["files"]:
            with safe_open(self.folder / name, "numpy") as file:
                for key in file.keys():  # noqa: SIM118 - it has no iterator
                    if key.startswith(kinds):
                        yield file.get_tensor(key).tobytes()


def open_pack(folder: Path) -> Pack:
    """The pack in a folder, with checksums verified. Raises ArgumentError, which names missing or changed files."""
    index = folder / "pack.json"
    try:
        about = json.loads(index.read_text())
        files = dict(about["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArgumentError(
            f"pack ({folder}) must be a folder with pack.json; make it with tools/pack_data.py"
        ) from error
    if about.get("format") != _FORMAT:
        raise ArgumentError(f"pack ({folder}) must be of format {_FORMAT}, not {about.get('format')}; make it anew")
    for name, figures in files.items():
        try:
            data = (folder / name).read_bytes()
        except OSError as error:
            raise ArgumentError(f"pack ({folder}) must hold {name}, which pack.json names; make it anew") from error
        if hashlib.sha256(data).hexdigest() != figures["sha256"]:
            raise ArgumentError(f"pack ({folder / name}) must be as it was written; its sum differs, make it anew")
    return Pack(folder=folder, about=about)


def write_pack(data: Path, folder: Path, settings: PackSettings, report: Callable[[str], None]) -> Pack:
    """Pack `data` (photos/, textures/, sprites/, clips_train/, SOURCES.tsv, README.md) into a new or empty folder.

    Nothing else of `data` is read, but for the sums of clips_eval: a file that is also there, under whatever name, or a
    link into it, is refused. `report` is called with a line for each kind. Raises ArgumentError before it writes
    anything when something is missing or the pack would be larger than settings.most.
    """
    _check_target(folder)
    sources = _training_files(data)
    held_out = {_sum(path) for path in _files(data / HELD_OUT)} if (data / HELD_OUT).is_dir() else set()
    for path in [path for paths in sources.values() for path in paths]:
        if (data / HELD_OUT).resolve() in path.resolve().parents or _sum(path) in held_out:
            raise ArgumentError(f"data ({path}) must not be part of {HELD_OUT}, which measures; take it away")
    packed: dict[str, dict[str, bytes]] = {"pictures": {}, "clips": {}}
    counts: dict[str, dict[str, int]] = {}
    for kind, paths in sources.items():
        entries = _clips(paths, settings) if kind == CLIPS else _pictures(kind, paths, settings)
        counts[kind] = {"files": len(paths), "entries": 0, "frames": 0, "bytes": 0}
        for name, frames, coded in entries:
            packed["clips" if kind == CLIPS else "pictures"][name] = coded
            for figure, more in (("entries", 1), ("frames", frames), ("bytes", len(coded))):
                counts[kind][figure] += more
        report(f"{kind}: " + ", ".join(f"{number} {figure}" for figure, number in counts[kind].items()))
    total = sum(figures["bytes"] for figures in counts.values())
    if total > settings.most:
        raise ArgumentError(f"most ({settings.most}) must be at least {total} bytes at these qualities; lower those")
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: {"sha256": _sum(folder / name)} for name in _write_shards(folder, packed)}
    (folder / "SOURCES.tsv").write_bytes((data / "SOURCES.tsv").read_bytes())
    (folder / "LICENCES.md").write_bytes((data / "README.md").read_bytes())
    about = {"format": _FORMAT, "counts": counts, "settings": asdict(settings), "files": files}
    (folder / "pack.json").write_text(json.dumps(about, indent=1) + "\n")
    return open_pack(folder)


def _check_target(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArgumentError(f"out ({folder}) must be a new or empty folder; name another one")


def _training_files(data: Path) -> dict[str, list[Path]]:
    """The files of each kind that is packed."""
    for name in _LICENCES:
        if not (data / name).is_file():
            raise ArgumentError(f"data ({data}) must hold {name}, which tells the licences; add it")
    for kind in PICTURES:
        if not (data / kind).is_dir() or not _files(data / kind):
            raise ArgumentError(f"data ({data}) must hold a folder {kind} with pictures; add it")
    return {kind: _files(data / kind) for kind in PICTURES} | {CLIPS: find_clips(data / CLIPS)}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _pictures(kind: str, paths: Sequence[Path], settings: PackSettings) -> Iterator[tuple[str, int, bytes]]:
    for path in paths:
        if path.suffix.lower() in CLIP_KINDS:
            raise ArgumentError(f"data ({path}) must be a picture; clips belong into {CLIPS}")
        picture = read_picture(path, alpha=kind == "sprites")
        yield f"{kind}/{path.name}", 1, encode(picture, "AVIF", settings.pictures)


def _clips(paths: Sequence[Path], settings: PackSettings) -> Iterator[tuple[str, int, bytes]]:
    for path in paths:
        for number, frames in enumerate(split_shots(read_clip(path))):
            name = f"{CLIPS}/{path.name}/{number:04d}"
            for version, shot in _versions(frames, settings):
                yield f"{name}{version}", len(shot), encode_sequence(shot, settings.clips)


def _versions(frames: list[Tensor], settings: PackSettings) -> Iterable[tuple[str, list[Tensor]]]:
    """A shot as it is or, if it is large, two versions: at half its size, and a window of it."""
    height, width = frames[0].shape[1:]
    if min(height, width) < settings.large:
        return [("", frames)]
    rows, columns = _busiest(frames, settings.window)
    halved = [avg_pool2d(frame[None].float(), 2)[0].round().to(torch.uint8) for frame in frames]
    return [(" halved", halved), (" cut", [frame[:, rows, columns] for frame in frames])]


def _busiest(frames: list[Tensor], window: tuple[int, int]) -> tuple[slice, slice]:
    """The place of the window with the largest differences between frames, on a grid of 16 pixels."""
    picked = torch.stack(frames[:: max(1, len(frames) // 8)]).float().mean(1)
    change = avg_pool2d((picked[1:] - picked[:-1]).abs().mean(0)[None, None], 16)
    size = (min(window[0] // 16, change.shape[2]), min(window[1] // 16, change.shape[3]))
    sums = avg_pool2d(change, size, stride=1)[0, 0]
    best = int(sums.argmax())
    top, left = best // sums.shape[1] * 16, best % sums.shape[1] * 16
    return slice(top, top + window[0]), slice(left, left + window[1])


def _write_shards(folder: Path, packed: dict[str, dict[str, bytes]]) -> Iterator[str]:
    for kind, entries in packed.items():
        shards: list[dict[str, bytes]] = [{}]
        filled = 0
        for key, coded in entries.items():
            if shards[-1] and filled + len(coded) > _SHARD:
                shards.append({})
                filled = 0
            shards[-1][key] = coded
            filled += len(coded)
        for number, shard in enumerate(shards):
            name = f"{kind}-{number}.safetensors"
            save_file({key: np.frombuffer(coded, np.uint8) for key, coded in shard.items()}, folder / name)
            (folder / name).chmod(0o644)  # the writer lets nobody else read it
            yield name
