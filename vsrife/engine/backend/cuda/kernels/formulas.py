"""The numbers that kernels get for what a format, a colour and a chroma location mean."""

import math

from vsrife.formats.colour import LUMA_WEIGHTS, Colour, Matrix
from vsrife.formats.pixel_format import Family, PixelFormat

__all__ = ["family_of", "matrix_of", "range_of", "window_of"]


_GRAY, _RGB, _MATRIX, _YCGCO = range(4)  # Family of convert.cu


def family_of(fmt: PixelFormat, colour: Colour) -> int:
    """What `convert` must do to get R, G and B."""
    if fmt.family is Family.GRAY:
        return _GRAY
    if fmt.family is Family.RGB:
        return _RGB
    return _YCGCO if colour.matrix is Matrix.YCGCO else _MATRIX


def range_of(fmt: PixelFormat, colour: Colour, *, chroma: bool) -> tuple[float, float]:
    """What to subtract from a sample, and then to multiply it by, for 0..1, or -0.5..0.5 of chroma."""
    if fmt.float_samples:
        return 0.0, 1.0
    unit = 1 << (fmt.bits - 8)
    if colour.full_range:
        return float(128 * unit if chroma else 0), 1.0 / ((1 << fmt.bits) - 1)
    # YCgCo is worked out from R, G and B that are limited already, so its chroma spans what they span.
    wide = chroma and colour.matrix is not Matrix.YCGCO
    return float((128 if chroma else 16) * unit), 1.0 / ((224 if wide else 219) * unit)


def matrix_of(matrix: Matrix) -> dict[str, float]:
    """How much of U and V is in R, G and B beside Y."""
    kr, kb = LUMA_WEIGHTS.get(matrix, (0.0, 0.0))
    kg = 1.0 - kr - kb
    red, blue = 2.0 * (1.0 - kr), 2.0 * (1.0 - kb)
    return {"red_v": red, "green_u": -blue * kb / kg, "green_v": -red * kr / kg, "blue_u": blue}


def window_of(subsampling: int, site: float) -> tuple[int, int]:
    """The first luma sample that a chroma sample stands for, counted from its own first one, and how many there are.

    subsampling: log2. site: of `ChromaLocation.offset`, along the same axis.
    The window is as wide as the factor, centred on the chroma sample; centred on a luma sample, it ends in the middle
    of two others, which count half.
    """
    factor = 1 << subsampling
    start = site - (factor - 1) / 2
    return (int(start), factor) if start.is_integer() else (math.floor(start), factor + 1)
