"""tools/check_gpu.py without a GPU: its stages for real at tiny sizes, and what becomes of stages that go wrong."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

SCRIPT = ROOT / "tools" / "check_gpu.py"
FILES = {"results.json", "summary.txt", "log.txt"}

FAILS = "print('figure: before = 3.5 ms'); print('failed: a part: RuntimeError: why'); raise SystemExit(3)"
HANGS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("figure: child =", child.pid, flush=True)
time.sleep(600)
"""


def stand_in(tool, name, code, **options):
    options = {"expected": 0.1, "longest": 60.0} | options
    return tool("gpu_stages.plan").Stage(name=name, tells=f"what {name} tells", command=("-c", code), **options)


def run_stand_ins(tool, monkeypatch, out, stages, *options):
    """The exit status of the script, had it these stages, and what it has left on disk."""
    script = tool("check_gpu")
    monkeypatch.setattr(script, "stages_of", lambda settings, bench: stages)
    status = script.main(["--device=cpu", f"--out={out}", *options])
    return status, {each["name"]: each for each in json.loads((out / "results.json").read_text())["stages"]}


def runs(pid):
    """Whether a process is there and is no corpse."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_stage_fails_one_hangs_one_does_not_fit_and_the_others_run(tool, monkeypatch, tmp_path, capsys):
    out = tmp_path / "out"
    stages = [
        stand_in(tool, "first", "print('figure: a number = 1.25 ms')"),
        stand_in(tool, "fails", FAILS),
        stand_in(tool, "hangs", HANGS, longest=2.0),
        stand_in(tool, "long", "raise SystemExit('it ran')", expected=600.0),
        stand_in(tool, "last", "import os; print('figure: variable =', os.environ.get('VSRIFE_REQUIRE_GPU'))"),
        stand_in(tool, "unusual", "raise SystemExit('it ran')", usual=False),
    ]
    status, found = run_stand_ins(tool, monkeypatch, out, stages, "--minutes=2")
    assert status == 1
    assert {name: each["state"] for name, each in found.items()} == {
        "first": "passed",
        "fails": "failed",
        "hangs": "timed out",
        "long": "not run",
        "last": "passed",
    }
    assert found["first"]["figures"] == [["a number", "1.25", "ms"]]
    assert found["last"]["figures"] == [["variable", "None", ""]]  # on a CPU a skipped test is no failure
    assert found["fails"]["status"] == 3
    assert found["fails"]["figures"] == [["before", "3.5", "ms"]]
    assert found["fails"]["failures"] == ["a part: RuntimeError: why"]
    assert 2 <= found["hangs"]["seconds"] < 30
    ((_, child, _),) = found["hangs"]["figures"]
    assert not runs(child), "what a stage has started lives on after it"
    assert "takes about 600 s" in found["long"]["reason"]

    assert {path.name for path in out.iterdir()} == FILES
    log = (out / "log.txt").read_text()
    assert "a part: RuntimeError: why" in log
    assert "Fatal Python error: Aborted" in log, "the log does not tell where the stage stood"
    printed = capsys.readouterr().out
    summary = (out / "summary.txt").read_text()
    assert printed.endswith(f"\n{summary}")
    table = summary.splitlines()[-5:]
    assert [line.split()[0] for line in table] == ["first", "fails", "hangs", "long", "last"]
    assert "1 failed" in table[1]
    assert "ended after 2 s" in table[2]
    assert "a part: RuntimeError: why" in summary


def test_all_that_was_asked_for_has_passed(tool, monkeypatch, tmp_path):
    stages = [stand_in(tool, "good", "pass"), stand_in(tool, "bad", "raise SystemExit(1)")]
    assert run_stand_ins(tool, monkeypatch, tmp_path, stages)[0] == 1
    status, found = run_stand_ins(tool, monkeypatch, tmp_path, stages, "--stages", "good")
    assert (status, list(found)) == (0, ["good"])
    assert tool("check_gpu").main([f"--out={tmp_path / 'none'}", "--stages", "none"]) == 2
    assert not (tmp_path / "none").exists()


def test_no_stage_begins_when_the_time_is_up_and_limits_shrink_to_what_is_left(tool, monkeypatch, tmp_path):
    stages = [
        stand_in(tool, "hangs", HANGS, longest=600.0),
        stand_in(tool, "late", "raise SystemExit('it ran')", expected=1.0),
    ]
    began = time.monotonic()
    status, found = run_stand_ins(tool, monkeypatch, tmp_path, stages, f"--minutes={8 / 60}")
    assert status == 1
    assert [each["state"] for each in found.values()] == ["timed out", "not run"]
    assert found["hangs"]["limit"] <= 3
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_leaves_what_it_has(tmp_path, number):
    program = f"""
