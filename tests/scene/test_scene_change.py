"""How much of a pair has no like, as it lies and warped: structure decides, light, noise and what stays do not."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import ROOT
from tests.formats.scenery import scene
from vsrife.scene import scene_change
from vsrife.scene.scene_change import DEFAULT_CUT_THRESHOLD, in_place, prepare, score_of, shifted, warped
from vsrife.scene.signature import signature

SIZES = [(1, 1), (2, 2), (1, 9), (9, 1), (7, 64), (33, 17), (34, 18), (179, 317), (320, 180)]


def seen(picture: Tensor) -> np.ndarray:
    """The signature of a picture in 0..255, rounded to 8 bits."""
    return signature([picture.clamp(0, 255).round().to(torch.uint8)], 8)


def score(left: Tensor, right: Tensor) -> float:
    return score_of(in_place(seen(left), seen(right)))


def noise(picture: Tensor, sigma: float, seed: int) -> Tensor:
    return picture + sigma * torch.randn(picture.shape, generator=torch.Generator().manual_seed(seed))


def lines_of_text(seed: int, height: int = 180, width: int = 320) -> Tensor:
    """Dark strokes on light ground in lines at the same places, whatever the seed: what pages have in common."""
    generator = torch.Generator().manual_seed(seed)
    page = torch.full((height, width), 235.0)
    for top in range(12, height - 10, 12):
        strokes = torch.rand(6, (width - 40) // 2, generator=generator).repeat_interleave(2, 1) < 0.45
        page[top : top + 6, 20 : 20 + strokes.shape[1]][strokes] = 30.0
    return page


class TestInPlace:
    def test_different_scenes_are_cuts(self) -> None:
        for seed in range(6):
            assert DEFAULT_CUT_THRESHOLD <= score(scene(seed), scene(seed + 100)) < 1

    @pytest.mark.parametrize("size", SIZES)
    def test_every_size_has_a_share_and_the_same_frame_none(self, size: tuple[int, int]) -> None:
        left, right = (
            torch.randint(0, 256, size, generator=torch.Generator().manual_seed(seed)).float() for seed in (1, 2)
        )
        assert 0 <= in_place(seen(left), seen(right)) < 1
        assert in_place(seen(left), seen(left)) == 0

    def test_it_is_symmetric(self) -> None:
        left, right = seen(scene(3)), seen(scene(4) * 0.3)
        assert in_place(left, right) == pytest.approx(in_place(right, left), abs=1e-12)

    @pytest.mark.parametrize("contrast", [0.08, 0.04])
    def test_dark_scenes_are_told_apart(self, contrast: float) -> None:
        for seed in range(4):
            left, right = (16 + contrast * (scene(seed + step) - 16) for step in (0, 100))
            assert score(left, right) >= DEFAULT_CUT_THRESHOLD

    @pytest.mark.parametrize("share", [0.25, 0.4])
    def test_a_panel_that_stays_hides_no_cut(self, share: float) -> None:
        for seed in range(4):
            left, right = scene(seed), scene(seed + 100)
            top = int(left.shape[0] * (1 - share))
            left[top:] = right[top:] = scene(50)[top:]
            assert score(left, right) >= DEFAULT_CUT_THRESHOLD

    def test_what_changes_in_a_third_of_a_picture_is_no_cut(self) -> None:
        left, right = scene(5), scene(6)
        left[:270] = right[:270]
        assert score(left, right) < DEFAULT_CUT_THRESHOLD

    def test_black_bars_hide_no_cut(self) -> None:
        left, right = (torch.nn.functional.pad(scene(seed, 300, 720), (0, 0, 52, 53), value=16.0) for seed in (10, 11))
        assert score(left, right) >= DEFAULT_CUT_THRESHOLD

    def test_pages_of_text_are_told_apart_by_their_letters(self) -> None:
        left, right = lines_of_text(1), lines_of_text(2)
        assert score(left, right) >= DEFAULT_CUT_THRESHOLD
        assert score(left, noise(left, 1, 0)) < 0.05

    def test_a_change_of_light_is_none(self) -> None:
        picture = scene(6) * 0.5
        for changed in (*(picture * gain for gain in (0.45, 0.75, 1.5, 2.0)), picture + 60):
            assert score(picture, changed) < 0.05

    @pytest.mark.parametrize("sigma", [4, 8, 16])
    def test_noise_is_no_texture(self, sigma: int) -> None:
        picture, flat = scene(7, 180, 320), torch.full((180, 320), 40.0)
        for ground in (picture, flat, 30 + 0.1 * picture):
            assert score(noise(ground, sigma, 1), noise(ground, sigma, 2)) < DEFAULT_CUT_THRESHOLD
        other = scene(8, 180, 320)
        assert score(noise(picture, sigma, 1), noise(other, sigma, 2)) >= DEFAULT_CUT_THRESHOLD

    @pytest.mark.parametrize("sigma", [3, 4, 6])
    def test_grain_that_is_not_white_is_no_texture(self, sigma: int) -> None:
        """Film's grain after it was scaled or coded: neighbouring cells have some of it in common."""
        dark = 20 + 0.03 * scene(7, 180, 320)
        frames = []
        for seed in (1, 2):
            grain = noise(torch.zeros(1, 1, 182, 322), 1.0, seed)
            soft = torch.nn.functional.avg_pool2d(grain, 3, 1)[0, 0]
            frames.append(dark + sigma * soft / soft.std())
        assert score(*frames) < DEFAULT_CUT_THRESHOLD

    def test_a_dissolve_is_none(self) -> None:
        left, right = scene(7), scene(8)
        for step in range(12):
            a, b = (left + (right - left) * (step + k) / 12 for k in (0, 1))
            assert score(a, b) < DEFAULT_CUT_THRESHOLD

    def test_flat_frames_and_the_first_step_of_a_fade(self) -> None:
        black, white = torch.zeros(200, 300), torch.full((200, 300), 255.0)
        picture = scene(12, 200, 300)
        assert score(black, white) == 0
        assert score(black, picture) >= DEFAULT_CUT_THRESHOLD
        assert score(picture, white) >= DEFAULT_CUT_THRESHOLD
        assert score(black + 16, 16 + (picture - 16) / 24) < DEFAULT_CUT_THRESHOLD

    def test_sizes_must_agree(self) -> None:
        with pytest.raises(ValueError, match="one size"):
            in_place(np.zeros((4, 5), np.int64), np.zeros((5, 4), np.int64))

    def test_the_arithmetic_is_exact_at_the_limits(self) -> None:
        """Full-contrast checks reach the largest sums; whole numbers in float64 must then still be whole."""
        checks = np.indices((180, 320)).sum(0) % 2 * 65535
        blocks = (np.indices((180, 320)) // 8).sum(0) % 2 * 65535
        for left, right in ((checks, blocks), (blocks, np.roll(blocks, 4, 1)), (blocks, checks)):
            first = in_place(left, right)
            assert first == in_place(left[:, ::-1].copy()[:, ::-1], np.asfortranarray(right))
            assert 0 < first < 1

    def test_threads_do_not_change_it(self) -> None:
        program = """
import torch
from vsrife.scene.scene_change import in_place
from vsrife.scene.signature import signature
g = torch.Generator().manual_seed(1)
a, b = (torch.rand(270, 481, generator=g) for _ in range(2))
a[60:200, 100:300] = 1
b[80:220, 90:290] = 1
print(in_place(signature([a], 32), signature([b], 32)).hex())
"""
        answers = set()
        for threads in ("1", "2"):
            env = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)}
            answers.add(
                subprocess.run([sys.executable, "-c", program], env=env, check=True, capture_output=True).stdout
            )
        assert len(answers) == 1


