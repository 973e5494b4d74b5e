"""The table `data` of a configuration: where training samples come from and how they are mixed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vsrife.datasets.picture_store import PictureStore
from vsrife.datasets.ring import RingSettings
from vsrife.datasets.shots import ShotSettings
from vsrife.datasets.synthetic import SyntheticSettings
from vsrife.errors import ArgumentError
from vsrife.training.settings import as_plain, check_at_least, check_share, parse_table

__all__ = ["SOURCES", "Also", "Data", "Mix"]

SOURCES: Final = ("synthetic", "clips", "vimeo")
"""Where samples come from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """Shares in which samples are drawn from the sources, from the share `start` of the steps on."""

    start: float = 0.0
    synthetic: float = 0.0
    clips: float = 0.0
    vimeo: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.start < 1:
            raise ArgumentError(
                f"data.mix.start ({self.start:g}) must be from 0 to below 1; it is a share of the steps"
            )
        for name in SOURCES:
            check_at_least(f"data.mix.{name}", getattr(self, name), 0)
        if not sum(self.weights.values()) > 0:
            raise ArgumentError(f"data.mix ({as_plain(self)}) must give one of {', '.join(SOURCES)} more than 0")

    @property
    def weights(self) -> dict[str, float]:
        """The shares by source."""
        return {name: getattr(self, name) for name in SOURCES}


