"""Which source frames are requested for an output frame, and between which of them it is interpolated.

The rule for pauses is in `vsrife.plugin.pauses`, that for held drawings in `vsrife.scene.retiming`.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from vsrife.plugin.arguments import Settings
from vsrife.plugin.constant_rate import ConstantRateTiming
from vsrife.plugin.frames import Reader
from vsrife.plugin.pauses import around, share_of, usual_span
from vsrife.plugin.source_durations import SourceDurations
from vsrife.plugin.timing import FrameTiming, InterpolationPoint
from vsrife.plugin.vsapi import Frame
from vsrife.scene.detector import SceneDetector
from vsrife.scene.held_drawings import HeldDrawings
from vsrife.scene.retiming import Run, progress

__all__ = ["Blend", "FramePlanner"]


class Blend(NamedTuple):
    """What an output frame is made of: source frame ``left``, moved ``t`` of the way to source frame ``right``.

    right: None where ``left`` is shown as it is. pair: the source frames ``pair`` and ``pair`` + 1 are those between
    which a scene change is looked for.
    """

    left: int
    right: int | None
    t: Fraction
    pair: int


class FramePlanner:
    """Plans the output frames of one clip. Any number of threads may use it.

    ``sources``: source frames that have been requested and are ready, by index.
    """

    def __init__(
        self,
        settings: Settings,
        timing: FrameTiming | ConstantRateTiming,
        source_frames: int,
        *,
        durations: SourceDurations,
        scenes: SceneDetector[Frame],
        reader: Reader,
        drawings: HeldDrawings[Frame] | None,
    ) -> None:
        """drawings: None where held drawings are not retimed."""
        self._settings = settings
        self._timing = timing
        self._source_frames = source_frames
        self._durations = durations
        self._scenes = scenes
        self._reader = reader
        self._drawings = drawings

    def needs(self, n: int) -> range:
        """The source frames that output ``n`` always needs."""
        if self._drawings and self._settings.sc and self._timing.ratio == 1:
            return range(max(n - 1, 0), min(n + 2, self._source_frames))  # both pairs of its scene properties
        return self._timing.needs(n, scenes=self._settings.sc)

    def needs_for_drawings(self, n: int) -> frozenset[int]:
        """The source frames to request beside `needs` because output ``n`` may show a held drawing."""
        return self._run_of(n, {})[0].difference(self.needs(n)) if self._drawings else frozenset()

    def needs_beside(self, n: int, sources: Mapping[int, Frame]) -> tuple[frozenset[int], Run | None]:
        """The source frames that decide how output ``n`` moves, beside `needs`; and the run of frames of one drawing
        that it lies in, where all of those are among ``sources``.
        """
        point = self._timing.at(n)
        beside, run = self._run_of(n, sources) if self._drawings else (frozenset[int](), None)
        if point.right is None or self._timing.streaming:  # of a stream only the frames that are shown are available
            return beside, run
        if self._durations.may_be_pause(self._durations.of(point.left, sources[point.left])):
            beside = beside.union(around(point.left, self._source_frames))
        return beside, run

    def blend(self, n: int, run: Run | None, sources: Mapping[int, Frame]) -> Blend:
        """What output ``n`` is made of. run: the one that `needs_beside` gave."""
        point = self._timing.at(n)
        at_start = run is not None and point.left == run.first and point.t == 0  # a drawing starts unchanged
        if run is not None and not at_start and self._moves_evenly(run, sources):
            t = progress(run, point.left, point.t, lambda index: self._durations.of(index, sources[index]))
            return Blend(run.first, run.after, t, run.after - 1)
        return Blend(point.left, point.right, self._time_in_pause(point, sources), point.left)

    def _run_of(self, n: int, sources: Mapping[int, Frame]) -> tuple[frozenset[int], Run | None]:
        """The source frames that are missing from ``sources`` to find the drawing that output ``n`` shows. If none are,
        the frames of its run, and that run.
        """
        assert self._drawings is not None
        missing, run = self._drawings.at(self._timing.at(n).left, sources)
        return missing or frozenset(range(run.first, run.after + 1) if run else ()), run

    def _time_in_pause(self, point: InterpolationPoint, sources: Mapping[int, Frame]) -> Fraction:
        """How far the motion is at ``point``: its t, except in a pause, where all motion is at the end of the frame."""
        if point.right is None:
            return point.t
        own = self._durations.of(point.left, sources[point.left])
        if own is None or not self._durations.may_be_pause(own):
            return point.t
        near = [index for index in around(point.left, self._source_frames) if index != point.left and index in sources]
        others = [self._durations.of(index, sources[index]) for index in near]
        span = usual_span(own, [other for other in others if other is not None], self._settings.pause)
        return point.t if span is None else share_of(point.t, own, span)

    def _moves_evenly(self, run: Run, sources: Mapping[int, Frame]) -> bool:
        """Whether a run of frames of one drawing is moved evenly to the next drawing: not where a scene change ends it,
        where one of its frames may be a pause, or where samples do not mean the same in all of it.
        """
        durations = (self._durations.of(index, sources[index]) for index in range(*run))
        if any(self._durations.may_be_pause(duration) for duration in durations):
            return False
        first, last = sources[run.first], run.after - 1
        others = range(run.first + 1, run.after + 1)
        if not all(self._reader.can_blend(run.first, first, sources[other], other=other) for other in others):
            return False
        return not self._scenes.cut(last, sources[last], sources[run.after]).cut
