"""Scores of thumbnails: structure decides, motion and light do not."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.formats.scenery import scene
from vsrife.datasets.thumbnails import CELLS, CUT, cut_score
from vsrife.scene.signature import signature

ROOT = Path(__file__).resolve().parents[2]
LABELS = json.loads((ROOT / "tests" / "data" / "cut_labels.json").read_text())


def score(left: torch.Tensor, right: torch.Tensor) -> float:
    return cut_score(*(signature([p.clamp(0, 255).round().to(torch.uint8)], 8, cells=CELLS) for p in (left, right)))


def test_different_scenes_are_cuts_and_scores_are_symmetric() -> None:
    for seed in range(6):
        left, right = scene(seed), scene(seed + 100)
        assert CUT <= score(left, right) < 1
        assert score(left, right) == score(right, left)


def test_identical_frames_score_nothing() -> None:
    assert score(scene(2), scene(2)) == 0


@pytest.mark.parametrize("percent", [5, 15, 33])
@pytest.mark.parametrize("way", [1, -1])
def test_a_fast_pan_is_not_a_cut(percent: int, way: int) -> None:
    picture = scene(5, 405, 1000)
    step = 720 * percent // 100
    views = [picture[:, :720], picture[:, step : step + 720]][::way]
    assert score(views[0], views[1]) < CUT


def test_a_change_of_light_is_not_a_cut() -> None:
    picture = scene(6) * 0.5
    for gain in (0.5, 0.75, 1.5, 2.0):
        assert score(picture, picture * gain) < 0.1
    assert score(picture, picture + 60) < 0.1
    assert (
        score(picture, picture.clone() + 20 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(0)))
        < 0.1
    )


def test_a_dissolve_is_not_a_cut() -> None:
    left, right = scene(7), scene(8)
    for step in range(12):
        a, b = (left + (right - left) * (step + k) / 12 for k in (0, 1))
        assert score(a, b) < CUT


def test_a_pan_and_a_brightness_change_together_are_not_a_cut() -> None:
    picture = scene(9, 405, 900)
    assert score(picture[:, :720], picture[:, 100:820] * 0.7 + 10) < CUT


def test_black_bars_do_not_hide_a_cut() -> None:
    frames = [torch.nn.functional.pad(scene(seed, 300, 720), (0, 0, 52, 53), value=16.0) for seed in (10, 11)]
    assert score(frames[0], frames[1]) >= CUT


def test_flat_frames() -> None:
    black, white = torch.zeros(200, 300), torch.full((200, 300), 255.0)
    assert score(black, white) == 0
    picture = scene(12, 200, 300)
    assert score(black, picture) >= CUT
    assert score(picture, white) >= CUT


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 9), (9, 1), (7, 64), (33, 17), (34, 18), (16, 8192)])
def test_every_size_has_a_score(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(5)
    left, right = (torch.randint(0, 256, size, generator=generator).float() for _ in range(2))
    assert 0 <= score(left, right) < 1
    assert score(left, left) == 0


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="one size"):
        cut_score(np.zeros((4, 5), np.int64), np.zeros((5, 4), np.int64))


def test_the_arithmetic_is_exact_at_the_limits() -> None:
    """Full-contrast checks reach the largest sums; whole numbers in float64 must then still be whole."""
    checks = np.indices((36, 64)).sum(0) % 2 * 65535
    blocks = (np.indices((36, 64)) // 8).sum(0) % 2 * 65535
    for left, right in ((checks, blocks), (blocks, np.roll(blocks, 4, 1)), (blocks, checks)):
        first = cut_score(left, right)
        assert first == cut_score(left[:, ::-1].copy()[:, ::-1], np.asfortranarray(right))
        assert 0 <= first < 1


def test_threads_do_not_change_a_score() -> None:
    program = """
import torch
from vsrife.datasets.thumbnails import CELLS, cut_score
from vsrife.scene.signature import signature
g = torch.Generator().manual_seed(1)
a, b = (torch.rand(270, 481, generator=g) for _ in range(2))
a[60:200, 100:300] = 1
b[80:220, 90:290] = 1
print(cut_score(signature([a], 32, cells=CELLS), signature([b], 32, cells=CELLS)).hex())
"""
    answers = set()
    for threads in ("1", "2"):
        env = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)}
        answers.add(subprocess.run([sys.executable, "-c", program], env=env, check=True, capture_output=True).stdout)
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("name", "first", "last"), [("bikes.mp4", 60, 150), ("city.mpg", 100, 130), ("cockatoo.mp4", 0, 40)]
)
def test_labelled_cuts_of_real_clips(shared: Path, name: str, first: int, last: int) -> None:
    vs = pytest.importorskip("vapoursynth", reason="needs VapourSynth to read clips")
    if not hasattr(vs.core, "bs"):
        pytest.skip("needs vapoursynth-bestsource to read clips")
    path = shared / "data" / "clips_eval" / name
    if not path.is_file():
        pytest.skip(f"needs {name}, which is not here")
    clip = vs.core.bs.VideoSource(str(path), cachemode=0)[first : last + 1]
    thumbnails = [
        signature([torch.from_numpy(np.asarray(frame[0]).copy())], 8, cells=CELLS) for frame in clip.frames(close=True)
    ]
    scores = [cut_score(a, b) for a, b in itertools.pairwise(thumbnails)]
    found = [first + n for n, value in enumerate(scores) if value >= CUT]
    assert found == [n for n in LABELS["eval"][name] if first <= n < last]