class TestShifted:
    @pytest.mark.parametrize(("down", "across"), [(0, 30), (-21, 0), (14, -55), (3, 5)])
    def test_a_picture_that_moves_as_a_whole_is_matched(self, down: int, across: int) -> None:
        for picture in (scene(1, 300, 480), lines_of_text(3, 300, 480)):
            left = picture[60:240, 80:400]
            right = picture[60 - down : 240 - down, 80 - across : 400 - across]
            pair = prepare(seen(left), seen(right))
            assert scene_change._shifts(pair.left, pair.right)[0] == (down, across)
            assert shifted(pair) < 0.3

    @pytest.mark.parametrize("size", SIZES)
    def test_different_pictures_of_every_size_do_not_match(self, size: tuple[int, int]) -> None:
        pair = prepare(seen(scene(1, *size)), seen(scene(2, *size)))
        assert 0 <= shifted(pair) < 1
        if min(size) > 100:
            assert score_of(shifted(pair)) >= DEFAULT_CUT_THRESHOLD
            assert shifted(prepare(seen(lines_of_text(1, *size)), seen(lines_of_text(2, *size)))) > 0.7


def moved(picture: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two views of a picture 2 * step apart, and both as they are when warped to the middle without fault."""
    width = picture.shape[1] - 4 * step
    left, middle, right = (picture[:, start : start + width] for start in (0, step, 2 * step))
    return left, right, middle, middle


class TestWarped:
    def share(self, left: Tensor, right: Tensor, warped_left: Tensor, warped_right: Tensor) -> float:
        """The share of a pair of 320 cells or less, of pictures that are warped alike after they were prepared."""
        pair = prepare(seen(left), seen(right))
        mean, gain = left.mean(), float(pair.left.std() / left.std())
        a, b = (((each - mean) * gain + 0.5).clamp(0, 1) for each in (warped_left, warped_right))
        return warped(pair, a, b)

    @pytest.mark.parametrize("step", [3, 10, 20])
    def test_what_motion_explains_is_matched(self, step: int) -> None:
        for picture in (scene(1, 179, 317), lines_of_text(3)):
            left, right, *middles = moved(picture, step)
            assert in_place(seen(left), seen(right)) > 0.5
            assert self.share(left, right, *middles) < 0.05

    def test_what_it_does_not_explain_is_not(self) -> None:
        left, right = scene(1, 179, 317), scene(2, 179, 317)
        assert score_of(self.share(left, right, left, right)) >= DEFAULT_CUT_THRESHOLD
        page, other = lines_of_text(1), lines_of_text(2)
        assert score_of(self.share(page, other, page, other)) >= DEFAULT_CUT_THRESHOLD

    @pytest.mark.parametrize(("miss", "found"), [(0, True), (2, True), (7, False)])
    def test_a_motion_may_miss_by_two_cells(self, miss: int, found: bool) -> None:
        # Fine texture, which nothing matches but its own place.
        picture = torch.rand(180, 340, generator=torch.Generator().manual_seed(3)).repeat_interleave(2, 1) * 200
        left, right, middle, _ = moved(picture[:, :360], 10)
        astray = picture[:, 10 + miss : 10 + miss + middle.shape[1]]
        assert (self.share(left, right, middle, astray) < 0.3) is found

    def test_blocks_that_stand_still_do_not_count(self) -> None:
        """A panel of two fifths that stays, over a change that motion does not explain."""
        left, right = scene(1, 180, 320), scene(2, 180, 320)
        left[108:] = right[108:] = scene(3, 180, 320)[108:]
        assert score_of(self.share(left, right, left, right)) >= DEFAULT_CUT_THRESHOLD

    def test_what_is_taken_away_is_not_matched(self) -> None:
        """A box here and a ball there: a motion that brings plain ground to both places explains neither."""
        left, right = torch.full((180, 320), 60.0), torch.full((180, 320), 60.0)
        left[40:80, 40:80] = 200
        y, x = torch.meshgrid(torch.arange(180), torch.arange(320), indexing="ij")
        right[(y - 110) ** 2 + (x - 230) ** 2 < 400] = 180
        plain = torch.full((180, 320), 60.0)
        assert score_of(self.share(left, right, plain, plain)) >= DEFAULT_CUT_THRESHOLD
        for picture in (left, right, plain):  # and a panel that stays does not count as matched
            picture[144:] = scene(5, 36, 320)
        assert score_of(self.share(left, right, plain, plain)) >= DEFAULT_CUT_THRESHOLD

    def test_texture_beside_plain_ground_is_not_matched(self) -> None:
        left, right = scene(1, 180, 320), scene(2, 180, 320)
        assert score_of(self.share(left, right, left, torch.full((180, 320), 120.0))) >= DEFAULT_CUT_THRESHOLD

    def test_a_thing_that_moves_is_matched_in_one_place(self) -> None:
        frames = []
        for start in (40, 75, 110):
            frame = torch.full((180, 320), 60.0)
            frame[60:120, start : start + 50] = scene(5, 60, 50)
            frames.append(frame)
        left, middle, right = frames
        assert self.share(left, right, middle, middle) < 0.3

    def test_pictures_are_brought_to_one_contrast(self) -> None:
        pair = prepare(seen(16 + 0.05 * scene(1)), seen(40 + 0.08 * scene(2)))
        for picture in (pair.left, pair.right):
            assert picture.dtype is torch.float32
            assert 0 <= float(picture.min()) <= float(picture.max()) <= 1
            assert 0.1 < float(picture.std()) < 0.25
            assert abs(float(picture.mean()) - 0.5) < 0.02

    def test_noisy_pictures_are_smoothed(self) -> None:
        clean = scene(1, 180, 320)
        pair, reference = (prepare(seen(noise(clean, s, 1)), seen(noise(clean, s, 2))) for s in (16, 0))
        assert float((pair.left - reference.left).square().mean().sqrt()) < 0.5 * 16 / 255


def test_the_noise_that_is_found_is_that_which_is_there() -> None:
    for sigma in (4, 16):
        cells = torch.from_numpy(seen(noise(scene(1, 180, 320), sigma, 1)))
        assert scene_change._noise(cells) == pytest.approx((sigma * 257) ** 2, rel=0.25)
    assert scene_change._noise(torch.from_numpy(seen(lines_of_text(1)))) < 257**2
