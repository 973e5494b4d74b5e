"""What is known about two neighbouring source frames: a cut, a still pair, or something to interpolate.

The rule stands here; vsrife.scene defines the measures it asks for, and engine.matcher asks the network.
Pair k is source frames k, k + 1.
"""

from dataclasses import dataclass
from functools import partial

from vsrife.engine.backend.cuda.scene_statistics import measures_on
from vsrife.engine.cache import Cache
from vsrife.engine.matcher import Matcher
from vsrife.engine.transfer.host import HostPlanes, device_of
from vsrife.errors import RifeError
from vsrife.formats.pixel_format import Family, PixelFormat
from vsrife.plugin.arguments import Settings
from vsrife.plugin.frames import PlaneViews, Reader
from vsrife.plugin.native_measures import HostMeasures
from vsrife.plugin.vsapi import Frame
from vsrife.scene import duplicates, scene_change
from vsrife.scene.signature import Signature, signature

__all__ = ["Cut", "Scenes", "cut_by_props"]

REMEMBERED = 512
"""Verdicts that are kept."""

SIGNATURES = 32
"""Signatures that are kept; one has 1.3 MB at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """Whether a pair is a cut. score: the detector's, None where the properties or the colours have decided."""

    cut: bool
    score: float | None = None


def cut_by_props(left: Frame | None, right: Frame | None) -> bool | None:
    """What the properties say, for marking where that is all there is: a cut if left Next or right Prev is 1; none if
    either is there as 0; else None. A side that is not at hand is None and says nothing.
    """
    said = (left.source_props.ends_scene if left else None, right.source_props.starts_scene if right else None)
    if True in said:
        return True
    return None if said == (None, None) else False


class Scenes:
    """The verdicts on the pairs of one clip, each made once. They depend on the two frames and the settings alone."""

    def __init__(self, reader: Reader, settings: Settings, matcher: Matcher) -> None:
        self._reader = reader
        self._matcher = matcher
        self._settings = settings
        given = settings.sc_threshold
        self._threshold = scene_change.DEFAULT_CUT_THRESHOLD if given is None else given
        self._signatures: Cache[int, Signature] = Cache(SIGNATURES)
        self._cuts: Cache[int, Cut] = Cache(REMEMBERED)
        self._stills: Cache[int, bool] = Cache(REMEMBERED)

    def cut(self, k: int, left: Frame, right: Frame) -> Cut:
        """The verdict on a pair that is to be blended. Raises RifeError for a colour property that is not taken."""
        return self._cuts.get(k, lambda: self._judge(k, left, right))

    def boundary(self, k: int, left: Frame | None, right: Frame | None) -> bool | None:
        """Whether there is a cut between source frames k and k + 1, as far as the frames at hand tell; for marking.

        Never raises for what is wrong with a frame: a healthy frame does not fail because of its neighbour.
        """
        if left is None or right is None:
            return cut_by_props(left, right)
        try:
            return self.cut(k, left, right).cut
        except RifeError:
            return cut_by_props(left, right)

    def still(self, k: int, left: Frame, right: Frame) -> bool:
        """Whether the pair does not differ, and is to be copied."""
        return self._settings.skip and self._stills.get(k, lambda: self._compare(left, right))

    def _judge(self, k: int, left: Frame, right: Frame) -> Cut:
        # Two frames whose samples mean different things have no common picture to make.
        if not self._reader.can_blend(k, left, right):
            return Cut(cut=True)
        if not self._settings.sc:
            return Cut(cut=False)
        if self._declared(left, right):
            return Cut(cut=True)
        return self._detect(self._signature(k, left), self._signature(k + 1, right))

    def _detect(self, left: Signature, right: Signature) -> Cut:
        """The detector's verdict. Each step is taken only where those before it leave the pair a cut."""
        score = scene_change.score_of(HostMeasures().in_place(left, right))
        if score >= self._threshold > 0:
            pair = scene_change.prepare(left, right)
            score = min(score, scene_change.score_of(scene_change.shifted(pair)))
            if score >= self._threshold:
                share = self._matcher.warped(pair.left, pair.right, partial(scene_change.warped, pair))
                score = min(score, scene_change.score_of(share))
        return Cut(cut=score >= self._threshold, score=score)

    def _declared(self, left: Frame, right: Frame) -> bool:
        """Whether the properties make the pair a cut: one side says so, and the other does not deny it.

        A clip may have been cut, joined or reversed since they were written, and then speak of other neighbours: so a 0
        never settles anything, and sides that contradict each other are as good as none; unless nothing but the
        properties is to count.
        """
        said = left.source_props.ends_scene, right.source_props.starts_scene
        return True in said and (False not in said or self._threshold >= 1)

    def _signature(self, k: int, frame: Frame) -> Signature:
        def measure() -> Signature:
            with self._reader.map_planes(frame) as (planes,):
                return _signature(planes, self._reader.format)

        return self._signatures.get(k, measure)

    def _compare(self, left: Frame, right: Frame) -> bool:
        threshold = self._settings.skip_threshold
        with self._reader.map_planes(left, right) as (a, b):
            if not _is_still(a, b, self._reader.format, threshold):
                return False
        with self._reader.map_alpha_planes(left, right) as found:
            if found is None:
                return True
            (a, b), fmt = found
            return _is_still(a, b, fmt, threshold)


# Kernels where the device has them, else the compiled library for host memory, else plain torch.


def _signature(planes: PlaneViews, fmt: PixelFormat) -> Signature:
    kernels = measures_on(device_of(planes))
    if kernels is None and isinstance(planes, HostPlanes):
        return HostMeasures().signature(planes)
    return signature(planes if fmt.family is Family.RGB else planes[:1], fmt.bits, kernels)


def _is_still(left: PlaneViews, right: PlaneViews, fmt: PixelFormat, threshold: float) -> bool:
    kernels = measures_on(device_of(left))
    if kernels is None and isinstance(left, HostPlanes) and isinstance(right, HostPlanes):
        return HostMeasures().is_still(left, right, threshold)
    return duplicates.is_still(left, right, fmt.bits, threshold, kernels)
