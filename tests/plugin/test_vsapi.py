"""`Frame` and native/frames.c: properties read and written, new frames, planes.

`test_lifetime.TestReferences` tests that no reference is kept, with VapourSynth's debugging of frame references.
"""

import ctypes
from collections.abc import Callable
from fractions import Fraction
from typing import Any
from unittest import mock

import numpy as np
import pytest
import vapoursynth as vs

from vsrife.formats.colour import COLOUR_PROPS
from vsrife.plugin import vsapi
from vsrife.plugin.clip_info import format_of
from vsrife.plugin.filter import Filter
from vsrife.plugin.output_props import OutputProps, RifeKind
from vsrife.plugin.source_props import CACHE_KEY_BYTES, SourceProps
from vsrife.plugin.vsapi import Frame

core = vs.core


@pytest.fixture
def inside(average_model):
    """Calls a function with the first frame of a clip, as a filter has it, and answers what that answers."""

    def run[T](clip: vs.VideoNode, look: Callable[[Frame], T]) -> T:
        found: list[T] = []

        def produce(self: Filter, n: int, context: object) -> object:
            with self._core.frames(self._node, [0], context) as frames:
                found.append(look(frames[0]))
                return frames[0].copy().release()

        with mock.patch.object(Filter, "produce", produce):
            core.rife.RIFE(clip, model=average_model, device="cpu", sc=0, skip=0).get_frame(0).close()
        return found[0]

    return run


def blank(format: int = vs.YUV420P8, **props: object) -> vs.VideoNode:
    """A clip with these properties and no others."""
    clip = core.std.BlankClip(format=format, width=70, height=34, length=2)
    clip = clip.std.RemoveFrameProps()
    return clip.std.SetFrameProps(**props) if props else clip


def told(frame: Frame) -> tuple[SourceProps, float | None]:
    return frame.source_props, frame.absolute_time


def test_the_names_are_those_that_have_a_meaning(inside):
    names = inside(blank(), lambda _: vsapi.source_prop_names())
    assert set(COLOUR_PROPS) < set(names)
    assert inside(blank(), lambda _: vsapi.ffi().offsetof("RifeSourceProps", "time")) == CACHE_KEY_BYTES


def test_a_frame_without_properties(inside):
    props, time = inside(blank(), told)
    assert (props.colour, props.field_based, props.duration, props.has_alpha, time) == ((), 0, None, False, None)
    assert (props.starts_scene, props.ends_scene, props.field) == (None, None, None)


def test_each_property_is_found(inside):
    found = {name: number for number, name in enumerate(COLOUR_PROPS, 3) if name != "_ColorRange"}
    props, time = inside(
        blank(**found, _FieldBased=2, _Field=1, _DurationNum=1001, _DurationDen=24000, _SceneChangePrev=1,
              _SceneChangeNext=0, _AbsoluteTime=1.5),
        told,
    )  # fmt: skip
    assert found.items() <= dict(props.colour).items()  # and _ColorRange, which the core makes of _Range
    assert (props.field_based, props.field, props.duration, time) == (2, 1, Fraction(1001, 24000), 1.5)
    assert (props.starts_scene, props.ends_scene) == (True, False)


def test_values_of_other_types_are_missing(inside):
    wrong = {"_Matrix": "x", "_FieldBased": 1.5, "_DurationNum": "1", "_DurationDen": 2.0, "_SceneChangePrev": "1"}
    props, time = inside(blank(**wrong, _AbsoluteTime="2"), told)
    assert (props.colour, props.field_based, props.duration, props.starts_scene, time) == ((), 0, None, None, None)


def test_of_several_values_the_first_counts(inside):
    props, time = inside(
        blank(_Matrix=[5, 1], _DurationNum=[1, 7], _DurationDen=[25, 3], _SceneChangeNext=[1, 0], _AbsoluteTime=[4, 9]),
        told,
    )
    assert (props.colour, props.duration, props.ends_scene) == ((("_Matrix", 5),), Fraction(1, 25), True)
    assert (time, type(time)) == (4.0, float)  # of an integer too


@pytest.mark.parametrize("numbers", [(0, 24), (1, 0), (-1, -24), (1, None)])
def test_a_duration_that_is_none(inside, numbers):
    found = {key: number for key, number in zip(("_DurationNum", "_DurationDen"), numbers, strict=True)
             if number is not None}  # fmt: skip
    assert inside(blank(**found), told)[0].duration is None


def test_the_largest_numbers_pass(inside):
    most = 2**63 - 1
    assert inside(blank(_DurationNum=most, _DurationDen=1, _Primaries=-most), told)[0].duration == most
    assert inside(blank(_Primaries=-most), told)[0].colour == (("_Primaries", -most),)


