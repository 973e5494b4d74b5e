"""Every script in examples/ is run as its user would run it: through vspipe into ffmpeg, or with what mpv gives."""

import json
import math
import os
import runpy
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import pytest
import vapoursynth as vs

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
LOSSLESS = "-c:v ffv1"


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """This Python's programs first; source indices go to a folder that is thrown away."""
    programs = str(Path(sys.executable).parent)
    return os.environ | {
        "PATH": programs + os.pathsep + os.environ["PATH"],
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
        "FFMPEG": FFMPEG,
    }


def run(command, environment, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], env=environment, capture_output=True, text=True, timeout=150, **options
    )


def ffmpeg(*options) -> str:
    done = run([FFMPEG, "-hide_banner", "-v", "error", "-y", *options], os.environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def encode(environment, script, source, result, *options, video=LOSSLESS) -> subprocess.CompletedProcess[str]:
    return run(
        [EXAMPLES / "encode.sh", EXAMPLES / script, source, result, *options], environment | {"VIDEO": video}
    )  # fmt: skip


def evaluate(environment, script, source, model, folder) -> tuple[str, list[dict], list[float]]:
    """What y4m says of a script's clip in its first line, the props of all its frames, the time of each in seconds."""
    done = run(
        ["vspipe", "-c", "y4m", "-j", folder / "props.json", "-t", folder / "times.txt",
         "-a", f"source={source}", "-a", f"model={model}", EXAMPLES / script, folder / "clip.y4m"],
        environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with (folder / "clip.y4m").open("rb") as stream:
        header = stream.readline().decode()
    props = json.loads((folder / "props.json").read_text())
    times = [float(line) / 1000 for line in (folder / "times.txt").read_text().splitlines()[1:]]
    return header, props, times


def read(path) -> vs.VideoNode:
    return vs.core.bs.VideoSource(str(path), cachemode=0, showprogress=False)


def planes(frame) -> list[bytes]:
    return [bytes(frame[plane]) for plane in range(frame.format.num_planes)]


def duration(props) -> Fraction:
    return Fraction(props["_DurationNum"], props["_DurationDen"])


def sound_of(path) -> str:
    return ffmpeg("-i", path, "-map", "0:a", "-c", "copy", "-f", "md5", "-")


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """20 frames of 94x66 at 24000/1001, with sound, under a name that a careless script would split."""
    path = tmp_path_factory.mktemp("film") / "a film's.mp4"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=94x66:r=24000/1001", "-f", "lavfi", "-i", "sine=r=48000"),
        *("-frames:v", "20", "-t", "0.834", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", path),
    )
    return path


@pytest.fixture(scope="module")
def phone_clip(tmp_path_factory) -> Path:
    """12 frames of 66x94, upright, that last 1/30, 1/30, 1/15, 1/30, 1/30, 1/15 ... seconds."""
    path = tmp_path_factory.mktemp("phone") / "phone.mp4"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=66x94:r=30", "-vf", "select='mod(n,4)-3'", "-frames:v", "12"),
        *(
            "-fps_mode",
            "passthrough",
            "-c:v",
            "libx264",
            "-pix_fmt",
            "yuv420p",
            "-video_track_timescale",
            "90000",
            path,
        ),
    )
    return path


@pytest.fixture(scope="module")
def hdr_film(tmp_path_factory) -> Path:
    """6 frames of 96x64 HDR10: 10 bits, PQ, BT.2020, with a mastering display and light levels."""
    path = tmp_path_factory.mktemp("hdr") / "hdr.mkv"
    light = "master-display=G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,50):max-cll=1000,400"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=96x64:r=24", "-frames:v", "6", "-pix_fmt", "yuv420p10le"),
        *("-c:v", "libx265", "-x265-params", f"log-level=none:hdr10=1:repeat-headers=1:{light}"),
        *("-vf", "setparams=range=tv:color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc", path),
    )
    return path


@pytest.fixture(scope="module")
def doubled(environment, film, average_model, tmp_path_factory) -> Path:
    result = tmp_path_factory.mktemp("doubled") / "the result.mkv"
    done = encode(environment, "double.vpy", film, result, "-a", f"model={average_model}")
    assert done.returncode == 0, done.stderr
    return result