@dataclass(frozen=True, kw_only=True, slots=True)
class Also:
    """Further samples of each step, of another size, such as crops large enough for coarse blocks.

    crop: height and width. batch: samples per step, over all processes.
    blocks: if above 0, only so many blocks are trained, the coarsest first, and only by the known flow, so all samples
        are synthetic; 0 trains all blocks on samples from all sources.
    enlarged: samples are drawn at half the size and enlarged, so everything moves twice as far.
    """

    crop: tuple[int, ...]
    batch: int = 1
    blocks: int = 0
    enlarged: bool = False

    def __post_init__(self) -> None:
        if len(self.crop) != 2 or min(self.crop) < 33:
            raise ArgumentError(f"data.also.crop ({list(self.crop)}) must be a height and a width of 33 or more")
        if self.enlarged and (any(side % 2 for side in self.crop) or min(self.crop) < 66):
            raise ArgumentError(f"data.also.crop ({list(self.crop)}) must be even, and 66 or more, to be enlarged to")
        check_at_least("data.also.batch", self.batch, 1)
        check_at_least("data.also.blocks", self.blocks, 0)

    @property
    def drawn(self) -> tuple[int, int]:
        """Height and width of the samples as the sources give them."""
        height, width = self.crop
        return (height // 2, width // 2) if self.enlarged else (height, width)


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """pack: a folder made by tools/pack_data.py; or, without one, the folders pictures, cutouts (both for synthetic
        motion) and clips.
    held_out: shots of the pack that are not trained on, such as "big-buck-bunny-trailer.mp4/0003".
    labels: flow of the pack's clips, made by tools/label_clips.py.
    vimeo: Vimeo90K in its official layout.
    crop: height and width of samples. also: further samples of each step.
    mix: shares of the sources.
    synthetic, shots: fields of SyntheticSettings and of ShotSettings (clips and Vimeo90K), without height and width.
    margins: share of the samples with black rows at the bottom, and of those with black columns at the right, as padded
        frames have them.
    ring: a ring of synthetic scenes that are made by a process of its own and give several samples each; without it
        each sample is a scene of its own.
    prefetch: batches made ahead. threads: for decoding Vimeo90K.
    """

    pack: Path | None = None
    pictures: Path | None = None
    cutouts: Path | None = None
    clips: Path | None = None
    held_out: tuple[str, ...] = ()
    labels: Path | None = None
    vimeo: Path | None = None
    crop: tuple[int, ...] = (256, 256)
    also: tuple[Also, ...] = ()
    mix: tuple[Mix, ...] = (Mix(synthetic=1.0),)
    synthetic: Mapping[str, Any] = field(default_factory=dict)
    shots: Mapping[str, Any] = field(default_factory=dict)
    margins: float = 0.0
    ring: RingSettings | None = None
    prefetch: int = 2
    threads: int = 8

    def __post_init__(self) -> None:
        if len(self.crop) != 2 or min(self.crop) < 33:
            raise ArgumentError(f"data.crop ({list(self.crop)}) must be a height and a width of 33 or more")
        if not any(mix.start == 0 for mix in self.mix):
            raise ArgumentError("data.mix (no table with start = 0) must define the first batch; add such a table")
        check_share("data.margins", self.margins)
        check_at_least("data.prefetch", self.prefetch, 0)
        check_at_least("data.threads", self.threads, 1)
        if self.pack and (self.pictures or self.cutouts or self.clips):
            raise ArgumentError(f"data.pack ({self.pack}) must be left out with data.pictures, cutouts or clips")
        if self.held_out and not self.pack:
            raise ArgumentError(f"data.held_out ({list(self.held_out)}) must be shots of a pack; set data.pack")
        if self.labels and not self.pack:
            raise ArgumentError(f"data.labels ({self.labels}) must be labels of data.pack, which is missing; set it")
        _ = self.synthetic_settings, self.shot_settings
        for key, value, source in (("labels", self.labels, "clips"), ("ring", self.ring, "synthetic")):
            if value and source not in self.used:
                raise ArgumentError(
                    f"data.{key} ({as_plain(value)}) must be left out if data.mix has no {source}; add a share of it"
                )
        if "labelled" in self.shots and not self.labels:
            raise ArgumentError(
                f"data.shots.labelled ({self.shots['labelled']}) must be left out without data.labels; or set that"
            )
        if "synthetic" in self.used and not self.ring and any(each.enlarged for each in self.also):
            raise ArgumentError(
                "data.also.enlarged (true) must be left out without data.ring: without it the motion of a scene is "
                "scaled to the size of its one sample; set data.ring"
            )
        if self.ring and not any(self.crop[0] <= each[0] and self.crop[1] <= each[1] for each in self.ring.frames):
            raise ArgumentError(
                f"data.ring.frames ({[list(each) for each in self.ring.frames]}) must have one that holds crops of "
                f"data.crop ({list(self.crop)}); add a larger one"
            )
        needs = {
            "synthetic": ("data.pictures", self.pack or self.pictures),
            "clips": ("data.clips", self.pack or self.clips),
            "vimeo": ("data.vimeo", self.vimeo),
        }
        for name, (key, folder) in needs.items():
            if name in self.used and folder is None:
                pack = "" if name == "vimeo" else ", or data.pack"
                raise ArgumentError(f"{key} (missing) must be a folder, because data.mix uses {name}; set it{pack}")
        for key in ("pack", "pictures", "cutouts", "clips", "labels", "vimeo"):
            folder = getattr(self, key)
            if folder is not None and not folder.is_dir():
                raise ArgumentError(f"data.{key} ({folder}) must be a folder; it does not exist or is not one")

    @property
    def crop_size(self) -> tuple[int, int]:
        """Height and width."""
        return self.crop[0], self.crop[1]

    @property
    def picture_store(self) -> PictureStore:
        """Where the pictures of synthetic scenes are."""
        return PictureStore(pack=self.pack, pictures=self.pictures, cutouts=self.cutouts)

    @property
    def synthetic_settings(self) -> SyntheticSettings:
        """With the size of `crop`."""
        return self._sized(SyntheticSettings, self.synthetic, "data.synthetic")

    @property
    def shot_settings(self) -> ShotSettings:
        """With the size of `crop`."""
        return self._sized(ShotSettings, self.shots, "data.shots")

    def _sized[S](self, kind: type[S], table: Mapping[str, Any], where: str) -> S:
        for key in ("height", "width"):
            if key in table:
                raise ArgumentError(
                    f"{where}.{key} ({table[key]}) must be left out; data.crop is the size of all samples"
                )
        height, width = self.crop
        try:
            return parse_table(kind, {**table, "height": height, "width": width}, where)
        except ArgumentError as error:
            text = str(error)
            raise ArgumentError(text if text.startswith(where) else f"{where}.{text}") from None

    @property
    def used(self) -> tuple[str, ...]:
        """The sources that have a share in any phase of the mix."""
        return tuple(name for name in SOURCES if any(mix.weights[name] > 0 for mix in self.mix))
