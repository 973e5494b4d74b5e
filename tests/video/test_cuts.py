"""Signatures on every format and size, and scores: structure decides, motion and light do not."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from vsrife.video.cuts import DEFAULT_CUT_THRESHOLD, cut_score, signature

ROOT = Path(__file__).resolve().parents[2]
LABELS = json.loads((ROOT / "tests" / "data" / "cut_labels.json").read_text())


def scene(seed: int, height: int = 405, width: int = 720) -> torch.Tensor:
    """A random picture with texture at several sizes, float32 in 20..235."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(height, width)
    for cells, weight in ((4, 1.0), (9, 0.8), (20, 0.6), (45, 0.4)):
        noise = torch.rand(1, 1, cells, cells * 2, generator=generator) - 0.5
        total += weight * interpolate(noise, (height, width), mode="bicubic")[0, 0]
    return (127 + 120 * total / total.abs().max()).clamp(20, 235)


def score(left: torch.Tensor, right: torch.Tensor) -> float:
    return cut_score(*(signature([p.clamp(0, 255).round().to(torch.uint8)], 8) for p in (left, right)))


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 65), (33, 17), (361, 641), (18, 8192)])
def test_signature_holds_the_exact_mean_of_every_cell(size: tuple[int, int]) -> None:
    plane = torch.randint(0, 256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    cell = -(-max(size) // 64)
    found = signature([plane], 8)
    assert found.shape == (-(-size[0] // cell), -(-size[1] // cell))
    for (row, column), value in np.ndenumerate(found):
        block = plane[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell].to(torch.int64)
        assert value == int(np.floor(int(block.sum()) * 257 / block.numel() + 0.5))


def test_signature_of_a_strided_view_is_that_of_its_copy() -> None:
    wide = torch.randint(0, 1024, (90, 300), generator=torch.Generator().manual_seed(4)).to(torch.uint16)
    view = wide[5:78, 7:208]
    assert not view.is_contiguous()
    assert np.array_equal(signature([view], 10), signature([view.clone()], 10))


@pytest.mark.parametrize(
    ("dtype", "bits", "peak"),
    [
        (torch.uint8, 8, 255),
        (torch.uint16, 10, 1023),
        (torch.uint16, 16, 65535),
        (torch.float16, 16, 1),
        (torch.float32, 32, 1),
    ],
)
def test_signature_has_one_scale_for_all_formats(dtype: torch.dtype, bits: int, peak: int) -> None:
    unit = scene(1, 120, 161) / 255
    plane = unit * peak if dtype.is_floating_point else (unit * peak).round()
    expected = signature([unit], 32)
    assert np.abs(signature([plane.to(dtype)], bits) - expected).max() <= 65535 / 255
    assert signature([torch.full((40, 70), peak, dtype=dtype)], bits).min() == 65535


def test_signature_of_rgb_weighs_the_planes() -> None:
    black, white = torch.zeros(30, 50, dtype=torch.uint8), torch.full((30, 50), 255, dtype=torch.uint8)
    means = [int(signature([white if i == k else black for i in range(3)], 8)[0, 0]) for k in range(3)]
    assert means == [16384, 40959, 8192]


def test_signature_clamps_bad_floats() -> None:
    bad = torch.tensor([[float("nan"), float("inf"), -float("inf"), -3.0, 7.0, 0.5]])
    assert signature([bad], 32).tolist() == [[0, 65535, 0, 0, 65535, 32768]]


def test_large_16_bit_cells_do_not_overflow() -> None:
    assert signature([torch.full((200, 60000), 65535, dtype=torch.uint16)], 16).tolist() == [[65535] * 64]


def test_different_scenes_are_cuts_and_scores_are_symmetric() -> None:
    for seed in range(6):
        left, right = scene(seed), scene(seed + 100)
        assert DEFAULT_CUT_THRESHOLD <= score(left, right) < 1
        assert score(left, right) == score(right, left)


def test_identical_frames_score_nothing() -> None:
    assert score(scene(2), scene(2)) == 0


@pytest.mark.parametrize("percent", [5, 15, 33])
@pytest.mark.parametrize("way", [1, -1])
def test_a_fast_pan_is_not_a_cut(percent: int, way: int) -> None:
    picture = scene(5, 405, 1000)
    step = 720 * percent // 100
    views = [picture[:, :720], picture[:, step : step + 720]][::way]
    assert score(views[0], views[1]) < DEFAULT_CUT_THRESHOLD


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
        assert score(a, b) < DEFAULT_CUT_THRESHOLD


def test_a_pan_and_a_brightness_change_together_are_not_a_cut() -> None:
    picture = scene(9, 405, 900)
    assert score(picture[:, :720], picture[:, 100:820] * 0.7 + 10) < DEFAULT_CUT_THRESHOLD


def test_black_bars_do_not_hide_a_cut() -> None:
    frames = [torch.nn.functional.pad(scene(seed, 300, 720), (0, 0, 52, 53), value=16.0) for seed in (10, 11)]
    assert score(frames[0], frames[1]) >= DEFAULT_CUT_THRESHOLD


def test_flat_frames() -> None:
    black, white = torch.zeros(200, 300), torch.full((200, 300), 255.0)
    assert score(black, white) == 0
    picture = scene(12, 200, 300)
    assert score(black, picture) >= DEFAULT_CUT_THRESHOLD
    assert score(picture, white) >= DEFAULT_CUT_THRESHOLD


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
from vsrife.video.cuts import cut_score, signature
g = torch.Generator().manual_seed(1)
a, b = (torch.rand(270, 481, generator=g) for _ in range(2))
a[60:200, 100:300] = 1
b[80:220, 90:290] = 1
print(cut_score(signature([a], 32), signature([b], 32)).hex())
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
    thumbnails = [signature([torch.from_numpy(np.asarray(frame[0]).copy())], 8) for frame in clip.frames(close=True)]
    scores = [cut_score(a, b) for a, b in itertools.pairwise(thumbnails)]
    found = [first + n for n, value in enumerate(scores) if value >= DEFAULT_CUT_THRESHOLD]
    assert found == [n for n in LABELS["eval"][name] if first <= n < last]