def test_double_with_the_sources_sound(film, doubled):
    assert [path.name for path in doubled.parent.iterdir()] == ["the result.mkv"], "only the whole file stays"
    source, result = read(film), read(doubled)
    assert (source.num_frames, result.num_frames) == (20, 40)
    assert result.fps == 2 * source.fps == Fraction(48000, 1001)
    assert result.format.id == source.format.id
    assert sound_of(doubled) == sound_of(film)
    originals = [planes(frame) for frame in source.frames()]
    frames = [planes(frame) for frame in result.frames()]
    assert frames[::2] == originals
    assert frames[39] == originals[19], "the last frame is held"
    for k in range(19):
        assert frames[2 * k + 1] not in (originals[k], originals[k + 1])


def test_encode_leaves_nothing_that_looks_whole_when_a_program_fails(environment, film, tmp_path):
    script = tmp_path / "breaks.vpy"
    script.write_text(
        "import vapoursynth as vs\n"
        "clip = vs.core.std.BlankClip(format=vs.YUV420P8, length=20)\n"
        "def answer(n):\n"
        "    return clip if n < int(good) else 1 / 0\n"
        "vs.core.std.FrameEval(clip, answer).set_output()\n"
    )
    result = tmp_path / "out.mkv"
    done = encode(environment, script, film, result, "-a", "good=10")
    assert done.returncode == 1
    assert "division by zero" in done.stderr
    assert "encode.sh: failed: vspipe (see above)" in done.stderr
    assert not result.exists(), "half a film"

    done = encode(environment, script, film, result, "-a", "good=20", video="-c:v nosuchcodec")
    assert done.returncode == 1
    assert "ffmpeg" in done.stderr.splitlines()[-1]
    assert not result.exists()

    done = encode(environment, script, film, result, "-a", "good=20", video="-c:v ffv1")
    assert done.returncode == 0, done.stderr
    assert result.exists()


def test_encode_does_not_overwrite(environment, film, tmp_path):
    there = tmp_path / "there.mkv"
    there.write_text("precious")
    done = encode(environment, "double.vpy", film, there)
    assert (done.returncode, there.read_text()) == (2, "precious")
    assert "exists already" in done.stderr


def test_encode_says_how_it_is_called(environment):
    done = run([EXAMPLES / "encode.sh"], environment)
    assert done.returncode == 2
    assert "examples/encode.sh SCRIPT SOURCE RESULT" in done.stderr


def test_to60_is_exact(environment, film, average_model, tmp_path):
    header, props, times = evaluate(environment, "to60.vpy", film, average_model, tmp_path)
    length = math.ceil(20 * Fraction(1001, 400))
    assert " F60:1 " in header
    assert len(props) == length == 51
    # The last output reaches beyond the film's end, and lasts only as long as there is film left.
    assert [duration(frame) for frame in props[:-1]] == [Fraction(1, 60)] * (length - 1)
    assert sum(map(duration, props)) == 20 * Fraction(1001, 24000)
    assert [n for n, frame in enumerate(props) if frame["RifeKind"] == "source"] == [0]
    assert times[6] == pytest.approx(0.1, abs=1e-6)


def test_slow_motion_keeps_each_frames_own_length(environment, phone_clip, average_model, tmp_path):
    source = [frame.props for frame in read(phone_clip).frames()]
    expected = [duration(props) for props in source[:11]]
    assert set(expected) == {Fraction(1, 30), Fraction(1, 15)}, "the clip's rate varies"
    expected.append(expected[10])

    header, props, times = evaluate(environment, "slow_motion.vpy", phone_clip, average_model, tmp_path)
    assert " F0:0 " in header, "vspipe's mkv takes the frames' own times only where the clip declares no rate"
    assert [duration(frame) for frame in props] == [length for length in expected for _ in range(4)]
    assert {frame["RifeKind"] for frame in props[1::4]} == {"interpolated", "repeat"}

    # and through the pipe that the script's head gives, into a file and back
    result = tmp_path / "slow.mkv"
    pipe = (
        'vspipe -c mkv -a source="$SOURCE" -a model="$MODEL" "$SCRIPT" - | '
        '"$FFMPEG" -v error -i - -fps_mode passthrough -enc_time_base demux -c:v libx264 -crf 18 "$RESULT"'
    )
    words = {"SOURCE": phone_clip, "MODEL": average_model, "SCRIPT": EXAMPLES / "slow_motion.vpy", "RESULT": result}
    done = run(["sh", "-c", pipe], environment | {key: str(value) for key, value in words.items()})
    assert done.returncode == 0, done.stderr
    written = [frame.props for frame in read(result).frames()]
    assert len(written) == 48
    for n in range(47):
        assert float(duration(written[n])) == pytest.approx(times[n + 1] - times[n], abs=0.0011), n  # mkv counts in ms


