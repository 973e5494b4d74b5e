"""What the engine logs while a frame is made is in VapourSynth's log, once, and in no other one."""

import logging
import textwrap

import pytest
import vapoursynth as vs

from tests.hosts.processes import configure, finish, printed, start, vspipe_program
from tests.plugin.clips import numbered
from vsrife.engine.interpolator import Interpolator

LINE = "RIFE: made-up line of the engine"


@pytest.fixture
def chatty_engine(monkeypatch):
    """An engine that logs a warning for each frame that it makes."""
    inner = Interpolator.interpolate

    def interpolate(self, *arguments):
        logging.getLogger("vsrife").warning("made-up line of the %s", "engine")
        inner(self, *arguments)

    monkeypatch.setattr(Interpolator, "interpolate", interpolate)


def test_a_line_of_the_engine_is_in_the_log_of_vapoursynth_once(average_model, chatty_engine, logged, caplog):
    out = vs.core.rife.RIFE(numbered(3), model=average_model, device="cpu", sc=0, skip=0)
    out.get_frame(1).close()
    assert logged.count(LINE) == 1
    assert [(record.name, record.message) for record in caplog.records if "made-up" in record.message] == [
        ("vapoursynth", LINE)  # where VapourSynth passes its log on in a Python program
    ]


def test_other_threads_and_calls_log_as_python_does(average_model, logged, caplog):
    vs.core.rife.RIFE(numbered(3), model=average_model, device="cpu", sc=0, skip=0).get_frame(1).close()
    logging.getLogger("vsrife").warning("from the script")
    assert "from the script" in caplog.messages
    assert not [line for line in logged if "from the script" in line]


def test_a_program_without_a_handler_prints_each_line_once(average_model):
    program = """
import logging, sys
import vapoursynth as vs
from vsrife.engine.interpolator import Interpolator
inner = Interpolator.interpolate
def interpolate(self, *arguments):
    logging.getLogger("vsrife").warning("made-up line of the engine")
    inner(self, *arguments)
Interpolator.interpolate = interpolate
if sys.argv[2] == "configured":
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
else:
    sys.stderr = sys.stdout
clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=32, length=2)
vs.core.rife.RIFE(clip, model=sys.argv[1], device="cpu", sc=0, skip=0).get_frame(1).close()
"""
    assert printed(program, average_model, "configured").splitlines() == [LINE]
    assert printed(program, average_model, "plain").splitlines() == [LINE]


@pytest.mark.slow
def test_vspipe_shows_a_line_of_the_engine_once_and_makes_the_frame(average_model, tmp_path):
    configure(tmp_path)
    script = tmp_path / "script.vpy"
    script.write_text(
        textwrap.dedent(f"""
        import logging
        import vapoursynth as vs
        from vsrife.engine.interpolator import Interpolator
        inner = Interpolator.interpolate
        def interpolate(self, *arguments):
            logging.getLogger("vsrife").warning("made-up line of the engine")
            inner(self, *arguments)
        Interpolator.interpolate = interpolate
        clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=32, length=2, keep=True)
        vs.core.rife.RIFE(clip, model={average_model!r}, device="cpu", sc=0, skip=0)[1].set_output()
        """)
    )
    done = finish(start([vspipe_program(), script, tmp_path / "frames"], XDG_CONFIG_HOME=str(tmp_path)))
    assert done.returncode == 0
    assert (done.stdout + done.stderr).count(LINE) == 1
