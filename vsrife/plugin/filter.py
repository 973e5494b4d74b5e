"""The filter behind one call of core.rife.RIFE: it requests source frames and makes output frames of them.

It connects VapourSynth with the engine, and works on no pixels itself. Which source frames an output frame is made of
is decided in `vsrife.plugin.planning`.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from vsrife.engine.device import resolve_device, resolve_precision, why_no_gpu
from vsrife.engine.interpolator import Interpolator
from vsrife.engine.loading import load_network
from vsrife.engine.matcher import Matcher
from vsrife.engine.slots import inference_context
from vsrife.engine.transfer.interop import Interop
from vsrife.plugin import arguments, ncnn, resolve, vsapi
from vsrife.plugin.clip_info import ClipInfo, colour_overrides
from vsrife.plugin.clip_timing import timing_of
from vsrife.plugin.frame_measures import FrameMeasures
from vsrife.plugin.frames import GpuReader, HostReader, Reader
from vsrife.plugin.gpu.bridge import VulkanCudaBridge, interop_for
from vsrife.plugin.gpu.vulkan import Gpu, same_api_version
from vsrife.plugin.interlacing import refuse_fields
from vsrife.plugin.output_props import OutputProps, RifeKind, interpolated_time
from vsrife.plugin.planning import Blend, FramePlanner
from vsrife.plugin.scene_marks import SceneMarks
from vsrife.plugin.source_durations import SourceDurations
from vsrife.plugin.timing import InterpolationPoint
from vsrife.plugin.vsapi import Core, Frame, Map
from vsrife.scene.detector import Cut, SceneDetector
from vsrife.scene.held_drawings import HeldDrawings
from vsrife.scene.retiming import Run
from vsrife.scene.signature import signature_size

__all__ = ["Filter"]


class Filter:
    """One call of core.rife.RIFE. Any number of threads may request and make frames at the same time."""

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
        clip = ClipInfo.of(info)
        overrides = colour_overrides(settings, clip.format)
        self._timing = timing_of(self._core, self._node, clip, settings)
        self._requested: dict[int, frozenset[int]] = {}  # additional source frames of frames in progress, by context
        self._info = vsapi.ffi().new("VSVideoInfo *", info[0])
        self._info.numFrames = self._timing.length
        if clip.fps is not None or settings.cfr:
            self._info.fpsNum, self._info.fpsDen = self._timing.output_fps
        if settings.notes:
            self._core.inform_once(f"RIFE: {'; '.join(settings.notes)}")
        name = resolve.device_name(self._core, settings)
        with ncnn.named(settings.ncnn):
            interop = self._interop(name)
            device = resolve_device(name) if interop is None else interop.device
        if device.type == "cpu" and name == "auto" and why_no_gpu():
            self._core.inform_once(f"RIFE: device auto is the CPU: {why_no_gpu()}")
        if device.type == "cpu" and settings.precision == "float16":
            self._core.inform_once("RIFE: precision float16 on a CPU is many times slower than float32 on most")
        network = load_network(
            resolve.checkpoint(self._core, settings),
            device,
            resolve_precision(settings.precision, device),
        )
        ensemble = resolve.with_ensemble(self._core, settings, supported=network.module.supports_ensemble)
        size = clip.width, clip.height
        self._interpolator = Interpolator(network, *size, scale=settings.scale, ensemble=ensemble)
        self._reader: Reader
        if interop is None:
            self._reader = HostReader(self._core, clip.format, *size, overrides)
        else:
            gpu = Gpu(self._core)
            bridge = VulkanCudaBridge(gpu, interop, inform=self._core.inform_once)
            self._reader = GpuReader(self._core, clip.format, *size, overrides, gpu=gpu, bridge=bridge)
        self._on_gpu = interop is not None
        frames = FrameMeasures(self._reader)
        self._scenes = SceneDetector(
            frames,
            Matcher(network, *signature_size(clip.height, clip.width)),
            detect=settings.sc,
            threshold=settings.sc_threshold,
            skip=settings.skip,
            skip_threshold=settings.skip_threshold,
        )
        self._scene_marks = SceneMarks(self._scenes, self._timing, clip.frames) if settings.sc else None
        self._durations = SourceDurations(self._core, settings, fps=clip.fps, ratio=self._timing.ratio)
        self._planner = FramePlanner(
            settings,
            self._timing,
            clip.frames,
            durations=self._durations,
            scenes=self._scenes,
            reader=self._reader,
            drawings=self._held_drawings(frames, clip) if settings.retime else None,
        )

    def _held_drawings(self, frames: FrameMeasures, clip: ClipInfo) -> HeldDrawings[Frame] | None:
        if not self._timing.streaming:
            return HeldDrawings(frames.difference, clip.frames, clip.fps)
        self._core.inform_once(
            "RIFE: retime has no effect here: it needs some frames before and after the current one, and a player's "
            "clip only provides the frames that are shown"
        )
        return None

    def _interop(self, name: str) -> Interop | None:
        """The interop for a clip whose frames are in GPU memory; None for frames in host memory.

        name: of the device. Where frames in GPU memory cannot be used in place, they are downloaded, and the log says
        why.
        """
        if not self._core.on_gpu(self._node):
            return None
        if same_api_version(self._core):
            interop, reason = interop_for(Gpu(self._core).device(), name)
        else:
            interop, reason = None, "this VapourSynth has another version of the API than the plugin was built for"
        if interop is None:
            self._core.inform_once(f"RIFE: the clip's frames on the GPU are downloaded: {reason}")
            on_gpu, self._node = self._node, self._core.downloaded(self._node)
            self._core.api.freeNode(on_gpu)
        return interop

    def publish(self, result: Any) -> None:
        """Put this filter's clip into the map ``result``. From then on VapourSynth owns the filter."""
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
        """Release the source clip and what is cached of it. VapourSynth calls this after the last frame in progress."""
        try:
            self._reader.close()
        finally:
            self._core.api.freeNode(self._node)
            self._interpolator.close()

    def request(self, n: int, context: Any) -> None:
        """Request the source frames that output frame ``n`` needs, as far as these are known before any is read."""
        needed = self._planner.needs(n)
        if additional := self._planner.needs_for_drawings(n):
            self._requested[_address(context)] = additional
            self._request_all(sorted(additional.union(needed)), context)
            return
        self._request_all(needed, context)

    def produce(self, n: int, context: Any) -> Any:
        """Output frame ``n``, of the requested source frames. The reference to it passes to VapourSynth.

        NULL where these show that more source frames are needed: they are requested, and this is called again.
        """
        needed = self._planner.needs(n)
        requested = self._requested.pop(_address(context), frozenset()) if self._requested else frozenset()
        ready = sorted(requested.union(needed)) if requested else needed
        with inference_context(), self._reader.sources(self._node, ready, context) as sources:
            additional, run = self._planner.needs_beside(n, sources)
            if missing := additional.difference(ready):
                self._requested[_address(context)] = requested | missing
                # A frame on the GPU that was read cannot be had again in the next call, unless it is requested again.
                self._request_all(sorted(missing.union(ready) if self._on_gpu else missing), context)
                return vsapi.ffi().NULL
            if requested:  # frames that were only measured must not affect the result
                sources = {index: sources[index] for index in additional.union(needed)}
            return self._output_frame(n, sources, run).release()

    def cancel(self, context: Any) -> None:
        """A frame in progress will not be made, because one of its source frames failed."""
        self._requested.pop(_address(context), None)

    def _request_all(self, indices: Iterable[int], context: Any) -> None:
        for index in indices:
            self._core.api.requestFrameFilter(index, self._node, context)

    def _output_frame(self, n: int, sources: Mapping[int, Frame], run: Run | None) -> Frame:
        point = self._timing.at(n)
        blend = self._planner.blend(n, run, sources)
        for index in range(blend.left, blend.right or blend.left + 1):
            refuse_fields(index, sources[index], None if blend.right is None else sources[index + 1])
        current = sources[point.left]
        cut = None
        if blend.right is not None:
            cut = self._scenes.cut(blend.pair, sources[blend.pair], sources[blend.pair + 1])
        kind = self._kind(point, blend, sources, cut)

        def duration_of(index: int) -> Fraction | None:
            return self._durations.of(index, sources[index])

        made = self._interpolate(blend, sources, current) if kind is RifeKind.INTERPOLATED else current.copy()
        marks = self._scene_marks
        try:
            made.write_output_props(
                OutputProps(
                    kind=kind,
                    duration=self._timing.duration(n, duration_of),
                    starts_scene=None if marks is None else marks.starts_scene(n, sources),
                    ends_scene=None if marks is None else marks.ends_scene(n, sources),
                    absolute_time=_absolute_time(point, sources, duration_of(point.left)),
                    scene_score=None if cut is None else cut.score,
                )
            )
        except BaseException:
            made.free()
            raise
        return made

    def _kind(self, point: InterpolationPoint, blend: Blend, sources: Mapping[int, Frame], cut: Cut | None) -> RifeKind:
        if blend.right is None or cut is None:
            return RifeKind.REPEAT if point.after_end else RifeKind.SOURCE
        if cut.cut:
            return RifeKind.SCENE_CHANGE
        if blend.t == 0:
            return RifeKind.REPEAT
        if blend.right == blend.left + 1:
            duplicate = self._scenes.duplicate(blend.left, sources[blend.left], sources[blend.right])
            return RifeKind.DUPLICATE if duplicate else RifeKind.INTERPOLATED
        return RifeKind.INTERPOLATED

    def _interpolate(self, blend: Blend, sources: Mapping[int, Frame], current: Frame) -> Frame:
        left, right, t, _ = blend
        assert right is not None
        interpolate = self._interpolator.interpolate
        return self._reader.new_frame(
            left, sources[left], right, sources[right], lambda a, b, into: interpolate(a, b, t, into), like=current
        )


def _absolute_time(point: InterpolationPoint, sources: Mapping[int, Frame], duration: Fraction | None) -> float | None:
    right = sources.get(point.left + 1)
    right_time = None if right is None else right.absolute_time
    return interpolated_time(sources[point.left].absolute_time, right_time, point.t, duration)


def _address(context: Any) -> int:
    return int(vsapi.ffi().cast("uintptr_t", context))