def test_hdr10_stays_hdr10(environment, hdr_film, average_model, tmp_path):
    header, props, _ = evaluate(environment, "hdr10.vpy", hdr_film, average_model, tmp_path)
    assert " C420p10 " in header
    assert len(props) == 12
    source = dict(read(hdr_film).get_frame(0).props)
    kept = [key for key in source if key.startswith(("MasteringDisplay", "ContentLightLevel"))]
    assert len(kept) >= 6
    assert (source["_Matrix"], source["_Primaries"], source["_Transfer"]) == (9, 9, 16)
    for made in props[1:11:2]:
        assert made["RifeKind"] == "interpolated"
        for key in (*kept, "_Matrix", "_Primaries", "_Transfer", "_Range", "_ChromaLocation"):
            assert made[key] == pytest.approx(source[key]), key

    header = (EXAMPLES / "hdr10.vpy").read_text()
    video = " ".join(header.split("VIDEO='")[1].split("'")[0].replace("#", " ").split())
    result = tmp_path / "out.mkv"
    done = encode(environment, "hdr10.vpy", hdr_film, result, "-a", f"model={average_model}", video=video)
    assert done.returncode == 0, done.stderr
    clip = read(result)
    tags = clip.get_frame(1).props
    assert (clip.format.id, clip.num_frames) == (vs.YUV420P10, 12)
    assert (tags["_Matrix"], tags["_Primaries"], tags["_Transfer"], tags["_Range"]) == (9, 9, 16, 0)


def test_hdr10_refuses_what_is_not(environment, film, tmp_path):
    done = encode(environment, "hdr10.vpy", film, tmp_path / "out.mkv")
    assert done.returncode == 1
    assert "YUV420P8, and HDR10 is YUV420P10" in done.stderr


class Player:
    """What mpv gives a script: a clip without a rate or an end, and a few variables."""

    def __init__(self, width: int = 64, height: int = 48, format: int = vs.YUV420P8) -> None:
        self.asked: list[int] = []
        blank = vs.core.std.BlankClip(
            width=width, height=height, format=format, length=2**27 - 1, fpsnum=0, fpsden=1, keep=True
        )
        bright = vs.core.std.BlankClip(blank, color=[200, 128, 128], keep=True)
        clips = [clip.std.SetFrameProps(_DurationNum=1001, _DurationDen=24000, _MP_IMAGE=7) for clip in (blank, bright)]

        def answer(n: int) -> vs.VideoNode:
            self.asked.append(n)
            return clips[n % 2]

        self.video_in = vs.core.std.FrameEval(blank, answer)

    def evaluate(self, **variables) -> vs.VideoNode:
        size = {"video_in_dw": self.video_in.width, "video_in_dh": self.video_in.height}
        given = {"video_in": self.video_in, "display_res": [1920, 1080]} | size
        runpy.run_path(str(EXAMPLES / "mpv.vpy"), given | variables)
        return vs.get_output(0).clip


@pytest.fixture
def player():
    yield Player()
    vs.clear_outputs()


