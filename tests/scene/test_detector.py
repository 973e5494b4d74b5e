"""The rule on pairs of frames, on frames that are no more than what is measured of them."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from vsrife.errors import ArgumentError
from vsrife.scene import scene_change
from vsrife.scene.detector import Cut, SceneDetector, cut_by_props


@dataclass(frozen=True, eq=False)
class Stub:
    """A frame: its picture's seed, its properties, and whether its colours can be blended."""

    seed: int
    ends: bool | None = None
    starts: bool | None = None
    colour: str = "709"


@dataclass
class Measures:
    """Measures stubs and notes what it was called for."""

    calls: list[str] = field(default_factory=list)

    def can_blend(self, number, left, right):
        if "unsupported" in (left.colour, right.colour):
            raise ArgumentError("matrix (99) must be one that is supported")
        return left.colour == right.colour

    def ends_scene(self, frame):
        return frame.ends

    def starts_scene(self, frame):
        return frame.starts

    def signature(self, frame):
        self.calls.append(f"signature {frame.seed}")
        return np.random.default_rng(frame.seed).integers(0, 65536, (24, 40))

    def in_place(self, left, right):
        return scene_change.in_place(left, right)

    def is_duplicate(self, left, right, threshold):
        self.calls.append(f"compared at {threshold:g}")
        return left.seed == right.seed


class NoMotion:
    """Pictures that no motion brings together."""

    def __init__(self):
        self.calls = 0

    def warped(self, left, right, measure):
        self.calls += 1
        return measure(left, right)


def detector(**options):
    measures = Measures()
    return SceneDetector(measures, NoMotion(), skip_threshold=60.0, **options), measures


@pytest.mark.parametrize(
    ("ends", "starts", "expected"),
    [
        (None, None, None),
        (True, None, True),
        (None, True, True),
        (True, False, True),
        (False, True, True),
        (False, None, False),
        (None, False, False),
        (False, False, False),
    ],
)
def test_properties_alone(ends, starts, expected):
    assert cut_by_props(ends, starts) is expected


@pytest.mark.parametrize(
    ("ends", "starts", "threshold", "by_props"),
    [
        (True, None, 0.5, True),
        (None, True, 0.5, True),  # _SceneChangePrev of the right frame without _SceneChangeNext of the left one
        (True, True, 0.5, True),
        (True, False, 0.5, False),  # they contradict each other
        (False, True, 0.5, False),
        (False, False, 0.5, False),  # a 0 settles nothing
        (True, False, 1.0, True),  # the properties alone decide
        (False, True, 1.0, True),
    ],
)
def test_a_cut_that_properties_state_is_not_measured(ends, starts, threshold, by_props):
    scenes, measures = detector(threshold=threshold)
    verdict = scenes.cut(3, Stub(1, ends=ends), Stub(1, starts=starts))
    assert verdict.cut is by_props
    assert (verdict.score is None) is by_props
    assert (measures.calls == []) is by_props


def test_the_detector_finds_what_no_property_states():
    scenes, _ = detector()
    same, other = scenes.cut(0, Stub(1), Stub(1)), scenes.cut(1, Stub(1), Stub(2))
    assert same == Cut(cut=False, score=0.0)
    assert other.cut
    assert other.score > 0.5


def test_only_a_pair_in_doubt_is_matched_by_the_network():
    matching = NoMotion()
    scenes = SceneDetector(Measures(), matching, skip_threshold=60.0)
    scenes.cut(0, Stub(1), Stub(1))
    assert matching.calls == 0
    scenes.cut(1, Stub(1), Stub(2))
    assert matching.calls == 1


def test_colours_that_differ_are_a_cut_even_where_cuts_do_not_count():
    scenes, measures = detector(detect=False)
    assert scenes.cut(0, Stub(1), Stub(1, colour="2020")) == Cut(cut=True)
    assert scenes.cut(1, Stub(1, ends=True), Stub(2)) == Cut(cut=False)
    assert measures.calls == []


def test_each_verdict_and_each_signature_is_made_once():
    scenes, measures = detector()
    frames = [Stub(seed) for seed in (1, 2, 3)]
    for _ in range(2):
        for k in range(2):
            scenes.cut(k, frames[k], frames[k + 1])
            scenes.duplicate(k, frames[k], frames[k + 1])
    assert sorted(measures.calls) == ["compared at 60", "compared at 60", "signature 1", "signature 2", "signature 3"]


def test_a_boundary_of_which_one_frame_is_missing_goes_by_the_properties():
    scenes, measures = detector()
    assert scenes.boundary(0, Stub(1, ends=True), None) is True
    assert scenes.boundary(0, None, Stub(1, starts=False)) is False
    assert scenes.boundary(0, None, None) is None
    assert scenes.boundary(1, Stub(1), Stub(2)) is True
    assert measures.calls == ["signature 1", "signature 2"]


def test_a_healthy_frame_does_not_fail_because_of_its_neighbour():
    scenes, _ = detector()
    broken = Stub(2, colour="unsupported", starts=True)
    with pytest.raises(ArgumentError, match="matrix"):
        scenes.cut(0, Stub(1), broken)
    assert scenes.boundary(0, Stub(1), broken) is True


def test_duplicates_are_looked_for_only_where_they_are_skipped():
    scenes, measures = detector(skip=False)
    assert scenes.duplicate(0, Stub(1), Stub(1)) is False
    assert measures.calls == []
    scenes, _ = detector()
    assert scenes.duplicate(0, Stub(1), Stub(1)) is True
    assert scenes.duplicate(1, Stub(1), Stub(2)) is False
