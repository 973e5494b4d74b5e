import os
import subprocess
import sys

import pytest

import vsrife
from tests.models.serving import serving
from vsrife.cli import doctor, main
from vsrife.models import catalogue, store

CONTENT = b"PK\x03\x04" + b"weights" * 99


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VSRIFE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "models"


def run(capsys, *arguments):
    status = main(arguments)
    written = capsys.readouterr()
    return status, written.out, written.err


TOP = """\
usage: vsrife [-h] [--version] COMMAND ...

RIFE frame interpolation for VapourSynth: models, diagnosis, speed, quality and training.

options:
  -h, --help  show this help message and exit
  --version   show program's version number and exit

commands:
  COMMAND
    models    list, fetch and find the networks' files
    doctor    tell what is installed, what is missing and what to do
    bench     measure speed and memory here, also against vs-rife
    evaluate  measure quality: PSNR, SSIM, VMAF on clips and published sets
    train     train a network from pictures and clips
"""

MODELS = """\
usage: vsrife models [-h] ACTION ...

List the official networks; `fetch` brings one, `path` tells where it lies.

options:
  -h, --help  show this help message and exit

actions:
  ACTION
    list      list the official networks (also without an action)
    fetch     bring checkpoints into the cache folder and verify them
    path      print where a network's file lies

The files lie in a cache folder; the environment variable VSRIFE_MODELS chooses another.
"""


@pytest.mark.parametrize(("arguments", "expected"), [(("--help",), TOP), (("models", "-h"), MODELS)])
def test_help(capsys, arguments, expected):
    assert run(capsys, *arguments) == (0, expected, "")


@pytest.mark.parametrize("action", [("list",), ("fetch",), ("path",)])
def test_every_action_has_help(capsys, action):
    status, out, err = run(capsys, "models", *action, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: vsrife models {action[0]}")


@pytest.mark.parametrize("arguments", [(), ("model",), ("models", "fetch"), ("models", "path"), ("--model",)])
def test_wrong_use_is_status_2(capsys, arguments):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert "usage: vsrife" in err


def test_the_list(capsys, folder):
    folder.mkdir()
    (folder / "flownet_v4.9.pkl").write_bytes(CONTENT)
    status, out, err = run(capsys, "models")
    assert (status, err) == (0, "")
    assert out == run(capsys, "models", "list")[1]
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line}
    assert lines["name"] == ["name", "group", "parameters", "size", "here", "licence", "sha256"]
    assert lines["4.0"] == ["4.0", "A", "5.16", "M", "35.0", "MB", "no", "MIT", catalogue.find("4.0").sha256]
    assert lines["4.9"] == ["4.9", "E", "5.33", "M", "0.0", "MB", "yes", "MIT", "-"]
    assert lines["4.26"] == ["4.26", "J", "5.66", "M", ">23", "MB", "no", "MIT", catalogue.find("4.26").sha256]
    assert set(catalogue.CATALOGUE) < set(lines)
    assert f"folder: {folder}" in out
    assert "a call without model runs: 4.0" in out


def test_fetch_then_path(capsys, folder, monkeypatch):
    with serving(CONTENT) as release:
        monkeypatch.setattr(catalogue, "RELEASE", release.url)
        status, out, err = run(capsys, "models", "fetch", "4.8", "4.9")
        assert (status, err) == (0, "")
        assert f"4.9: fetching {release.url}/flownet_v4.9.pkl" in out
        path = folder / "flownet_v4.9.pkl"
        assert f"4.9: {path} ({len(CONTENT)} bytes)" in out
        assert f"4.9: sha256 {store.digest_of(path)} (recorded at first sight, not published)" in out

        status, out, err = run(capsys, "models", "fetch", "4.9")
        assert (status, err) == (0, "")
        assert "fetching" not in out
        assert release.requests == 2
    assert run(capsys, "models", "path", "4.9") == (0, f"{path}\n", "")
    assert f"{store.digest_of(path)}*" in run(capsys, "models")[1]


def test_path_of_the_older_line_is_told_too(capsys, folder, monkeypatch):
    monkeypatch.setattr(store, "is_cached", lambda entry: True)
    status, out, _ = run(capsys, "models", "path", "3.1")
    assert status == 0
    names = ("flownet_v3.1.pkl", "contextnet_v3.1.pkl", "unet_v3.1.pkl")
    assert out.splitlines() == [str(folder / name) for name in names]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("path", "4.9"), "vsrife: model (4.9) is not on this machine; run: python -m vsrife models fetch 4.9"),
        (("path", "x.pkl"), "vsrife: model (x.pkl) must be a file that exists"),
        (
            ("fetch", "4.9", "v4.9"),
            "vsrife: model (v4.9) must be a model's name or a checkpoint file; did you mean 4.9?",
        ),
        (("fetch", "../../x"), "vsrife: model (../../x) must be a model's name"),
    ],
)
def test_an_error_is_one_line_and_status_2(capsys, folder, arguments, complaint):
    status, out, err = run(capsys, "models", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(complaint)
    assert err.count("\n") == 1
    assert not folder.exists()


def test_ctrl_c_is_status_130(capsys, monkeypatch):
    def interrupted(_name):
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "fetch", interrupted)
    assert run(capsys, "models", "fetch", "4.9")[0] == 130


