import numpy as np
import pytest
import torch
from torch.nn.functional import conv3d, pad

from vsrife.evaluation.metrics import HIGHEST, MEASURES, error, luma_psnr, psnr, ssim

from .folders import texture


def noise(seed, height, width):
    return np.random.default_rng(seed).integers(0, 256, (3, height, width), np.uint8)


def smooth(time, height, width):
    return np.ascontiguousarray(texture(time, width, height).transpose(2, 0, 1))


def test_psnr_is_the_formula():
    truth = np.full((3, 5, 7), 100, np.uint8)
    made = truth.copy()
    made[1, 2, 3] = 121
    assert psnr(truth, made) == pytest.approx(10 * np.log10(255**2 * 105 / 21**2))
    assert psnr(made, truth) == psnr(truth, made)
    assert psnr(np.zeros_like(truth), np.full_like(truth, 255)) == 0
    assert psnr(truth, truth) == HIGHEST


def test_luma_psnr_weighs_the_channels():
    truth = np.zeros((3, 4, 6), np.uint8)
    for channel, weight in enumerate((0.299, 0.587, 0.114)):
        made = truth.copy()
        made[channel] = 10
        assert luma_psnr(truth, made) == pytest.approx(20 * np.log10(255 / (10 * weight)))


def test_error_is_the_mean_absolute_difference():
    truth, made = noise(1, 9, 11), noise(2, 9, 11)
    assert error(truth, made) == pytest.approx(np.abs(truth.astype(float) - made).mean())


def by_the_formula(truth, made):
    """SSIM of volumes with the whole window of 11x11x11 taps at once."""
    taps = torch.exp(-(torch.arange(-5.0, 6.0, dtype=torch.float64) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()
    window = (taps[:, None, None] * taps[:, None] * taps)[None, None]
    x, y = (torch.from_numpy(each)[None, None].double() / 255 for each in (truth, made))

    def mean(volume):
        return conv3d(pad(volume, (5,) * 6, mode="replicate"), window)

    mu_x, mu_y = mean(x), mean(y)
    var_x, var_y, cov = mean(x * x) - mu_x**2, mean(y * y) - mu_y**2, mean(x * y) - mu_x * mu_y
    value = (2 * mu_x * mu_y + 1e-4) * (2 * cov + 9e-4) / ((mu_x**2 + mu_y**2 + 1e-4) * (var_x + var_y + 9e-4))
    return float(value.mean())


@pytest.mark.parametrize(("height", "width"), [(5, 7), (48, 33), (49, 20), (101, 24)])
@pytest.mark.parametrize("kind", [noise, smooth])
def test_ssim_is_the_formula(kind, height, width):
    truth, made = kind(1, height, width), kind(2, height, width)
    assert ssim(truth, made) == pytest.approx(by_the_formula(truth, made), abs=1e-9)
    assert ssim(truth, made) < 0.99


def test_ssim_of_itself_is_1():
    assert ssim(noise(3, 30, 40), noise(3, 30, 40)) == pytest.approx(1, abs=1e-12)


def test_a_figure_that_is_missing_is_a_dash():
    measure = MEASURES["psnr"]
    assert (measure.text(None), measure.text(33.456)) == ("-", "33.46")
    assert measure.title == "PSNR (dB), higher is better"
