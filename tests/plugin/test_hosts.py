"""Programs that are not Python: vspipe, a player written in C, and a host that has no Python at all."""

import os
import re
import subprocess
import textwrap
from fractions import Fraction
from statistics import median

import pytest

from tests.hosts.processes import ROOT, compiled, configure, environment, finish, start, vspipe_program

pytestmark = pytest.mark.slow

CONCURRENT = pytest.mark.parametrize("concurrent", [4, 16])


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A configuration folder in which VapourSynth is told of this Python; the user's own is left alone."""
    folder = tmp_path_factory.mktemp("settings")
    configure(folder)
    return {"XDG_CONFIG_HOME": str(folder)}


@pytest.fixture(scope="module")
def player(tmp_path_factory):
    return compiled("player", "libvsscript.so", tmp_path_factory.mktemp("player"))


@pytest.fixture
def script(tmp_path):
    def write(text):
        path = tmp_path / "script.vpy"
        path.write_text(textwrap.dedent(text))
        return path

    return write


def rounds_of(text):
    """What player.c printed: for each round its frames as (n, luma, duration, kind), and the line that ended it."""
    rounds = []
    for line in text.splitlines():
        words = line.split()
        if words[0] in ("time", "frozen"):
            continue
        if words[0] == "round":
            rounds.append(([], []))
        elif words[0] == "end":
            rounds[-1][1].append(line)
        else:
            n, luma, numerator, denominator = map(int, words[:4])
            rounds[-1][0].append((n, luma, Fraction(numerator, denominator), words[4]))
    return rounds


class TestPlayer:
    """player.c does what mpv does: no length, no rate, frames asked for in a window, everything freed at a seek."""

    SCRIPT = """
        from vapoursynth import core
        core.rife.RIFE(video_in, multi=user_data, model={model!r}, device="cpu").set_output()
    """

    def play(self, player, script, settings, model, multi, concurrent, rounds=5, frames=6):
        command = [player, script(self.SCRIPT.format(model=model)), str(rounds), str(frames), str(concurrent)]
        return finish(start(command, PLAYER_USER_DATA=multi, **settings))

    @CONCURRENT
    def test_every_frame_with_its_duration_five_times(self, player, script, settings, average_model, concurrent):
        done = self.play(player, script, settings, average_model, "2", concurrent)
        assert (done.returncode, done.stderr) == (0, "")  # and no request for the past, none while evaluating
        expected = []
        for k in range(6):  # source frame k: luma 16 + 8 k, (k + 2) / 100 s
            half = Fraction(k + 2, 200)
            expected.append((2 * k, 16 + 8 * k, half, "source"))
            expected.append((2 * k + 1, 20 + 8 * k, half, "interpolated"))
        expected.pop()  # between the last frame and the one that never came
        rounds = rounds_of(done.stdout)
        assert len(rounds) == 5
        assert all(each == (expected, ["end 11: end of file"]) for each in rounds)

    @CONCURRENT
    def test_a_ratio_that_is_no_whole_number(self, player, script, settings, average_model, concurrent):
        done = self.play(player, script, settings, average_model, "2.5", concurrent)
        assert (done.returncode, done.stderr) == (0, "")
        rounds = rounds_of(done.stdout)
        assert len(rounds) == 5
        for frames, end in rounds:
            assert end == ["end 13: end of file"]
            for n, luma, _, kind in frames:
                left, rest = divmod(2 * n, 5)
                assert (luma, kind) == ((20 if rest else 16) + 8 * left, "interpolated" if rest else "source")
            # outputs 0..12 fill source time 0..5.2: the five whole frames and a fifth of the sixth, to the last bit
            assert len(frames) == 13
            whole = sum(Fraction(k + 2, 100) for k in range(5))
            assert sum(duration for _, _, duration, _ in frames) == whole + Fraction(7, 100) / 5

    def test_a_script_that_gives_the_clip_a_rate(self, player, script, settings, average_model):
        text = f"""
            from vapoursynth import core
            clip = video_in.std.AssumeFPS(fpsnum=10, fpsden=1)
            core.rife.RIFE(clip, fps_num=240, fps_den=1, retime=1, model={average_model!r}, device="cpu").set_output()
        """
        done = finish(start([player, script(text), "2", "3", "4"], **settings))
        assert done.returncode == 0, done.stderr
        rounds = rounds_of(done.stdout)
        assert len(rounds) == 2
        for frames, end in rounds:
            assert end == ["end 49: end of file"]
            assert [luma for _, luma, _, _ in frames] == [16] + [20] * 23 + [24] + [28] * 23 + [32]
            assert {duration for _, _, duration, _ in frames} == {Fraction(1, 240)}

    def test_an_argument_that_needs_a_rate_is_one_line_at_the_end(self, player, script, settings, average_model):
        text = f"""
            from vapoursynth import core
            core.rife.RIFE(video_in, fps_num=60, fps_den=1, model={average_model!r}, device="cpu").set_output()
        """
        done = finish(start([player, script(text), "1", "6", "4"], **settings))
        assert done.returncode == 1
        assert (
            done.stderr.strip()
            .splitlines()[-1]
            .startswith(
                "vapoursynth.Error: RIFE: fps_num (60) and fps_den (1) must come with a clip whose frame rate is known"
            )
        )


