"""How near two ways to the same answer must be on a GPU, and why: the one place for the tolerances of these tests."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from vsrife.formats.pixel_format import PixelFormat
from vsrife.network.flow_and_mask import FlowAndMask

FLOW = 2e-3
"""Pixels, and half as much again per pixel of flow. In float32 a convolution whose sums are taken in another order, or
that is worked out by a transform, differs by 1e-6 to 1e-5 of its size; the blocks after it read the sources where that
flow says, which makes it some times larger. A wrong pixel, weight or level is off by tenths of a pixel."""

MASK = 5e-4
"""Of the mask, which is 0..1, for the same reason."""

SAMPLE = 3e-4
"""Of the peak: what `FLOW` and `MASK` make of the smooth pictures used here, whose steepest slope is 5 % a pixel. Whole
numbers may also fall to the other side of a half: one code value more."""

MEAN = 5e-5
"""Of the peak, over the whole plane; 0.02 code values more for the roundings that differ."""

HALF = 2.0
"""How many times the error of plain torch's half precision the kernels' may be. They also keep the sources in half,
which adds a rounding as large as the one that the convolutions' input has anyway; twice leaves room for chance."""


def assert_same_motion(found: FlowAndMask, expected: FlowAndMask) -> None:
    """Two ways to a motion in float32; it must be one that a mistake would show in."""
    flow = expected.flow.abs()
    assert flow.max() > 0.5
    assert ((found.flow - expected.flow).abs() - FLOW / 2 * flow).max() <= FLOW
    assert expected.mask.std() > 0
    assert (found.mask - expected.mask).abs().max() <= MASK


def assert_same_planes(found: Sequence[Tensor], expected: Sequence[Tensor], fmt: PixelFormat) -> None:
    """Two ways to a smooth picture, its network in float32."""
    step, mean = (0.0, 0.0) if fmt.float_samples else (1.0, 0.02)
    for one, other in zip(found, expected, strict=True):
        assert other.double().std() > 0
        difference = (one.double() - other.double()).abs()
        assert difference.max() <= step + SAMPLE * fmt.peak
        assert difference.mean() <= mean + MEAN * fmt.peak


def root_mean_square(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Of the difference, over all planes."""
    errors = [(one.double() - other.double()).flatten() for one, other in zip(found, expected, strict=True)]
    return float(np.sqrt(np.mean(np.concatenate([error.cpu().numpy() for error in errors]) ** 2)))


def psnr(found: Sequence[np.ndarray], expected: Sequence[np.ndarray], peak: float) -> float:
    """Decibels, over all planes; 200 for none that differs."""
    errors = [(one.astype(np.float64) - other).ravel() for one, other in zip(found, expected, strict=True)]
    return float(10 * np.log10(peak**2 / max(np.mean(np.concatenate(errors) ** 2), peak**2 * 1e-20)))
