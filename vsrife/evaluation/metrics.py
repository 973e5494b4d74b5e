"""Measures of an interpolated frame against the true one, in numpy, without torch.

A picture is uint8 [3, h, w], R, G, B; both of a pair have one size. Every figure is of the rounded 8-bit picture, as in
the published protocols.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["LUMA", "MEASURES", "Floats", "Measure", "Picture", "error", "luma_psnr", "psnr", "ssim"]

type Picture = NDArray[np.uint8]
type Floats = NDArray[np.float64]

HIGHEST: Final = 100.0
"""PSNR of identical frames, for which it is not defined."""

LUMA: Final = np.array([0.299, 0.587, 0.114])
"""Weights of R, G, B in luma (BT.601)."""

RADIUS: Final = 5
_TAPS: Final = np.exp(-(np.arange(-RADIUS, RADIUS + 1) ** 2) / (2 * 1.5**2))
WINDOW: Final[Floats] = _TAPS / _TAPS.sum()
"""The window of SSIM: a Gaussian with 11 taps and sigma 1.5 along each axis."""

STRIP: Final = 48
"""Rows that SSIM processes at a time, so that intermediate results stay in the cache."""


def psnr(truth: Picture, made: Picture) -> float:
    """PSNR over all samples of all channels in dB, peak 255, at most `HIGHEST`."""
    return _decibels(truth.astype(np.float64) - made)


def luma_psnr(truth: Picture, made: Picture) -> float:
    """As `psnr`, of the luma (`LUMA`) of the RGB frames, not rounded."""
    return _decibels(np.tensordot(LUMA, truth.astype(np.float64) - made, 1))


def _decibels(difference: Floats) -> float:
    mean = float(np.mean(np.square(difference)))
    return HIGHEST if mean == 0 else min(HIGHEST, float(10 * np.log10(255**2 / mean)))


def error(truth: Picture, made: Picture) -> float:
    """Middlebury's interpolation error as the paper counts it: the mean absolute difference of samples, 0..255."""
    return float(np.mean(np.abs(truth.astype(np.int16) - made)))


def ssim(truth: Picture, made: Picture) -> float:
    """SSIM (Wang et al. 2004) as in the RIFE benchmark: of the frame as a volume whose third axis is colour.

    The Gaussian window of 11 taps and sigma 1.5 goes along x, y and R, G, B; edges are repeated; K1 = 0.01, K2 = 0.03,
    range 1; the mean over all pixels and channels. So it is not the SSIM of luma, nor the mean of the channels' own.
    """
    height = truth.shape[1]
    both = [np.pad(each, ((0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS)), mode="edge") for each in (truth, made)]
    total = 0.0
    for top in range(0, height, STRIP):
        rows = slice(top, min(top + STRIP, height) + 2 * RADIUS)
        # Around 0 the squares are smaller, and less is lost where the variance is their difference.
        x, y = (each[:, rows] / 255 - 0.5 for each in both)
        mean_x, mean_y = _blurred(x), _blurred(y)
        spread = _blurred(x * x + y * y) - mean_x**2 - mean_y**2
        shared = _blurred(x * y) - mean_x * mean_y
        mean_x += 0.5
        mean_y += 0.5
        light = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
        total += float(np.sum(light * (2 * shared + 0.03**2) / (spread + 0.03**2)))
    return total / truth.size


def _across_colours() -> Floats:
    """What the window makes of three channels whose first and last are repeated outwards: [made, taken]."""
    weights = np.zeros((3, 3))
    for made in range(3):
        for tap, weight in enumerate(WINDOW):
            weights[made, min(max(made + tap - RADIUS, 0), 2)] += weight
    return weights


ACROSS: Final = _across_colours()


def _blurred(volume: Floats) -> Floats:
    """The window's mean about each pixel: [3, h + 10, w + 10] to [3, h, w]."""
    return np.tensordot(ACROSS, _along(_along(volume, 1), 2), 1)


def _along(volume: Floats, axis: int) -> Floats:
    """The window's mean along one axis, which loses 10 of its length. Taps at one distance share their weight."""
    length = volume.shape[axis] - 2 * RADIUS

    def shifted(by: int) -> Floats:
        return volume[(slice(None),) * axis + (slice(RADIUS + by, RADIUS + by + length),)]

    total: Floats = WINDOW[RADIUS] * shifted(0)
    for distance in range(1, RADIUS + 1):
        pair = shifted(distance) + shifted(-distance)
        pair *= WINDOW[RADIUS + distance]
        total += pair
    return total


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A column of the tables. of: None where it is not of single pictures (VMAF). digits: after the point."""

    name: str
    unit: str
    digits: int
    higher_is_better: bool = True
    of: Callable[[Picture, Picture], float] | None = None

    def text(self, value: float | None) -> str:
        """A value as text for tables."""
        return "-" if value is None else f"{value:.{self.digits}f}"

    @property
    def title(self) -> str:
        """The name with its unit, and whether higher or lower is better."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.name}{unit}, {'higher' if self.higher_is_better else 'lower'} is better"


MEASURES: Final = {
    "psnr": Measure(name="PSNR", unit="dB", digits=2, of=psnr),
    "psnr_y": Measure(name="PSNR of luma", unit="dB", digits=2, of=luma_psnr),
    "ssim": Measure(name="SSIM", unit="", digits=4, of=ssim),
    "ie": Measure(name="IE", unit="of 255", digits=3, higher_is_better=False, of=error),
    "vmaf": Measure(name="VMAF", unit="0 to 100", digits=2),
}
