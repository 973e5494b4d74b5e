"""The worst block decides: what moves anywhere is seen, what does not is copied."""

from math import inf, nan

import pytest
import torch

from vsrife.scene.block_sums import as_integers
from vsrife.scene.duplicates import BLOCK, DEFAULT_STILL_THRESHOLD, is_still, worst_block

SIZES = [(1, 1), (2, 2), (33, 17), (34, 18), (64, 64), (361, 641)]


def noise(size: tuple[int, int], bits: int, seed: int = 1) -> torch.Tensor:
    values = torch.randint(0, 1 << bits, size, generator=torch.Generator().manual_seed(seed))
    return values.to(torch.uint8 if bits == 8 else torch.uint16)


def still(left: torch.Tensor, right: torch.Tensor, bits: int = 8, threshold: float = DEFAULT_STILL_THRESHOLD) -> bool:
    return is_still([left], [right], bits, threshold)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bits", [8, 10, 16])
def test_identical_frames_are_still_at_every_threshold(size: tuple[int, int], bits: int) -> None:
    plane = noise(size, bits)
    for threshold in (0.0, 60.0, 200.0, inf):
        assert still(plane, plane.clone(), bits, threshold)


@pytest.mark.parametrize("bits", [8, 10])
def test_a_small_slow_square_is_never_still(bits: int) -> None:
    def frame(x: int, y: int) -> torch.Tensor:
        values = torch.full((35, 43), 100 << (bits - 8))
        values[y : y + 4, x : x + 4] += 40 << (bits - 8)
        return values.to(torch.uint8 if bits == 8 else torch.uint16)

    for y in range(31):
        for x in range(39):
            assert not still(frame(x, y), frame(x + 1, y), bits)
            assert not still(frame(x, y), frame(x, y + 1), bits)


@pytest.mark.parametrize("shift", range(8))
def test_a_faint_gradient_that_creeps_is_not_still(shift: int) -> None:
    """One code value in 16 pixels, moving by one pixel."""
    ramp = (torch.arange(-8, 160) // 16 + 50).to(torch.uint8).expand(40, -1)
    for left, right in ((ramp, ramp[:, 1:]), (ramp.T, ramp.T[1:])):
        size = (
            (slice(shift, shift + 40), slice(0, 40)) if left is not ramp else (slice(0, 40), slice(shift, shift + 40))
        )
        assert not still(left[size], right[size])


def test_sparse_noise_of_one_code_value_is_still() -> None:
    left = noise((48, 56), 8).clamp(1, 254)
    right = left.clone()
    right[::BLOCK, ::BLOCK] += 1
    assert still(left, right)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 15, 16])
