"""Labels: estimated flow of real frames, made by official networks, in a folder.

    labels.json               what they were made from: the clips of the pack, the networks and their scales
    labels-0000.safetensors   "SHOT/FRAME/DISTANCE/flow" and ".../trust", see `Label`; some megabytes each

A label belongs to a frame, the true frame of a window, and to a distance: it has the place of each pixel of the frame
so many frames before and so many frames after it. So a window from n to n + 3 whose truth is n + 1 has its left
half from a label of distance 1 and its right half from one of distance 2.

`labelling` makes them; docs/data.md describes how, and how good they are.
"""

import contextlib
import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate

from vsrife.datasets.packing import Pack
from vsrife.errors import ArgumentError

__all__ = ["STEP", "Label", "LabelFolder", "Labels", "Place", "about_labels", "digest_of", "enlarged", "reduced"]

STEP: Final = 4
"""Side in pixels of the square that one value of a label stands for."""

_FORMAT: Final = 1
_INDEX: Final = "labels.json"


class Place(NamedTuple):
    """Which label: of the frame `frame` of a shot, numbered as the pack has them, `distance` frames to either side."""

    shot: int
    frame: int
    distance: int

    @property
    def key(self) -> str:
        """The key of its tensors in a file."""
        return f"{self.shot:05d}/{self.frame:05d}/{self.distance}"

    @classmethod
    def of(cls, key: str) -> Self:
        """From the key of a tensor of a label."""
        return cls(*map(int, key.split("/")[:3]))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Label:
    """flow: float16 [4, h, w] in pixels of the frame, at 1 / STEP of its size, rounded up: from each pixel (dx, dy) to
    its place in the frame before, then in the frame after, as `Batch.flow`.
    trust: uint8 [2, h, w], trust in the flow to either frame, 0 to 255.
    """

    flow: Tensor
    trust: Tensor


def reduced(field: Tensor) -> Tensor:
    """[N, C, H, W] at 1 / STEP of its size, rounded up: means, at the far edges of what there is."""
    return avg_pool2d(field, STEP, ceil_mode=True)


def enlarged(field: Tensor, rows: slice, columns: slice, step: int = STEP) -> Tensor:
    """Rows and columns of the frame that a field [N, C, h, w] belongs to: float32 [N, C, rows, columns].

    step: pixels of the frame that a value stands for each way. Bilinear between the middles of those.
    """
    y = torch.arange(rows.start, rows.stop, device=field.device, dtype=torch.float32)
    x = torch.arange(columns.start, columns.stop, device=field.device, dtype=torch.float32)
    height, width = field.shape[-2:]
    down = (2 * y + 1) / (step * height) - 1
    across = (2 * x + 1) / (step * width) - 1
    grid = torch.stack((across.expand(len(y), -1), down[:, None].expand(-1, len(x))), dim=-1)
    grid = grid.expand(len(field), -1, -1, -1)
    return grid_sample(field.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)


