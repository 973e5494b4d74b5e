"""VapourSynth's frames as the pictures that the engine works on: views of their memory, and what the samples mean.

`HostReader` reads frames in host memory, `GpuReader` frames on the GPU; whoever uses one need not know which.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, override

from torch import Tensor

from vsrife.engine.picture import Layer, Picture
from vsrife.engine.transfer.host import HostPlanes, layout_of
from vsrife.errors import ArgumentError
from vsrife.formats import agreement, colour
from vsrife.formats.agreement import Difference
from vsrife.formats.colour import Colour, ColourOverrides, Stated
from vsrife.formats.pixel_format import Family, PixelFormat
from vsrife.plugin.gpu.bridge import VulkanCudaBridge
from vsrife.plugin.gpu.vulkan import Gpu, GpuSourceFrame
from vsrife.plugin.vsapi import Core, Frame

__all__ = ["ALPHA", "GpuReader", "HostReader", "PlaneViews", "Reader", "format_of"]

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


type _ColourProps = tuple[tuple[str, int], ...]

type PlaneViews = Sequence[Tensor]
"""What a frame is measured by, on any device."""


type Draw = Callable[[Picture, Picture, Picture], None]
"""Writes the last of three pictures, which lies between the others."""

_NO_ALPHAS = nullcontext((None, None))


class Reader(ABC):
    """Reads the frames of one clip, whose format and size are constant, and makes new ones."""

    def __init__(self, core: Core, fmt: PixelFormat, width: int, height: int, overrides: ColourOverrides) -> None:
        self.format = fmt
        self._core = core
        self._size = width, height

        # Most frames of a clip have the same properties.
        @functools.lru_cache(maxsize=64)
        def stated_by(left: _ColourProps, right: _ColourProps) -> tuple[Stated, Stated]:
            return Stated.by(dict(left), fmt, overrides), Stated.by(dict(right), fmt, overrides)

        @functools.lru_cache(maxsize=64)
        def differences(left: _ColourProps, right: _ColourProps) -> tuple[Difference, ...]:
            return agreement.differences(*stated_by(left, right), fmt)

        @functools.lru_cache(maxsize=64)
        def joined(left: _ColourProps, right: _ColourProps) -> Colour:
            return agreement.joined(*stated_by(left, right)).colour(fmt, width, height)

        self._differences, self._colour = differences, joined

    def agree(self, number: int, left: Frame, right: Frame, *, other: int | None = None) -> bool:
        """Whether the samples of source frames ``number`` and ``other`` (``number`` + 1 by itself) mean the same, so
        that a frame between them can be made; a line of the log says what does not. Raises RifeError for a property
        that is not taken.
        """
        different = self._differences(left.source_props.colour, right.source_props.colour)
        if different:
            said = ", ".join(f"{each.prop} is {each.left} and {each.right}" for each in different)
            overrides = ", ".join(each.override for each in different)
            self._core.inform_once(
                f"RIFE: source frames {number} and {other or number + 1} are not blended, for their samples mean "
                f"different things: {said}; convert one with resize or, where a tag is wrong, pass {overrides}",
                about=said,
            )
        return not different

    @abstractmethod
    def sources(self, node: Any, indices: Iterable[int], context: Any) -> AbstractContextManager[Mapping[int, Frame]]:
        """The requested frames of the clip, by index; their references are given back at the end."""

    @abstractmethod
    def map_planes(self, *frames: Frame) -> AbstractContextManager[tuple[PlaneViews, ...]]:
        """Views of the planes of frames from `sources`, inside the context. At its end all work on them is finished."""

    @abstractmethod
    def map_alpha_planes(
        self, *frames: Frame
    ) -> AbstractContextManager[tuple[tuple[PlaneViews, ...], PixelFormat] | None]:
        """The same of the frames' alphas, with their format; None where they do not count."""

    @abstractmethod
    def make(self, number: int, left: Frame, second: int, right: Frame, draw: Draw, *, like: Frame) -> Frame:
        """A new frame between source frames ``number`` and ``second``, made by ``draw``, with the properties of the
        source frame ``like``. Its reference is the caller's.

        They do not differ in what they say of their samples: such a pair is a cut (`scenes`). What one of them does not
        say is as the other has it, for all three, so how a frame is seen depends on nothing but the pair.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what is held for the clip's frames. None is being made any more."""

    def _picture(self, number: int, layer: Layer, alpha: Layer | None = None, *, see_through: bool = False) -> Picture:
        width, height = self._size
        return Picture(
            number=number,
            width=width,
            height=height,
            layers=(layer,) if alpha is None else (layer, alpha),
            see_through=see_through,
        )


