import pytest
import vapoursynth as vs
from hypothesis import given
from hypothesis import strategies as st

from vsrife.errors import ArgumentError, RifeError
from vsrife.formats.pixel_format import Family, PixelFormat

core = vs.core

SAMPLES = [(vs.INTEGER, bits) for bits in range(8, 17)] + [(vs.FLOAT, 16), (vs.FLOAT, 32)]


@st.composite
def vs_formats(draw: st.DrawFn) -> vs.VideoFormat:
    family = draw(st.sampled_from([vs.GRAY, vs.YUV, vs.RGB]))
    sample, bits = draw(st.sampled_from(SAMPLES))
    subsampling = (draw(st.integers(0, 4)), draw(st.integers(0, 4))) if family == vs.YUV else (0, 0)
    return core.query_video_format(family, sample, bits, *subsampling)


@given(vs_formats())
def test_every_format_taken_is_described_as_vapoursynth_does(expected: vs.VideoFormat) -> None:
    fmt = PixelFormat.from_vs_id(expected.id)
    assert fmt.name == expected.name
    assert fmt.planes == expected.num_planes
    assert fmt.bytes_per_sample == expected.bytes_per_sample
    assert (fmt.subsampling_w, fmt.subsampling_h) == (expected.subsampling_w, expected.subsampling_h)
    assert fmt.peak == (1.0 if expected.sample_type == vs.FLOAT else 2**expected.bits_per_sample - 1)
    fields = (expected.color_family, expected.sample_type, expected.bits_per_sample)
    assert PixelFormat.from_fields(*fields, expected.subsampling_w, expected.subsampling_h) == fmt


@given(vs_formats(), st.integers(1, 5), st.integers(1, 5))
def test_plane_sizes_are_those_of_a_frame(expected: vs.VideoFormat, across: int, down: int) -> None:
    fmt = PixelFormat.from_vs_id(expected.id)
    width, height = across << fmt.subsampling_w, down << fmt.subsampling_h
    frame = core.std.BlankClip(format=expected.id, width=width, height=height, length=1).get_frame(0)
    sizes = [fmt.plane_size(plane, width, height) for plane in range(fmt.planes)]
    assert sizes == [(frame[plane].shape[1], frame[plane].shape[0]) for plane in range(fmt.planes)]


@pytest.mark.parametrize(
    ("family", "subsampling", "name", "remedy"),
    [
        (vs.GRAY, (0, 0), "Gray32", "vs.GRAY16"),
        (vs.RGB, (0, 0), "RGB96", "vs.RGB48"),
        (vs.YUV, (1, 1), "YUV420P32", "vs.YUV420P16"),
        (vs.YUV, (3, 1), "YUVssw3ssh1P32", "core.query_video_format(vs.YUV, vs.INTEGER, 16, 3, 1).id"),
    ],
)
def test_32_bit_integers_are_refused_with_a_format_to_use(
    family: int, subsampling: tuple[int, int], name: str, remedy: str
) -> None:
    fields = core.query_video_format(family, vs.INTEGER, 32, *subsampling)
    assert fields.name == name
    with pytest.raises(RifeError) as caught:
        PixelFormat.from_vs_id(fields.id)
    assert str(caught.value).startswith(f"clip ({name}) must ")
    assert f"format={remedy} " in str(caught.value)
    assert eval(remedy, {"core": core, "vs": vs}) in {vs.GRAY16, vs.RGB48, vs.YUV420P16, 0x30100301}


def test_the_core_has_no_filter_that_reads_what_is_refused() -> None:
    # The message says that resize does not help. Should a later VapourSynth read these, the message can name the line.
    clip = core.std.BlankClip(format=core.query_video_format(vs.YUV, vs.INTEGER, 32).id, width=16, height=16, length=1)
    with pytest.raises(vs.Error, match="no matching pixel type"):
        clip.resize.Bicubic(format=vs.YUV444P16).get_frame(0)


def test_17_bits_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"clip \(YUV444P17\) must have 8 to 16 bit integer"):
        PixelFormat.from_fields(vs.YUV, vs.INTEGER, 17)


def test_a_variable_format_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"clip \(variable format\) must have a constant format; convert"):
        PixelFormat.from_vs_id(0)


@pytest.mark.parametrize("subsampling", [{"subsampling_w": 5}, {"subsampling_h": -1}])
def test_a_subsampling_no_clip_can_have_is_refused(subsampling: dict[str, int]) -> None:
    with pytest.raises(ArgumentError, match="subsampling"):
        PixelFormat(family=Family.YUV, float_samples=False, bits=8, **subsampling)


def test_rgb_has_no_subsampling() -> None:
    with pytest.raises(ArgumentError, match="subsampling"):
        PixelFormat(family=Family.RGB, float_samples=False, bits=8, subsampling_w=1)