class TestExample:
    """examples/mpv.vpy in player.c: what mpv may say of a film and of a display, and what a user may."""

    def play(self, player, settings, user_data, frames=4, **variables):
        command = [player, ROOT / "examples" / "mpv.vpy", "2", str(frames), "4"]
        return finish(start(command, PLAYER_USER_DATA=user_data, **variables, **settings))

    @pytest.mark.parametrize(
        ("film", "display", "factor"),
        [
            ("23.976023976023978", "60", Fraction(1001, 400)),
            ("nan", "60", Fraction(2)),
            ("25", "inf", Fraction(2)),
            ("59.94005994005994", "144", Fraction(1)),
        ],
    )
    def test_rates(self, player, settings, average_model, film, display, factor):
        variables = {"PLAYER_CONTAINER_FPS": film, "PLAYER_DISPLAY_FPS": display}
        done = self.play(player, settings, f"model={average_model} device=cpu", **variables)
        assert (done.returncode, done.stderr) == (0, "")
        rounds = rounds_of(done.stdout)
        assert rounds[0] == rounds[1]
        frames, _ = rounds[0]
        for n, luma, length, kind in frames:
            left, rest = divmod(n, factor)
            assert (luma, kind) == (
                (20 if rest else 16) + 8 * left,
                "interpolated" if rest else "-" if factor == 1 else "source",
            )
            if left == (n + 1) // factor:  # wholly within one source frame
                assert length == Fraction(left + 2, 100) / factor

    @pytest.mark.parametrize(
        ("user_data", "line"),
        [
            ("abc", "user-data (abc) must be a number above 0, such as 2, 2.5 or 5/2"),
            ("multi=2 scale=3", "RIFE: scale (3) must be 0.25, 0.5, 1, 2 or 4; 0.5 suits 2160p,"),
            ("multi=2 device=cpu model=no.such", "RIFE: model (no.such) "),
        ],
    )
    def test_one_line_says_what_is_wrong(self, player, settings, user_data, line):
        done = self.play(player, settings, user_data)
        assert done.returncode == 1
        lines = done.stderr.strip().splitlines()
        assert lines[0].startswith(f"Python exception: {line}")
        assert lines[-1].partition(": ")[2] == lines[0].partition(": ")[2]

    def test_the_log_is_shown_once(self, player, settings, average_model):
        """mpv asks VapourSynth for no message, so the script writes ours where mpv's own go."""
        user_data = f"model={average_model} device=cpu precision=float16"
        done = self.play(player, settings, user_data)
        assert done.returncode == 0
        assert done.stderr == "RIFE: precision float16 on a CPU is many times slower than float32 on most\n"