class HostReader(Reader):
    """Frames in host memory."""

    def __init__(self, core: Core, fmt: PixelFormat, width: int, height: int, overrides: ColourOverrides) -> None:
        super().__init__(core, fmt, width, height, overrides)
        self._layout = layout_of(fmt, width, height)

    @override
    def sources(self, node: Any, indices: Iterable[int], context: Any) -> AbstractContextManager[Mapping[int, Frame]]:
        return self._core.frames(node, indices, context)

    @override
    def map_planes(self, *frames: Frame) -> AbstractContextManager[tuple[PlaneViews, ...]]:
        return nullcontext(tuple(HostPlanes(self._layout, frame.planes) for frame in frames))

    @override
    @contextmanager
    def map_alpha_planes(self, *frames: Frame) -> Iterator[tuple[tuple[PlaneViews, ...], PixelFormat] | None]:
        with self._alphas(*frames) as alphas:
            there = [alpha for alpha in alphas if alpha is not None]
            fmt = format_of(there[0].format) if there else None
            yield None if fmt is None else (tuple(self._alpha_planes(alpha, fmt) for alpha in there), fmt)

    @override
    def make(self, number: int, left: Frame, second: int, right: Frame, draw: Draw, *, like: Frame) -> Frame:
        made = like.blank_like()
        made_alpha: Frame | None = None
        try:
            with self._alphas(left, right) if left.source_props.has_alpha else _NO_ALPHAS as (left_alpha, right_alpha):
                if left_alpha is not None:
                    made_alpha = left_alpha.blank_like()
                meaning = self._colour(left.source_props.colour, right.source_props.colour)
                through = any(self._lets_through(alpha) for alpha in (left_alpha, right_alpha) if alpha is not None)
                draw(
                    self._read(number, left, left_alpha, meaning, through),
                    self._read(second, right, right_alpha, meaning, through),
                    self._read(number, made, made_alpha, meaning, through, write=True),
                )
            if made_alpha is not None:
                made.writable_props.give_frame(ALPHA, made_alpha)
            return made
        except BaseException:
            made.free()
            if made_alpha is not None:
                made_alpha.free()
            raise

    @override
    def close(self) -> None:
        """Nothing is held beyond a frame."""

    @contextmanager
    def _alphas(self, *frames: Frame) -> Iterator[tuple[Frame | None, ...]]:
        """The alpha frames, held inside; all None unless each is there, Gray, like the others, of the clip's size."""
        held = [frame.props.frame(ALPHA) for frame in frames]
        try:
            yield tuple(held) if self._belong_together(held) else (None,) * len(held)
        finally:
            for frame in held:
                if frame is not None:
                    frame.free()

    def _belong_together(self, alphas: list[Frame | None]) -> bool:
        if not all(alpha is not None and alpha.size() == self._size for alpha in alphas):
            return False
        try:
            formats = {format_of(alpha.format) for alpha in alphas if alpha is not None}
        except ArgumentError:
            return False
        return len(formats) == 1 and formats.pop().family is Family.GRAY

    def _lets_through(self, alpha: Frame) -> bool:
        """Whether the alpha is not white everywhere."""
        fmt = format_of(alpha.format)
        # By numpy, which knows the least of 16 bits without a sign; NaN is below white too.
        return not self._alpha_planes(alpha, fmt)[0].numpy().min() >= fmt.peak

    def _read(
        self, number: int, frame: Frame, alpha: Frame | None, meaning: Colour, through: bool, *, write: bool = False
    ) -> Picture:
        layer = Layer(
            format=self.format,
            colour=meaning,
            views=HostPlanes(self._layout, frame.writable_planes if write else frame.planes),
        )
        beside = None if alpha is None else self._alpha_layer(alpha, write=write)
        return self._picture(number, layer, beside, see_through=through)

    def _alpha_layer(self, alpha: Frame, *, write: bool) -> Layer:
        fmt = format_of(alpha.format)
        full = colour.colour_of({}, fmt, *self._size, ColourOverrides(range=colour.Range.FULL))
        return Layer(format=fmt, colour=full, views=self._alpha_planes(alpha, fmt, write=write), is_alpha=True)

    def _alpha_planes(self, alpha: Frame, fmt: PixelFormat, *, write: bool = False) -> HostPlanes:
        return HostPlanes(layout_of(fmt, *self._size), alpha.writable_planes if write else alpha.planes)


class GpuReader(Reader):
    """Frames on the GPU. Their alpha is not looked at: VapourSynth hands no frame inside of a property over."""

    def __init__(
        self,
        core: Core,
        fmt: PixelFormat,
        width: int,
        height: int,
        overrides: ColourOverrides,
        *,
        gpu: Gpu,
        bridge: VulkanCudaBridge,
    ) -> None:
        super().__init__(core, fmt, width, height, overrides)
        self._gpu = gpu
        self._bridge = bridge

    @override
    def sources(self, node: Any, indices: Iterable[int], context: Any) -> AbstractContextManager[Mapping[int, Frame]]:
        return self._gpu.frames(node, indices, context)

    @override
    @contextmanager
    def map_planes(self, *frames: Frame) -> Iterator[tuple[PlaneViews, ...]]:
        with self._bridge.lease_for_measuring() as lease:
            looks = tuple(lease.read(_exportable(frame), self.format) for frame in frames)
            lease.begin()
            yield looks

    @override
    def map_alpha_planes(self, *frames: Frame) -> AbstractContextManager[None]:
        return nullcontext()

    @override
    def make(self, number: int, left: Frame, second: int, right: Frame, draw: Draw, *, like: Frame) -> Frame:
        if left.source_props.has_alpha:
            self._core.inform_once(
                "RIFE: the alpha of frames on the GPU is not interpolated, new frames keep the left one's; pass "
                "clip.std.GPUDownload(), or interpolate clip.std.PropToClip() by itself"
            )
        made = self._gpu.blank_like(like)
        try:
            with self._bridge.lease() as lease:
                meaning = self._colour(left.source_props.colour, right.source_props.colour)
                first, other, into = (
                    Layer(format=self.format, colour=meaning, views=views, loan=lease)
                    for views in (
                        lease.read(_exportable(left), self.format),
                        lease.read(_exportable(right), self.format),
                        lease.write(made, self.format),
                    )
                )
                draw(self._picture(number, first), self._picture(second, other), self._picture(number, into))
            return made
        except BaseException:
            made.free()
            raise

    @override
    def close(self) -> None:
        """Wait until the GPU is done with this clip's frames, and give them and their memory back."""
        self._bridge.close()


def _exportable(frame: Frame) -> Frame:
    assert isinstance(frame, GpuSourceFrame)
    return frame.exportable()