def test_as_a_module(folder):
    done = subprocess.run([sys.executable, "-m", "vsrife", "models"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"folder: {folder}" in done.stdout


class TestDoctor:
    def lines(self, out):
        return {line[4:].split()[0]: (line[:2], line[4:].split(maxsplit=1)[1]) for line in out.splitlines()}

    def test_what_it_tells(self, capsys, folder):
        status, out, err = run(capsys, "doctor")
        lines = self.lines(out)
        assert (status, err) == (1, "")
        assert lines["vsrife"][1].startswith(f"{vsrife.__version__} ")
        for name in ("python", "vapoursynth", "torch", "numpy", "cpu"):
            assert lines[name][0] == "ok"
        assert {"cupy", "core.rife", "models"} < set(lines)
        mark, text = lines["default"]
        assert mark == "--"
        assert "python -m vsrife models fetch 4.0" in text

    def test_all_is_well(self, capsys, folder, monkeypatch):
        folder.mkdir()
        (folder / "flownet_v4.0.pkl").write_bytes(CONTENT)
        monkeypatch.setattr(doctor, "_plugin", lambda: iter([doctor.Finding("core.rife", "there")]))
        # A file of the right name is not enough: it is read and summed.
        status, out, _ = run(capsys, "doctor")
        assert status == 1
        mark, text = self.lines(out)["default"]
        assert mark == "--"
        assert text.endswith("is damaged; fetch it again: python -m vsrife models fetch 4.0")
        monkeypatch.setattr(store, "digest_of", lambda _path: catalogue.find("4.0").sha256)
        status, out, _ = run(capsys, "doctor")
        assert status == 0
        assert self.lines(out)["default"] == ("ok", f"4.0: {folder / 'flownet_v4.0.pkl'}")

    def test_a_missing_package_is_named_with_the_remedy(self, capsys, monkeypatch):
        """Case 31."""
        for name in ("torch", "cupy", "vapoursynth"):
            monkeypatch.setitem(sys.modules, name, None)
        status, out, err = run(capsys, "doctor")
        lines = self.lines(out)
        assert (status, err) == (1, "")
        for name in ("torch", "vapoursynth"):
            assert lines[name][0] == "--"
            assert lines[name][1].endswith(f"install it: python -m pip install {name}")
        assert lines["cupy"][0] == ".."
        assert lines["models"][0] == "ok"

    def test_it_never_raises(self, capsys, monkeypatch):
        def broken():
            raise RuntimeError("two\nlines")
            yield

        monkeypatch.setattr(doctor, "_devices", broken)
        status, out, err = run(capsys, "doctor")
        assert (status, err) == (1, "")
        assert "RuntimeError: two lines" in out

    @pytest.mark.parametrize(
        ("plugins", "mark", "text"),
        [
            ([], "--", "not loaded"),
            ([("rife", "org.vapoursynth-rife.rife", ["RIFE"])], "ok", "org.vapoursynth-rife.rife (/plugins/rife.so)"),
            ([("rife", "another.one", ["RIFE2"])], "--", "another plugin took the name"),
        ],
    )
    def test_the_plugin(self, capsys, monkeypatch, plugins, mark, text):
        class Plugin:
            plugin_path = "/plugins/rife.so"

            def __init__(self, namespace, identifier, names):
                self.namespace, self.identifier, self.names = namespace, identifier, names

            def functions(self):
                return [type("Function", (), {"name": name}) for name in self.names]

        core = type("Core", (), {"plugins": lambda _self: [Plugin(*each) for each in plugins]})()
        fake = type(os)("vapoursynth")
        fake.core = core
        monkeypatch.setitem(sys.modules, "vapoursynth", fake)
        found = self.lines(run(capsys, "doctor")[1])["core.rife"]
        assert found[0] == mark
        assert text in found[1]


def test_a_closed_pipe_is_no_error():
    program = [sys.executable, "-m", "vsrife", "models"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 141


def test_without_a_command_it_says_which_there_are(capsys):
    assert run(capsys) == (2, "", TOP)


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"vsrife {vsrife.__version__}\n", "")
