"""What the samples of a frame mean: matrix, range, transfer and chroma location, read from its properties.

Plain values; the arithmetic is in `vsrife.formats.rgb`. Numbers are those of ITU-T H.273, which VapourSynth's
properties and libavcodec use too.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from vsrife.errors import ArgumentError, RifeError
from vsrife.formats.pixel_format import Family, PixelFormat

__all__ = [
    "COLOUR_PROPS",
    "LUMA_WEIGHTS",
    "ChromaLocation",
    "Colour",
    "ColourOverrides",
    "ColourProps",
    "Matrix",
    "Range",
    "check_overrides",
    "colour_of",
    "parse_chromaloc",
    "parse_matrix",
    "parse_range",
]

COLOUR_PROPS: Final = (
    "_Matrix", "_ColorSpace", "_Range", "_ColorRange", "_ChromaLocation", "_Transfer", "_Primaries",
)  # fmt: skip
"""Every property that `colour_of` reads."""


class _Named(IntEnum):
    """A number of H.273 with its name in VapourSynth's resize."""

    @property
    def label(self) -> str:
        """The name as scripts write it."""
        return self.name.removeprefix("BT").removeprefix("ST").lower()


class Matrix(_Named):
    """How Y, U and V are computed from R, G and B. Names are those of resize."""

    RGB = 0
    BT709 = 1
    FCC = 4
    BT470BG = 5
    ST170M = 6
    ST240M = 7
    YCGCO = 8
    BT2020NCL = 9


class Range(_Named):
    """Range of integer samples, numbered as the property ``_Range`` (and H.273's full range flag)."""

    LIMITED = 0
    FULL = 1


class ChromaLocation(_Named):
    """The position of a chroma sample among its luma samples, numbered as ``_ChromaLocation``."""

    LEFT = 0
    CENTER = 1
    TOP_LEFT = 2
    TOP = 3
    BOTTOM_LEFT = 4
    BOTTOM = 5

    def offset(self, subsampling_w: int, subsampling_h: int) -> tuple[float, float]:
        """Position of chroma sample (0, 0): luma samples right of and below luma sample (0, 0), from centre to centre.

        Chroma sample (i, j) is at ``(i << subsampling_w) + x, (j << subsampling_h) + y``; the arguments are log2.
        """
        last_x, last_y = (1 << subsampling_w) - 1, (1 << subsampling_h) - 1
        at_left = self in (ChromaLocation.LEFT, ChromaLocation.TOP_LEFT, ChromaLocation.BOTTOM_LEFT)
        x = 0.0 if at_left else last_x / 2
        if self in (ChromaLocation.TOP_LEFT, ChromaLocation.TOP):
            return x, 0.0
        if self in (ChromaLocation.BOTTOM_LEFT, ChromaLocation.BOTTOM):
            return x, float(last_y)
        return x, last_y / 2


UNSPECIFIED: Final = 2
"""H.273's "unspecified" for matrix, transfer and primaries: as if the property were missing."""
_UNKNOWN: Final = (UNSPECIFIED, 0, 3)
"""Transfers and primaries that count as missing: unspecified, and the numbers that H.273 reserves."""
LINEAR_TRANSFER: Final = 8
_BT2020_PRIMARIES: Final = 9
_WIDE_TRANSFERS: Final = (14, 15, 16, 18)  # BT.2020 at 10 and 12 bits, PQ, HLG: never used with BT.709

_REFUSED_MATRICES: Final = {
    10: ("2020cl", "constant luminance is not linear in R, G and B"),
    11: ("2085", "it works on X, Y and Z"),
    12: ("chromancl", "it depends on the primaries"),
    13: ("chromacl", "constant luminance is not linear in R, G and B"),
    14: ("ictcp", "it works on cone responses, not on R, G and B"),
}