import sys
sys.path.insert(0, {str(ROOT / "tools")!r})
import check_gpu
from gpu_stages.plan import Stage

def stage(name, code):
    return Stage(name=name, tells="", expected=0.1, longest=60.0, command=("-c", code))

stages = [stage("first", "pass"), stage("second", {HANGS!r}), stage("third", "pass")]
check_gpu.stages_of = lambda settings, bench: stages
sys.exit(check_gpu.main(["--device=cpu", "--out", {str(tmp_path)!r}]))
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        log, until = tmp_path / "log.txt", time.monotonic() + 60
        while not (log.exists() and "figure: child = " in log.read_text()) and time.monotonic() < until:
            time.sleep(0.05)
        states = [each["state"] for each in json.loads((tmp_path / "results.json").read_text())["stages"]]
        assert states == ["passed", "running", "not run"], "on disk before the run is over"
        process.send_signal(number)
        printed = process.communicate(timeout=30)[0]
    assert process.returncode == 128 + number
    stages = json.loads((tmp_path / "results.json").read_text())["stages"]
    assert [each["state"] for each in stages] == ["passed", "interrupted", "not run"]
    assert printed.splitlines()[-1].startswith("third")
    assert not runs(stages[1]["figures"][0][1])


MEASURING = ("start", "bench", "profile", "convolution", "choices", "transfers")


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("device", "status"), [("cpu", 0), ("cuda", 1)])
def test_a_stage_whose_tests_were_all_skipped_is_no_success_on_a_gpu(tool, monkeypatch, tmp_path, device, status):
    stages = [
        stand_in(tool, "resident", "print('3 skipped in 0.12s')"),
        stand_in(tool, "host", "print('2 passed, 1 skipped in 0.12s')"),
    ]
    monkeypatch.setattr(tool("check_gpu"), "unusable", lambda device, found: "")
    found_status, found = run_stand_ins(tool, monkeypatch, tmp_path / "out", stages, f"--device={device}")
    assert {name: each["state"] for name, each in found.items()} == {"resident": "skipped", "host": "passed"}
    assert found_status == status


def test_the_stages_run_on_a_cpu(tmp_path):
    """Each that measures, and one of pytest's; the others differ in their files and -k alone."""
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, SCRIPT, "--device=cpu", "--size=64x32", f"--out={out}", "--stages", *MEASURING, "measures",
         "--", "--models", "seeded:4.6"],
        cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=380,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in out.iterdir()} == FILES | {"bench.json", "profile.txt"}
    results = json.loads((out / "results.json").read_text())
    assert results["size"] == [64, 32]
    found = {each["name"]: each for each in results["stages"]}
    assert {name: each["state"] for name, each in found.items()} == {
        **dict.fromkeys(MEASURING, "passed"),
        "measures": "skipped",  # which is a success in a rehearsal alone
    }
    figures = {name: {figure[0]: figure[1] for figure in each["figures"]} for name, each in found.items()}
    assert figures["start"]["kernels"] == "unused"
    assert float(figures["start"]["a new frame against the CPU's in float32"]) > 40
    assert {name.split(" ")[0] for name in figures["bench"]} == {"seeded:4.6"}, "what follows -- is the bench's"
    assert len(figures["bench"]) == 3
    assert float(figures["profile"]["launches"]) > 100
    assert {f"c={channels}, as the engine" for channels in (32, 64, 192)} < figures["convolution"].keys()
    assert {"another, one frame", "another, filter"} < figures["choices"].keys()
    assert {"pageable, up", "pinned, down", "filter, sc=1", "filter, sc=0"} < figures["transfers"].keys()
    assert found["measures"]["tests"].keys() == {"skipped"}
    log = (out / "log.txt").read_text()
    for kernel in ("convert", "gather", "epilogue", "synthesis", "measures"):
        assert f"kernel {kernel}: as its twin" in log or "no C++ compiler" in log


