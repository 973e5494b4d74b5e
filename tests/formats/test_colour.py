import itertools

import pytest
import vapoursynth as vs
from hypothesis import given
from hypothesis import strategies as st

from vsrife.errors import ArgumentError, RifeError
from vsrife.formats.colour import (
    ChromaLocation,
    Colour,
    ColourOverrides,
    Matrix,
    Range,
    check_overrides,
    colour_of,
    parse_chromaloc,
    parse_matrix,
    parse_range,
)
from vsrife.formats.pixel_format import PixelFormat

core = vs.core

YUV420P8 = PixelFormat.from_vs_id(vs.YUV420P8)
YUV444P8 = PixelFormat.from_vs_id(vs.YUV444P8)
YUV420PS = PixelFormat.from_vs_id(vs.YUV420PS)
GRAY8 = PixelFormat.from_vs_id(vs.GRAY8)
GRAYS = PixelFormat.from_vs_id(vs.GRAYS)
RGB24 = PixelFormat.from_vs_id(vs.RGB24)
RGBS = PixelFormat.from_vs_id(vs.RGBS)


def of(props: dict[str, int], fmt: PixelFormat = YUV420P8, width: int = 1920, height: int = 1080) -> Colour:
    return colour_of(props, fmt, width, height)


@pytest.mark.parametrize(
    ("width", "height", "matrix"),
    [
        (720, 480, Matrix.ST170M),
        (720, 486, Matrix.ST170M),
        (720, 576, Matrix.BT470BG),
        (704, 578, Matrix.BT709),
        (1280, 534, Matrix.BT709),
        (1920, 1080, Matrix.BT709),
        (3840, 2160, Matrix.BT709),
        (2, 2, Matrix.ST170M),
    ],
)
def test_a_missing_matrix_is_taken_from_the_size(width: int, height: int, matrix: Matrix) -> None:
    for props in ({}, {"_Matrix": 2}, {"_Matrix": 2, "_ColorSpace": 2}):
        assert of(props, width=width, height=height).matrix is matrix


@pytest.mark.parametrize("props", [{"_Primaries": 9}, {"_Transfer": 14}, {"_Transfer": 16}, {"_Transfer": 18}])
def test_a_missing_matrix_is_bt2020_where_the_rest_is(props: dict[str, int]) -> None:
    assert of(props, width=720, height=480).matrix is Matrix.BT2020NCL
    assert of({**props, "_Matrix": 1}).matrix is Matrix.BT709


def test_the_matrix_prop_goes_before_mpvs() -> None:
    assert of({"_Matrix": 5, "_ColorSpace": 9}).matrix is Matrix.BT470BG
    assert of({"_Matrix": 2, "_ColorSpace": 9}).matrix is Matrix.BT2020NCL
    assert of({"_ColorSpace": 7}).matrix is Matrix.ST240M


@pytest.mark.parametrize("number", [0, 3, 10, 12, 13, 14, 99, -1])
@pytest.mark.parametrize("prop", ["_Matrix", "_ColorSpace"])
def test_a_matrix_that_is_not_taken_names_prop_value_and_override(prop: str, number: int) -> None:
    with pytest.raises(RifeError) as caught:
        of({prop: number})
    assert str(caught.value).startswith(f"{prop} ({number}")
    assert "matrix_in='709'" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert colour_of({prop: number}, YUV420P8, 8, 8, ColourOverrides(matrix=Matrix.BT709)).matrix is Matrix.BT709


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (0, "_Matrix (0, rgb) must be"),
        (3, "_Matrix (3) must be"),
        (10, "_Matrix (10, 2020cl: constant luminance"),
        (11, "_Matrix (11, 2085: it works on X, Y and Z)"),
        (12, "_Matrix (12, chromancl: it depends"),
        (13, "_Matrix (13, chromacl: constant luminance"),
        (14, "_Matrix (14, ictcp: it works on cone responses"),
    ],
)
def test_a_matrix_that_is_not_taken_says_why(number: int, why: str) -> None:
    with pytest.raises(RifeError) as caught:
        of({"_Matrix": number})
    assert str(caught.value).startswith(why)


def test_rgb_and_gray_do_not_look_at_the_matrix() -> None:
    for fmt in (RGB24, GRAY8):
        assert of({"_Matrix": 99}, fmt) == of({}, fmt)
        assert of({}, fmt).matrix is Matrix.RGB


