"""Scenes in a device's memory: cut as those in files are, and the same whenever they are drawn."""

import dataclasses

import numpy as np
import pytest
import torch

from vsrife.datasets.batch import Batch
from vsrife.datasets.pool import Pool
from vsrife.datasets.ring import Plan, RingSettings
from vsrife.datasets.scene_file import StoredScene
from vsrife.datasets.serving import draw_picks, serve
from vsrife.datasets.synthetic import SyntheticSettings

FRAME = (40, 56)
SETTINGS = RingSettings(scenes=30, first=10, serves=2.0, frames=(FRAME,), times=3, reduced=0.3)
SCENES = SyntheticSettings(layers=2, any_time=0.6)


def pool(bank, **options) -> Pool:
    options = {"size": (20, 33), "seed": 5, "plan": Plan(rates=((0, 6.0),)), **options}
    return Pool(bank, FRAME, SETTINGS, SCENES, **options)


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.tensors().values(), b.tensors().values(), strict=True))


@pytest.mark.parametrize("size", [(20, 33), (40, 40), (40, 56), (33, 41)])
def test_samples_are_cut_as_those_from_files_are(noise_bank, size) -> None:
    """The one at a time with views of arrays, the other all at once by looking up every pixel."""
    made = pool(noise_bank)
    numbers = list(range(12))
    picks = draw_picks(12, np.random.default_rng(3))
    cut = made._server(numbers, picks, 0)(slice(12), size)
    frames, motion, shares = (each.numpy() for each in made._kept)
    stored = [
        StoredScene(
            t=tuple(made._times[n].tolist()),
            frames=frames[n],
            visible=shares[n, :, :2],
            known=shares[n, :, 2:],
            motion=motion[n],
        )
        for n in numbers
    ]
    other = serve([(scene, made._truth(pick.truth)) for scene, pick in zip(stored, picks, strict=True)], picks, size)
    for name, tensor in cut.tensors().items():
        assert tensor.shape == getattr(other, name).shape
        assert tensor.is_contiguous()
        assert torch.allclose(tensor, getattr(other, name), atol=1e-6), name


def test_carried_on_it_is_what_it_would_have_been(noise_bank) -> None:
    whole = pool(noise_bank)
    batches = [whole.draw(3, 50 + n, position=n) for n in range(0, 60, 6)]
    resumed = pool(noise_bank)
    for index in (6, 7, 3, 9):  # a block that was overwritten is drawn again
        assert same(resumed.draw(3, 50 + 6 * index, position=6 * index), batches[index])
    assert not same(pool(noise_bank, seed=6).draw(3, 50, position=0), batches[0])


def test_a_scene_is_drawn_once_while_it_is_in_the_window(noise_bank, monkeypatch) -> None:
    made = pool(noise_bank, size=(20, 20))
    drawn = []
    monkeypatch.setattr(Pool, "_draw", lambda self, block, draw=Pool._draw: drawn.append(block) or draw(self, block))
    for n in range(40):
        made.draw(6, n, position=n)
    assert drawn == sorted(set(drawn))
    assert len(drawn) == -(-made.window(39)[1] // 16)


def test_times_are_as_they_are_asked_for(noise_bank) -> None:
    middle = dataclasses.replace(SCENES, any_time=0.0)
    made = Pool(noise_bank, FRAME, SETTINGS, middle, size=(20, 33), seed=5)
    assert made.truths == 1
    assert (made.draw(4, 1).t == 0.5).all()
    t = pool(noise_bank).draw(400, 2, size=(8, 8)).t
    assert float((t == 0.5).float().mean()) == pytest.approx(0.4, abs=0.08)
