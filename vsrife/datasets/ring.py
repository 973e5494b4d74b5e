"""A ring of synthetic scenes in files, made ahead by a process of its own, each used for many samples.

The scenes of a batch depend only on its number and seed: they are chosen from a window of scenes that a plan defines,
not from those that happen to exist. Missing scenes are waited for, and lost ones are made again, so a resumed run reads
the same samples.
"""

import hashlib
import json
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Final

import numpy as np
import torch

from vsrife.datasets.batch import Batch, Source, concatenate
from vsrife.datasets.maker import Job, Maker
from vsrife.datasets.picture_store import PictureStore
from vsrife.datasets.remote_maker import RemoteMaker
from vsrife.datasets.scene_file import StoredScene, numbers_in, place_of, read_scene
from vsrife.datasets.scene_request import SceneRequest
from vsrife.datasets.serving import Pick, draw_picks, serve
from vsrife.datasets.synthetic import SyntheticSettings
from vsrife.errors import ArgumentError

__all__ = ["NOTHING", "Plan", "PlannedScenes", "Ring", "RingSettings", "Rings", "Server"]

_MOST_TRUTHS: Final = 16
_AHEAD: Final = 16  # scenes over the number made ahead of the plan
_SPARE: Final = 4  # scenes over the number kept behind the plan, for a run that goes back to a checkpoint
_POLL: Final = 0.01  # seconds

_INDEX: Final = "ring.key"
_SCENE_MODULES: Final = (
    "bank",
    "compression",
    "layer_motion",
    "layers",
    "lettering",
    "light",
    "maker",
    "overlays",
    "packing",
    "picture_store",
    "pictures",
    "remote_maker",
    "scene_file",
    "scene_rng",
    "scenes",
    "shades",
    "shapes",
    "synthetic",
    "text",
)
"""Modules of `vsrife.datasets` whose code determines how a scene looks; so does `network.warp`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RingSettings:
    """folder: of the scenes, by default in the folder of the run.
    scenes: number of scenes in use at a time. first: number of scenes for the first batch; each step then adds scenes
        according to `serves`.
    serves: mean number of samples from a scene.
    reduced: share of the samples that are cut at twice their size and halved, if the scene is large enough: they show
        twice as much, which moves half as far.
    times: true frames of each scene. frames: heights and widths of scenes; a sample is cut from the smallest one that
        it fits into.
    `scenes` and `first` are for the first size; other sizes have as many scenes as have the same number of pixels.
    """

    folder: Path | None = None
    scenes: int = 2048
    first: int = 256
    serves: float = 24.0
    reduced: float = 0.5
    frames: tuple[tuple[int, ...], ...] = ((256, 384),)
    times: int = 3

    def __post_init__(self) -> None:
        shown = [list(frame) for frame in self.frames]
        if not self.frames or any(len(frame) != 2 or min(frame) < 33 for frame in self.frames):
            raise ArgumentError(f"data.ring.frames ({shown}) must be heights and widths of 33 or more, as [[256, 384]]")
        if len(set(self.frames)) < len(self.frames):
            raise ArgumentError(f"data.ring.frames ({shown}) must be different sizes; leave one out")
        for name in ("scenes", "first", "times"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"data.ring.{name} ({getattr(self, name)}) must be 1 or more")
        if self.times > _MOST_TRUTHS:
            raise ArgumentError(f"data.ring.times ({self.times}) must be at most {_MOST_TRUTHS}; 3 is usual")
        if not 0 <= self.reduced <= 1:
            raise ArgumentError(f"data.ring.reduced ({self.reduced:g}) must be from 0 to 1; it is a share")
        if not (math.isfinite(self.serves) and self.serves > 0):
            raise ArgumentError(f"data.ring.serves ({self.serves:g}) must be above 0; 24 is usual")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How many samples each batch takes. rates: (first batch, mean number of samples), ascending from batch 0."""

    rates: tuple[tuple[int, float], ...]

    def samples(self, position: int) -> float:
        """The number of samples that the batches before `position` take."""
        ends = (*(start for start, _ in self.rates[1:]), position)
        pairs = zip(self.rates, ends, strict=True)
        return sum(rate * max(0, min(end, position) - start) for (start, rate), end in pairs)

    def __add__(self, other: "Plan") -> "Plan":
        """The samples of both plans together."""
        starts = sorted({start for plan in (self, other) for start, _ in plan.rates})
        return Plan(rates=tuple((start, self._rate(start) + other._rate(start)) for start in starts))

    def _rate(self, position: int) -> float:
        return next(rate for start, rate in reversed(self.rates) if start <= position)


NOTHING: Final = Plan(rates=((0, 0.0),))


Server = Callable[[slice, tuple[int, int]], Batch]
"""From a slice of the samples of a batch, and their height and width, these samples."""


