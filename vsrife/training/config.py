"""The configuration of a training run as dataclasses, each of which checks its values.

docs/training.md describes every key. `config_file` reads configurations, `data_config` has the table `data`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from vsrife.errors import ArgumentError
from vsrife.training.data_config import Data
from vsrife.training.settings import as_plain, check_at_least

__all__ = [
    "ARCHITECTURE_KEYS",
    "Config",
    "Log",
    "Loss",
    "Network",
    "Optimiser",
    "Run",
    "Save",
    "Validation",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """folder: of checkpoints, logs and weights.
    steps: of the whole run. batch: samples per step, over all processes.
    budget: seconds after which a call stops, 0 for no limit.
    time_limit: seconds of the whole run, or 0. If set, `steps` is computed from the measured time of a step before the
        first step, and is 0 until then. One of `steps` and `time_limit` must be above 0.
    graph: "auto" runs forward and backward as a CUDA graph where possible.
    start: a checkpoint of another run or a file of weights to start with, see `warm_start.load_start`.
    start_blocks: for each block, the block of that file which it starts as, see `warm_start.load_block`; empty for the
        same blocks.
    """

    folder: Path
    steps: int = 0
    batch: int = 32
    seed: int = 1
    device: str = "auto"
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    budget: float = 0.0
    time_limit: float = 0.0
    graph: Literal["auto", "off"] = "auto"
    start: Path | None = None
    start_blocks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name, least in (("batch", 1), ("seed", 0), ("time_limit", 0), ("budget", 0)):
            check_at_least(f"run.{name}", getattr(self, name), least)
        if self.start_blocks and self.start is None:
            raise ArgumentError(
                f"run.start_blocks ({list(self.start_blocks)}) must name blocks of run.start, which is missing; set it"
            )
        for block in self.start_blocks:
            check_at_least("run.start_blocks", block, 0)
        if self.steps < 0 or not (self.steps or self.time_limit):
            raise ArgumentError(
                f"run.steps ({self.steps}) must be 1 or more, or run.time_limit ({self.time_limit:g}) the seconds of "
                "the whole run; set one of them"
            )


ARCHITECTURE_KEYS: Final = (
    "widths",
    "scales",
    "groups",
    "outputs",
    "trunk",
    "head",
    "head_width",
    "features",
    "context",
)
"""The keys of `network` that override a value of its preset."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """preset: see `vsrife.network.families.PRESETS`. The keys of `ARCHITECTURE_KEYS` override its values.

    contrast: gain of `initialization.make_contrast_sensitive`, 0 for torch's default initialization.
    detached, cells: see `points.levels_of`.
    teacher: whether there is a privileged teacher. privileged: whether the teacher sees the true frame.
    batch_norm: batch normalisation after every convolution of the blocks, for the ablation.
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
        check_at_least("network.contrast", self.contrast, 0)
        check_at_least("network.cells", self.cells, 0)

    @property
    def description(self) -> str:
        """The preset and the values that override it, for a line of the log."""
        overrides = {name: getattr(self, name) for name in ARCHITECTURE_KEYS if getattr(self, name) is not None}
        changed = [f"{name} {as_plain(value)}" for name, value in overrides.items()]
        return " with ".join(filter(None, (self.preset, ", ".join(changed))))


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """reconstruction: the distance between prediction and true frame.
    distillation, census, flow, smoothness: weights of these losses; flow: of samples whose flow is known.
    flow_first: share of the steps, from the first, in which only the known flow is learnt.
    """

    reconstruction: Literal["laplacian", "l1", "charbonnier"] = "laplacian"
    distillation: float = 0.01
    census: float = 0.0
    flow: float = 0.0
    smoothness: float = 0.0
    flow_first: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.flow_first < 1:
            raise ArgumentError(
                f"loss.flow_first ({self.flow_first:g}) must be from 0 to below 1; it is a share of the steps"
            )
        for name in ("distillation", "census", "flow", "smoothness"):
            check_at_least(f"loss.{name}", getattr(self, name), 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimiser:
    """rate: learning rate after `warm_up` steps of linear increase; it then falls as half a cosine to `least`.
    decay: weight decay. clip: the norm that gradients are clipped to. ema: decay of the moving average of the weights.
    """

    rate: float = 3e-4
    least: float = 3e-6
    warm_up: int = 2000
    decay: float = 1e-3
    clip: float = 1.0
    ema: float = 0.999

    def __post_init__(self) -> None:
        for name in ("rate", "least", "warm_up", "decay"):
            check_at_least(f"optimiser.{name}", getattr(self, name), 0)
        if not 0 < self.rate <= 1:
            raise ArgumentError(f"optimiser.rate ({self.rate:g}) must be above 0 and at most 1; 1e-4 to 3e-4 is usual")
        if self.least > self.rate:
            raise ArgumentError(f"optimiser.least ({self.least:g}) must be at most optimiser.rate ({self.rate:g})")
        if not self.clip > 0:
            raise ArgumentError(f"optimiser.clip ({self.clip:g}) must be above 0; 1 is usual")
        if not 0 <= self.ema < 1:
            raise ArgumentError(f"optimiser.ema ({self.ema:g}) must be from 0 to below 1; 0.999 is usual")


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """clips: a folder of clips that are not trained on; without one there is no validation.
    every: steps between validations.
    early: the step of the first validation; further ones follow at twice as many steps each, until `every`; 0 for none.
    samples: pairs of each clip. multi: 2 makes the frame in the middle, 4 those at 1/4, 1/2, 3/4.
    sizes: sides of crops in pixels on which the middle pair of each clip is measured too; an empty list for none.
    """

    clips: Path | None = None
    every: int = 2000
    early: int = 100
    samples: int = 4
    multi: int = 2
    sizes: tuple[int, ...] = (128, 256, 384)

    def __post_init__(self) -> None:
        for name, least in (("every", 1), ("early", 0), ("samples", 1), ("multi", 2)):
            check_at_least(f"validation.{name}", getattr(self, name), least)
        for side in self.sizes:
            check_at_least("validation.sizes", side, 16)
        if self.clips is not None and not self.clips.is_dir():
            raise ArgumentError(f"validation.clips ({self.clips}) must be a folder; it does not exist or is not one")


@dataclass(frozen=True, kw_only=True, slots=True)
class Save:
    """every: steps between exact checkpoints. keep: how many of the newest are kept.
    compact: largest size of the compact checkpoint in bytes. With the default, it and a pack of the size that
        PackSettings allows are less than 64 MB together.
    seconds: between compact checkpoints during the run; 0 writes one at the end only.
    """

    every: int = 1000
    keep: int = 2
    compact: int = 30_500_000
    seconds: float = 0.0

    def __post_init__(self) -> None:
        check_at_least("save.seconds", self.seconds, 0)
        for name in ("every", "keep", "compact"):
            check_at_least(f"save.{name}", getattr(self, name), 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """every: steps between lines. pictures: steps between images in TensorBoard, 0 for none."""

    every: int = 50
    pictures: int = 1000

    def __post_init__(self) -> None:
        check_at_least("log.every", self.every, 1)
        check_at_least("log.pictures", self.pictures, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """A whole configuration; each table is described by its class."""

    run: Run
    data: Data
    network: Network = Network()
    loss: Loss = Loss()
    optimiser: Optimiser = Optimiser()
    validation: Validation = Validation()
    save: Save = field(default_factory=Save)
    log: Log = field(default_factory=Log)

    def __post_init__(self) -> None:
        if not self.run.time_limit and self.optimiser.warm_up >= self.run.steps:
            raise ArgumentError(
                f"optimiser.warm_up ({self.optimiser.warm_up}) must be below run.steps ({self.run.steps}); lower it"
            )
        held_out = self.validation.clips
        for key in ("pack", "pictures", "clips", "vimeo"):
            folder = getattr(self.data, key)
            if held_out and folder and folder.resolve() in (held_out.resolve(), *held_out.resolve().parents):
                raise ArgumentError(f"validation.clips ({held_out}) must lie outside of data.{key} ({folder})")

    def as_plain(self) -> dict[str, Any]:
        """As tables, lists, text and numbers, for JSON."""
        plain: dict[str, Any] = as_plain(self)
        return plain
