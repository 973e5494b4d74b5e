"""What a training run is: a TOML file, checked whole before anything starts.

docs/training.md tells what each key does. A name without `.toml` is one of the files in `configs`.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from vsrife.datasets.ring import RingSettings
from vsrife.datasets.shots import ShotSettings
from vsrife.datasets.stock import Stock
from vsrife.datasets.synthetic import SyntheticSettings
from vsrife.errors import ArgumentError
from vsrife.training.settings import as_plain, filled

__all__ = [
    "CONFIGS",
    "NUMBERS",
    "SOURCES",
    "Also",
    "Config",
    "Loss",
    "Network",
    "Optimiser",
    "Validation",
    "config_of",
    "merged",
    "read_config",
    "read_table",
    "same_run",
]

CONFIGS: Final = Path(__file__).parent / "configs"
"""Where the configurations lie that the package carries."""

SOURCES: Final = ("synthetic", "clips", "vimeo")
"""What samples are drawn from."""

_FREE: Final = (
    *("run.budget", "run.fit", "run.device", "run.graph", "run.folder", "log", "save", "validation"),
    *("data.pack", "data.pictures", "data.cutouts", "data.clips", "data.labels", "data.vimeo"),
    *("data.prefetch", "data.threads"),
    "data.ring.folder",
)
"""What may change when a run is carried on: it does not change what is learnt, nor does where the same data lie."""


def _at_least(name: str, value: float, least: float) -> None:
    if not (math.isfinite(value) and value >= least):
        raise ArgumentError(f"{name} ({value:g}) must be {least:g} or more")


def _share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ArgumentError(f"{name} ({value:g}) must be from 0 to 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """folder: of the run. batch: samples of a step, over all processes. budget: seconds, 0 for no end but `steps`.

    steps: of the whole run. fit: its seconds, or 0; where it is set `steps` is not read, but set, before the first one,
    to what fits, and 0 until then. One of the two must be above 0.
    graph: whether forward and backward are a CUDA graph, where that can be.
    start: a state of another run, or a file of weights, that this one begins with, see `start.begin_from`.
    start_blocks: which of the file's blocks each block begins as, see `start.begin_as`; empty for that of its number.
    """

    folder: Path
    steps: int = 0
    batch: int = 32
    seed: int = 1
    device: str = "auto"
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    budget: float = 0.0
    fit: float = 0.0
    graph: Literal["auto", "off"] = "auto"
    start: Path | None = None
    start_blocks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name, value, least in (("batch", self.batch, 1), ("seed", self.seed, 0), ("fit", self.fit, 0)):
            _at_least(f"run.{name}", value, least)
        _at_least("run.budget", self.budget, 0)
        if self.start_blocks and self.start is None:
            raise ArgumentError(
                f"run.start_blocks ({list(self.start_blocks)}) must name blocks of run.start, which is missing; set it"
            )
        for block in self.start_blocks:
            _at_least("run.start_blocks", block, 0)
        if self.steps < 0 or not (self.steps or self.fit):
            raise ArgumentError(
                f"run.steps ({self.steps}) must be 1 or more, or run.fit ({self.fit:g}) the seconds of the whole run; "
                "set one of them"
            )


NUMBERS: Final = ("widths", "scales", "groups", "outputs", "trunk", "head", "head_width", "features", "context")
"""The keys of `network` that take the place of one number of its preset."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """preset: see `vsrife.network.families.PRESETS`. Those of `NUMBERS` take the place of one number of it.

    contrast: see `initial.look_for_contrast`, 0 for torch's own random weights.
    detached, cells: see `points.levels_of`. teacher: whether there is a privileged teacher. privileged: whether it sees
    the true frame. batch_norm: behind every convolution of the blocks; for the ablation.
    """

    preset: str = "4.26"
    widths: tuple[int, ...] | None = None
    scales: tuple[int, ...] | None = None
    groups: int | None = None
    outputs: int | None = None
    trunk: Literal["prelu", "leaky", "residual"] | None = None
    head: Literal["none", "linear", "sequential", "clamped"] | None = None
    head_width: int | None = None
    features: int | None = None
    context: int | None = None
    contrast: float = 0.0
    detached: bool = False
    cells: int = 0
    teacher: bool = True
    privileged: bool = True
    batch_norm: bool = False

    def __post_init__(self) -> None:
        _at_least("network.contrast", self.contrast, 0)
        _at_least("network.cells", self.cells, 0)

    @property
    def spoken(self) -> str:
        """In a line: the preset, and the numbers that are not its own."""
        own = {name: getattr(self, name) for name in NUMBERS if getattr(self, name) is not None}
        changed = [f"{name} {as_plain(value)}" for name, value in own.items()]
        return " with ".join(filter(None, (self.preset, ", ".join(changed))))


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """reconstruction: how pictures are compared. Those after it are weights; flow: of samples whose flow is known.

    flow_first: the share of the steps, from the first one on, in which the known flow alone is learnt.
    """

    reconstruction: Literal["laplacian", "l1", "charbonnier"] = "laplacian"
    distillation: float = 0.01
    census: float = 0.0
    flow: float = 0.0
    smoothness: float = 0.0
    flow_first: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.flow_first < 1:
            raise ArgumentError(f"loss.flow_first ({self.flow_first:g}) must be from 0 to below 1; it is a share")
        for name in ("distillation", "census", "flow", "smoothness"):
            _at_least(f"loss.{name}", getattr(self, name), 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimiser:
    """rate: after `warm_up` steps; then a cosine down to `least`. clip: of the gradients' norm. ema: of a step."""

    rate: float = 3e-4
    least: float = 3e-6
    warm_up: int = 2000
    decay: float = 1e-3
    clip: float = 1.0
    ema: float = 0.999

    def __post_init__(self) -> None:
        for name in ("rate", "least", "warm_up", "decay"):
            _at_least(f"optimiser.{name}", getattr(self, name), 0)
        if not 0 < self.rate <= 1:
            raise ArgumentError(f"optimiser.rate ({self.rate:g}) must be above 0 and at most 1; 1e-4 to 3e-4 is usual")
        if self.least > self.rate:
            raise ArgumentError(f"optimiser.least ({self.least:g}) must be at most optimiser.rate ({self.rate:g})")
        if not self.clip > 0:
            raise ArgumentError(f"optimiser.clip ({self.clip:g}) must be above 0; 1 is usual")
        if not 0 <= self.ema < 1:
            raise ArgumentError(f"optimiser.ema ({self.ema:g}) must be from 0 to below 1; 0.999 is usual")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """From the share `start` of the steps on, samples come from the sources in these shares."""

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
            _at_least(f"data.mix.{name}", getattr(self, name), 0)
        if not sum(self.weights.values()) > 0:
            raise ArgumentError(f"data.mix ({as_plain(self)}) must give one of {', '.join(SOURCES)} more than 0")

    @property
    def weights(self) -> dict[str, float]:
        """By source."""
        return {name: getattr(self, name) for name in SOURCES}