@pytest.mark.parametrize(
    ("fmt", "missing"), [(YUV420P8, False), (GRAY8, False), (RGB24, True), (RGBS, True), (YUV420PS, True)]
)
def test_a_missing_range(fmt: PixelFormat, missing: bool) -> None:
    assert of({}, fmt).full_range is missing


def test_the_old_range_prop_counts_the_other_way() -> None:
    assert of({"_Range": 1}).full_range
    assert not of({"_Range": 0}).full_range
    assert of({"_ColorRange": 0}).full_range
    assert not of({"_ColorRange": 1}).full_range
    assert of({"_Range": 1, "_ColorRange": 1}).full_range


@pytest.mark.parametrize(("old", "full"), [(0, True), (1, False)])
def test_the_core_maps_the_old_range_prop(old: int, full: bool) -> None:
    clip = core.std.BlankClip(format=vs.YUV420P8, width=16, height=16, length=1)
    with pytest.warns(DeprecationWarning, match="_ColorRange"):
        frame = clip.std.SetFrameProps(_ColorRange=old).get_frame(0)
    assert frame.props["_Range"] == int(full)
    assert of(dict(frame.props)).full_range is full


def test_the_range_of_floats_is_not_looked_at() -> None:
    assert of({"_Range": 0}, RGBS) == of({"_Range": 1}, RGBS)


@pytest.mark.parametrize("prop", ["_Range", "_ColorRange"])
def test_a_range_that_does_not_exist(prop: str) -> None:
    with pytest.raises(RifeError, match=rf"^{prop} \(2\) must be 0 .* range_in='limited'$"):
        of({prop: 2})


def test_chroma_locations() -> None:
    assert of({}).chroma is ChromaLocation.LEFT
    for location in vs.ChromaLocation:
        assert of({"_ChromaLocation": location}).chroma == location
    with pytest.raises(RifeError, match=r"^_ChromaLocation \(6\) must be one of left \(0\), .* chromaloc_in='left'$"):
        of({"_ChromaLocation": 6})
    assert of({"_ChromaLocation": 6}, YUV444P8).chroma is ChromaLocation.LEFT


@pytest.mark.parametrize(
    ("location", "at"),
    [
        (ChromaLocation.LEFT, (0, 0.5)),
        (ChromaLocation.CENTER, (1.5, 0.5)),
        (ChromaLocation.TOP_LEFT, (0, 0)),
        (ChromaLocation.TOP, (1.5, 0)),
        (ChromaLocation.BOTTOM_LEFT, (0, 1)),
        (ChromaLocation.BOTTOM, (1.5, 1)),
    ],
)
def test_places_of_chroma_samples(location: ChromaLocation, at: tuple[float, float]) -> None:
    assert location.offset(2, 1) == at
    assert location.offset(0, 0) == (0, 0)


def test_frames_that_mean_different_things_differ() -> None:
    props = [
        {"_Matrix": 1, "_Range": r, "_Transfer": t, "_ChromaLocation": c}
        for r in (0, 1)
        for t in (1, 16)
        for c in (0, 2)
    ]
    props += [{"_Matrix": 9, "_Range": 0, "_Transfer": 1, "_ChromaLocation": 0}]
    for one, other in itertools.combinations(props, 2):
        assert of(one) != of(other)
        assert hash(of(one)) == hash(of(dict(one)))
    assert of({}) == of({"_Matrix": 1, "_Range": 0, "_Transfer": 2, "_ChromaLocation": 0, "_Other": 1})


def test_linear_light() -> None:
    assert of({"_Transfer": 8}).linear
    assert not of({"_Transfer": 13}).linear
    assert not of({}).linear


def test_overrides_go_before_props() -> None:
    overrides = ColourOverrides(matrix=Matrix.FCC, range=Range.FULL, chroma=ChromaLocation.TOP)
    colour = colour_of({"_Matrix": 1, "_Range": 0, "_ChromaLocation": 1}, YUV420P8, 64, 64, overrides)
    assert colour == Colour(matrix=Matrix.FCC, full_range=True, chroma=ChromaLocation.TOP)


