"""One filter: which source frames an output frame needs, what is made of them, and its properties.

The only module that knows VapourSynth on one side and the engine on the other. It touches no pixel.
"""

import threading
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch

from vsrife.engine.cache import Cache
from vsrife.engine.device import computing, resolve_device, resolve_precision
from vsrife.engine.interpolator import Interpolator, Layer, Picture, load_network
from vsrife.errors import ArgumentError, RifeError
from vsrife.models.store import locate
from vsrife.plugin import arguments, properties, scenes, vsapi
from vsrife.plugin.properties import Kind, Stamp
from vsrife.plugin.scenes import Pair
from vsrife.plugin.signature import SIGNATURE
from vsrife.plugin.timeline import ENDLESS_FRAMES, Timeline
from vsrife.plugin.vsapi import Core, Frame, Map
from vsrife.video import colour, cuts, still
from vsrife.video.colour import Colour, ColourOverrides
from vsrife.video.formats import Family, PixelFormat
from vsrife.video.host import plane_view

__all__ = ["Filter"]

REMEMBERED = 512
"""Signatures and verdicts kept by a filter; each is a few kilobytes at most."""

_ARGUMENTS = tuple(entry.split(":")[0] for entry in SIGNATURE.split(";") if entry)[1:]


class Filter:
    """One call of core.rife.RIFE. Any number of threads may request and answer frames at once."""

    def __init__(self, core: Core, passed: Map, serial: int) -> None:
        self._core = core
        self._serial = serial
        self._once = threading.Lock()
        self._said_that_the_rate_varies = False
        settings = arguments.parse({name: value for name in _ARGUMENTS if (value := passed.value(name)) is not None})
        self._settings = settings
        self._node = passed.node("clip")
        try:
            self._build(settings)
        except BaseException:
            self._core.api.freeNode(self._node)
            raise

    def _build(self, settings: arguments.Settings) -> None:
        info = self._core.api.getVideoInfo(self._node)
        self._width, self._height = int(info.width), int(info.height)
        self._format = _constant_format(info)
        self._overrides = _overrides(settings, self._format)
        fps = Fraction(int(info.fpsNum), int(info.fpsDen)) if info.fpsNum > 0 and info.fpsDen > 0 else None
        ratio = arguments.ratio_of(settings, fps)
        frames = int(info.numFrames)
        self._timeline = Timeline(
            ratio=ratio,
            source_frames=frames,
            fps=fps,
            streaming=frames >= ENDLESS_FRAMES,
            cause=settings.cause,
        )
        self._info = vsapi.ffi().new("VSVideoInfo *", info[0])
        self._info.numFrames = self._timeline.length
        if fps is not None:
            self._info.fpsNum, self._info.fpsDen = self._timeline.output_fps
        device = resolve_device(settings.device)
        network = load_network(locate(settings.model), device, resolve_precision(settings.precision, device))
        self._interpolator = Interpolator(
            network, self._width, self._height, scale=settings.scale, ensemble=settings.ensemble
        )
        self._signatures: Cache[int, cuts.Signature] = Cache(REMEMBERED)
        self._pairs: Cache[int, Pair] = Cache(REMEMBERED)

    def publish(self, result: Any) -> None:
        """Hand this filter to VapourSynth: put its clip into the map ``result``."""
        dependency = vsapi.ffi().new(
            "VSFilterDependency *", {"source": self._node, "requestPattern": vsapi.lib().rpGeneral}
        )
        self._core.api.createVideoFilter(
            result,
            b"RIFE",
            self._info,
            vsapi.lib().rife_get_frame,
            vsapi.lib().rife_free,
            vsapi.lib().fmParallel,
            dependency,
            1,
            vsapi.ffi().cast("void *", self._serial),
            self._core.pointer,
        )

    def close(self) -> None:
        """Free the source clip and what is cached of it. VapourSynth calls it after the last frame in flight."""
        self._core.api.freeNode(self._node)
        self._interpolator.close()

    def request(self, n: int, context: Any) -> None:
        """Ask VapourSynth for the source frames that output frame ``n`` needs."""
        for index in self._timeline.needs(n, scenes=self._settings.sc):
            self._core.api.requestFrameFilter(index, self._node, context)

    def answer(self, n: int, context: Any) -> Any:
        """Output frame ``n``; its requested source frames are ready. The reference passes to VapourSynth."""
        with (
            computing(),
            self._core.frames(self._node, self._timeline.needs(n, scenes=self._settings.sc), context) as sources,
        ):
            moment = self._timeline.at(n)
            left = sources[moment.left]
            _refuse_interlaced(left, moment.left)
            right = None if moment.right is None else sources[moment.right]
            pair = None if right is None else self._pair(moment.left, sources)
            if pair is None:
                kind = Kind.HELD if moment.t else Kind.SOURCE
            else:
                kind = Kind.CUT if pair.cut else Kind.STILL if pair.still else Kind.NEW
            duration = self._duration(n, sources)
            stamp = Stamp(
                kind=kind,
                duration=duration,
                time=properties.interpolated_time(
                    left.props, None if right is None else right.props, moment.t, self._source_duration(left)
                ),
                starts_scene=self._starts_scene(n, sources),
                ends_scene=self._ends_scene(n, sources),
                score=None if pair is None else pair.score,
            )
            if kind is Kind.NEW:
                assert right is not None
                made = self._interpolate((moment.left, left), (moment.left + 1, right), moment.t)
            else:
                made = left.copy()
            try:
                properties.write(made.writable_props, stamp)
            except BaseException:
                made.free()
                raise
            return made.release()

    # The frame in between

    def _interpolate(self, left: tuple[int, Frame], right: tuple[int, Frame], t: Fraction) -> Frame:
        made = left[1].blank_like()
        alphas = [frame.props.frame("_Alpha") for _, frame in (left, right)]
        made_alpha: Frame | None = None
        try:
            if self._alphas_fit(alphas):
                assert alphas[0] is not None
                made_alpha = alphas[0].blank_like()
            self._interpolator.interpolate(
                self._picture(*left, alphas[0] if made_alpha else None),
                self._picture(*right, alphas[1] if made_alpha else None),
                t,
                self._views(made, self._format, write=True),
                None if made_alpha is None else self._views(made_alpha, _format_of(made_alpha), write=True),
            )
            if made_alpha is not None:
                made.writable_props.give_frame("_Alpha", made_alpha)
        except BaseException:
            made.free()
            if made_alpha is not None:
                made_alpha.free()
            raise
        finally:
            for alpha in alphas:
                if alpha is not None:
                    alpha.free()
        return made

    def _alphas_fit(self, alphas: Sequence[Frame | None]) -> bool:
        """Whether both frames carry an alpha of the picture's size and one format; else the left one's is kept."""
        first, second = alphas
        if (
            first is None
            or second is None
            or first.size() != second.size()
            or first.size() != (self._width, self._height)
        ):
            return False
        try:
            return _format_of(first) == _format_of(second) and _format_of(first).family is Family.GRAY
        except ArgumentError:
            return False

    def _picture(self, number: int, frame: Frame, alpha: Frame | None) -> Picture:
        return Picture(
            number=number,
            width=self._width,
            height=self._height,
            layer=Layer(format=self._format, colour=self._colour(frame), views=self._views(frame, self._format)),
            alpha=None if alpha is None else self._alpha_layer(alpha),
        )

    def _alpha_layer(self, alpha: Frame) -> Layer:
        fmt = _format_of(alpha)
        full = colour.colour_of({}, fmt, self._width, self._height, ColourOverrides(range=colour.Range.FULL))
        return Layer(format=fmt, colour=full, views=self._views(alpha, fmt))

    def _views(self, frame: Frame, fmt: PixelFormat, *, write: bool = False) -> tuple[torch.Tensor, ...]:
        return tuple(
            plane_view(*frame.plane(plane, write=write), *frame.size(plane), fmt) for plane in range(fmt.planes)
        )

    # What is known of a pair

    def _pair(self, k: int, sources: Mapping[int, Frame]) -> Pair:
        return self._pairs.get(k, lambda: self._judge(k, sources[k], sources[k + 1]))

    def _judge(self, k: int, left: Frame, right: Frame) -> Pair:
        for index, frame in ((k, left), (k + 1, right)):
            _refuse_interlaced(frame, index)
        settings = self._settings
        cut, score = False, None
        if settings.sc:
            said = scenes.cut_by_props(left.props, right.props)
            if said is None:
                score = cuts.cut_score(self._signature(k, left), self._signature(k + 1, right))
                cut = score >= self._threshold
            else:
                cut = said
        # Two frames whose samples mean different things have no common picture to make.
        cut = cut or self._colour(left) != self._colour(right)
        unmoved = (
            not cut
            and settings.skip
            and still.is_still(self._judged(left), self._judged(right), self._format.bits, settings.skip_threshold)
        )
        return Pair(cut=cut, still=unmoved, score=score)

    @property
    def _threshold(self) -> float:
        given = self._settings.sc_threshold
        return cuts.DEFAULT_CUT_THRESHOLD if given is None else given

    def _signature(self, k: int, frame: Frame) -> cuts.Signature:
        return self._signatures.get(k, lambda: cuts.signature(self._judged(frame), self._format.bits))

    def _judged(self, frame: Frame) -> tuple[torch.Tensor, ...]:
        """The planes that scenes and still pairs are judged by: luma, or all three of RGB."""
        views = self._views(frame, self._format)
        return views if self._format.family is Family.RGB else views[:1]

    def _colour(self, frame: Frame) -> Colour:
        props = frame.props
        found = {key: value for key in colour.COLOUR_PROPS if (value := props.integer(key)) is not None}
        return colour.colour_of(found, self._format, self._width, self._height, self._overrides)

    # Properties

    def _starts_scene(self, n: int, sources: Mapping[int, Frame]) -> bool | None:
        """Whether output ``n`` is the first after a cut; None where nobody knows."""
        if not self._settings.sc:
            return None
        if n == 0:
            return _flag(scenes.prev_prop(sources[0].props))
        return self._any_cut(self._timeline.arrivals(n), sources)

    def _ends_scene(self, n: int, sources: Mapping[int, Frame]) -> bool | None:
        """Whether output ``n`` is the last before a cut; None where nobody knows."""
        if not self._settings.sc:
            return None
        if n == self._timeline.length - 1:
            return _flag(scenes.next_prop(sources[self._timeline.at(n).left].props))
        return self._any_cut(self._timeline.departures(n), sources)

    def _any_cut(self, boundaries: range, sources: Mapping[int, Frame]) -> bool | None:
        known = [self._boundary(k, sources) for k in boundaries]
        if any(known):
            return True
        return None if None in known else False

    def _boundary(self, k: int, sources: Mapping[int, Frame]) -> bool | None:
        """Whether there is a cut between source frames ``k`` and ``k + 1``, as far as the frames at hand tell."""
        left, right = sources.get(k), sources.get(k + 1)
        if left is not None and right is not None and self._timeline.blends(k):
            return self._pair(k, sources).cut
        return scenes.cut_by_props(left.props if left else None, right.props if right else None)

    def _duration(self, n: int, sources: Mapping[int, Frame]) -> Fraction | None:
        return self._timeline.duration(n, lambda index: self._source_duration(sources[index]))

    def _source_duration(self, frame: Frame) -> Fraction | None:
        """The frame's own duration in seconds; where it has no usable one 1/fps, and None where that is unknown too."""
        numerator, denominator = frame.props.integer("_DurationNum"), frame.props.integer("_DurationDen")
        if numerator is None or denominator is None or numerator <= 0 or denominator <= 0:
            return None if self._timeline.fps is None else 1 / self._timeline.fps
        duration = Fraction(numerator, denominator)
        if self._settings.fps is not None and duration * (self._timeline.fps or 0) != 1:
            self._say_that_the_rate_varies()
        return duration

    def _say_that_the_rate_varies(self) -> None:
        with self._once:
            said, self._said_that_the_rate_varies = self._said_that_the_rate_varies, True
        if not said:
            self._core.inform(
                f"RIFE: {self._settings.cause} became multi={self._timeline.ratio}, by the clip's average rate; its "
                "frames last unequally long and so will those made of them"
            )