LUMA_WEIGHTS: Final = {  # Kr, Kb of ITU-T H.273, table 4
    Matrix.BT709: (0.2126, 0.0722),
    Matrix.FCC: (0.30, 0.11),
    Matrix.BT470BG: (0.299, 0.114),
    Matrix.ST170M: (0.299, 0.114),
    Matrix.ST240M: (0.212, 0.087),
    Matrix.BT2020NCL: (0.2627, 0.0593),
}
"""The weights of red and of blue in luma; green has the rest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ColourOverrides:
    """Values that a script passes in place of the properties; None where it passes none."""

    matrix: Matrix | None = None
    range: Range | None = None
    chroma: ChromaLocation | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Colour:
    """The meaning of the samples of a frame, or of two frames that are blended.

    Fields that the format does not use have a fixed value: `matrix` is RGB for RGB and Gray, `full_range` is True for
    floats, `chroma` is LEFT without subsampling. `transfer` is H.273's number, 2 if it is missing.
    """

    matrix: Matrix
    full_range: bool
    chroma: ChromaLocation
    transfer: int = UNSPECIFIED

    @property
    def linear(self) -> bool:
        """Whether samples are proportional to light."""
        return self.transfer == LINEAR_TRANSFER


@dataclass(frozen=True, kw_only=True, slots=True)
class ColourProps:
    """The colour properties of a frame, with a script's overrides.

    None if a property is missing, or if the format does not use it: `matrix` of RGB and Gray, `range` of floats,
    `chroma` without subsampling, `primaries` of Gray. `transfer` and `primaries` are H.273's numbers.
    """

    matrix: Matrix | None = None
    range: Range | None = None
    chroma: ChromaLocation | None = None
    transfer: int | None = None
    primaries: int | None = None

    @classmethod
    def read(cls, props: Mapping[str, int], fmt: PixelFormat, overrides: ColourOverrides = ColourOverrides()) -> Self:
        """Read them from a frame's `props`; `overrides` take precedence.

        Matrix: ``_Matrix``, otherwise ``_ColorSpace`` (which mpv writes, with the same numbers). Range: ``_Range``,
        otherwise the deprecated ``_ColorRange`` (1 is limited). 2 counts as missing for matrix, transfer and primaries.

        Raises RifeError for a value that is not supported, with the property, its value and the argument for it.
        """
        return cls(
            matrix=_matrix_of(props, overrides) if fmt.family is Family.YUV else None,
            range=None if fmt.float_samples else _range_of(props, overrides),
            chroma=_chroma_of(props, overrides) if fmt.subsampled else None,
            transfer=_number_of("_Transfer", props),
            primaries=None if fmt.family is Family.GRAY else _number_of("_Primaries", props),
        )

    def colour(self, fmt: PixelFormat, width: int, height: int) -> Colour:
        """The meaning of the samples, with the defaults of `colour_of` for missing properties."""
        range_ = self.range
        if range_ is None:
            range_ = Range.FULL if fmt.family is Family.RGB else Range.LIMITED
        return Colour(
            matrix=self._matrix(width, height) if fmt.family is Family.YUV else Matrix.RGB,
            full_range=fmt.float_samples or range_ is Range.FULL,
            chroma=ChromaLocation.LEFT if self.chroma is None else self.chroma,
            transfer=UNSPECIFIED if self.transfer is None else self.transfer,
        )

    def _matrix(self, width: int, height: int) -> Matrix:
        if self.matrix is not None:
            return self.matrix
        if self.primaries == _BT2020_PRIMARIES or self.transfer in _WIDE_TRANSFERS:
            return Matrix.BT2020NCL
        if width >= 1280 or height > 576:
            return Matrix.BT709
        return Matrix.BT470BG if height > 486 else Matrix.ST170M


def colour_of(
    props: Mapping[str, int],
    fmt: PixelFormat,
    width: int,
    height: int,
    overrides: ColourOverrides = ColourOverrides(),
) -> Colour:
    """The meaning of a frame's samples: the properties that `ColourProps.read` reads, and these defaults.

    Matrix (YUV only): BT.2020 if the primaries or the transfer are those of BT.2020 (9; 14, 15, 16, 18), otherwise
    BT.709 from 1280 wide or more than 576 high, otherwise 470bg above 486 lines and 170m up to there (whose
    coefficients are equal). 2160p without properties is BT.709, because BT.2020 material has its properties.
    Range (integers only): full for RGB and limited for the others. Chroma location (subsampled only): left.

    Raises RifeError for a value that is not supported, with the property, the value and the argument to override it.
    """
    return ColourProps.read(props, fmt, overrides).colour(fmt, width, height)


def check_overrides(fmt: PixelFormat, overrides: ColourOverrides) -> None:
    """Raise ArgumentError for an override that the format does not use, or that contradicts it."""
    matrix, range_, chroma = overrides.matrix, overrides.range, overrides.chroma
    if matrix is not None and fmt.family is Family.GRAY:
        raise ArgumentError(
            f"matrix_in ({matrix.label}) must not be given for a {fmt.name} clip, which has no matrix; leave it out"
        )
    if matrix is not None and (matrix is Matrix.RGB) != (fmt.family is Family.RGB):
        way_out = "leave it out" if fmt.family is Family.RGB else f"take one of {_labels(_YUV_MATRICES)}"
        raise ArgumentError(
            f"matrix_in ({matrix.label}) must be a matrix of {fmt.family} for a {fmt.name} clip; {way_out}"
        )
    if range_ is Range.LIMITED and fmt.float_samples:
        raise ArgumentError(f"range_in (limited) must be full for a {fmt.name} clip: floats are 0 to 1; leave it out")
    if chroma is not None and not fmt.subsampled:
        raise ArgumentError(
            f"chromaloc_in ({chroma.label}) must not be given for a {fmt.name} clip, "
            "which is not subsampled; leave it out"
        )


def parse_matrix(text: str) -> Matrix:
    """The matrix of resize's name ("709") or of an H.273 number ("1"). Raises ArgumentError listing those of YUV."""
    for number, (label, reason) in _REFUSED_MATRICES.items():
        if text.strip().lower() in (label, str(number)):
            raise ArgumentError(
                f"matrix_in ({text}) must be one of {_labels(_YUV_MATRICES)}; {label} is not supported: {reason}"
            )
    return _parse("matrix_in", text, Matrix, offered=_YUV_MATRICES)


