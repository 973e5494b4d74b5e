"""What a pair of neighbouring source frames is: a cut, a duplicate, or something to interpolate.

The rule is here; `scene_change` and `duplicates` define what it measures. Pair k is source frames k and k + 1. The type
of a frame is left open: the owner of the frames measures them, see `PairMeasures`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from torch import Tensor

from vsrife.cache import Cache
from vsrife.errors import RifeError
from vsrife.scene import scene_change
from vsrife.scene.signature import Signature

__all__ = ["Cut", "Matching", "PairMeasures", "SceneDetector", "cut_by_props"]

_KEPT_VERDICTS: Final = 512
_KEPT_SIGNATURES: Final = 32
"""One has 1.3 MB at most."""


class PairMeasures[Frame](Protocol):
    """What is measured of the frames of one clip."""

    def can_blend(self, number: int, left: Frame, right: Frame) -> bool:
        """Whether the samples of source frames ``number`` and ``number`` + 1 mean the same, so that a frame between
        them can be made. Raises RifeError for a colour property that is not supported.
        """

    def ends_scene(self, frame: Frame) -> bool | None:
        """The frame's property `_SceneChangeNext`; None where it has none."""

    def starts_scene(self, frame: Frame) -> bool | None:
        """The frame's property `_SceneChangePrev`; None where it has none."""

    def signature(self, frame: Frame) -> Signature:
        """See `signature.signature`."""

    def in_place(self, left: Signature, right: Signature) -> float:
        """See `scene_change.in_place`."""

    def is_duplicate(self, left: Frame, right: Frame, threshold: float) -> bool:
        """See `duplicates.is_still`; of their alphas too, where both have one. threshold: in dB."""


class Matching(Protocol):
    """Matches two small pictures by a network's motion; `engine.matcher.Matcher` is one."""

    def warped[Result](self, left: Tensor, right: Tensor, measure: Callable[[Tensor, Tensor], Result]) -> Result:
        """What ``measure`` finds of both, warped to the middle between them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """Whether a pair is a cut. score: the detector's, None where the properties or the colours have decided."""

    cut: bool
    score: float | None = None


def cut_by_props(ends_scene: bool | None, starts_scene: bool | None) -> bool | None:
    """Whether there is a cut, by the properties alone: of the left frame `_SceneChangeNext`, of the right one
    `_SceneChangePrev`. True if either is 1; None where neither is there.
    """
    stated = (ends_scene, starts_scene)
    if True in stated:
        return True
    return None if stated == (None, None) else False


class SceneDetector[Frame]:
    """The verdicts on the pairs of one clip, each made once. They depend on the two frames and the settings alone."""

    def __init__(
        self,
        frames: PairMeasures[Frame],
        matching: Matching,
        *,
        detect: bool = True,
        threshold: float | None = None,
        skip: bool = True,
        skip_threshold: float,
    ) -> None:
        """detect: whether cuts count at all. threshold: scores of this or more are cuts; None for the default.

        skip: whether duplicates are looked for. skip_threshold: PSNR in dB that their worst block must reach.
        """
        self._frames = frames
        self._matching = matching
        self._detects = detect
        self._threshold = scene_change.DEFAULT_CUT_THRESHOLD if threshold is None else threshold
        self._skip = skip
        self._skip_threshold = skip_threshold
        self._signatures: Cache[int, Signature] = Cache(_KEPT_SIGNATURES)
        self._cuts: Cache[int, Cut] = Cache(_KEPT_VERDICTS)
        self._duplicates: Cache[int, bool] = Cache(_KEPT_VERDICTS)

    def cut(self, k: int, left: Frame, right: Frame) -> Cut:
        """The verdict on a pair that is to be blended. Raises RifeError for a colour property that is not supported."""
        return self._cuts.get(k, lambda: self._judge(k, left, right))

    def boundary(self, k: int, left: Frame | None, right: Frame | None) -> bool | None:
        """Whether there is a cut between source frames k and k + 1, as far as the frames at hand show; for marking.

        Never raises for what is wrong with a frame: a healthy frame does not fail because of its neighbour.
        """
        if left is not None and right is not None:
            try:
                return self.cut(k, left, right).cut
            except RifeError:
                pass  # raised where that frame itself is made
        return cut_by_props(
            None if left is None else self._frames.ends_scene(left),
            None if right is None else self._frames.starts_scene(right),
        )

    def duplicate(self, k: int, left: Frame, right: Frame) -> bool:
        """Whether the pair does not differ, so that the frame between is a copy."""
        return self._skip and self._duplicates.get(
            k, lambda: self._frames.is_duplicate(left, right, self._skip_threshold)
        )

    def _judge(self, k: int, left: Frame, right: Frame) -> Cut:
        # Two frames whose samples mean different things have no common picture to make.
        if not self._frames.can_blend(k, left, right):
            return Cut(cut=True)
        if not self._detects:
            return Cut(cut=False)
        if self._declared(left, right):
            return Cut(cut=True)
        return self._detect(self._signature(k, left), self._signature(k + 1, right))

    def _detect(self, left: Signature, right: Signature) -> Cut:
        """The detector's verdict. Each step is taken only where those before it leave the pair a cut."""
        score = scene_change.score_of(self._frames.in_place(left, right))
        if score >= self._threshold > 0:
            pair = scene_change.prepare(left, right)
            score = min(score, scene_change.score_of(scene_change.shifted(pair)))
            if score >= self._threshold:
                share = self._matching.warped(pair.left, pair.right, partial(scene_change.warped, pair))
                score = min(score, scene_change.score_of(share))
        return Cut(cut=score >= self._threshold, score=score)

    def _declared(self, left: Frame, right: Frame) -> bool:
        """Whether the properties make the pair a cut: one side is 1, and the other is not 0.

        A clip may have been cut, joined or reversed since they were written, and then they are about other neighbours:
        so a 0 never settles anything, and sides that contradict each other count as none; unless the properties alone
        are to decide.
        """
        stated = self._frames.ends_scene(left), self._frames.starts_scene(right)
        return True in stated and (False not in stated or self._threshold >= 1)

    def _signature(self, k: int, frame: Frame) -> Signature:
        return self._signatures.get(k, lambda: self._frames.signature(frame))