@pytest.mark.parametrize(
    ("fmt", "overrides", "argument"),
    [
        (RGB24, ColourOverrides(matrix=Matrix.BT709), "matrix_in (709)"),
        (YUV420P8, ColourOverrides(matrix=Matrix.RGB), "matrix_in (rgb)"),
        (GRAY8, ColourOverrides(matrix=Matrix.BT709), "matrix_in (709)"),
        (GRAY8, ColourOverrides(matrix=Matrix.RGB), "matrix_in (rgb)"),
        (YUV444P8, ColourOverrides(chroma=ChromaLocation.LEFT), "chromaloc_in (left)"),
        (RGB24, ColourOverrides(chroma=ChromaLocation.TOP_LEFT), "chromaloc_in (top_left)"),
        (GRAYS, ColourOverrides(range=Range.LIMITED), "range_in (limited)"),
        (YUV420PS, ColourOverrides(range=Range.LIMITED), "range_in (limited)"),
    ],
)
def test_an_override_that_would_be_ignored_is_an_error(
    fmt: PixelFormat, overrides: ColourOverrides, argument: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        check_overrides(fmt, overrides)
    assert str(caught.value).startswith(argument)
    assert fmt.name in str(caught.value)
    assert ("take one of 709 (1), " if fmt is YUV420P8 else "leave it out") in str(caught.value)


@pytest.mark.parametrize(
    ("fmt", "overrides"),
    [
        (YUV420P8, ColourOverrides(matrix=Matrix.YCGCO, range=Range.FULL, chroma=ChromaLocation.CENTER)),
        (RGB24, ColourOverrides(matrix=Matrix.RGB, range=Range.LIMITED)),
        (GRAY8, ColourOverrides(range=Range.FULL)),
        (RGBS, ColourOverrides(range=Range.FULL)),
        (YUV420PS, ColourOverrides(chroma=ChromaLocation.BOTTOM)),
    ],
)
def test_an_override_that_counts_is_taken(fmt: PixelFormat, overrides: ColourOverrides) -> None:
    check_overrides(fmt, overrides)
    colour = colour_of({}, fmt, 64, 64, overrides)
    assert overrides.matrix in (None, colour.matrix)
    assert overrides.range in (None, Range(colour.full_range))
    assert overrides.chroma in (None, colour.chroma)


def test_matrices_have_names_and_numbers() -> None:
    names = {"rgb": 0, "709": 1, "fcc": 4, "470bg": 5, "170m": 6, "240m": 7, "ycgco": 8, "2020ncl": 9}
    assert {matrix.label: int(matrix) for matrix in Matrix} == names
    for name, number in names.items():
        assert parse_matrix(name) == parse_matrix(str(number)) == parse_matrix(f" {name.upper()} ") == number
    # resize knows each by the same name and number.
    clip = core.std.BlankClip(format=vs.RGB24, width=16, height=16, length=1)
    for name, number in names.items():
        if name != "rgb":
            assert clip.resize.Point(format=vs.YUV444P8, matrix_s=name).get_frame(0).props["_Matrix"] == number


@pytest.mark.parametrize("text", ["2020cl", "chromacl", "chromancl", "ictcp", "10", "12", "13", "14", "ICTCP"])
def test_matrices_that_are_refused_say_why(text: str) -> None:
    with pytest.raises(ArgumentError, match=rf"^matrix_in \({text}\) must be one of 709 \(1\), .* not supported: "):
        parse_matrix(text)


@given(st.text().filter(lambda text: not text.strip().isdigit()))
def test_other_words_list_the_choices(text: str) -> None:
    if text.strip().lower() in {"rgb", "fcc", "470bg", "170m", "240m", "ycgco", "2020ncl"}:
        return
    with pytest.raises(ArgumentError, match=r"(?s)^matrix_in \(.*\) must be one of 709 \(1\), ((?!rgb).)*$"):
        parse_matrix(text)


def test_ranges_and_locations_have_names_and_numbers() -> None:
    assert parse_range("limited") is parse_range("0") is Range.LIMITED
    assert parse_range("full") is parse_range("1") is Range.FULL
    names = ["left", "center", "top_left", "top", "bottom_left", "bottom"]
    assert (
        [parse_chromaloc(name) for name in names] == [parse_chromaloc(str(n)) for n in range(6)] == list(ChromaLocation)
    )
    with pytest.raises(ArgumentError, match=r"^range_in \(tv\) must be one of .*full \(1\); did you mean limited\?$"):
        parse_range("tv")
    with pytest.raises(ArgumentError, match=r"^chromaloc_in \(middle\) must be one of left \(0\), center \(1\), "):
        parse_chromaloc("middle")
