"""The durations of source frames, and what the log says about clips where they are missing or vary."""

import threading
from fractions import Fraction

from vsrife.plugin.arguments import Settings
from vsrife.plugin.vsapi import Core, Frame

__all__ = ["MissingDurations", "SourceDurations"]

_MANY = 3
"""The log has a line from this number of frames without a duration on. The last frame of a file often has none, so a
clip that was joined from a few files has a few."""


class SourceDurations:
    """The duration of each source frame of a clip. Any number of threads may use it."""

    def __init__(self, core: Core, settings: Settings, *, fps: Fraction | None, ratio: Fraction | None) -> None:
        """fps: the clip's rate, None where it is unknown. ratio: output frames per source frame; None: not constant."""
        self._core = core
        self._settings = settings
        self._fps = fps
        self._ratio = ratio
        self._missing = MissingDurations(fps)

    def of(self, number: int, frame: Frame) -> Fraction | None:
        """Seconds of source frame ``number``; 1 / fps where it has no usable duration, None without fps either."""
        duration = frame.source_props.duration
        if line := self._missing.see(number, duration):
            self._core.inform_once(f"RIFE: {line}")
        if duration is None:
            return None if self._fps is None else 1 / self._fps
        if self._settings.fps is not None and not self._settings.cfr and not self._is_usual(duration):
            self._core.inform_once(
                f"RIFE: {self._settings.cause} became multi={self._ratio}, computed from the clip's average rate; its "
                "frames have unequal durations, and so will the output frames; for a constant rate also pass cfr=1"
            )
        return duration

    def may_be_pause(self, duration: Fraction | None) -> bool:
        """Whether a source frame of so many seconds may be a pause. One that lasts 1 / fps never is."""
        pause = self._settings.pause
        return duration is not None and 0 < pause <= duration and not self._is_usual(duration)

    def _is_usual(self, duration: Fraction) -> bool:
        return duration * (self._fps or 0) == 1


class MissingDurations:
    """Notices that many frames of a clip have no duration, where this matters. Any number of threads may use it.

    It matters where the clip's rate is unknown (None), or varies: where a frame does not last 1 / ``fps``.
    """

    __slots__ = ("_fps", "_lock", "_missing", "_reported", "_usual", "_varies")

    def __init__(self, fps: Fraction | None) -> None:
        self._fps = fps
        self._usual = None if fps is None else 1 / fps
        self._varies = fps is None
        self._missing: set[int] = set()
        self._reported = False
        self._lock = threading.Lock()

    def see(self, number: int, duration: Fraction | None) -> str:
        """Take note of source frame ``number``'s own duration in seconds, None where it has none above 0.

        Returns a line for the log the first time that there is one, else an empty text.
        """
        if self._reported or (duration is not None and duration == self._usual):
            return ""
        with self._lock:
            if duration is None and len(self._missing) < _MANY:
                self._missing.add(number)
            elif duration is not None and self._fps is not None:
                self._varies = True
            if self._reported or not self._varies or len(self._missing) < _MANY:
                return ""
            self._reported = True
        start = "many frames of the clip have no duration (_DurationNum, _DurationDen)"
        if self._fps is None:
            return f"{start}, and it has no frame rate, so output frames made from them have no duration either"
        return (
            f"{start}, though its rate varies: each of them counts as {1 / self._fps} s, from the average rate, and "
            "sound may drift"
        )