@pytest.mark.parametrize("alpha", ["clip", 3])
def test_whether_there_is_an_alpha(inside, alpha):
    clip = blank()
    if alpha == "clip":
        clip = clip.std.ClipToProp(core.std.BlankClip(clip, format=vs.GRAY8), prop="_Alpha")
    else:
        clip = clip.std.SetFrameProps(_Alpha=alpha)
    assert inside(clip, told)[0].has_alpha


def written(inside, clip: vs.VideoNode, kind: RifeKind = RifeKind.INTERPOLATED, **output: Any) -> dict[str, object]:
    """The properties of a copy with output properties; the frame that it was copied from must keep its own."""
    keys = ("_DurationNum", "_DurationDen", "_SceneChangePrev", "_SceneChangeNext", "_PictType", "_AbsoluteTime",
            "RifeKind", "RifeSceneScore", "Other")  # fmt: skip

    def look(frame: Frame) -> dict[str, object]:
        before = {key: frame.props.value(key) for key in keys}
        made = frame.copy()
        made.write_output_props(OutputProps(kind=kind, **output))
        after = {key: made.props.value(key) for key in keys if key in made.props}
        made.free()
        assert before == {key: frame.props.value(key) for key in keys}
        return after

    return inside(clip, look)


OLD = {"_DurationNum": [1, 2], "_DurationDen": "x", "_SceneChangePrev": 1, "_SceneChangeNext": 2.5, "_PictType": "B",
       "_AbsoluteTime": 3, "RifeKind": 7, "RifeSceneScore": [1.0, 2.0], "Other": "kept"}  # fmt: skip


def test_what_is_not_known_is_removed(inside):
    assert written(inside, blank(**OLD)) == {"_AbsoluteTime": 3.0, "RifeKind": "interpolated", "Other": "kept"}
    assert written(inside, blank()) == {"RifeKind": "interpolated"}


@pytest.mark.parametrize("kind", RifeKind)
def test_the_coded_picture_type_stays_on_source_frames_alone(inside, kind):
    assert ("_PictType" in written(inside, blank(**OLD), kind)) == (kind is RifeKind.SOURCE)


@pytest.mark.parametrize("clip", [OLD, {}])
def test_what_is_known_replaces_values_of_any_type(inside, clip):
    found = written(
        inside, blank(**clip), RifeKind.SOURCE, duration=Fraction(1, 48), starts_scene=False, ends_scene=True,
        absolute_time=0.0, scene_score=0.0,
    )  # fmt: skip
    kept = {key: clip[key] for key in ("_PictType", "Other") if key in clip}
    assert found == {"_DurationNum": 1, "_DurationDen": 48, "_SceneChangePrev": 0, "_SceneChangeNext": 1,
                     "_AbsoluteTime": 0, "RifeKind": "source", "RifeSceneScore": 0, **kept}  # fmt: skip


@pytest.mark.parametrize(("format", "sizes"), [
    (vs.GRAY16, [(70, 34)]),
    (vs.RGBS, 3 * [(70, 34)]),
    (vs.YUV420P8, [(70, 34), (35, 17), (35, 17)]),
])  # fmt: skip
def test_the_planes_of_a_frame(inside, format, sizes):
    clip = core.std.BlankClip(blank(format), color=[3] if len(sizes) == 1 else [0.25, 0.5, 1] if format == vs.RGBS
                              else [3, 4, 5])  # fmt: skip
    item = core.get_video_format(format).bytes_per_sample

    def look(frame: Frame) -> list[bytes]:
        numbers = frame.planes()
        assert len(numbers) == 2 * len(sizes)
        rows = []
        for address, stride, (width, _) in zip(numbers[::2], numbers[1::2], sizes, strict=True):
            assert stride >= width * item
            rows.append(ctypes.string_at(address, width * item))
        return rows

    expected = [np.asarray(plane)[0].tobytes() for plane in clip.get_frame(0)]
    assert inside(clip, look) == expected


def test_planes_are_shared_until_they_are_written(inside):
    def look(frame: Frame) -> None:
        shared = frame.copy()
        assert shared.planes() == frame.planes()
        own = shared.writable_planes()
        assert not set(own[::2]) & set(frame.planes()[::2])
        assert shared.writable_planes() == shared.planes() == own
        shared.free()

    inside(blank(), look)


def test_a_new_frame_is_like_the_other(inside):
    def look(frame: Frame) -> tuple[object, ...]:
        made = frame.blank_like()
        assert not set(made.planes()[::2]) & set(frame.planes()[::2])
        found = format_of(made.format).name, made.size(), made.size(1), made.props.value("Other")
        made.free()
        return found

    assert inside(blank(vs.YUV422P10, Other="kept"), look) == ("YUV422P10", (70, 34), (35, 34), "kept")