class PlannedScenes(Source):
    """A source that cuts samples from scenes, which a plan selects, of any size that fits into them."""

    def __init__(
        self,
        frame: tuple[int, int],
        settings: RingSettings,
        synthetic: SyntheticSettings,
        *,
        size: tuple[int, int],
        plan: Plan,
    ) -> None:
        """frame: height and width of the scenes. synthetic: settings, whose size is not used. size: default height and
        width of samples.
        """
        height, width = frame
        self.frame = frame
        share = math.prod(settings.frames[0]) / math.prod(frame)
        self.scenes, self.first = (max(1, round(number * share)) for number in (settings.scenes, settings.first))
        self.serves, self.reduced = settings.serves, settings.reduced
        self.size = size
        self.plan = plan
        self.synthetic = replace(synthetic, height=height, width=width)
        # If all times are 1/2, a scene has one true frame.
        self.truths = settings.times if synthetic.any_time else 1

    def fits(self, size: tuple[int, int]) -> bool:
        """Whether a crop of this height and width can be drawn."""
        return size[0] <= self.frame[0] and size[1] <= self.frame[1]

    def window(self, position: int) -> tuple[int, int]:
        """The scenes for the batch at `position`: the first, and the one after the last."""
        high = min(self.first, self.scenes) + int(self.plan.samples(position) / self.serves)
        return max(0, high - self.scenes), high

    def chosen(self, count: int, random: np.random.Generator, position: int) -> list[int]:
        """The scenes of `count` samples of that batch, without repetition if there are enough."""
        low, high = self.window(position)
        numbers: list[int] = (low + random.choice(high - low, count, replace=count > high - low)).tolist()
        return numbers

    def draw(
        self,
        count: int,
        seed: int,
        *,
        size: tuple[int, int] | None = None,
        position: int = 0,
        as_made: bool = False,
    ) -> Batch:
        """`count` samples of the batch at `position`, of height and width `size`; the same for the same arguments.

        as_made: no sample is cut at twice its size and halved.
        Waits for missing scenes. Raises RifeError if the process that makes them has ended.
        """
        size = size or self.size
        if not self.fits(size):
            raise ArgumentError(f"size ({size[0]}x{size[1]}) must fit into the scenes of {self.frame}; make it smaller")
        random = np.random.default_rng(seed)
        numbers = self.chosen(count, random, position)
        picks = draw_picks(count, random)
        halves = (2 * size[0], 2 * size[1])
        reduced = int(random.binomial(count, self.reduced)) if self.fits(halves) and not as_made else 0
        served = self._server(numbers, picks, position)
        batches = [served(slice(reduced), halves).halved()] if reduced else []
        if reduced < count:
            batches.append(served(slice(reduced, count), size))
        return concatenate(batches)

    def _server(self, numbers: Sequence[int], picks: Sequence[Pick], position: int) -> Server:
        """A function that cuts samples from these scenes, which exist from now on."""
        raise NotImplementedError

    def close(self) -> None:
        """Free all resources other than memory. A later draw allocates them again."""

    def _truth(self, share: float) -> int:
        """The index of a true frame: the one at 1/2 or one of the others, with the configured probability."""
        truths, any_time = self.truths, self.synthetic.any_time
        if truths == 1:
            return 0
        middle = 1 - any_time
        if share < middle:
            return 0
        first = int(any_time < 1)
        return first + int((share - middle) / any_time * (truths - first))


class Rings(Source):
    """A source with several sizes of scenes, for samples of any size that fits into one of them."""

    def __init__(self, rings: Sequence[PlannedScenes]) -> None:
        self._rings = sorted(rings, key=lambda ring: math.prod(ring.frame))

    def draw(
        self,
        count: int,
        seed: int,
        *,
        size: tuple[int, int] | None = None,
        position: int = 0,
        as_made: bool = False,
    ) -> Batch:
        """As `Ring.draw`, by default of the smallest ring. Raises ArgumentError for a size that fits into no ring."""
        ring = self._rings[0] if size is None else self._of(size)
        return ring.draw(count, seed, size=size, position=position, as_made=as_made)

    def follow(self, plans: Sequence[tuple[tuple[int, int], Plan]]) -> None:
        """Set the plan for each size of samples, before any is drawn."""
        for ring in self._rings:
            ring.plan = NOTHING
        for size, plan in plans:
            ring = self._of(size)
            ring.plan = ring.plan + plan

    def close(self) -> None:
        """Close all rings."""
        for ring in self._rings:
            ring.close()

    def _of(self, size: tuple[int, int]) -> PlannedScenes:
        found = next((ring for ring in self._rings if ring.fits(size)), None)
        if found is None:
            frames = ", ".join("x".join(map(str, ring.frame)) for ring in self._rings)
            raise ArgumentError(f"data.ring.frames ({frames}) must hold crops of {size[0]}x{size[1]}; add a larger one")
        return found


