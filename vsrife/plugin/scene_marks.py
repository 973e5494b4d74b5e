"""`_SceneChangePrev` and `_SceneChangeNext` of output frames: whether one is the first or the last of its scene."""

from collections.abc import Mapping

from vsrife.plugin.constant_rate import ConstantRateTiming
from vsrife.plugin.timing import FrameTiming
from vsrife.plugin.vsapi import Frame
from vsrife.scene.detector import SceneDetector

__all__ = ["SceneMarks"]


class SceneMarks:
    """The scene marks of one clip's output frames. ``sources``: the requested source frames, by index."""

    def __init__(
        self, scenes: SceneDetector[Frame], timing: FrameTiming | ConstantRateTiming, source_frames: int
    ) -> None:
        self._scenes = scenes
        self._timing = timing
        self._last = source_frames - 1

    def starts_scene(self, n: int, sources: Mapping[int, Frame]) -> bool | None:
        """Whether output ``n`` is the first one after a scene change; None where that is unknown."""
        if n == 0:
            return sources[0].source_props.starts_scene
        return self._any_change(self._timing.boundaries_before(n), sources)

    def ends_scene(self, n: int, sources: Mapping[int, Frame]) -> bool | None:
        """Whether output ``n`` is the last one before a scene change; None where that is unknown."""
        if n == self._timing.length - 1:
            last = sources.get(self._last)  # below ratio 1 not the frame that is shown, but the last one counts
            return None if last is None else last.source_props.ends_scene
        return self._any_change(self._timing.boundaries_after(n), sources)

    def _any_change(self, pairs: range, sources: Mapping[int, Frame]) -> bool | None:
        changes = [self._scenes.boundary(pair, sources.get(pair), sources.get(pair + 1)) for pair in pairs]
        if any(changes):
            return True
        return None if None in changes else False