@pytest.mark.parametrize(
    ("variables", "factor"),
    [
        ({"container_fps": 24000 / 1001, "display_fps": 60.0, "user_data": ""}, Fraction(1001, 400)),
        ({"container_fps": 24000 / 1001, "display_fps": 60000 / 1001, "user_data": ""}, Fraction(5, 2)),
        ({"container_fps": 25.0, "display_fps": 0.0, "user_data": ""}, Fraction(2)),
        ({"container_fps": 0.0, "display_fps": 0.0, "user_data": ""}, Fraction(2)),
        ({"container_fps": 24000 / 1001, "display_fps": 60.0, "user_data": "3"}, Fraction(3)),
        ({"container_fps": 24000 / 1001, "display_fps": 60.0, "user_data": "5/2"}, Fraction(5, 2)),
        ({"container_fps": 24000 / 1001, "display_fps": 60.0, "user_data": "multi=5/2 sc=0"}, Fraction(5, 2)),
        ({"container_fps": 24000 / 1001, "display_fps": 120.0, "user_data": ""}, Fraction(1001, 200)),
        ({"container_fps": 24.0, "display_fps": 240.0, "user_data": "fps=60"}, Fraction(5, 2)),
        ({"container_fps": 24.0, "display_fps": 0.0, "user_data": "fps=60000/1001 skip=0"}, Fraction(2500, 1001)),
        ({"container_fps": 60.0, "display_fps": 60.0, "user_data": "fps=120"}, Fraction(2)),
        ({"container_fps": 60.0, "display_fps": 60.0, "user_data": " 2 "}, Fraction(2)),
        ({"container_fps": 59.0 - 1 / 8, "display_fps": 120.0, "user_data": " "}, Fraction(960, 471)),
    ],
)
def test_mpv(player, average_model, variables, factor):
    clip = player.evaluate(model=average_model, **variables)
    assert player.asked == [], "a frame asked for at creation is black in mpv"
    assert (clip.width, clip.height, clip.format.id) == (64, 48, vs.YUV420P8)
    for n in range(4):
        props = clip.get_frame(n).props
        assert duration(props) == Fraction(1001, 24000) / factor
        assert props["_MP_IMAGE"] == 7
    assert max(player.asked) <= 4


NO_RATE = [math.nan, math.inf, -math.inf, -25.0, 0.0, -0.0, 1e-9, 1e300, 1000.0, 90000.0, None, "25", ()]


@pytest.mark.parametrize("wrong", NO_RATE, ids=str)
def test_mpv_doubles_where_a_rate_is_none(player, average_model, wrong):
    """mpv's own manual warns of container_fps; whichever is wrong, the other alone says nothing."""
    for rates in ({"container_fps": wrong, "display_fps": 60.0}, {"container_fps": 24.0, "display_fps": wrong}):
        clip = player.evaluate(model=average_model, user_data="", **rates)
        assert clip.num_frames == 2 * player.video_in.num_frames, rates
    assert player.asked == []


def test_mpv_doubles_where_variables_are_missing(player, average_model):
    assert player.evaluate(model=average_model).num_frames == 2 * player.video_in.num_frames


@pytest.mark.parametrize("film", [59.0, 60000 / 1001, 60.0, 119.88, 240.0])
def test_mpv_leaves_a_fast_film_alone_whatever_the_display(player, average_model, film):
    for display in (60.0, 144.0, 360.0, 0.0, math.nan):
        clip = player.evaluate(container_fps=film, display_fps=display, user_data="model=4.6", model=average_model)
        assert clip.num_frames == player.video_in.num_frames
        assert "RifeKind" not in clip.get_frame(1).props


@pytest.fixture
def passed(monkeypatch):
    """What the script passes to RIFE."""
    seen = []
    core = vs.core

    class Spy:
        def __getattr__(self, name):
            return getattr(core, name)

        @property
        def rife(self):
            return self

        @property
        def signature(self):
            return core.rife.RIFE.signature

        @property
        def RIFE(self):
            return self

        def __call__(self, clip, **options):
            seen.append((clip.width, clip.height, options.get("scale")))
            return core.rife.RIFE(clip, **options)

    monkeypatch.setattr(vs, "core", Spy())
    return seen


