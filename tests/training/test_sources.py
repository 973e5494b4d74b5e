"""The sources that a configuration makes, and what they are made with."""

import pytest
import torch

from vsrife.datasets.shots import InMemoryShots
from vsrife.errors import ArgumentError
from vsrife.training import sources as module
from vsrife.training.distributed import ProcessGroup
from vsrife.training.sources import make_sources

CPU = torch.device("cpu")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_rings_of_several_sizes_draw_different_scenes(make, monkeypatch, device):
    config = make("data.ring={frames=[[64, 80], [128, 160]]}", "run.seed=3")
    seeds = []
    for kind in ("Ring", "Pool"):
        monkeypatch.setattr(module, kind, lambda *_, seed, **__: seeds.append(seed))
    monkeypatch.setattr(module, "Rings", lambda rings: rings)
    made = (
        module._rings(config, config.data.ring, ProcessGroup(), print)
        if device == "cpu"
        else module._pools(config, config.data.ring, CPU)
    )
    assert len(made) == len(set(seeds)) == 2


@pytest.mark.parametrize("name", ["clips", "vimeo"])
def test_clips_hold_the_further_crops_too(make, folders, monkeypatch, name):
    """The clips have 80x112."""
    clips = f"data.clips={str(folders['clips'])!r}"
    if name == "vimeo":
        shots = InMemoryShots(list(module._shots(folders["clips"])))
        monkeypatch.setattr(module, "Vimeo", lambda *_, **__: shots)
        clips = f"data.vimeo={str(folders['clips'])!r}"
    mix = f"data.mix=[{{synthetic=0.5, {name}=0.5}}]"
    make_sources(
        make(clips, mix, "data.also=[{crop=[64, 112]}, {crop=[128, 128], blocks=1}]"), CPU, ProcessGroup(), print
    )
    config = make(clips, mix, "data.also=[{crop=[64, 128]}]")
    with pytest.raises(
        ArgumentError, match=r"^data.also.crop \(128x64\) must be at most 112x80, the smallest frame; use a"
    ):
        make_sources(config, CPU, ProcessGroup(), print)