class TestSeeks:
    """What a script costs that is evaluated again at each seek, with torch in the process."""

    SCRIPT = """
        import gc
        from vapoursynth import core
        {before}
        print("frozen", gc.get_freeze_count())
        core.rife.RIFE(video_in, multi=2, model={model!r}, device="cpu").set_output()
    """

    def play(self, player, script, settings, model, rounds, before="pass"):
        command = [player, script(self.SCRIPT.format(model=model, before=before)), str(rounds), "3", "4"]
        done = finish(start(command, PLAYER_TIMES="1", **settings))
        assert (done.returncode, done.stderr) == (0, "")
        lines = [line.split() for line in done.stdout.splitlines()]
        frozen = [int(words[1]) for words in lines if words[0] == "frozen"]
        teardowns = [float(words[4]) for words in lines if words[0] == "time"]
        assert (len(frozen), len(teardowns)) == (rounds, rounds)
        return frozen, teardowns

    def test_torch_is_frozen_once(self, player, script, settings, average_model):
        frozen, _ = self.play(player, script, settings, average_model, 6)
        assert frozen[0] < 5_000, "the first script has not yet been freed"
        assert frozen[1] > 50_000
        assert frozen[1:] == sorted(frozen[1:], reverse=True), "what is frozen can only be freed"
        assert frozen[-1] > 0.99 * frozen[1]

    def test_freeing_a_script_does_not_walk_over_torch(self, player, script, settings, average_model):
        """Against the same host with torch thawed before each teardown: some 200 ms there, some 3 ms here."""
        _, frozen = self.play(player, script, settings, average_model, 8)
        _, thawed = self.play(player, script, settings, average_model, 8, before="gc.unfreeze()")
        assert median(frozen[1:]) < median(thawed[1:]) / 3


def test_a_host_without_python_is_told_so(tmp_path):
    program = compiled("pythonless", "libvapoursynth.so.4", tmp_path)
    done = finish(start([program]))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "RIFE: this program does not run Python, which RIFE needs; use a program that runs Python scripts (vspipe, "
        "mpv, an editor with VSScript, or Python itself)\n"
    )


class TestVspipe:
    SCRIPT = """
        import vapoursynth as vs
        core = vs.core
        clip = core.std.BlankClip(format=vs.YUV420P8, width=64, height=32, length=4, fpsnum=24000, fpsden=1001)
        {more}
        core.rife.RIFE(clip, model={model!r}, device="cpu", skip=0, **{options!r}).set_output()
    """

    def run(self, script, settings, model, *arguments, more="", options=None):
        path = script(self.SCRIPT.format(model=model, options=options or {}, more=more))
        return finish(start([vspipe_program(), path, *arguments], **settings))

    def test_info_and_frames(self, script, settings, average_model, tmp_path):
        info = self.run(script, settings, average_model, "--info")
        assert info.returncode == 0
        facts = dict(line.split(": ", 1) for line in info.stdout.splitlines() if ": " in line)
        assert (facts["Frames"], facts["FPS"].split()[0], facts["Format Name"]) == ("8", "48000/1001", "YUV420P8")
        file = tmp_path / "out.y4m"
        done = self.run(script, settings, average_model, "-c", "y4m", file)
        assert done.returncode == 0, done.stderr
        assert "Output 8 frames" in done.stderr
        assert re.match(rb"YUV4MPEG2 C420\S* W64 H32 F48000:1001 ", file.read_bytes())
        assert file.read_bytes().count(b"FRAME\n") == 8

    def test_a_wrong_argument(self, script, settings, average_model):
        done = self.run(script, settings, average_model, "--info", options={"scale": 3})
        assert done.returncode == 1
        # vspipe shows it once by itself and once below Python's traceback; both are whole lines
        lines = [line.partition("RIFE: ")[2] for line in done.stderr.splitlines() if "RIFE: " in line]
        assert len(lines) == 2
        assert lines[0] == lines[1]
        assert lines[0].startswith("scale (3) must be 0.25, 0.5, 1, 2 or 4; ")

    def test_a_frame_that_fails(self, script, settings, average_model):
        done = self.run(script, settings, average_model, "--", more="clip = clip.std.SetFieldBased(2)")
        assert done.returncode == 1
        lines = [line for line in done.stderr.splitlines() if "RIFE: " in line]
        assert len(lines) == 1
        assert re.search(r"RIFE: frame (\d): source frame \d is interlaced .*SetFieldBased\(0\)$", lines[0])
        assert "Traceback" not in done.stderr

    def test_a_closed_pipe_does_not_hang(self, script, settings, average_model):
        """vspipe's status is its own affair; that it ends is ours."""
        path = script(self.SCRIPT.format(model=average_model, options={}, more="clip = clip.std.Loop(100000)"))
        process = subprocess.Popen(
            [vspipe_program(), "-c", "y4m", path, "-"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(**settings),
        )
        assert process.stdout.read(5) == b"YUV4M"
        os.read(process.stdout.fileno(), 4096)
        process.stdout.close()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.stderr.close()
            process.wait()
        assert process.returncode not in (-6, -9, -11)