class Ring(PlannedScenes):
    """Scenes in files. One thread at a time may draw.

    The process that makes the scenes starts at the first draw and ends with this object, or at `close`.
    """

    def __init__(
        self,
        folder: Path,
        frame: tuple[int, int],
        settings: RingSettings,
        synthetic: SyntheticSettings,
        picture_store: PictureStore,
        *,
        size: tuple[int, int],
        seed: int,
        plan: Plan = NOTHING,
        makes: bool = True,
        behind: int = 0,
        nice: int = 19,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """folder: of this ring alone; settings.folder is not read. frame: height and width of the scenes.

        synthetic: its size is not read. size: height and width of a sample that is drawn without one.
        makes: whether scenes are made here; else another process does, by a ring with the same arguments.
        behind: batches that another process, which reads the same scenes, may be behind this one.
        nice: added to the niceness of the process that makes them; 19 is the lowest priority there is.
        say: called with a line if existing scenes cannot be used.

        Raises ArgumentError for a folder that cannot be written to, and for pictures that cannot be read.
        """
        super().__init__(frame, settings, synthetic, size=size, plan=plan)
        self.waited = 0.0
        """Total time in seconds that draws have waited for scenes."""
        self._job = Job(
            folder=folder,
            key="",
            seed=seed,
            picture_store=picture_store,
            settings=self.synthetic,
            truths=self.truths,
            nice=nice,
        )
        self._job = replace(self._job, key=_key(self._job))
        self._maker: Maker | RemoteMaker | None = None
        self._makes, self._behind = makes, behind
        self._asked: SceneRequest | None = None
        self._lock = threading.Lock()
        if makes:
            _prepare(folder, self._job.key, say)

    def close(self) -> None:
        """End the process that makes the scenes. A later draw starts another one."""
        with self._lock:
            if self._maker is not None:
                self._maker.close()
                self._maker = self._asked = None

    def _server(self, numbers: Sequence[int], picks: Sequence[Pick], position: int) -> Server:
        with self._lock:
            scenes = self._read(numbers, position)
        given = [(scene, self._truth(pick.truth)) for scene, pick in zip(scenes, picks, strict=True)]
        return lambda part, size: serve(given[part], picks[part], size)

    def _read(self, numbers: Sequence[int], position: int) -> list[StoredScene]:
        low, high = self.window(position)
        needed, _ = self.window(max(0, position - self._behind))
        keep = max(0, min(needed, low - self.scenes // _SPARE))
        wanted = SceneRequest(keep=keep, low=low, high=high + self.scenes // _AHEAD)
        found = {number: self._stored(number) for number in set(numbers)}
        missing = tuple(dict.fromkeys(number for number in numbers if found[number] is None))
        self._ask(replace(wanted, first=missing))
        started = time.perf_counter()
        for number in missing:
            while (scene := self._stored(number)) is None:
                if self._maker is not None:
                    self._maker.check()
                time.sleep(_POLL)
            found[number] = scene
        self.waited += time.perf_counter() - started
        return [scene for number in numbers if (scene := found[number]) is not None]

    def _stored(self, number: int) -> StoredScene | None:
        return read_scene(self._job.folder, number, bytes.fromhex(self._job.key))

    def _ask(self, wanted: SceneRequest) -> None:
        # A scene may be lost right after it was made, so missing scenes are requested every time.
        if wanted == self._asked and not wanted.first:
            return
        if self._maker is None:
            self._maker = Maker(self._job) if self._makes else RemoteMaker(self._job.folder)
        self._maker.ask(wanted)
        self._asked = wanted


def _key(job: Job) -> str:
    """A digest of all that a scene depends on besides its number: settings, seed, pictures, code and versions."""
    here = Path(__file__).parent
    paths = (here.parent / "network" / "warp.py", *(here / f"{name}.py" for name in _SCENE_MODULES))
    code = hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
    facts = {
        "settings": asdict(job.settings),
        "seed": job.seed,
        "truths": job.truths,
        "pictures": job.picture_store.digest(),
        "code": code,
        "versions": [torch.__version__, np.__version__, metadata.version("pillow")],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _prepare(folder: Path, key: str, say: Callable[[str], None]) -> None:
    """Create the folder, and remove scenes of another key from it."""
    index = folder / _INDEX
    try:
        folder.mkdir(parents=True, exist_ok=True)
        old = index.read_text() if index.is_file() else ""
        if old == key:
            return
        there = numbers_in(folder)
        if there:
            say(f"data.ring ({folder}): {len(there)} scenes of other settings or another version are replaced")
        for number in there:
            place_of(folder, number).unlink(missing_ok=True)
        index.write_text(key)
    except OSError as error:
        raise ArgumentError(f"data.ring.folder ({folder}) must be a folder to write to: {error.strerror}") from None
