"""The clip that the filter was called with: format, size, length and rate, and the colour that the script gives."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from vsrife.errors import ArgumentError
from vsrife.formats import colour
from vsrife.formats.colour import ColourOverrides
from vsrife.formats.pixel_format import PixelFormat
from vsrife.plugin.arguments import Settings

__all__ = ["ClipInfo", "colour_overrides", "format_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipInfo:
    """A clip of constant format and size. fps: frames per second, None where the clip has no rate."""

    format: PixelFormat
    width: int
    height: int
    frames: int
    fps: Fraction | None

    @classmethod
    def of(cls, info: Any) -> Self:
        """From a VSVideoInfo. Raises ArgumentError for a format that is not supported, a variable one among them."""
        if info.format.colorFamily == 0:
            raise ArgumentError(
                "clip must have a constant format; convert it with clip.resize.Bicubic(format=vs.YUV420P8)"
            )
        if info.width == 0 or info.height == 0:
            raise ArgumentError(
                "clip must have a constant size; scale it with clip.resize.Bicubic(width=1920, height=1080)"
            )
        return cls(
            format=format_of(info.format),
            width=int(info.width),
            height=int(info.height),
            frames=int(info.numFrames),
            fps=Fraction(int(info.fpsNum), int(info.fpsDen)) if info.fpsNum > 0 and info.fpsDen > 0 else None,
        )


def format_of(fields: Any) -> PixelFormat:
    """The format in a VSVideoFormat, of a clip or a frame. Raises ArgumentError for one that is not supported."""
    return PixelFormat.from_fields(
        int(fields.colorFamily),
        int(fields.sampleType),
        int(fields.bitsPerSample),
        int(fields.subSamplingW),
        int(fields.subSamplingH),
    )


def colour_overrides(settings: Settings, fmt: PixelFormat) -> ColourOverrides:
    """The arguments that replace colour properties of the clip. Raises ArgumentError for a wrong one."""
    overrides = ColourOverrides(
        matrix=None if settings.matrix_in is None else colour.parse_matrix(settings.matrix_in),
        range=None if settings.range_in is None else colour.parse_range(settings.range_in),
        chroma=None if settings.chromaloc_in is None else colour.parse_chromaloc(settings.chromaloc_in),
    )
    colour.check_overrides(fmt, overrides)
    return overrides