class Labels:
    """Labels in memory, on one device."""

    def __init__(self, labels: Mapping[Place, Label]) -> None:
        """labels: one or more."""
        self._labels = dict(labels)
        self._device = next(iter(self._labels.values())).flow.device
        self._windows: dict[int, list[tuple[int, int]]] = {}
        for shot, frame, distance in sorted(self._labels):
            self._windows.setdefault(2 * distance, []).append((shot, frame - distance))

    def __len__(self) -> int:
        return len(self._labels)

    def windows(self, span: int) -> Sequence[tuple[int, int]]:
        """Shot and first frame of every window of `span` frames from left to right whose middle has a label."""
        return self._windows.get(span, ())

    def motion(
        self, places: Sequence[tuple[int, int]], crops: Sequence[tuple[slice, slice]], size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Flow [N, 4, H, W] and trust [N, 2, H, W] in 0..1 of N windows, float32; both are 0 where there is no label.

        places: shot and frame of left, truth and right of each window, one after the other. crops: rows and columns of
        each, which are brought to `size`, height and width, and their flow with them.
        """
        halves = []
        for number, (rows, columns) in enumerate(crops):
            (shot, left), (_, truth), (_, right) = places[3 * number : 3 * number + 3]
            halves.append(self._half(Place(shot, truth, truth - left), 0, rows, columns, size))
            halves.append(self._half(Place(shot, truth, right - truth), 1, rows, columns, size))
        both = torch.stack(halves)
        both = both.view(len(crops), 2, *both.shape[1:])
        return both[:, :, :2].flatten(1, 2), both[:, :, 2]

    def _half(self, place: Place, side: int, rows: slice, columns: slice, size: tuple[int, int]) -> Tensor:
        """Flow and trust to one side: [3, height, width]."""
        label = self._labels.get(place)
        if label is None:
            return torch.zeros((3, *size), device=self._device)
        both = torch.cat((label.flow[2 * side : 2 * side + 2].float(), label.trust[side : side + 1] / 255))
        part = enlarged(both[None], rows, columns)
        height, width = part.shape[-2:]
        if (height, width) == size:
            return part[0]
        grown = interpolate(part, size, mode="bilinear")[0]
        grown[0] *= size[1] / width
        grown[1] *= size[0] / height
        return grown


class LabelFolder:
    """A folder of labels, to read or to add to."""

    def __init__(self, folder: Path, pack: Pack) -> None:
        """folder: need not exist. pack: whose clips the labels belong to."""
        self.folder = folder
        self._pack = pack

    def begin(self, made_of: Mapping[str, Any]) -> set[Place]:
        """Create the folder or continue with it. Returns the labels that exist.

        made_of: networks and settings, for JSON. Raises ArgumentError where the folder holds labels of other clips or
        made in another way, or anything else.
        """
        about = {"format": _FORMAT, "clips": _identity(self._pack), "made_of": dict(made_of)}
        if (self.folder / _INDEX).is_file():
            if about_labels(self.folder) != about:
                raise ArgumentError(
                    f"out ({self.folder}) must be a new folder, or hold labels of the same pack and networks; "
                    "name another one"
                )
        elif self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise ArgumentError(f"out ({self.folder}) must be a new or empty folder, or one of labels; name another")
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / _INDEX).write_text(json.dumps(about, indent=1) + "\n")
        return {Place.of(key) for path in _files(self.folder) for key in _keys(path)}

    def add(self, labels: Mapping[Place, Label]) -> Path:
        """Write a further file, which is complete or does not exist."""
        tensors = {}
        for place, label in labels.items():
            tensors[f"{place.key}/flow"] = label.flow.contiguous()
            tensors[f"{place.key}/trust"] = label.trust.contiguous()
        part = self._unused()
        save_file(tensors, part)
        part.chmod(0o644)  # the writer makes it private
        return part.replace(part.with_suffix(".safetensors"))

    def _unused(self) -> Path:
        """A file to write to, with a number that no other file has, nor one that another process is writing."""
        for number in itertools.count():
            path = self.folder / f"labels-{number:04d}.part"
            with contextlib.suppress(FileExistsError):
                path.touch(exist_ok=False)
                if not path.with_suffix(".safetensors").exists():
                    break
                path.unlink()
        return path

    def read(self, device: torch.device) -> Labels:
        """All labels. Raises ArgumentError, which names folder or file, if they are of other clips."""
        about = about_labels(self.folder)
        if about.get("format") != _FORMAT or about.get("clips") != _identity(self._pack):
            raise ArgumentError(
                f"labels ({self.folder}) must be of the pack {self._pack.folder}; they are of other clips, "
                "make them with tools/label_clips.py"
            )
        labels = dict(_labels(_files(self.folder), device))
        if not labels:
            raise ArgumentError(f"labels ({self.folder}) must hold labels; make them with tools/label_clips.py")
        return Labels(labels)


def about_labels(folder: Path) -> dict[str, Any]:
    """The labels.json of a folder. Raises ArgumentError if there is none."""
    try:
        about = json.loads((folder / _INDEX).read_text())
    except (OSError, ValueError):
        about = None
    if not isinstance(about, dict):
        raise ArgumentError(f"labels ({folder}) must be a folder with {_INDEX}; make it with tools/label_clips.py")
    return about


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("labels-*.safetensors"))


def digest_of(folder: Path | None) -> str | None:
    """A digest, equal for folders with the same labels of the same clips made in the same way; None for no folder."""
    if folder is None:
        return None
    files = [(path.name, path.stat().st_size) for path in _files(folder)]
    return hashlib.sha256(json.dumps([about_labels(folder), files], sort_keys=True).encode()).hexdigest()


def _labels(files: Iterable[Path], device: torch.device) -> Iterable[tuple[Place, Label]]:
    for path in files:
        try:
            with safe_open(path, "pt", device=str(device)) as file:
                for place in sorted({Place.of(key) for key in file.keys()}):  # noqa: SIM118 - it has no iterator
                    flow, trust = (file.get_tensor(f"{place.key}/{name}") for name in ("flow", "trust"))
                    yield place, Label(flow=flow, trust=trust)
        except (OSError, SafetensorError) as error:
            raise ArgumentError(f"labels ({path}) must be as it was written: {error}; delete it") from None


def _keys(path: Path) -> list[str]:
    with safe_open(path, "pt") as file:
        return list(file.keys())


def _identity(pack: Pack) -> str:
    """A digest of the clips of a pack, regardless of its pictures."""
    sums = [figures["sha256"] for name, figures in sorted(pack.about["files"].items()) if name.startswith("clips-")]
    return hashlib.sha256("".join(sums).encode()).hexdigest()
