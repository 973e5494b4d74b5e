"""The samples that a configuration asks for: its folders read, its sources made, and mixed as it says."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from vsrife.datasets.batch import Source
from vsrife.datasets.clips import find_clips, read_clip, split_shots
from vsrife.datasets.draws import mixed_seed
from vsrife.datasets.held_out import without
from vsrife.datasets.labels import LabelFolder
from vsrife.datasets.packing import open_pack
from vsrife.datasets.pool import Pool
from vsrife.datasets.ring import Plan, Ring, Rings, RingSettings
from vsrife.datasets.samples import Part, Samples, SamplesState, Stage
from vsrife.datasets.shots import ResidentShots, Shots, Windows
from vsrife.datasets.synthetic import Synthetic
from vsrife.datasets.vimeo import Vimeo
from vsrife.training.config import Config
from vsrife.training.parallel import Group

__all__ = ["closing_sources", "make_samples", "make_sources"]

KNOWING: Final = ("synthetic",)
"""The sources whose flow is known."""

_UNKNOWN: Final = 10**9
"""Steps of a run whose number is not found yet: it is at its beginning, where the first shares hold."""


def make_sources(config: Config, device: torch.device, group: Group, say: Callable[[str], None]) -> dict[str, Source]:
    """Every source that is used at any time, by name; what they read is read here, and lies on `device`.

    `say` is told, in a line each, what a user should know.

    Raises ArgumentError, which names folder or file, for data that are not as they must be.
    """
    data = config.data
    pack = None if data.pack is None else open_pack(data.pack)
    sources: dict[str, Source] = {}
    if "synthetic" in data.used:
        if data.ring:
            on_gpu = device.type == "cuda"
            sources["synthetic"] = (
                _pools(config, data.ring, device) if on_gpu else _rings(config, data.ring, group, say)
            )
        else:
            sources["synthetic"] = Synthetic(data.stock.bank().to(device), data.synthetic_settings)
    if "clips" in data.used:
        found = without(pack, data.held_out) if pack else _shots(data.clips)
        shots = ResidentShots([shot.to(device) for shot in found])
        labels = LabelFolder(data.labels, pack).read(device) if pack and data.labels else None
        sources["clips"] = Windows(shots, data.shot_settings, device, labels=labels)
    if "vimeo" in data.used:
        assert data.vimeo is not None
        vimeo: Shots = Vimeo(data.vimeo, threads=data.threads)
        sources["vimeo"] = Windows(vimeo, data.shot_settings, device)
    for each in data.also:
        for source in sources.values():
            if isinstance(source, Windows) and not each.blocks:
                source.check_crop(each.drawn, "half of data.also.crop" if each.enlarged else "data.also.crop")
    return sources


@contextlib.contextmanager
def closing_sources(sources: Mapping[str, Source]) -> Iterator[None]:
    """At the end the processes that make scenes end too, and the memory that holds scenes is free."""
    try:
        yield
    finally:
        for source in sources.values():
            if isinstance(source, Rings):
                source.close()


def make_samples(
    config: Config, sources: dict[str, Source], device: torch.device, group: Group, position: int
) -> Samples:
    """The batches of one process, from `position` on."""
    steps = config.run.steps or _UNKNOWN
    stages = [
        Stage(start=round(mix.start * steps), weights={name: mix.weights[name] for name in sources})
        for mix in config.data.mix
    ]
    synthetic = sources.get("synthetic")
    if isinstance(synthetic, Rings):
        synthetic.follow([(part.crop, _plan(part, stages, group)) for part in parts_of(config, group)])
    return Samples(
        sources,
        stages,
        parts=parts_of(config, group),
        device=device,
        state=SamplesState(seed=config.run.seed, position=position),
        margins=config.data.margins,
        prefetch=config.data.prefetch,
        rank=group.rank,
        world=group.world,
    )


def _plan(part: Part, stages: Sequence[Stage], group: Group) -> Plan:
    """How many synthetic samples of a part all processes together take at each step."""
    rates = []
    for stage in stages:
        share = 1.0 if part.sources else stage.weights["synthetic"] / sum(stage.weights.values())
        rates.append((stage.start, share * part.count * group.world))
    return Plan(rates=tuple(sorted(rates)))


def parts_of(config: Config, group: Group) -> list[Part]:
    """What each step of one process is made of: `run.batch` samples of `data.crop`, and what `data.also` adds."""
    also = [
        Part(
            count=each.batch // group.world,
            crop=each.drawn,
            sources=KNOWING if each.blocks else None,
            enlarged=each.enlarged,
        )
        for each in config.data.also
    ]
    return [Part(count=config.run.batch // group.world, crop=(config.data.crop[0], config.data.crop[1])), *also]


def _rings(config: Config, settings: RingSettings, group: Group, say: Callable[[str], None]) -> Rings:
    """A ring for each size of frame, in a folder of its own; of several processes one makes its scenes."""
    folder = settings.folder or config.run.folder / "ring"
    return Rings(
        [
            Ring(
                folder / f"{height}x{width}",
                (height, width),
                settings,
                config.data.synthetic_settings,
                config.data.stock,
                size=config.data.crop_size,
                seed=_seed(config, height, width),
                makes=group.leads,
                behind=config.data.prefetch + 2 if group.world > 1 else 0,
                say=say,
            )
            for height, width in settings.frames
        ]
    )


def _pools(config: Config, settings: RingSettings, device: torch.device) -> Rings:
    """As `_rings`, in the memory of a GPU; each process draws its own."""
    bank = config.data.stock.bank().to(device)
    return Rings(
        [
            Pool(
                bank,
                (height, width),
                settings,
                config.data.synthetic_settings,
                size=config.data.crop_size,
                seed=_seed(config, height, width),
            )
            for height, width in settings.frames
        ]
    )


def _seed(config: Config, height: int, width: int) -> int:
    """Of the scenes of a size: those of another one are others, not the same ones drawn larger."""
    return mixed_seed(config.run.seed, height, width)


def _shots(folder: Path | None) -> Iterator[Tensor]:
    assert folder is not None
    for path in find_clips(folder):
        for frames in split_shots(read_clip(path)):
            yield torch.stack(frames)
