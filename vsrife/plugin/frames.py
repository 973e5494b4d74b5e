"""VapourSynth's frames as the pictures that the engine works on: views of their memory, and what the samples mean.

`HostReader` reads frames in host memory, `GpuReader` frames in GPU memory, with the same methods.
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
from vsrife.formats.colour import Colour, ColourOverrides, ColourProps
from vsrife.formats.pixel_format import Family, PixelFormat
from vsrife.plugin.clip_info import format_of
from vsrife.plugin.gpu.bridge import VulkanCudaBridge
from vsrife.plugin.gpu.vulkan import Gpu, GpuSourceFrame
from vsrife.plugin.vsapi import Core, Frame

__all__ = ["ALPHA", "GpuReader", "HostReader", "PlaneViews", "Reader"]

ALPHA = "_Alpha"


type _NamedValues = tuple[tuple[str, int], ...]

type PlaneViews = Sequence[Tensor]
"""One tensor [h, w] for each plane of a frame, over the frame's own memory on any device."""

type Interpolate = Callable[[Picture, Picture, Picture], None]
"""Writes the last of three pictures, which lies between the other two."""


class Reader(ABC):
    """Reads the frames of one clip of constant format and size, and makes new ones."""

    def __init__(self, core: Core, fmt: PixelFormat, width: int, height: int, overrides: ColourOverrides) -> None:
        self.format = fmt
        self._core = core
        self._size = width, height

        # Most frames of a clip have the same properties.
        @functools.lru_cache(maxsize=64)
        def read(left: _NamedValues, right: _NamedValues) -> tuple[ColourProps, ColourProps]:
            return ColourProps.read(dict(left), fmt, overrides), ColourProps.read(dict(right), fmt, overrides)

        @functools.lru_cache(maxsize=64)
        def differences(left: _NamedValues, right: _NamedValues) -> tuple[Difference, ...]:
            return agreement.differences(*read(left, right), fmt)

        @functools.lru_cache(maxsize=64)
        def merged(left: _NamedValues, right: _NamedValues) -> Colour:
            return agreement.merged(*read(left, right)).colour(fmt, width, height)

        self._differences, self._colour = differences, merged

    def can_blend(self, number: int, left: Frame, right: Frame, *, other: int | None = None) -> bool:
        """Whether the samples of source frames ``number`` and ``other`` (default: ``number`` + 1) have one meaning, so
        that a frame between them can be made. If not, the log names the properties that differ. Raises RifeError for
        a property whose value is not supported.
        """
        differences = self._differences(left.source_props.colour, right.source_props.colour)
        if differences:
            values = ", ".join(f"{found.prop} is {found.left} and {found.right}" for found in differences)
            overrides = ", ".join(found.override for found in differences)
            self._core.inform_once(
                f"RIFE: source frames {number} and {other or number + 1} are not blended, because their samples have "
                f"different meanings: {values}; convert one with resize or, if a property is wrong, pass {overrides}",
                key=values,
            )
        return not differences

    @abstractmethod
    def sources(self, node: Any, indices: Iterable[int], context: Any) -> AbstractContextManager[Mapping[int, Frame]]:
        """The requested frames of the clip, by index. Their references are released at the end of the context."""

    @abstractmethod
    def map_planes(self, *frames: Frame) -> AbstractContextManager[tuple[PlaneViews, ...]]:
        """Views of the planes of frames from `sources`, inside the context. At its end all work on them is finished."""

    @abstractmethod
    def map_alpha_planes(
        self, *frames: Frame
    ) -> AbstractContextManager[tuple[tuple[PlaneViews, ...], PixelFormat] | None]:
        """The same for the frames' alpha frames, with their format; None where these are not used."""

    @abstractmethod
    def new_frame(
        self, number: int, left: Frame, second: int, right: Frame, interpolate: Interpolate, *, like: Frame
    ) -> Frame:
        """A new frame between source frames ``number`` and ``second``, written by ``interpolate``, with the properties
        of the source frame ``like``. Its reference belongs to the caller.

        `can_blend` must hold for the two. A colour property that one of them lacks is taken from the other, for all
        three frames, so the network's input depends on the pair alone.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what is held for the clip's frames. No frame may be in progress."""

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
        with self._alphas(*frames) as (alphas, fmt):
            yield None if fmt is None else (tuple(self._alpha_planes(alpha, fmt) for alpha in alphas), fmt)

    @override
    def new_frame(
        self, number: int, left: Frame, second: int, right: Frame, interpolate: Interpolate, *, like: Frame
    ) -> Frame:
        made = like.blank_like()
        made_alpha: Frame | None = None
        try:
            with self._alphas(left, right) as (alphas, fmt):
                meaning = self._colour(left.source_props.colour, right.source_props.colour)
                pictures = [(number, left, False), (second, right, False), (number, made, True)]
                if fmt is None:
                    interpolate(*(self._picture(n, self._layer(frame, meaning, write)) for n, frame, write in pictures))
                else:
                    made_alpha = alphas[0].blank_like()
                    transparent = any(self._is_transparent(alpha, fmt) for alpha in alphas)
                    interpolate(
                        *(
                            self._picture(
                                n,
                                self._layer(frame, meaning, write),
                                self._alpha_layer(alpha, fmt, write=write),
                                see_through=transparent,
                            )
                            for (n, frame, write), alpha in zip(pictures, (*alphas, made_alpha), strict=True)
                        )
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
        """Nothing is held longer than a frame."""

    @contextmanager
    def _alphas(self, *frames: Frame) -> Iterator[tuple[Sequence[Frame], PixelFormat | None]]:
        """The alpha frames and their format, valid inside the context. The format is None where they are not used: they
        are if each frame has one, all are Gray of one format, and of the clip's size.
        """
        if not all(frame.source_props.has_alpha for frame in frames):
            yield (), None
            return
        alphas: list[Frame] = []
        try:
            alphas.extend(alpha for frame in frames if (alpha := frame.props.frame(ALPHA)) is not None)
            yield alphas, self._common_format(alphas) if len(alphas) == len(frames) else None
        finally:
            for alpha in alphas:
                alpha.free()

    def _common_format(self, alphas: Sequence[Frame]) -> PixelFormat | None:
        """The format of all these alpha frames; None where they cannot be used."""
        if not all(alpha.size() == self._size for alpha in alphas):
            return None
        try:
            first, *others = (format_of(alpha.format) for alpha in alphas)
        except ArgumentError:
            return None
        return first if first.family is Family.GRAY and all(other == first for other in others) else None

    def _is_transparent(self, alpha: Frame, fmt: PixelFormat) -> bool:
        """Whether the alpha is not white everywhere."""
        # With numpy, because torch has no minimum for unsigned 16-bit samples. NaN counts as less than white.
        return not self._alpha_planes(alpha, fmt)[0].numpy().min() >= fmt.peak

    def _layer(self, frame: Frame, meaning: Colour, write: bool) -> Layer:
        views = HostPlanes(self._layout, frame.writable_planes if write else frame.planes)
        return Layer(format=self.format, colour=meaning, views=views)

    def _alpha_layer(self, alpha: Frame, fmt: PixelFormat, *, write: bool) -> Layer:
        full = colour.colour_of({}, fmt, *self._size, ColourOverrides(range=colour.Range.FULL))
        return Layer(format=fmt, colour=full, views=self._alpha_planes(alpha, fmt, write=write), is_alpha=True)

    def _alpha_planes(self, alpha: Frame, fmt: PixelFormat, *, write: bool = False) -> HostPlanes:
        return HostPlanes(layout_of(fmt, *self._size), alpha.writable_planes if write else alpha.planes)


class GpuReader(Reader):
    """Frames in GPU memory. Their alpha is not used: VapourSynth cannot export a frame that is stored in a property."""

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
            views = tuple(lease.read(_exportable(frame), self.format) for frame in frames)
            lease.begin()
            yield views

    @override
    def map_alpha_planes(self, *frames: Frame) -> AbstractContextManager[None]:
        return nullcontext()

    @override
    def new_frame(
        self, number: int, left: Frame, second: int, right: Frame, interpolate: Interpolate, *, like: Frame
    ) -> Frame:
        if left.source_props.has_alpha:
            self._core.inform_once(
                "RIFE: the alpha of frames on the GPU is not interpolated, and new frames have that of the left frame; "
                "pass clip.std.GPUDownload(), or interpolate clip.std.PropToClip() separately"
            )
        made = self._gpu.blank_like(like)
        try:
            with self._bridge.lease() as lease:
                meaning = self._colour(left.source_props.colour, right.source_props.colour)
                first, other, into = (
                    Layer(format=self.format, colour=meaning, views=views, lease=lease)
                    for views in (
                        lease.read(_exportable(left), self.format),
                        lease.read(_exportable(right), self.format),
                        lease.write(made, self.format),
                    )
                )
                interpolate(self._picture(number, first), self._picture(second, other), self._picture(number, into))
            return made
        except BaseException:
            made.free()
            raise

    @override
    def close(self) -> None:
        """Wait until the GPU is done with this clip's frames, and release them and their memory."""
        self._bridge.close()


def _exportable(frame: Frame) -> Frame:
    assert isinstance(frame, GpuSourceFrame)
    return frame.exportable()
