"""One filter: which source frames an output frame needs, what is made of them, and its properties.

The only module that knows VapourSynth on one side and the engine on the other. It touches no pixel.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from vsrife.engine.device import resolve_device, resolve_precision, why_no_gpu
from vsrife.engine.interpolator import Interpolator
from vsrife.engine.loading import load_network
from vsrife.engine.matcher import Matcher
from vsrife.engine.slots import inference_context
from vsrife.engine.transfer.interop import Interop
from vsrife.errors import ArgumentError
from vsrife.formats import colour
from vsrife.formats.colour import ColourOverrides
from vsrife.formats.pixel_format import PixelFormat
from vsrife.plugin import arguments, ncnn, resolved, vsapi
from vsrife.plugin.constant_rate import ConstantRate
from vsrife.plugin.frames import GpuReader, HostReader, Reader, format_of
from vsrife.plugin.gpu.bridge import VulkanCudaBridge, interop_for
from vsrife.plugin.gpu.vulkan import Gpu, same_api_version
from vsrife.plugin.interlaced import refuse_fields
from vsrife.plugin.output_props import OutputProps, RifeKind, interpolated_time
from vsrife.plugin.pauses import around, share_of, usual_span
from vsrife.plugin.scene_frames import SceneFrames
from vsrife.plugin.timing import ENDLESS_FRAMES, FrameTiming, InterpolationPoint, MissingDurations, simple_ratio
from vsrife.plugin.vsapi import Core, Frame, Map
from vsrife.scene.detector import Cut, SceneDetector
from vsrife.scene.held_drawings import HeldDrawings
from vsrife.scene.retiming import Run, progress
from vsrife.scene.signature import signature_size

__all__ = ["Filter"]

MANY_FRAMES = 5000
"""From here on reading all durations takes a time that is noticed."""


class Shown(NamedTuple):
    """What is seen: source frame ``left``, moved ``t`` of the way towards ``right``; None: left itself. ``pair``: the
    neighbours whose verdict on cuts counts.
    """

    left: int
    right: int | None
    t: Fraction
    pair: int


class Filter:
    """One call of core.rife.RIFE. Any number of threads may request and answer frames at once."""

    def __init__(self, core: Core, passed: Map, settings: arguments.Settings, serial: int) -> None:
        self._core = core
        self._serial = serial
        self._settings = settings
        self._node = passed.node("clip")
        try:
            self._build(settings)
        except BaseException:
            self._core.api.freeNode(self._node)
            raise

    def _build(self, settings: arguments.Settings) -> None:
        info = self._core.api.getVideoInfo(self._node)
        width, height = int(info.width), int(info.height)
        fmt = _constant_format(info)
        overrides = _overrides(settings, fmt)
        fps = Fraction(int(info.fpsNum), int(info.fpsDen)) if info.fpsNum > 0 and info.fpsDen > 0 else None
        self._frames = int(info.numFrames)
        self._timing = self._constant_rate(fps) if settings.cfr else self._scaled(fps)
        self._missing_durations = MissingDurations(fps)
        self._asked: dict[int, frozenset[int]] = {}  # by frame in the making, where more was asked for than at first
        self._info = vsapi.ffi().new("VSVideoInfo *", info[0])
        self._info.numFrames = self._timing.length
        if fps is not None or settings.cfr:
            self._info.fpsNum, self._info.fpsDen = self._timing.output_fps
        if settings.notes:
            self._core.inform_once(f"RIFE: {'; '.join(settings.notes)}")
        name = resolved.device_name(self._core, settings)
        with ncnn.named(settings.ncnn):
            interop = self._interop(name)
            device = resolve_device(name) if interop is None else interop.device
        if device.type == "cpu" and name == "auto" and why_no_gpu():
            self._core.inform_once(f"RIFE: device auto is the CPU: {why_no_gpu()}")
        if device.type == "cpu" and settings.precision == "float16":
            self._core.inform_once("RIFE: precision float16 on a CPU is many times slower than float32 on most")
        network = load_network(
            resolved.checkpoint(self._core, settings),
            device,
            resolve_precision(settings.precision, device),
        )
        ensemble = resolved.with_ensemble(self._core, settings, supported=network.module.supports_ensemble)
        self._interpolator = Interpolator(network, width, height, scale=settings.scale, ensemble=ensemble)
        self._reader: Reader
        if interop is None:
            self._reader = HostReader(self._core, fmt, width, height, overrides)
        else:
            gpu = Gpu(self._core)
            bridge = VulkanCudaBridge(gpu, interop, inform=self._core.inform_once)
            self._reader = GpuReader(self._core, fmt, width, height, overrides, gpu=gpu, bridge=bridge)
        self._on_gpu = interop is not None
        frames = SceneFrames(self._reader)
        self._scenes = SceneDetector(
            frames,
            Matcher(network, *signature_size(height, width)),
            detect=settings.sc,
            threshold=settings.sc_threshold,
            skip=settings.skip,
            skip_threshold=settings.skip_threshold,
        )
        self._drawings = self._held_drawings(frames, fps) if settings.retime else None

    def _held_drawings(self, frames: SceneFrames, fps: Fraction | None) -> HeldDrawings[Frame] | None:
        if not self._timing.streaming:
            return HeldDrawings(frames.difference, self._frames, fps)
        self._core.inform_once(
            "RIFE: retime does nothing here: it looks some frames back and ahead, and of a player's clip only those "
            "that are shown can be had"
        )
        return None

    def _scaled(self, fps: Fraction | None) -> FrameTiming:
        """Each source frame's time shared out to so many outputs."""
        asked = arguments.ratio_of(self._settings, fps)
        streaming = self._frames >= ENDLESS_FRAMES
        return FrameTiming(
            ratio=simple_ratio(asked, None if streaming else self._frames),
            asked=asked,
            source_frames=self._frames,
            fps=fps,
            streaming=streaming,
            cause=self._settings.cause,
        )

    def _constant_rate(self, fps: Fraction | None) -> ConstantRate:
        """Outputs at equal times, which takes every source frame's duration."""
        if self._frames >= ENDLESS_FRAMES:
            raise ArgumentError(
                f"cfr (1) must come with a clip of known length, and this one ({self._frames} frames) is a player's "
                "or as long; leave cfr out: a player shows each frame for as long as it lasts"
            )
        if self._frames >= MANY_FRAMES:
            self._core.inform_once(f"RIFE: cfr reads the durations of all {self._frames} source frames first")
        rate = self._settings.fps
        assert rate is not None
        durations = [self._read_duration(index, fps) for index in range(self._frames - 1)]
        durations.append(self._read_last_duration(durations, 1 / fps if fps else None) or 1 / rate)
        return ConstantRate(rate, durations, fps=fps, cause=self._settings.cause)

    def _read_duration(self, index: int, fps: Fraction | None) -> Fraction:
        """The duration of a source frame in seconds, read while the filter is created. fps: the clip's, for the error
        where there is none.
        """
        with self._core.frame(self._node, index) as frame:
            duration = frame.source_props.duration
        if duration is None:
            raise ArgumentError(
                f"cfr (1) must come with a clip whose frames have durations, and source frame {index} has none "
                "(_DurationNum, _DurationDen); leave cfr out, or, where the rate is constant, give all frames one "
                f"first: clip.std.AssumeFPS({_as_arguments(fps)})"
            )
        return duration

    def _read_last_duration(self, others: list[Fraction], usual: Fraction | None) -> Fraction | None:
        """The same of the last one, which files often leave without: then the usual one, or that of the one before."""
        with self._core.frame(self._node, self._frames - 1) as frame:
            return frame.source_props.duration or usual or (others[-1] if others else None)

    def _interop(self, name: str) -> Interop | None:
        """What uses the clip's frames in place where they live on the GPU; None for frames in host memory.

        name: of the device. Frames on the GPU that cannot be used in place are downloaded from here on, and a line of
        the log says why.
        """
        if not self._core.on_gpu(self._node):
            return None
        if same_api_version(self._core):
            interop, reason = interop_for(Gpu(self._core).device(), name)
        else:
            interop, reason = None, "this VapourSynth has another version of the API than the plugin was built for"
        if interop is None:
            self._core.inform_once(f"RIFE: the clip's frames on the GPU are downloaded: {reason}")
            resident, self._node = self._node, self._core.downloaded(self._node)
            self._core.api.freeNode(resident)
        return interop

    def publish(self, result: Any) -> None:
        """Hand this filter to VapourSynth: put its clip into the map ``result``."""
        dependency = vsapi.ffi().new(
            "VSFilterDependency *", {"source": self._node, "requestPattern": vsapi.lib().rpGeneral}
        )
        lib = vsapi.lib()
        self._core.api.createVideoFilterEx(
            result,
            b"RIFE",
            self._info,
            lib.rife_get_frame,
            lib.rife_free,
            lib.fmParallel,
            lib.ffGPUOutput if self._on_gpu else 0,
            dependency,
            1,
            vsapi.ffi().cast("void *", self._serial),
            self._core.pointer,
        )

    def close(self) -> None:
        """Free the source clip and what is kept of it. VapourSynth calls it after the last frame in flight."""
        try:
            self._reader.close()
        finally:
            self._core.api.freeNode(self._node)
            self._interpolator.close()

    def request(self, n: int, context: Any) -> None:
        """Ask VapourSynth for the source frames that output frame ``n`` needs, as far as that can be told yet."""
        needed = self._needed(n)
        if self._drawings and (beside := self._drawn(n, {})[0].difference(needed)):
            self._asked[_address(context)] = beside
            self._ask(sorted(beside.union(needed)), context)
            return
        self._ask(needed, context)

    def answer(self, n: int, context: Any) -> Any:
        """Output frame ``n``; its requested source frames are ready. The reference passes to VapourSynth.

        NULL where those tell that more are needed: they are requested, and this is called again.
        """
        needed = self._needed(n)
        asked = self._asked.pop(_address(context), frozenset()) if self._asked else frozenset()
        at_hand = sorted(asked.union(needed)) if asked else needed
        with inference_context(), self._reader.sources(self._node, at_hand, context) as sources:
            beside, run = self._beside(n, sources)
            if missing := beside.difference(at_hand):
                self._asked[_address(context)] = asked | missing
                # A frame on the GPU that was taken is gone when this is called again, unless it is asked for again.
                self._ask(sorted(missing.union(at_hand) if self._on_gpu else missing), context)
                return vsapi.ffi().NULL
            if asked:  # what was only measured must not change what is made
                sources = {index: sources[index] for index in beside.union(needed)}
            return self._made(n, sources, run).release()

    def forget(self, context: Any) -> None:
        """A frame that was being made will not be: one of its source frames cannot be had."""
        self._asked.pop(_address(context), None)

    def _needed(self, n: int) -> range:
        """The source frames that are asked for at first."""
        if self._drawings and self._settings.sc and self._timing.ratio == 1:
            return range(max(n - 1, 0), min(n + 2, self._frames))  # both pairs that its scene properties tell of
        return self._timing.needs(n, scenes=self._settings.sc)

    def _ask(self, indices: Iterable[int], context: Any) -> None:
        for index in indices:
            self._core.api.requestFrameFilter(index, self._node, context)

    def _beside(self, n: int, sources: Mapping[int, Frame]) -> tuple[frozenset[int], Run | None]:
        """Source frames that tell how output ``n`` moves, beside those that it needs; and the run of frames of one
        drawing that it lies in, where they are all among ``sources``.
        """
        point = self._timing.at(n)
        beside: frozenset[int] = frozenset()
        run = None
        if self._drawings:
            beside, run = self._drawn(n, sources)
        if point.right is None or self._timing.streaming:  # a stream gives none but those that are shown
            return beside, run
        if self._may_pause(self._source_duration(point.left, sources[point.left])):
            beside = beside.union(around(point.left, self._frames))
        return beside, run

    def _drawn(self, n: int, sources: Mapping[int, Frame]) -> tuple[frozenset[int], Run | None]:
        """Source frames that must be among ``sources`` before anything can be told of the drawing that output ``n``
        shows; or those of the run that it lies in, and that run.
        """
        assert self._drawings is not None
        unknown, run = self._drawings.at(self._timing.at(n).left, sources)
        return unknown or frozenset(range(run.first, run.after + 1) if run else ()), run

    def _may_pause(self, own: Fraction | None) -> bool:
        """Whether a source frame of so many seconds may be a pause. One that lasts 1 / fps is as long as all others."""
        pause = self._settings.pause
        return own is not None and 0 < pause <= own and own * (self._timing.fps or 0) != 1

    def _paced(self, point: InterpolationPoint, sources: Mapping[int, Frame]) -> Fraction:
        """How far the motion is at ``point``: its t, but in a pause (`pauses`), which is held and then moves on."""
        if point.right is None:
            return point.t
        own = self._source_duration(point.left, sources[point.left])
        if own is None or not self._may_pause(own):
            return point.t
        near = [index for index in around(point.left, self._frames) if index != point.left and index in sources]
        others = [self._source_duration(index, sources[index]) for index in near]
        span = usual_span(own, [other for other in others if other is not None], self._settings.pause)
        return point.t if span is None else share_of(point.t, own, span)

    def _shown(self, point: InterpolationPoint, run: Run | None, sources: Mapping[int, Frame]) -> Shown:
        """What is seen at ``point``: between which source frames, and how far on."""
        first = run is not None and point.left == run.first and point.t == 0  # there the drawing is as it is
        if run is not None and not first and self._moves_evenly(run, sources):
            t = progress(run, point.left, point.t, lambda index: self._source_duration(index, sources[index]))
            return Shown(run.first, run.after, t, run.after - 1)
        return Shown(point.left, point.right, self._paced(point, sources), point.left)

    def _moves_evenly(self, run: Run, sources: Mapping[int, Frame]) -> bool:
        """Whether a run of frames of one drawing moves on to the next one: not where a cut ends it, where a frame may
        be a pause, or where samples do not mean the same in all of it.
        """
        if any(self._may_pause(self._source_duration(index, sources[index])) for index in range(*run)):
            return False
        first, last = sources[run.first], run.after - 1
        others = range(run.first + 1, run.after + 1)
        if not all(self._reader.agree(run.first, first, sources[other], other=other) for other in others):
            return False
        return not self._scenes.cut(last, sources[last], sources[run.after]).cut

    def _made(self, n: int, sources: Mapping[int, Frame], run: Run | None) -> Frame:
        point = self._timing.at(n)
        shown = self._shown(point, run, sources)
        for index in range(shown.left, shown.right or shown.left + 1):
            refuse_fields(index, sources[index], None if shown.right is None else sources[index + 1])
        like = sources[point.left]
        cut = None
        if shown.right is not None:
            cut = self._scenes.cut(shown.pair, sources[shown.pair], sources[shown.pair + 1])
        kind = self._kind(point, shown, sources, cut)

        def length_of(index: int) -> Fraction | None:
            return self._source_duration(index, sources[index])

        made = self._interpolate(shown, sources, like=like) if kind is RifeKind.INTERPOLATED else like.copy()
        try:
            made.write_output_props(
                OutputProps(
                    kind=kind,
                    duration=self._timing.duration(n, length_of),
                    starts_scene=self._starts_scene(n, sources),
                    ends_scene=self._ends_scene(n, sources),
                    absolute_time=self._absolute_time(point, sources, length_of(point.left)),
                    scene_score=None if cut is None else cut.score,
                )
            )
        except BaseException:
            made.free()
            raise
        return made

    def _absolute_time(
        self, point: InterpolationPoint, sources: Mapping[int, Frame], duration: Fraction | None
    ) -> float | None:
        right = sources.get(point.left + 1)
        times = sources[point.left].absolute_time, None if right is None else right.absolute_time
        return interpolated_time(*times, point.t, duration)

    def _kind(self, point: InterpolationPoint, shown: Shown, sources: Mapping[int, Frame], cut: Cut | None) -> RifeKind:
        if shown.right is None or cut is None:
            return RifeKind.REPEAT if point.held else RifeKind.SOURCE
        if cut.cut:
            return RifeKind.SCENE_CHANGE
        if shown.t == 0:
            return RifeKind.REPEAT
        if shown.right == shown.left + 1:
            duplicate = self._scenes.duplicate(shown.left, sources[shown.left], sources[shown.right])
            return RifeKind.DUPLICATE if duplicate else RifeKind.INTERPOLATED
        return RifeKind.INTERPOLATED

    def _interpolate(self, shown: Shown, sources: Mapping[int, Frame], *, like: Frame) -> Frame:
        left, right, t, _ = shown
        assert right is not None
        interpolate = self._interpolator.interpolate
        return self._reader.make(
            left, sources[left], right, sources[right], lambda a, b, into: interpolate(a, b, t, into), like=like
        )

    def _starts_scene(self, n: int, sources: Mapping[int, Frame]) -> bool | None:
        """Whether output ``n`` is the first after a cut; None where nobody knows."""
        if not self._settings.sc:
            return None
        if n == 0:
            return sources[0].source_props.starts_scene
        return self._any_cut(self._timing.arrivals(n), sources)

    def _ends_scene(self, n: int, sources: Mapping[int, Frame]) -> bool | None:
        """Whether output ``n`` is the last before a cut; None where nobody knows."""
        if not self._settings.sc:
            return None
        if n == self._timing.length - 1:
            last = sources.get(self._frames - 1)  # below ratio 1 not what is shown, but what follows counts
            return None if last is None else last.source_props.ends_scene
        return self._any_cut(self._timing.departures(n), sources)

    def _any_cut(self, pairs: range, sources: Mapping[int, Frame]) -> bool | None:
        known = [self._scenes.boundary(k, sources.get(k), sources.get(k + 1)) for k in pairs]
        if any(known):
            return True
        return None if None in known else False

    def _source_duration(self, index: int, frame: Frame) -> Fraction | None:
        """The frame's own duration in seconds; where it has no usable one 1/fps, and None where that is unknown too."""
        duration = frame.source_props.duration
        if line := self._missing_durations.see(index, duration):
            self._core.inform_once(f"RIFE: {line}")
        if duration is None:
            return None if self._timing.fps is None else 1 / self._timing.fps
        if self._settings.fps is not None and not self._settings.cfr and duration * (self._timing.fps or 0) != 1:
            self._core.inform_once(
                f"RIFE: {self._settings.cause} became multi={self._timing.ratio}, by the clip's average rate; its "
                "frames last unequally long and so will those made of them; for a constant rate pass cfr=1 beside it"
            )
        return duration


def _as_arguments(fps: Fraction | None) -> str:
    """A rate as std.AssumeFPS takes it; a usual one where it is not known."""
    rate = fps or Fraction(24000, 1001)
    return f"fpsnum={rate.numerator}, fpsden={rate.denominator}"


def _address(context: Any) -> int:
    return int(vsapi.ffi().cast("uintptr_t", context))


def _constant_format(info: Any) -> PixelFormat:
    if info.format.colorFamily == 0:
        raise ArgumentError("clip must have a constant format; convert it with clip.resize.Bicubic(format=vs.YUV420P8)")
    if info.width == 0 or info.height == 0:
        raise ArgumentError(
            "clip must have a constant size; scale it with clip.resize.Bicubic(width=1920, height=1080)"
        )
    return format_of(info.format)


def _overrides(settings: arguments.Settings, fmt: PixelFormat) -> ColourOverrides:
    overrides = ColourOverrides(
        matrix=None if settings.matrix_in is None else colour.parse_matrix(settings.matrix_in),
        range=None if settings.range_in is None else colour.parse_range(settings.range_in),
        chroma=None if settings.chromaloc_in is None else colour.parse_chromaloc(settings.chromaloc_in),
    )
    colour.check_overrides(fmt, overrides)
    return overrides
