"""The parts of tools/check_gpu.py that read, sort and set up: what a run on a GPU rests on."""

import dataclasses
import json
import os
import sys
import zipfile
from types import SimpleNamespace

import pytest

from tests.conftest import ROOT
from vsrife.choices import chosen

pytestmark = pytest.mark.slow

PYTEST_OUTPUT = """
....F.s
=========================== short test summary info ============================
FAILED tests/gpu/test_a_gpu.py::test_one[x-1] - AssertionError: off by 3 in 4
ERROR tests/gpu/test_a_gpu.py::test_two - RuntimeError
2 failed, 40 passed, 1 skipped, 3 deselected, 2 warnings, 1 error in 3.21s
"""


def stage(tool, code):
    return tool("gpu_stages.plan").Stage(name="s", tells="", expected=0, longest=9, command=("-c", code))


def test_pytest_s_counts_and_failures_are_read(tool, tmp_path):
    runner = tool("gpu_stages.runner")
    outcome = runner.Outcome(name="s", limit=30.0)
    runner.run(stage(tool, f"print({PYTEST_OUTPUT!r}); raise SystemExit(1)"), outcome, tmp_path / "log", os.environ)
    assert outcome.state == "failed"
    assert outcome.tests == {"failed": 2, "passed": 40, "skipped": 1, "error": 1}
    assert outcome.failures == [
        "tests/gpu/test_a_gpu.py::test_one[x-1] - AssertionError: off by 3 in 4",
        "tests/gpu/test_a_gpu.py::test_two - RuntimeError",
    ]
    assert outcome.last.endswith("in 3.21s")


@pytest.mark.timeout(120)
def test_a_test_that_hangs_is_named_and_the_next_ones_run(tool, tmp_path):
    (tmp_path / "test_hangs.py").write_text(
        "import time\n"
        "def test_first(): pass\n"
        "def test_second(): time.sleep(600)\n"
        "def test_third(): assert 0, 'reached'\n"
    )
    plan, settings = tool("gpu_stages.plan"), tool("gpu_stages.settings").Settings()
    tests = dataclasses.replace(plan.PYTEST_STAGES[-1], timeout=8)
    *command, _file = plan._pytest(tests, settings).command
    runner = tool("gpu_stages.runner")
    outcome = runner.Outcome(name="s", limit=100.0)
    hanging = plan.Stage(
        name="s", tells="", expected=0, longest=100, command=(*command, f"--rootdir={tmp_path}", str(tmp_path))
    )
    environment = tool("gpu_stages.surroundings").environment(device="cpu")
    runner.run(hanging, outcome, tmp_path / "log.txt", environment)
    assert outcome.tests == {"failed": 2, "passed": 1}
    assert "test_second - worker 'gw0' crashed while running" in outcome.failures[0]
    assert "test_third - AssertionError: reached" in outcome.failures[1]
    assert "line 3 in test_second" in (tmp_path / "log.txt").read_text()


def test_a_part_that_fails_does_not_keep_the_next_from_running(tool, capsys, monkeypatch):
    told, settings = tool("gpu_stages.told"), tool("gpu_stages.settings").Settings(width=34, out="/nowhere")

    def first(_told, given):
        assert given == settings
        raise ValueError("two\nlines")

    monkeypatch.setattr(sys, "argv", ["stage", settings.as_argument()])
    assert told.main_of({"first": first, "then": lambda out, _: out.figure("rate", 1234.5678, "GB/s")}) == 1
    output = capsys.readouterr().out
    assert told.failures_in(output) == ["first: ValueError: two lines"]
    assert told.figures_in(output) == [("rate", "1235", "GB/s")]
    assert "Traceback" in output


def test_figures_come_back_as_they_were_told(tool, capsys):
    told = tool("gpu_stages.told")
    out = told.Told()
    out.figure("c=32, as the engine", 8.56789, "us, 3 launches")
    out.figure("kernels", "used")
    assert told.figures_in(capsys.readouterr().out) == [
        ("c=32, as the engine", "8.568", "us, 3 launches"),
        ("kernels", "used", ""),
    ]


def test_kernels_of_a_profile(tool):
    profile = tool("gpu_stages.profile")
    events = [
        SimpleNamespace(key="void gather<8>(Pair)", count=40, self_device_time_total=100.0, self_cpu_time_total=1.0),
        SimpleNamespace(key="sm90_xmma_fprop_nhwc", count=20, self_device_time_total=400.0, self_cpu_time_total=1.0),
        SimpleNamespace(key="cudaGraphLaunch", count=20, self_device_time_total=0.0, self_cpu_time_total=50.0),
    ]
    found = profile.kernels_of(events, 20, on_gpu=True)
    assert found == [("sm90_xmma_fprop_nhwc", 1.0, 20.0), ("void gather<8>(Pair)", 2.0, 5.0)]
    assert [profile.group_of(kernel.name) for kernel in found] == ["convolutions", "gather"]
    assert profile.group_of("Memcpy DtoH (Device -> Pageable)") == "copies"
    assert profile.group_of("vectorized_elementwise_kernel") == "others"
    assert profile.table_of(found).splitlines()[2].split() == ["5.0", "2.0", "2.50", "void", "gather<8>(Pair)"]