def parse_range(text: str) -> Range:
    """The range of "limited" or "0", "full" or "1". Raises ArgumentError listing the choices."""
    return _parse("range_in", text, Range)


def parse_chromaloc(text: str) -> ChromaLocation:
    """The location of resize's name ("top_left") or of a number ("2"). Raises ArgumentError listing the choices."""
    return _parse("chromaloc_in", text, ChromaLocation)


_YUV_MATRICES: Final = tuple(matrix for matrix in Matrix if matrix is not Matrix.RGB)


_OTHER_NAMES: Final = {
    "bt601": "170m",
    "601": "170m",
    "smpte170m": "170m",
    "smpte240m": "240m",
    "bt2020": "2020ncl",
    "bt2020nc": "2020ncl",
    "2020": "2020ncl",
    "tv": "limited",
    "mpeg": "limited",
    "pc": "full",
    "jpeg": "full",
    "mpeg2": "left",
    "mpeg1": "center",
    "topleft": "top_left",
}
"""Names in other programs, for the hint in an error."""


def _labels(choices: Iterable[_Named]) -> str:
    return ", ".join(f"{choice.label} ({choice.value})" for choice in choices)


def _parse[T: _Named](argument: str, text: str, choices: type[T], offered: Iterable[T] | None = None) -> T:
    """The choice with the name or number ``text``. ``offered``: the choices that an error lists. Default: all."""
    for choice in choices:
        # "709" is a name and "1" is a number; no name equals the number of another choice.
        if text.strip().lower() in (choice.label, str(choice.value)):
            return choice
    plain = text.strip().lower()
    offered = list(choices if offered is None else offered)
    labels = [choice.label for choice in offered]
    near = _OTHER_NAMES.get(plain) or next(iter(difflib.get_close_matches(plain, labels, n=1)), None)
    hint = f"; did you mean {near}?" if near in labels else ""
    raise ArgumentError(f"{argument} ({text}) must be one of {_labels(offered)}{hint}")


def _number_of(prop: str, props: Mapping[str, int]) -> int | None:
    number = int(props.get(prop, UNSPECIFIED))
    return None if number in _UNKNOWN else number


def _matrix_of(props: Mapping[str, int], overrides: ColourOverrides) -> Matrix | None:
    if overrides.matrix is not None:
        return overrides.matrix
    for prop in ("_Matrix", "_ColorSpace"):
        number = int(props.get(prop, UNSPECIFIED))
        if number == UNSPECIFIED:
            continue
        if number in _YUV_MATRICES:
            return Matrix(number)
        label, reason = _REFUSED_MATRICES.get(number, ("", ""))
        why = f", {label}: {reason}" if label else ", rgb" if number == Matrix.RGB else ""
        raise RifeError(
            f"{prop} ({number}{why}) must be one of {_labels(_YUV_MATRICES)}; pass matrix_in, such as matrix_in='709', "
            "or convert the clip with resize"
        )
    return None


def _range_of(props: Mapping[str, int], overrides: ColourOverrides) -> Range | None:
    if overrides.range is not None:
        return overrides.range
    # R81's core stores _ColorRange as _Range. A mapping that does not come from a core may still have the old name.
    for prop, values in (("_Range", (Range.LIMITED, Range.FULL)), ("_ColorRange", (Range.FULL, Range.LIMITED))):
        if prop in props:
            number = int(props[prop])
            if number in (0, 1):
                return values[number]
            raise RifeError(
                f"{prop} ({number}) must be 0 ({values[0].label}) or 1 ({values[1].label}); "
                "pass range_in, such as range_in='limited'"
            )
    return None


def _chroma_of(props: Mapping[str, int], overrides: ColourOverrides) -> ChromaLocation | None:
    if overrides.chroma is not None or "_ChromaLocation" not in props:
        return overrides.chroma
    number = int(props["_ChromaLocation"])
    if number not in tuple(ChromaLocation):
        raise RifeError(
            f"_ChromaLocation ({number}) must be one of {_labels(ChromaLocation)}; "
            "pass chromaloc_in, such as chromaloc_in='left'"
        )
    return ChromaLocation(number)
