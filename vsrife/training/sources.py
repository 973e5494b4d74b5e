"""The samples that a configuration asks for: its folders read, its sources made, and mixed as it says."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from vsrife.datasets.batch import Source
from vsrife.datasets.clips import find_clips, read_clip, split_shots
from vsrife.datasets.held_out import without
from vsrife.datasets.labels import LabelFolder
from vsrife.datasets.loader import BatchSpec, LoaderState, MixedDataLoader, MixPhase
from vsrife.datasets.packing import open_pack
from vsrife.datasets.pool import Pool
from vsrife.datasets.ring import Plan, Ring, Rings, RingSettings
from vsrife.datasets.scene_rng import mixed_seed
from vsrife.datasets.shots import ClipWindowDataset, InMemoryShots, ShotReader
from vsrife.datasets.synthetic import Synthetic
from vsrife.datasets.vimeo import Vimeo
from vsrife.training.config import Config
from vsrife.training.distributed import ProcessGroup

__all__ = ["batch_specs", "closing_sources", "make_loader", "make_sources", "spec_names"]

WITH_KNOWN_FLOW: Final = ("synthetic",)
"""The sources whose flow is known exactly."""

_UNKNOWN: Final = 10**9
"""Assumed number of steps before it is computed from a time limit: the first phase of the mix then holds."""


def make_sources(
    config: Config, device: torch.device, group: ProcessGroup, log: Callable[[str], None]
) -> dict[str, Source]:
    """All sources that the mix uses, by name. Their data are read here and placed on `device`.

    log: called with lines for the user. Raises ArgumentError, which names the folder or file, for invalid data.
    """
    data = config.data
    pack = None if data.pack is None else open_pack(data.pack)
    sources: dict[str, Source] = {}
    if "synthetic" in data.used:
        if data.ring:
            on_gpu = device.type == "cuda"
            sources["synthetic"] = (
                _pools(config, data.ring, device) if on_gpu else _rings(config, data.ring, group, log)
            )
        else:
            sources["synthetic"] = Synthetic(data.picture_store.bank().to(device), data.synthetic_settings)
    if "clips" in data.used:
        found = without(pack, data.held_out) if pack else _shots(data.clips)
        shots = InMemoryShots([shot.to(device) for shot in found])
        labels = LabelFolder(data.labels, pack).read(device) if pack and data.labels else None
        sources["clips"] = ClipWindowDataset(shots, data.shot_settings, device, labels=labels)
    if "vimeo" in data.used:
        assert data.vimeo is not None
        vimeo: ShotReader = Vimeo(data.vimeo, threads=data.threads)
        sources["vimeo"] = ClipWindowDataset(vimeo, data.shot_settings, device)
    for each in data.also:
        for source in sources.values():
            if isinstance(source, ClipWindowDataset) and not each.blocks:
                source.check_crop(each.drawn, "half of data.also.crop" if each.enlarged else "data.also.crop")
    return sources


@contextlib.contextmanager
def closing_sources(sources: Mapping[str, Source]) -> Iterator[None]:
    """On exit, end the processes that make scenes and free the memory that holds scenes."""
    try:
        yield
    finally:
        for source in sources.values():
            if isinstance(source, Rings):
                source.close()


def make_loader(
    config: Config, sources: dict[str, Source], device: torch.device, group: ProcessGroup, position: int
) -> MixedDataLoader:
    """The data loader of one process, from step `position` on."""
    steps = config.run.steps or _UNKNOWN
    phases = [
        MixPhase(start=round(mix.start * steps), weights={name: mix.weights[name] for name in sources})
        for mix in config.data.mix
    ]
    synthetic = sources.get("synthetic")
    if isinstance(synthetic, Rings):
        synthetic.follow([(spec.crop, _plan(spec, phases, group)) for spec in batch_specs(config, group)])
    return MixedDataLoader(
        sources,
        phases,
        specs=batch_specs(config, group),
        device=device,
        state=LoaderState(seed=config.run.seed, position=position),
        margins=config.data.margins,
        prefetch=config.data.prefetch,
        rank=group.rank,
        world_size=group.world_size,
    )


def _plan(spec: BatchSpec, phases: Sequence[MixPhase], group: ProcessGroup) -> Plan:
    """How many synthetic samples of a spec all processes together take at each step."""
    rates = []
    for phase in phases:
        share = 1.0 if spec.sources else phase.weights["synthetic"] / sum(phase.weights.values())
        rates.append((phase.start, share * spec.count * group.world_size))
    return Plan(rates=tuple(sorted(rates)))


def batch_specs(config: Config, group: ProcessGroup) -> list[BatchSpec]:
    """The batches of each step of one process: `run.batch` samples of `data.crop`, then those of `data.also`."""
    also = [
        BatchSpec(
            count=each.batch // group.world_size,
            crop=each.drawn,
            sources=WITH_KNOWN_FLOW if each.blocks else None,
            enlarged=each.enlarged,
        )
        for each in config.data.also
    ]
    return [
        BatchSpec(count=config.run.batch // group.world_size, crop=(config.data.crop[0], config.data.crop[1])),
        *also,
    ]


def spec_names(config: Config) -> list[str]:
    """Names of the batches of a step, such as "256x384" and "256x384 enlarged"; equal ones are numbered."""
    sizes = [(config.data.crop, False), *((each.crop, each.enlarged) for each in config.data.also)]
    names: list[str] = []
    for (height, width), enlarged in sizes:
        name = f"{height}x{width}{' enlarged' if enlarged else ''}"
        count = sum(each == name or each.startswith(f"{name} #") for each in names)
        names.append(f"{name} #{count + 1}" if count else name)
    return names


def _rings(config: Config, settings: RingSettings, group: ProcessGroup, log: Callable[[str], None]) -> Rings:
    """One ring for each size of scenes, in a folder of its own; of several processes the main one makes the scenes."""
    folder = settings.folder or config.run.folder / "ring"
    return Rings(
        [
            Ring(
                folder / f"{height}x{width}",
                (height, width),
                settings,
                config.data.synthetic_settings,
                config.data.picture_store,
                size=config.data.crop_size,
                seed=_seed(config, height, width),
                makes=group.is_main,
                behind=config.data.prefetch + 2 if group.world_size > 1 else 0,
                say=log,
            )
            for height, width in settings.frames
        ]
    )


def _pools(config: Config, settings: RingSettings, device: torch.device) -> Rings:
    """As `_rings`, in the memory of a GPU; each process makes its own scenes."""
    bank = config.data.picture_store.bank().to(device)
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
    """The seed of the scenes of a size, so that different sizes have different scenes."""
    return mixed_seed(config.run.seed, height, width)


def _shots(folder: Path | None) -> Iterator[Tensor]:
    assert folder is not None
    for path in find_clips(folder):
        for frames in split_shots(read_clip(path)):
            yield torch.stack(frames)
