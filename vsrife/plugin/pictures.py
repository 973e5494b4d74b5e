"""VapourSynth's frames as the pictures that the engine works on: views of their memory, and what the samples mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from vsrife.errors import ArgumentError
from vsrife.plugin.vsapi import Frame
from vsrife.video import colour
from vsrife.video.colour import Colour, ColourOverrides
from vsrife.video.formats import Family, PixelFormat
from vsrife.video.host import plane_view
from vsrife.video.picture import Layer, Picture

__all__ = ["ALPHA", "Reader", "format_of"]

ALPHA = "_Alpha"


def format_of(fields: Any) -> PixelFormat:
    """The format in a VSVideoFormat, of a clip or a frame. Raises ArgumentError for one that is not taken."""
    return PixelFormat.from_fields(
        int(fields.colorFamily),
        int(fields.sampleType),
        int(fields.bitsPerSample),
        int(fields.subSamplingW),
        int(fields.subSamplingH),
    )


class Reader:
    """Reads the frames of one clip, whose format and size are constant."""

    def __init__(self, fmt: PixelFormat, width: int, height: int, overrides: ColourOverrides) -> None:
        self.format = fmt
        self._size = width, height
        self._overrides = overrides

    def views(self, frame: Frame, *, write: bool = False) -> tuple[Tensor, ...]:
        """The planes of ``frame`` as tensors over its memory, valid while it is held."""
        return _views(frame, self.format, write=write)

    def colour(self, frame: Frame) -> Colour:
        """What the samples of ``frame`` mean. Raises RifeError for a property whose value is not taken."""
        props = frame.props
        found = {key: value for key in colour.COLOUR_PROPS if (value := props.integer(key)) is not None}
        return colour.colour_of(found, self.format, *self._size, self._overrides)

    def picture(self, number: int, frame: Frame, alpha: Frame | None, *, write: bool = False) -> Picture:
        """``frame`` and, where it is given, its alpha frame, as a picture."""
        width, height = self._size
        layer = Layer(format=self.format, colour=self.colour(frame), views=self.views(frame, write=write))
        return Picture(
            number=number,
            width=width,
            height=height,
            layer=layer,
            alpha=None if alpha is None else self._alpha_layer(alpha, write=write),
        )

    @contextmanager
    def alphas(self, left: Frame, right: Frame) -> Iterator[tuple[Frame, Frame] | None]:
        """The alpha frames of both, held inside the context; None unless both are Gray, alike, of the clip's size."""
        held = [frame.props.frame(ALPHA) for frame in (left, right)]
        try:
            first, second = held
            yield (first, second) if first and second and self._belong_together(first, second) else None
        finally:
            for frame in held:
                if frame is not None:
                    frame.free()

    @staticmethod
    def alpha_views(alpha: Frame) -> tuple[Tensor, ...]:
        """The plane of an alpha frame that `alphas` gave, as a tensor over its memory."""
        return _views(alpha, format_of(alpha.format), write=False)

    def _belong_together(self, first: Frame, second: Frame) -> bool:
        if not first.size() == second.size() == self._size:
            return False
        try:
            return format_of(first.format) == format_of(second.format) and format_of(first.format).family is Family.GRAY
        except ArgumentError:
            return False

    def _alpha_layer(self, alpha: Frame, *, write: bool) -> Layer:
        fmt = format_of(alpha.format)
        full = colour.colour_of({}, fmt, *self._size, ColourOverrides(range=colour.Range.FULL))
        return Layer(format=fmt, colour=full, views=_views(alpha, fmt, write=write))


def _views(frame: Frame, fmt: PixelFormat, *, write: bool) -> tuple[Tensor, ...]:
    return tuple(plane_view(*frame.plane(plane, write=write), *frame.size(plane), fmt) for plane in range(fmt.planes))
