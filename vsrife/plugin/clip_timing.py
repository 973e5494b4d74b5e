"""The timing of one call: chosen by its arguments, and for a constant rate read from the clip's frames."""

from fractions import Fraction
from typing import Any

from vsrife.errors import ArgumentError
from vsrife.plugin.arguments import Settings, ratio_of
from vsrife.plugin.clip_info import ClipInfo
from vsrife.plugin.constant_rate import ConstantRateTiming
from vsrife.plugin.timing import ENDLESS_FRAMES, FrameTiming, simple_ratio
from vsrife.plugin.vsapi import Core

__all__ = ["timing_of"]

_MANY_FRAMES = 5000
"""From this length on, reading all durations takes noticeably long, and the log says so."""


def timing_of(core: Core, node: Any, clip: ClipInfo, settings: Settings) -> FrameTiming | ConstantRateTiming:
    """The timing of the clip ``node``. Raises ArgumentError where the arguments do not fit the clip."""
    if settings.cfr:
        return _constant_rate(core, node, clip, settings)
    requested = ratio_of(settings, clip.fps)
    streaming = clip.frames >= ENDLESS_FRAMES
    return FrameTiming(
        ratio=simple_ratio(requested, None if streaming else clip.frames),
        requested_ratio=requested,
        source_frames=clip.frames,
        fps=clip.fps,
        streaming=streaming,
        cause=settings.cause,
    )


def _constant_rate(core: Core, node: Any, clip: ClipInfo, settings: Settings) -> ConstantRateTiming:
    if clip.frames >= ENDLESS_FRAMES:
        raise ArgumentError(
            f"cfr (1) must come with a clip of known length, and this one ({clip.frames} frames) is a player's "
            "or as long; leave cfr out: a player shows each frame for its own duration"
        )
    if clip.frames >= _MANY_FRAMES:
        core.inform_once(f"RIFE: cfr reads the durations of all {clip.frames} source frames first")
    rate = settings.fps
    assert rate is not None
    durations = [_duration(core, node, index, clip.fps) for index in range(clip.frames - 1)]
    durations.append(_last_duration(core, node, clip, durations) or 1 / rate)
    return ConstantRateTiming(rate, durations, fps=clip.fps, cause=settings.cause)


def _duration(core: Core, node: Any, index: int, fps: Fraction | None) -> Fraction:
    """The duration of a source frame in seconds. fps: the clip's rate, for the error where there is no duration."""
    with core.frame(node, index) as frame:
        duration = frame.source_props.duration
    if duration is None:
        rate = fps or Fraction(24000, 1001)
        raise ArgumentError(
            f"cfr (1) must come with a clip whose frames have durations, and source frame {index} has none "
            "(_DurationNum, _DurationDen); leave cfr out, or, where the rate is constant, give all frames one "
            f"first: clip.std.AssumeFPS(fpsnum={rate.numerator}, fpsden={rate.denominator})"
        )
    return duration


def _last_duration(core: Core, node: Any, clip: ClipInfo, others: list[Fraction]) -> Fraction | None:
    """The duration of the last frame, which files often lack: then 1 / fps, or that of the frame before."""
    with core.frame(node, clip.frames - 1) as frame:
        usual = 1 / clip.fps if clip.fps else None
        return frame.source_props.duration or usual or (others[-1] if others else None)