@pytest.mark.parametrize("size", [(8, 8), (3, 8), (8, 5), (3, 5)])
def test_the_limit_counts_the_area_of_the_block(bits: int, size: tuple[int, int]) -> None:
    """The largest sum of squares that passes is floor(peak^2 * area / 10^6), to the unit."""
    peak = (1 << bits) - 1
    limit = peak * peak * size[0] * size[1] // 10**6
    dtype = torch.uint8 if bits == 8 else torch.uint16
    for total, expected in ((limit, True), (limit + 1, False)):
        left, steps = torch.zeros(size, dtype=torch.int64), []
        for _ in range(left.numel()):
            steps.append(int((total - sum(s * s for s in steps)) ** 0.5))
        assert sum(s * s for s in steps) == total
        right = torch.tensor(steps).reshape(size)
        padded = [torch.nn.functional.pad(p, (16, 0, 24, 0), value=peak // 2).to(dtype) for p in (left, right)]
        assert still(padded[0], padded[1], bits) is expected


@pytest.mark.parametrize(("bits", "threshold"), [(8, 67.0), (10, 79.0), (16, 115.0), (16, inf)])
def test_high_thresholds_take_only_identical_planes(bits: int, threshold: float) -> None:
    left = noise((45, 77), bits).to(torch.int64).clamp(1)
    for y, x in ((0, 0), (44, 76), (20, 40)):
        right = left.clone()
        right[y, x] -= 1
        dtype = torch.uint8 if bits == 8 else torch.uint16
        assert not still(left.to(dtype), right.to(dtype), bits, threshold)


def test_zero_takes_every_pair() -> None:
    black, white = torch.zeros(50, 70, dtype=torch.uint16), torch.full((50, 70), 65535, dtype=torch.uint16)
    assert still(black, white, 16, 0.0)
    assert still(black, white, 16, -5.0)
    assert not still(black, white, 16, 0.001)


def test_any_plane_of_rgb_can_move() -> None:
    planes = [noise((31, 33), 8, seed) for seed in range(3)]
    assert is_still(planes, [p.clone() for p in planes], 8, 60.0)
    for k in range(3):
        moved = [p.clone() for p in planes]
        moved[k][30, 32] ^= 64
        assert not is_still(planes, moved, 8, 60.0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_float_planes(dtype: torch.dtype) -> None:
    left = torch.rand(41, 67, generator=torch.Generator().manual_seed(2)).to(dtype)
    assert still(left, left.clone(), 32, inf)
    right = left.clone()
    right[40, 66] = 1 - right[40, 66]
    assert not still(left, right, 32)
    nans = left.clone()
    nans[3, 4] = nan
    zero = left.clone()
    zero[3, 4] = 0
    assert still(nans, nans.clone(), 32, inf)
    assert not still(nans, zero, 32, inf)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize(("before", "after"), [(1.5, 2.5), (-0.25, -0.125), (1.0, inf), (0.0, -0.5)])
def test_float_samples_beyond_the_nominal_range_do_not_freeze(dtype: torch.dtype, before: float, after: float) -> None:
    left = torch.full((40, 64), before, dtype=dtype)
    right = left.clone()
    assert still(left, right, 32)
    right[12:16, 20:24] = after
    assert not still(left, right, 32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_0_and_1_themselves_are_in_the_nominal_range(dtype: torch.dtype) -> None:
    """A change that is too small to be quantised counts only beyond them."""
    step = 6e-8 if dtype == torch.float32 else 2**-11
    for end, near in ((0.0, step), (1.0, 1.0 - step)):
        one, other = (torch.full((16, 16), value, dtype=dtype) for value in (end, near))
        assert not torch.equal(one, other)
        assert still(one, other, 32, 40.0)
        assert still(other, one, 32, 40.0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.uint8])
def test_frames_that_are_measured_stay_as_they_are(dtype: torch.dtype) -> None:
    values = torch.rand((33, 17), generator=torch.Generator().manual_seed(4)) * 3 - 1
    values[4, 5], values[6, 7] = inf, nan
    left = values.to(dtype) if dtype.is_floating_point else noise((33, 17), 8)
    right = left.clone()
    right[32, 16] = 0
    before = left.clone(), right.clone()
    is_still([left, left], [right, left], 8, DEFAULT_STILL_THRESHOLD)
    as_integers(left)
    for plane, kept in zip((left, right), before, strict=True):
        assert torch.equal(plane.view(torch.uint8), kept.view(torch.uint8))


def test_strided_views_and_tall_pictures_are_seen_to_the_last_row() -> None:
    wide = noise((2100, 300), 8)
    left, right = wide[3:, 20:281], wide.clone()[3:, 20:281]
    assert still(left, right)
    right[-1, -1] ^= 128
    assert not still(left, right)


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        still(noise((4, 4), 8), noise((4, 4), 8), 8, nan)


@pytest.mark.parametrize("bits", [8, 10, 16])
def test_the_worst_block_is_a_share_of_the_largest_difference(bits: int) -> None:
    top = (1 << bits) - 1
    left = torch.zeros(35, 43, dtype=torch.int32)
    right = left.clone()
    kind = torch.uint8 if bits == 8 else torch.uint16
    assert worst_block([left.to(kind)], [right.to(kind)], bits) == 0
    right[8:16, 16:24] = top // 2
    right[34, 42] = top  # a block of 3 x 3 samples
    assert worst_block([left.to(kind)], [right.to(kind)], bits) == pytest.approx((top // 2) ** 2 / top**2)
    right[32:35, 40:43] = top
    assert worst_block([left.to(kind)], [right.to(kind)], bits) == 1
    assert worst_block([left.to(kind)] * 2, [left.to(kind), right.to(kind)], bits) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_the_worst_block_of_floats(dtype: torch.dtype) -> None:
    left = torch.full((16, 16), 0.5, dtype=dtype)
    right = left.clone()
    right[:8, :8] = 0.75
    assert worst_block([left], [right], 32) == pytest.approx(1 / 16, rel=1e-3)
    right[15, 15] = -0.5  # not in 0..1: as different as can be
    assert worst_block([left], [right], 32) == 1