def test_choices_hold_while_they_are_measured_and_no_longer(tool, monkeypatch, tmp_path):
    choices, seen = tool("gpu_stages.choices"), {}
    monkeypatch.setattr(choices, "measure", lambda told, settings, name, model: seen.update({name: chosen()}))
    monkeypatch.setattr(choices, "seeded_model", lambda name, folder: folder)
    before = chosen()
    choices.tried(tool("gpu_stages.told").Told(), tool("gpu_stages.settings").Settings(device="cpu"))
    assert chosen() == before
    assert seen["as it is"] == before
    assert seen["3 lanes"].lanes == 3
    assert seen["bands of 8 MB"].gpu_band == 8 << 20
    assert seen["pinned staging"].pinned
    assert seen["cuDNN's benchmark"].cudnn_benchmark
    assert len(set(seen.values())) == len(seen), "each of them is tried once"


def carried(folder):
    """A wheel of one module."""
    folder.mkdir()
    info = "carried-1.dist-info"
    with zipfile.ZipFile(folder / "carried-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carried.py", "HERE = __file__\n")
        wheel.writestr("vsrife/__init__.py", "raise ImportError('the wheel is imported, not the checkout')\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: carried\nVersion: 1\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(
            f"{info}/RECORD",
            f"carried.py,,\nvsrife/__init__.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n",
        )
    return folder


def test_stages_find_the_wheels_and_the_checkout_before_them(tool, monkeypatch, tmp_path):
    pytest.importorskip("pip", reason="needs pip in this environment")
    script = tool("check_gpu")
    code = "import carried, vsrife; print('figure: paths =', carried.HERE, vsrife.__file__)"
    monkeypatch.setattr(script, "stages_of", lambda settings, bench: [stage(tool, code)])
    wheels, out = carried(tmp_path / "wheels"), tmp_path / "out"
    assert script.main(["--device=cpu", f"--out={out}", f"--wheels={wheels}"]) == 0
    (found,) = json.loads((out / "results.json").read_text())["stages"]
    ((_, there, here),) = found["figures"]
    assert not there.startswith(str(ROOT))
    assert here == str(ROOT / "vsrife" / "__init__.py")
    # An editable install is found before all paths, so their order is looked at as well.
    paths = tool("gpu_stages.surroundings").environment(device="cpu", target=tmp_path, before={"PYTHONPATH": "/former"})
    assert paths["PYTHONPATH"].split(os.pathsep) == [str(ROOT), str(ROOT / "tools"), str(tmp_path), "/former"]
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "none-1-py3-none-any.whl").write_text("no wheel")
    assert script.main(["--device=cpu", f"--out={out}", f"--wheels={tmp_path / 'broken'}"]) == 1


def test_modules_that_have_changed_since_the_wheel_are_named(tool, tmp_path):
    start = tool("gpu_stages.start")
    assert start.changed_since(tmp_path / "none") == []
    for name in ("plugin/signature.py", "errors.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / "vsrife" / name).read_bytes())
    assert start.changed_since(tmp_path) == []
    (tmp_path / start.SIGNATURE).write_text("# older")
    assert start.changed_since(tmp_path) == [start.SIGNATURE]


def test_a_carried_loader_is_used_only_where_it_loads(tool, tmp_path, capfd, monkeypatch):
    surroundings = tool("gpu_stages.surroundings")
    library = tmp_path / "libvulkan.so.1"

    def path():
        before = {"LD_LIBRARY_PATH": "/former"}
        return surroundings.environment(device="cuda", loader=tmp_path, before=before)["LD_LIBRARY_PATH"]

    assert path() == "/former"
    library.write_text("no library")
    assert path() == "/former"
    assert "loader is not used" in capfd.readouterr().err
    monkeypatch.setattr(surroundings.ctypes, "CDLL", lambda name: name)
    assert path() == f"{tmp_path}{os.pathsep}/former"


def test_where_vulkan_s_driver_describes_itself_is_named_unless_it_is(tool, tmp_path, monkeypatch):
    surroundings = tool("gpu_stages.surroundings")
    (tmp_path / "icd.json").touch()
    monkeypatch.setattr(surroundings, "_DRIVER_FILES", (str(tmp_path / "none.json"), str(tmp_path / "icd.json")))
    assert surroundings.environment(device="cuda", before={})["VK_DRIVER_FILES"] == str(tmp_path / "icd.json")
    for name in ("VK_DRIVER_FILES", "VK_ICD_FILENAMES"):
        found = surroundings.environment(device="cuda", before={name: "mine"})
        assert [found.get(each) for each in ("VK_DRIVER_FILES", "VK_ICD_FILENAMES") if each in found] == ["mine"]
