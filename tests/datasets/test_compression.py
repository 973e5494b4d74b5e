"""Coding loses what is fine and nothing else, block by block."""

import pytest
import torch
from torch import Tensor

from vsrife.datasets import compression
from vsrife.datasets.compression import compress
from vsrife.datasets.scene_rng import SceneRng

CPU = torch.device("cpu")


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(8))


@pytest.fixture
def exact(monkeypatch) -> None:
    monkeypatch.setattr(compression, "_FINEST", 1e-3)
    monkeypatch.setattr(compression, "_COARSEST", 1e-3)


@pytest.mark.parametrize("size", [(33, 70), (96, 160), (64, 64)])
def test_nothing_is_lost_where_nothing_is_rounded(exact: None, size: tuple[int, int]) -> None:
    grey = noise(2, 3, 1, *size).expand(-1, -1, 3, -1, -1)
    for seed in range(4):
        assert (compress(SceneRng(seed, CPU), grey) - grey).abs().max() < 1e-3


def test_chroma_is_halved_and_luma_is_not(exact: None) -> None:
    frames = noise(1, 1, 3, 48, 80) * 0.4 + 0.3
    coded = compress(SceneRng(1, CPU), frames)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    assert ((coded - frames) * weights).sum(2).abs().max() < 2e-3
    assert (coded - frames).abs().mean() > 0.02


def test_one_colour_stays_what_it_is() -> None:
    frames = torch.tensor([0.2, 0.6, 0.5]).view(3, 1, 1).expand(2, 3, 3, 40, 56)
    assert (compress(SceneRng(2, CPU), frames) - frames).abs().max() < 3 / 255


def test_frames_of_a_sample_are_coded_alike_and_samples_are_not() -> None:
    frame = noise(1, 1, 3, 64, 96).expand(5, 3, -1, -1, -1)
    coded = compress(SceneRng(3, CPU), frame)
    assert torch.equal(coded[:, 0], coded[:, 1])
    assert torch.equal(coded[:, 0], coded[:, 2])
    errors = (coded - frame).square().mean((1, 2, 3, 4))
    assert len(errors.unique()) == 5


def test_blocks_part_the_frame() -> None:
    """A slope is coded as steps: its gradient differs where blocks meet, every 8 pixels, from any beginning."""
    slope = torch.linspace(0.3, 0.5, 96).expand(1, 1, 3, 64, -1)
    begins = set()
    for seed in range(6):
        steps = compress(SceneRng(seed, CPU), slope)[0, 0, 1, 32].diff()
        columns = (steps.abs() > 3 * steps.abs().median().clamp(min=1e-4)).nonzero()[:, 0]
        if len(columns):
            assert len({int(column) % 8 for column in columns}) == 1
            begins.add(int(columns[0]) % 8)
    assert len(begins) > 1
