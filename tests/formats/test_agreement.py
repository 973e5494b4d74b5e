import itertools

import pytest
import vapoursynth as vs

from vsrife.formats.agreement import differences, merged
from vsrife.formats.colour import ChromaLocation, ColourOverrides, ColourProps, Matrix, Range
from vsrife.formats.pixel_format import PixelFormat

FORMATS = {
    name: PixelFormat.from_vs_id(getattr(vs, name))
    for name in ("YUV420P8", "YUV422P10", "YUV440P8", "YUV444P16", "YUV420PS", "RGB24", "RGBS", "GRAY16")
}


def parted(left: dict[str, int], right: dict[str, int], name: str = "YUV420P8", **overrides) -> list[str]:
    fmt = FORMATS[name]
    sides = [ColourProps.read(props, fmt, ColourOverrides(**overrides)) for props in (left, right)]
    found = [each.prop for each in differences(*sides, fmt)]
    assert [each.prop for each in differences(*reversed(sides), fmt)] == found
    if not found:
        assert merged(*sides) == merged(*reversed(sides))
    return found


ALL = {"_Matrix": 9, "_Range": 1, "_ChromaLocation": 2, "_Transfer": 16, "_Primaries": 9}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("prop", ALL)
def test_a_property_that_one_of_them_lacks_parts_nothing(name, prop):
    rest = {key: value for key, value in ALL.items() if key != prop}
    assert parted(ALL, rest, name) == []
    assert parted(ALL, {}, name) == []
    fmt = FORMATS[name]
    assert merged(ColourProps.read(ALL, fmt), ColourProps.read({}, fmt)) == ColourProps.read(ALL, fmt)
    assert merged(ColourProps.read(rest, fmt), ColourProps.read({prop: ALL[prop]}, fmt)) == ColourProps.read(ALL, fmt)


@pytest.mark.parametrize(
    ("prop", "numbers"), [("_Matrix", [2]), ("_ColorSpace", [2]), ("_Transfer", [0, 2, 3]), ("_Primaries", [0, 2, 3])]
)
def test_unspecified_is_as_if_it_were_missing(prop, numbers):
    for number in numbers:
        assert parted({prop: number}, ALL) == []
        assert ColourProps.read({prop: number}, FORMATS["YUV420P8"]) == ColourProps()


@pytest.mark.parametrize(
    ("prop", "groups"),
    [
        ("_Matrix", [(1,), (4,), (5, 6), (7,), (8,), (9,)]),
        ("_Transfer", [(1, 6, 14, 15), (4,), (5,), (7,), (8,), (13,), (16,), (18,)]),
        ("_Primaries", [(1,), (4,), (5,), (6, 7), (8,), (9,), (10,), (11,), (12,), (22,)]),
        ("_Range", [(0,), (1,)]),
        ("_ChromaLocation", [(0,), (1,), (2,), (3,), (4,), (5,)]),
    ],
)
def test_numbers_of_one_meaning_are_equal_and_others_are_not(prop, groups):
    for one, other in itertools.product(groups, repeat=2):
        for left, right in itertools.product(one, other):
            assert parted({prop: left}, {prop: right}) == ([] if one is other else [prop]), (left, right)


@pytest.mark.parametrize(
    ("name", "groups"),
    [("YUV422P10", [(0, 2, 4), (1, 3, 5)]), ("YUV440P8", [(0, 1), (2, 3), (4, 5)]), ("YUV444P16", [tuple(range(6))])],
)
def test_chroma_locations_differ_where_the_subsampling_lets_them(name, groups):
    for one, other in itertools.product(groups, repeat=2):
        for left, right in itertools.product(one, other):
            expected = [] if one is other else ["_ChromaLocation"]
            assert parted({"_ChromaLocation": left}, {"_ChromaLocation": right}, name) == expected


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("RGB24", {"_Range", "_Transfer", "_Primaries"}),
        ("RGBS", {"_Transfer", "_Primaries"}),
        ("GRAY16", {"_Range", "_Transfer"}),
        ("YUV420PS", set(ALL) - {"_Range"}),
        ("YUV444P16", set(ALL) - {"_ChromaLocation"}),
    ],
)
def test_what_a_format_has_no_use_for_parts_nothing(name, counts):
    other = {"_Matrix": 1, "_Range": 0, "_ChromaLocation": 0, "_Transfer": 1, "_Primaries": 1}
    assert set(parted(ALL, other, name)) == counts


def test_an_argument_stands_for_the_property_of_both():
    left = {"_Matrix": 1, "_Range": 0, "_ChromaLocation": 0}
    right = {"_Matrix": 9, "_Range": 1, "_ChromaLocation": 1}
    assert parted(left, right) == ["_Matrix", "_Range", "_ChromaLocation"]
    assert parted(left, right, matrix=Matrix.BT709, range=Range.FULL, chroma=ChromaLocation.TOP) == []


def test_values_and_the_way_out_are_named():
    (matrix, transfer) = differences(
        ColourProps(matrix=Matrix.ST170M, transfer=6),
        ColourProps(matrix=Matrix.BT2020NCL, transfer=16),
        FORMATS["YUV420P8"],
    )
    assert (matrix.left, matrix.right, matrix.override) == ("6 (170m)", "9 (2020ncl)", 'matrix_in="170m"')
    assert (transfer.left, transfer.right) == ("6", "16")
    assert transfer.override == "clip.std.SetFrameProps(_Transfer=6)"


def test_tags_that_alternate_are_seen_in_one_way():
    a, b = ColourProps(matrix=Matrix.BT470BG, transfer=1), ColourProps(matrix=Matrix.ST170M, transfer=15)
    assert merged(a, b) == merged(b, a) == a