@dataclass(frozen=True, kw_only=True, slots=True)
class Also:
    """More samples of each step, of another size: those that a block's trunk of 8x8 cells and more needs, say.

    crop: height and width. batch: samples, over all processes. blocks: the first ones alone are taught, by known flow
    alone, so that all samples are synthetic; 0 teaches all blocks on samples from all sources. enlarged: samples are
    drawn at half of the crop's size and brought to it, so that all that moves, moves twice as far.
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
        _at_least("data.also.batch", self.batch, 1)
        _at_least("data.also.blocks", self.blocks, 0)

    @property
    def drawn(self) -> tuple[int, int]:
        """Height and width of what the sources give."""
        height, width = self.crop
        return (height // 2, width // 2) if self.enlarged else (height, width)


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """pack: from tools/pack_data.py, or, without one, folders: pictures and cutouts for synthetic motion, clips.

    held_out: shots of the pack that are not trained on, as "big-buck-bunny-trailer.mp4/0003".
    labels: flows of the pack's clips, from tools/label_clips.py.
    vimeo: Vimeo90K in its own layout. crop: height and width. also: more samples of each step.
    synthetic, shots (of clips and Vimeo90K): the fields of SyntheticSettings and ShotSettings but height and width.
    margins: share of the samples with black rows below, and of those with black columns at the right, as padding is.
    ring: of synthetic scenes that a process of its own makes and each of which gives several samples; without it every
    sample is a scene, made when it is needed.
    prefetch: batches made ahead. threads: to decode Vimeo90K.
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
            raise ArgumentError("data.mix (no table with start = 0) must tell what the first batch is made of; add it")
        _share("data.margins", self.margins)
        _at_least("data.prefetch", self.prefetch, 0)
        _at_least("data.threads", self.threads, 1)
        if self.pack and (self.pictures or self.cutouts or self.clips):
            raise ArgumentError(f"data.pack ({self.pack}) must stand alone; leave out pictures, cutouts and clips")
        if self.held_out and not self.pack:
            raise ArgumentError(f"data.held_out ({list(self.held_out)}) must be shots of a pack; set data.pack")
        if self.labels and not self.pack:
            raise ArgumentError(f"data.labels ({self.labels}) must be labels of data.pack, which is missing; set it")
        _ = self.synthetic_settings, self.shot_settings
        for key, value, source in (("labels", self.labels, "clips"), ("ring", self.ring, "synthetic")):
            if value and source not in self.used:
                raise ArgumentError(
                    f"data.{key} ({as_plain(value)}) must be left out where data.mix has no {source}; give it a share"
                )
        if "labelled" in self.shots and not self.labels:
            raise ArgumentError(
                f"data.shots.labelled ({self.shots['labelled']}) must be left out without data.labels; or set that"
            )
        if "synthetic" in self.used and not self.ring and any(each.enlarged for each in self.also):
            raise ArgumentError(
                "data.also.enlarged (true) must be left out without data.ring: a synthetic scene that is drawn for one "
                "sample is as large as it is, and moves accordingly; set data.ring"
            )
        if self.ring and not any(self.crop[0] <= each[0] and self.crop[1] <= each[1] for each in self.ring.frames):
            raise ArgumentError(
                f"data.ring.frames ({[list(each) for each in self.ring.frames]}) must hold crops of "
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
                raise ArgumentError(f"data.{key} ({folder}) must be a folder; it is not there or no folder")

    @property
    def crop_size(self) -> tuple[int, int]:
        """Height and width."""
        return self.crop[0], self.crop[1]

    @property
    def stock(self) -> Stock:
        """The pictures of synthetic scenes."""
        return Stock(pack=self.pack, pictures=self.pictures, cutouts=self.cutouts)

    @property
    def synthetic_settings(self) -> SyntheticSettings:
        """Of the crop's size."""
        return self._sized(SyntheticSettings, self.synthetic, "data.synthetic")

    @property
    def shot_settings(self) -> ShotSettings:
        """Of the crop's size."""
        return self._sized(ShotSettings, self.shots, "data.shots")

    def _sized[S](self, kind: type[S], table: Mapping[str, Any], where: str) -> S:
        for key in ("height", "width"):
            if key in table:
                raise ArgumentError(
                    f"{where}.{key} ({table[key]}) must be left out; data.crop is the size of all samples"
                )
        height, width = self.crop
        try:
            return filled(kind, {**table, "height": height, "width": width}, where)
        except ArgumentError as error:
            text = str(error)
            raise ArgumentError(text if text.startswith(where) else f"{where}.{text}") from None

    @property
    def used(self) -> tuple[str, ...]:
        """The sources that samples are drawn from at any time."""
        return tuple(name for name in SOURCES if any(mix.weights[name] > 0 for mix in self.mix))


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """clips: a folder that nothing is learnt from; without one there is no validation. every: steps.

    early: the first steps, and their doublings up to `every`, after which there is one as well; 0 for none.
    samples: pairs of each clip. multi: 2 makes the frame in the middle, 4 those at 1/4, 1/2, 3/4.
    sizes: sides of crops, in pixels, on which the middle pair of each clip is measured too; an empty list for none.
    """

    clips: Path | None = None
    every: int = 2000
    early: int = 100
    samples: int = 4
    multi: int = 2
    sizes: tuple[int, ...] = (128, 256, 384)

    def __post_init__(self) -> None:
        for name, least in (("every", 1), ("early", 0), ("samples", 1), ("multi", 2)):
            _at_least(f"validation.{name}", getattr(self, name), least)
        for side in self.sizes:
            _at_least("validation.sizes", side, 16)
        if self.clips is not None and not self.clips.is_dir():
            raise ArgumentError(f"validation.clips ({self.clips}) must be a folder; it is not there or no folder")


@dataclass(frozen=True, kw_only=True, slots=True)
class Save:
    """every: steps between states. keep: states, the newest. carry: bytes that the compact state may have.

    With a pack of as many bytes as PackSettings allows it is less than 64 MB.
    seconds: between compact states, beside the one at the end; 0 for that one alone.
    """

    every: int = 1000
    keep: int = 2
    carry: int = 30_500_000
    seconds: float = 0.0

    def __post_init__(self) -> None:
        _at_least("save.seconds", self.seconds, 0)
        for name in ("every", "keep", "carry"):
            _at_least(f"save.{name}", getattr(self, name), 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """every: steps between lines; pictures: between pictures, 0 for none."""

    every: int = 50
    pictures: int = 1000

    def __post_init__(self) -> None:
        _at_least("log.every", self.every, 1)
        _at_least("log.pictures", self.pictures, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """All of it; each part is described by its class."""

    run: Run
    data: Data
    network: Network = Network()
    loss: Loss = Loss()
    optimiser: Optimiser = Optimiser()
    validation: Validation = Validation()
    save: Save = field(default_factory=Save)
    log: Log = field(default_factory=Log)

    def __post_init__(self) -> None:
        if not self.run.fit and self.optimiser.warm_up >= self.run.steps:
            raise ArgumentError(
                f"optimiser.warm_up ({self.optimiser.warm_up}) must be below run.steps ({self.run.steps}); lower it"
            )
        held_out = self.validation.clips
        for key in ("pack", "pictures", "clips", "vimeo"):
            folder = getattr(self.data, key)
            if held_out and folder and folder.resolve() in (held_out.resolve(), *held_out.resolve().parents):
                raise ArgumentError(f"validation.clips ({held_out}) must lie outside of data.{key} ({folder})")

    def as_plain(self) -> dict[str, Any]:
        """For JSON."""
        plain: dict[str, Any] = as_plain(self)
        return plain


def read_table(source: str | Path) -> dict[str, Any]:
    """The tables of a TOML file, or of a configuration of CONFIGS by name. Raises ArgumentError as `read_config`."""
    path = Path(source)
    if path.suffix != ".toml":
        carried = CONFIGS / f"{source}.toml"
        if not carried.is_file():
            names = ", ".join(
                sorted(str(each.relative_to(CONFIGS).with_suffix("")) for each in CONFIGS.rglob("*.toml"))
            )
            raise ArgumentError(f"config ({source}) must be a .toml file or one of {names}")
        path = carried
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentError(f"config ({path}) must be a file that can be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArgumentError(f"config ({path}) must be TOML: {' '.join(str(error).split())}; mend that line") from None


def read_config(source: str | Path, changes: Sequence[str] = ()) -> Config:
    """The configuration of a file, after `changes` like "run.steps=100", each the key with its tables and a TOML value.

    A value that is no TOML is text. Raises ArgumentError, one line, for anything that is not as it must be.
    """
    return config_of(read_table(source), changes)


def config_of(table: Mapping[str, Any], changes: Sequence[str] = ()) -> Config:
    """As `read_config`, of tables that were read already; they are left as they are."""
    changed = merged({}, table)
    for change in changes:
        _change(changed, change)
    return filled(Config, changed)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Tables with what `over` says in place of what `base` says, key by key."""
    result = dict(base)
    for key, value in over.items():
        mine = result.get(key, {})
        is_table = isinstance(mine, Mapping) and isinstance(value, Mapping)
        result[key] = merged(mine, value) if is_table else value
    return result


def _change(table: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    *parents, last = key.strip().split(".")
    if not equals or not last:
        raise ArgumentError(f"set ({change}) must be KEY=VALUE, as in run.steps=20000")
    try:
        value: Any = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ArgumentError(f"set ({change}) must name a key; {parent} is not a table")
    table[last] = value


def same_run(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """None where two plain configurations learn the same; else the first key in which they differ, with both values.

    A key that one of them lacks, because it was not known then, has its default there.
    """
    for key, values in _differences(_completed(one), _completed(other), ""):
        if not any(key == free or key.startswith(f"{free}.") for free in _FREE):
            return f"{key} ({values[0]} then, {values[1]} now)"
    return None


def _completed(table: Mapping[str, Any]) -> dict[str, Any]:
    found = merged({each.name: _defaults(_TABLES[each.name]) for each in fields(Config)}, table)
    data = found["data"]
    for name, kind in _ENTRIES.items():
        data[name] = [{**_defaults(kind), **each} for each in data[name]]
    if data.get("ring") is not None:
        data["ring"] = {**_defaults(RingSettings), **data["ring"]}
    return found


_TABLES: Final[Mapping[str, type]] = MappingProxyType(
    {
        "run": Run,
        "network": Network,
        "loss": Loss,
        "optimiser": Optimiser,
        "data": Data,
        "validation": Validation,
        "save": Save,
        "log": Log,
    }
)
"""The class of each field of Config."""

_ENTRIES: Final[Mapping[str, type]] = MappingProxyType({"also": Also, "mix": Mix})
"""The class of each entry of lists of tables in `data`."""


def _defaults(kind: type) -> dict[str, Any]:
    """What the keys of a table are where they are left out, but for those that have no default."""
    found = {}
    for each in fields(kind):
        value = each.default if each.default_factory is MISSING else each.default_factory()
        if value is not MISSING and value is not None:
            found[each.name] = as_plain(value)
    return found


def _differences(one: Any, other: Any, where: str) -> list[tuple[str, tuple[Any, Any]]]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        found = []
        for key in dict.fromkeys((*one, *other)):
            found += _differences(one.get(key), other.get(key), f"{where}.{key}" if where else key)
        return found
    return [] if one == other else [(where, (one, other))]