def _flag(value: int | None) -> bool | None:
    return None if value is None else value == 1


def _constant_format(info: Any) -> PixelFormat:
    if info.format.colorFamily == 0:
        raise ArgumentError("clip must have a constant format; convert it with clip.resize.Bicubic(format=vs.YUV420P8)")
    if info.width == 0 or info.height == 0:
        raise ArgumentError(
            "clip must have a constant size; scale it with clip.resize.Bicubic(width=1920, height=1080)"
        )
    return _pixel_format(info.format)


def _format_of(frame: Frame) -> PixelFormat:
    return _pixel_format(frame.format)


def _pixel_format(fields: Any) -> PixelFormat:
    return PixelFormat.from_fields(
        int(fields.colorFamily),
        int(fields.sampleType),
        int(fields.bitsPerSample),
        int(fields.subSamplingW),
        int(fields.subSamplingH),
    )


def _overrides(settings: arguments.Settings, fmt: PixelFormat) -> ColourOverrides:
    overrides = ColourOverrides(
        matrix=None if settings.matrix_in is None else colour.parse_matrix(settings.matrix_in),
        range=None if settings.range_in is None else colour.parse_range(settings.range_in),
        chroma=None if settings.chromaloc_in is None else colour.parse_chromaloc(settings.chromaloc_in),
    )
    colour.check_overrides(fmt, overrides)
    return overrides


def _refuse_interlaced(frame: Frame, index: int) -> None:
    field = frame.props.integer("_FieldBased")
    if field:
        raise RifeError(
            f"source frame {index} is interlaced (_FieldBased {field}), and fields cannot be interpolated as frames; "
            "deinterlace it first, or, where it is progressive after all, clip.std.SetFieldBased(0)"
        )
