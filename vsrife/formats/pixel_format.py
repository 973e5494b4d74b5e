"""Pixel formats that are supported. Plain values, no pixels."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from vsrife.errors import ArgumentError

__all__ = ["Family", "PixelFormat"]

MAX_SUBSAMPLING: Final = 4
"""The largest log2 of a subsampling factor that VapourSynth supports."""

_FLOAT_SAMPLES = 1  # VSSampleType; 0 is integer
_FLOAT_SUFFIX: Final = {16: "H", 32: "S"}
_SUBSAMPLING_NAMES: Final = {(0, 0): "444", (1, 0): "422", (1, 1): "420", (2, 0): "411", (2, 2): "410", (0, 1): "440"}


class Family(StrEnum):
    """Colour family of a clip."""

    GRAY = "Gray"
    YUV = "YUV"
    RGB = "RGB"


_FAMILIES: Final = {1: Family.GRAY, 2: Family.RGB, 3: Family.YUV}  # VSColorFamily


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelFormat:
    """A supported format: Gray, YUV or RGB with 8 to 16 bit integer, half or single float samples.

    ``subsampling_w`` and ``subsampling_h`` are log2 of the factor, 0 to 4, and 0 except for YUV. Raises ArgumentError
    with the name of the format for anything else, so an instance is always valid.
    """

    family: Family
    float_samples: bool
    bits: int
    subsampling_w: int = 0
    subsampling_h: int = 0

    def __post_init__(self) -> None:
        good_bits = self.bits in (16, 32) if self.float_samples else 8 <= self.bits <= 16
        if not good_bits:
            raise ArgumentError(
                f"clip ({self.name}) must have 8 to 16 bit integer, half or single float samples; resize does not read "
                f"{self.name} either, so make the clip with format={self._nearest()} where it comes from"
            )
        limit = MAX_SUBSAMPLING if self.family is Family.YUV else 0
        if not (0 <= self.subsampling_w <= limit and 0 <= self.subsampling_h <= limit):
            raise ArgumentError(
                f"clip ({self.name}) must have a subsampling of 0 to {MAX_SUBSAMPLING} that its family allows; "
                "convert it with clip.resize.Bicubic(format=vs.YUV420P8)"
            )

    @classmethod
    def from_fields(
        cls, color_family: int, sample_type: int, bits: int, subsampling_w: int = 0, subsampling_h: int = 0
    ) -> Self:
        """The format with these values of a VSVideoFormat.

        Raises ArgumentError for a format that is not supported, such as a variable one (family 0).
        """
        family = _FAMILIES.get(int(color_family))
        if family is None:
            raise ArgumentError(
                "clip (variable format) must have a constant format; "
                "convert it with clip.resize.Bicubic(format=vs.YUV420P8)"
            )
        return cls(
            family=family,
            float_samples=int(sample_type) == _FLOAT_SAMPLES,
            bits=bits,
            subsampling_w=subsampling_w,
            subsampling_h=subsampling_h,
        )

    @classmethod
    def from_vs_id(cls, format_id: int) -> Self:
        """The format of VapourSynth's packed 32-bit id (``clip.format.id``). Raises as `from_fields` does."""
        subsampling = (format_id >> 8 & 0xFF, format_id & 0xFF)
        return cls.from_fields(format_id >> 28 & 0xF, format_id >> 24 & 0xF, format_id >> 16 & 0xFF, *subsampling)

    @property
    def planes(self) -> int:
        """1 for Gray, else 3."""
        return 1 if self.family is Family.GRAY else 3

    @property
    def bytes_per_sample(self) -> int:
        """1, 2 or 4."""
        return 1 if self.bits == 8 else 2 if self.bits <= 16 else 4

    @property
    def peak(self) -> float:
        """The largest integer of a sample; 1.0 for floats, where it is nominal white and not a limit."""
        return 1.0 if self.float_samples else float((1 << self.bits) - 1)

    @property
    def subsampled(self) -> bool:
        """Whether chroma planes are smaller than the luma plane, so that the chroma location matters."""
        return bool(self.subsampling_w or self.subsampling_h)

    @property
    def name(self) -> str:
        """VapourSynth's own name: Gray16, GrayS, RGB30, RGBH, YUV420P10, YUV444PS, YUVssw2ssh1P8."""
        if self.family is Family.RGB:
            return f"RGB{_FLOAT_SUFFIX.get(self.bits, self.bits) if self.float_samples else 3 * self.bits}"
        depth = _FLOAT_SUFFIX.get(self.bits, str(self.bits)) if self.float_samples else str(self.bits)
        if self.family is Family.GRAY:
            return f"Gray{depth}"
        subsampling = (self.subsampling_w, self.subsampling_h)
        return f"YUV{_SUBSAMPLING_NAMES.get(subsampling, 'ssw{}ssh{}'.format(*subsampling))}P{depth}"

    def plane_size(self, plane: int, width: int, height: int) -> tuple[int, int]:
        """Width and height of a plane in samples, for a picture of `width` x `height`. As in VapourSynth, odd sizes
        are rounded down.
        """
        if plane == 0:
            return width, height
        return width >> self.subsampling_w, height >> self.subsampling_h

    def _nearest(self) -> str:
        """The nearest 16-bit format, as scripts write it."""
        subsampling = (self.subsampling_w, self.subsampling_h)
        if self.family is Family.GRAY:
            return "vs.GRAY16"
        if self.family is Family.RGB:
            return "vs.RGB48"
        if subsampling in _SUBSAMPLING_NAMES:
            return f"vs.YUV{_SUBSAMPLING_NAMES[subsampling]}P16"
        return f"core.query_video_format(vs.YUV, vs.INTEGER, 16, {subsampling[0]}, {subsampling[1]}).id"
