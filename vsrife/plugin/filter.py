"""One filter: which source frames an output frame needs, what is made of them, and its properties.

The only module that knows VapourSynth on one side and the engine on the other. It touches no pixel.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from vsrife.engine.device import computing, resolve_device, resolve_precision, why_no_gpu
from vsrife.engine.interpolator import Interpolator
from vsrife.engine.matcher import Matcher
from vsrife.engine.networks import load_network
from vsrife.errors import ArgumentError
from vsrife.plugin import arguments, here, ncnn, vsapi
from vsrife.plugin.fields import refuse_fields
from vsrife.plugin.pictures import HostReader, Reader, ResidentReader, format_of
from vsrife.plugin.properties import Kind, interpolated_time
from vsrife.plugin.resident import Exchange, interop_for
from vsrife.plugin.scenes import Cut, Scenes
from vsrife.plugin.timeline import ENDLESS_FRAMES, MissingDurations, Moment, Timeline
from vsrife.plugin.vsapi import Core, Frame, Map
from vsrife.plugin.vulkan import Gpu, understood
from vsrife.video import colour
from vsrife.video.colour import ColourOverrides
from vsrife.video.formats import PixelFormat
from vsrife.video.resident import Interop
from vsrife.video.signature import signature_size

__all__ = ["Filter"]


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
        ratio = arguments.ratio_of(settings, fps)
        frames = int(info.numFrames)
        self._last = frames - 1
        self._timeline = Timeline(
            ratio=ratio,
            source_frames=frames,
            fps=fps,
            streaming=frames >= ENDLESS_FRAMES,
            cause=settings.cause,
        )
        self._missing_durations = MissingDurations(fps)
        self._info = vsapi.ffi().new("VSVideoInfo *", info[0])
        self._info.numFrames = self._timeline.length
        if fps is not None:
            self._info.fpsNum, self._info.fpsDen = self._timeline.output_fps
        if settings.notes:
            self._core.inform_once(f"RIFE: {'; '.join(settings.notes)}")
        name = here.device_name(self._core, settings)
        with ncnn.named(settings.ncnn):
            interop = self._interop(name)
            device = resolve_device(name) if interop is None else interop.device
        if device.type == "cpu" and name == "auto" and why_no_gpu():
            self._core.inform_once(f"RIFE: device auto is the CPU: {why_no_gpu()}")
        if device.type == "cpu" and settings.precision == "float16":
            self._core.inform_once("RIFE: precision float16 on a CPU is many times slower than float32 on most")
        network = load_network(
            here.checkpoint(self._core, settings),
            device,
            resolve_precision(settings.precision, device),
            variant=settings.variant,
        )
        ensemble = here.with_ensemble(self._core, settings, supported=network.module.supports_ensemble)
        self._interpolator = Interpolator(network, width, height, scale=settings.scale, ensemble=ensemble)
        self._reader: Reader
        if interop is None:
            self._reader = HostReader(self._core, fmt, width, height, overrides)
        else:
            gpu = Gpu(self._core)
            exchange = Exchange(gpu, interop, inform=self._core.inform_once)
            self._reader = ResidentReader(self._core, fmt, width, height, overrides, gpu=gpu, exchange=exchange)
        self._on_gpu = interop is not None
        self._scenes = Scenes(self._reader, settings, Matcher(network, *signature_size(height, width)))

    def _interop(self, name: str) -> Interop | None:
        """What uses the clip's frames in place where they live on the GPU; None for frames in host memory.

        name: of the device. Frames on the GPU that cannot be used in place are downloaded from here on, and a line of
        the log says why.
        """
        if not self._core.on_gpu(self._node):
            return None
        if understood(self._core):
            interop, reason = interop_for(Gpu(self._core).device(), name)
        else:
            interop, reason = None, "this VapourSynth's GPU side is of another version than the plugin was built for"
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
        api, lib = self._core.api, vsapi.lib()
        # createVideoFilterEx is of API 4.3, which is there wherever frames live on the GPU.
        create, flags = (api.createVideoFilterEx, (lib.ffGPUOutput,)) if self._on_gpu else (api.createVideoFilter, ())
        create(
            result,
            b"RIFE",
            self._info,
            lib.rife_get_frame,
            lib.rife_free,
            lib.fmParallel,
            *flags,
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
        """Ask VapourSynth for the source frames that output frame ``n`` needs."""
        for index in self._timeline.needs(n, scenes=self._settings.sc):
            self._core.api.requestFrameFilter(index, self._node, context)

    def answer(self, n: int, context: Any) -> Any:
        """Output frame ``n``; its requested source frames are ready. The reference passes to VapourSynth."""
        needed = self._timeline.needs(n, scenes=self._settings.sc)
        with computing(), self._reader.sources(self._node, needed, context) as sources:
            moment = self._timeline.at(n)
            left = sources[moment.left]
            right = None if moment.right is None else sources[moment.right]
            refuse_fields(moment.left, left, right)
            cut = None if right is None else self._scenes.cut(moment.left, left, right)
            kind = self._kind(moment, left, right, cut)

            def length_of(index: int) -> Fraction | None:
                return self._source_duration(index, sources[index])

            made = self._interpolate(moment, left, right) if kind is Kind.NEW and right else left.copy()
            try:
                made.stamp(
                    kind,
                    keeps_type=kind is Kind.SOURCE,
                    duration=self._timeline.duration(n, length_of),
                    starts_scene=self._starts_scene(n, sources),
                    ends_scene=self._ends_scene(n, sources),
                    time=interpolated_time(left, right, moment.t, length_of(moment.left)),
                    score=None if cut is None else cut.score,
                )
            except BaseException:
                made.free()
                raise
            return made.release()

    def _kind(self, moment: Moment, left: Frame, right: Frame | None, cut: Cut | None) -> Kind:
        if right is None or cut is None:
            return Kind.HELD if moment.held else Kind.SOURCE
        if cut.cut:
            return Kind.CUT
        return Kind.STILL if self._scenes.still(moment.left, left, right) else Kind.NEW

    def _interpolate(self, moment: Moment, left: Frame, right: Frame) -> Frame:
        interpolate = self._interpolator.interpolate
        return self._reader.make(moment.left, left, right, lambda a, b, into: interpolate(a, b, moment.t, into))

    def _starts_scene(self, n: int, sources: Mapping[int, Frame]) -> bool | None:
        """Whether output ``n`` is the first after a cut; None where nobody knows."""
        if not self._settings.sc:
            return None
        if n == 0:
            return sources[0].tags.starts_scene
        return self._any_cut(self._timeline.arrivals(n), sources)

    def _ends_scene(self, n: int, sources: Mapping[int, Frame]) -> bool | None:
        """Whether output ``n`` is the last before a cut; None where nobody knows."""
        if not self._settings.sc:
            return None
        if n == self._timeline.length - 1:
            last = sources.get(self._last)  # below ratio 1 this is not the frame that is shown, but what follows counts
            return None if last is None else last.tags.ends_scene
        return self._any_cut(self._timeline.departures(n), sources)

    def _any_cut(self, pairs: range, sources: Mapping[int, Frame]) -> bool | None:
        known = [self._scenes.boundary(k, sources.get(k), sources.get(k + 1)) for k in pairs]
        if any(known):
            return True
        return None if None in known else False

    def _source_duration(self, index: int, frame: Frame) -> Fraction | None:
        """The frame's own duration in seconds; where it has no usable one 1/fps, and None where that is unknown too."""
        duration = frame.tags.duration
        if line := self._missing_durations.see(index, duration):
            self._core.inform_once(f"RIFE: {line}")
        if duration is None:
            return None if self._timeline.fps is None else 1 / self._timeline.fps
        if self._settings.fps is not None and duration * (self._timeline.fps or 0) != 1:
            self._core.inform_once(
                f"RIFE: {self._settings.cause} became multi={self._timeline.ratio}, by the clip's average rate; its "
                "frames last unequally long and so will those made of them"
            )
        return duration


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