@pytest.mark.parametrize(
    ("size", "user_data", "expected"),
    [
        ((1920, 1080), "", (1920, 1080, None)),
        ((2560, 1440), "", (2560, 1440, None)),
        ((1080, 2340), "", (1080, 2340, None)),
        ((3840, 1600), "", (3840, 1600, "0.5")),
        ((3840, 2160), "", (3840, 2160, "0.5")),
        ((2160, 3840), "scale=0.25", (2160, 3840, "0.25")),
        ((3840, 2160), "scale=1", (3840, 2160, "1")),
        ((3840, 2160), "height=1080", (1920, 1080, None)),
        ((3840, 1600), "height=1081", (3840 * 1080 // 1600, 1080, None)),
        ((1440, 1080), "height=719", (958, 718, None)),
        ((1280, 720), "height=1080", (1280, 720, None)),
    ],
)
def test_mpv_looks_for_the_motion_of_large_films_at_half_the_size(passed, average_model, size, user_data, expected):
    player = Player(*size)
    clip = player.evaluate(container_fps=24.0, display_fps=60.0, user_data=user_data, model=average_model)
    assert passed == [expected]
    assert (clip.width, clip.height) == expected[:2]
    assert player.asked == []


@pytest.mark.parametrize(
    ("format", "size"), [(vs.YUV444P10, (71, 53)), (vs.YUV411P8, (72, 53)), (vs.YUV420P16, (72, 54))]
)
def test_mpv_makes_a_film_smaller_in_its_own_format(average_model, format, size):
    player = Player(*size, format=format)
    clip = player.evaluate(container_fps=24.0, display_fps=60.0, user_data="height=33", model=average_model)
    assert clip.format.id == format
    assert clip.height == 33 - 33 % (1 << clip.format.subsampling_h)
    frame = clip.get_frame(1)
    assert frame.props["_MP_IMAGE"] == 7
    assert duration(frame.props) == Fraction(1001, 24000) / Fraction(5, 2)


@pytest.mark.parametrize(
    ("user_data", "error", "line"),
    [
        ("height=720 model", ValueError, "user-data (height=720 model) must be words of the form name=value, such as"),
        ("2 height=720", ValueError, "user-data (2 height=720) must be words of the form name=value, such as"),
        ("=2", ValueError, "user-data (=2) must be words of the form name=value, such as"),
        ("height=tall", ValueError, "user-data: height (tall) must be a number above 0, such as 720 or 1080"),
        ("height=-720", ValueError, "user-data: height (-720) must be a number above 0, such as 720 or 1080"),
        ("fps=nan", ValueError, "user-data: fps (nan) must be a number above 0, such as 60 or 60000/1001"),
        ("multi=two", ValueError, "user-data (two) must be a number above 0, such as 2, 2.5 or 5/2"),
        ("scale=3", vs.Error, "RIFE: scale (3) must be 0.25, 0.5, 1, 2 or 4"),
        (
            "hieght=720",
            ValueError,
            "user-data: hieght (720) is unknown; there are height, fps and the arguments",
        ),
        (
            "foo=1",
            ValueError,
            "user-data: foo (1) is unknown; there are height, fps and the arguments in the table of",
        ),
        ("clip=x", ValueError, "user-data: clip (x) is unknown; there are"),
        (
            "sc=no",
            ValueError,
            "user-data: sc (no) must be a number, for a switch 0 or 1; what it takes is in the",
        ),
        ("multi=2 pause=x", ValueError, "user-data: pause (x) must be a number, for a switch 0 or 1; what it takes"),
        ("ensemble=yes", ValueError, "user-data: ensemble (yes) must be a number, for a switch 0 or 1"),
        ("scale=1/2", ValueError, "user-data: scale (1/2) must be a number"),
        ("skip_threshold=60dB", ValueError, "user-data: skip_threshold (60dB) must be a number"),
        ("pause=nan", ValueError, "user-data: pause (nan) must be a number"),
        ("sc_threshold=2", vs.Error, "RIFE: sc_threshold (2) must be a cut score from 0 to 1"),
        ("sc=2", vs.Error, "RIFE: sc (2) must be 0 or 1"),
        ("fps_num=60", ValueError, "user-data: fps_num (60) sets no rate here; write fps=60, or fps=60000/1001"),
        ("fps_den=1001", ValueError, "user-data: fps_den (1001) sets no rate here; write fps=60000/1001"),
        (
            "factor_num=5 factor_den=2",
            ValueError,
            "user-data: factor_num (5) sets no factor here; write multi=2,",
        ),
        ("multiplier=2", ValueError, "user-data: multiplier (2) sets no factor here; write multi=2, 2.5 or 5/2"),
        (
            "cfr=1",
            ValueError,
            "user-data: cfr (1) has no meaning here; leave cfr out: a player shows each",
        ),
        ("fps=60 cfr=1", ValueError, "user-data: cfr (1) has no meaning here; leave cfr out: a player shows"),
        (
            "retime=1",
            ValueError,
            "user-data: retime (1) has no effect here; leave retime out: it does nothing",
        ),
        ("multi=1 foo=1", ValueError, "user-data: foo (1) is unknown"),
        ("multi=2 fps=60", ValueError, "user-data: multi (2) and fps (60) both set the rate; remove one"),
    ],
)
def test_mpv_says_which_word_is_wrong(player, average_model, user_data, error, line):
    with pytest.raises(error) as caught:
        player.evaluate(container_fps=25.0, display_fps=60.0, user_data=user_data, model=average_model)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "user_data", ["cfr=0 retime=0", "sc=0 pause=.5 skip_threshold=6e1", "gpu_id=-1", "sc_threshold=+1."]
)
def test_mpv_passes_what_is_right(player, average_model, user_data):
    clip = player.evaluate(container_fps=25.0, display_fps=50.0, user_data=user_data, model=average_model)
    assert clip.num_frames == 2 * player.video_in.num_frames


def test_mpv_checks_the_words_for_a_film_that_is_left_alone(player):
    with pytest.raises(ValueError, match=r"^user-data: foo \(1\) is unknown"):
        player.evaluate(container_fps=60.0, display_fps=60.0, user_data="foo=1")


def test_mpv_names_the_player_where_there_is_none():
    with pytest.raises(ValueError, match=r"^this script is for mpv, .*examples/double\.vpy$"):
        runpy.run_path(str(EXAMPLES / "mpv.vpy"))


@pytest.mark.parametrize("user_data", ["abc", "60fps", "0", "-2", "5/0", "nan", "inf", "2:1", "2,5"])
def test_mpv_says_what_is_wrong_with_user_data(player, user_data):
    with pytest.raises(ValueError, match=r"^user-data \(") as caught:
        player.evaluate(container_fps=25.0, display_fps=60.0, user_data=user_data)
    assert str(caught.value) == f"user-data ({user_data}) must be a number above 0, such as 2, 2.5 or 5/2"
    assert caught.value.__suppress_context__, "Python's own error about a Fraction would be shown as well"


@pytest.mark.parametrize(("user_data", "frames", "kinds"), [("1", 2**27 - 1, {None}), ("1/2", 2**26, {"source"})])
def test_mpv_takes_a_factor_of_your_own_however_small(player, average_model, user_data, frames, kinds):
    clip = player.evaluate(container_fps=25.0, display_fps=60.0, user_data=user_data, model=average_model)
    assert clip.num_frames == frames
    assert {clip.get_frame(n).props.get("RifeKind") for n in range(2)} == kinds


def test_mpv_leaves_a_film_as_fast_as_the_display_alone(player, average_model):
    clip = player.evaluate(container_fps=60000 / 1001, display_fps=60.0, user_data="", model=average_model)
    assert clip.num_frames == 2**27 - 1
    assert "RifeKind" not in clip.get_frame(1).props


def test_mpv_evaluates_again_at_every_seek(player, average_model):
    seen = []
    for _ in range(3):
        clip = player.evaluate(container_fps=25.0, display_fps=0.0, user_data="", model=average_model)
        seen.append([planes(clip.get_frame(n)) for n in range(4)])
        vs.clear_outputs()
    assert seen[0] == seen[1] == seen[2]


def test_compare_counts(environment, film, doubled, tmp_path):
    compare = [sys.executable, EXAMPLES / "compare.py", film]
    good = run([*compare, doubled, "2"], environment)
    assert (good.returncode, good.stdout.count("with sound")) == (0, 2), good.stderr
    assert "40 frames at 47.952 a second" in good.stdout
    assert run([*compare, doubled, "3"], environment).returncode == 1

    silent = tmp_path / "silent.mkv"
    ffmpeg("-i", doubled, "-map", "0:v", "-c", "copy", silent)
    assert "lost the sound" in run([*compare, silent, "2"], environment).stderr


def test_the_clip_is_small_and_has_motion_and_sound():
    path = EXAMPLES / "clip.mp4"
    assert path.stat().st_size < 1_500_000
    clip = read(path)
    assert (clip.num_frames, clip.fps) == (60, 24)
    assert vs.core.bs.AudioSource(str(path), cachemode=0, showprogress=False).num_samples > 2 * 44100


def test_every_script_is_run_here():
    tests = Path(__file__).read_text()
    for script in EXAMPLES.iterdir():
        assert script.name in tests or script.name == "README.md", f"{script.name} is run by no test"