def test_every_gpu_test_is_in_one_stage(tool):
    """Of a file that several stages share, -k gives each test to one of them."""
    stages = tool("gpu_stages.plan").PYTEST_STAGES
    choices = [stage.choice for stage in stages if stage.choice]
    (name,) = {each for stage in stages if stage.choice for each in stage.files}
    assert [stage.name for stage in stages if not stage.choice and name in stage.files] == []
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider",
         f"tests/gpu/test_{name}_gpu.py"],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    tests = [line for line in done.stdout.splitlines() if "::" in line]
    assert len(tests) > 50
    counts = dict.fromkeys(choices, 0)
    for test in tests:
        chosen = [choice for choice in choices if chooses(choice, test)]
        assert len(chosen) == 1, test
        counts[chosen[0]] += 1
    assert min(counts.values()) > 0


def chooses(choice, test):
    """What pytest's -k says of a test, for words joined by `or`, `not` and brackets."""
    words = re.sub(r"\b(?!or\b|not\b)\w+\b", lambda word: str(word[0] in test), choice)
    return eval(words, {})


def test_a_new_file_of_gpu_tests_is_not_forgotten(tool, monkeypatch, tmp_path):
    plan, settings = tool("gpu_stages.plan"), tool("gpu_stages.settings").Settings()
    (tmp_path / "tests" / "gpu").mkdir(parents=True)
    for name in ("kernels", "novel"):
        (tmp_path / "tests" / "gpu" / f"test_{name}_gpu.py").touch()
    monkeypatch.setattr(plan, "ROOT", tmp_path)
    stages = {each.name: each.command for each in plan.stages_of(settings)}
    assert stages["others"][-1] == "tests/gpu/test_novel_gpu.py"
    assert list(stages)[-2:] == ["load", "whole"], "load last and alone"


def test_on_a_gpu_tests_may_not_be_skipped_nor_hang(tool):
    plan, settings = tool("gpu_stages.plan"), tool("gpu_stages.settings").Settings()
    stages = {each.name: each for each in plan.stages_of(settings)}
    for tests in plan.PYTEST_STAGES:
        command = stages[tests.name].command
        assert "--timeout-method=thread" in command, "a signal does not break a hang inside CUDA"
        assert command[command.index("-W") + 1] == "default"
        assert f"-n{tests.workers}" in command
    assert stages["kernels"].command[-1] == "tests/gpu/test_kernels_gpu.py"
    assert "--sizes=1920x1080" in stages["bench"].command
    assert tool("gpu_stages.surroundings").environment(device="cuda", before={})["VSRIFE_REQUIRE_GPU"] == "1"
    assert list(stages)[:5] == ["start", "kernels", "cuda", "parity", "bench"]
    assert sum(each.expected for each in stages.values() if each.usual) < 15 * 60


def test_the_list_names_every_stage(tool, capsys):
    assert tool("check_gpu").main(["--list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    settings = tool("gpu_stages.settings").Settings()
    assert listed == [each.name for each in tool("gpu_stages.plan").stages_of(settings)]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--device=cuda:93"], "--device (cuda:93) cannot be used: "),
        (
            ["--device=cpu", "--wheels=nowhere"],
            "/nowhere) must be a folder with .whl files: tools/pack_wheels.py makes one",
        ),
    ],
)
def test_what_cannot_work_is_one_line_before_the_first_stage(tool, monkeypatch, tmp_path, capsys, options, line):
    monkeypatch.chdir(tmp_path)
    assert tool("check_gpu").main([*options, f"--out={tmp_path}"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said
    assert not (tmp_path / "results.json").exists()


def test_a_size_that_is_none_is_named(tool, capsys):
    with pytest.raises(SystemExit):
        tool("check_gpu").main(["--size=foo", "--list"])
    assert "'foo' must be WIDTHxHEIGHT, e.g. 1920x1080" in capsys.readouterr().err
