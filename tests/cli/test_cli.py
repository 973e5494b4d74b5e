import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

import vsrife
from tests.models.serving import serving
from vsrife.cli import doctor, main
from vsrife.models import catalogue, store

CONTENT = b"PK\x03\x04" + b"weights" * 99


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty cache, and a package without networks."""
    monkeypatch.setattr(store, "EMBEDDED", tmp_path / "none")
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
    bench     measure speed and memory on this machine
    evaluate  measure quality: PSNR, SSIM, VMAF on clips and published sets
    train     train a network from pictures and clips
"""

MODELS = """\
usage: vsrife models [-h] ACTION ...

List the networks: those inside the package, if any, and the official ones; `fetch` brings one of
these, `path` tells where one lies.

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
    assert "group: networks with the same entry are built alike and differ in their weights only" in out


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


PACKAGE = Path(vsrife.__path__[0]).resolve()
OURS = "org.vapoursynth-rife.rife"
UUID = "6d65736132352e302e372d327e627000"
DOWNLOADED = "A GPU, frames on it are downloaded:"
REMEDY = "they need a driver and a loader for Vulkan 1.4"
OTHERS = "core.lsmas (/plugins/lsmas.so), core.ffms2 (/plugins/ffms2.so)"
NO_BS = "no core.bs, which the README's examples read files with: python -m pip install vapoursynth-bestsource"


class Plugin:
    def __init__(self, namespace, plugin_path, identifier="some.one", names=()):
        self.namespace, self.plugin_path, self.identifier, self.names = namespace, plugin_path, identifier, names

    def functions(self):
        return [types.SimpleNamespace(name=name) for name in self.names]


class Core:
    """VapourSynth's core with some plugins and, of API 4.2, no Vulkan. Its RIFE() refuses what ours does."""

    def __init__(self, plugins):
        self.plugins = lambda: plugins
        self.std = types.SimpleNamespace(BlankClip=lambda length: None)
        self.rife = types.SimpleNamespace(RIFE=self.refuse)

    def refuse(self, clip, multi):
        raise RuntimeError(f"multi ({multi})")


def stand_in(monkeypatch, *plugins):
    """Puts a core with ``plugins`` in VapourSynth's place."""
    fake = types.ModuleType("vapoursynth")
    fake.core, fake.Error = Core(plugins), RuntimeError
    monkeypatch.setitem(sys.modules, "vapoursynth", fake)
    return fake.core


def give_vulkan(core, said):
    """Vulkan devices of ``core`` as ``said``; None: it knows no Vulkan."""
    if said is None:
        return
    device = {"name": "A GPU", "uuid": said.get("uuid"), "export_handle_type": said.get("shares", 1)}
    listed = device | {"usable": said.get("usable", True), "reason": "needs Vulkan 1.4,\n has 1.3"}

    class Vulkan(Core):
        @property
        def vulkan_devices(self):
            if "error" in said:
                raise RuntimeError(said["error"])
            return said.get("devices", [listed])

        @property
        def vulkan_device_info(self):
            assert listed["usable"], "starting a device that cannot be used fills the log"
            return device

    core.__class__ = Vulkan


def give_cuda(monkeypatch, uuid):
    """One CUDA device of that UUID, or none, and stand-ins for what takes frames there."""
    import torch

    grouped = f"{str(uuid)[:8]}-{str(uuid)[8:]}"  # as torch writes them
    properties = types.SimpleNamespace(name="cuda", total_memory=0, major=9, minor=0, uuid=grouped)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: uuid is not None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(uuid is not None))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    for name in ("cupy", "cuda", "cuda.bindings", "cuda.bindings.runtime"):
        module = types.ModuleType(name)
        module.__version__ = "0"
        monkeypatch.setitem(sys.modules, name, module)


class TestDoctor:
    def lines(self, out):
        report, legend = out.split("\n\n")
        assert legend == f"{doctor.MEANING}\n"
        words = [line.split(maxsplit=1) for line in report.splitlines()]
        return {line.split()[0]: (mark, line.split(maxsplit=1)[1]) for mark, line in words}

    def test_what_it_tells(self, capsys, folder):
        status, out, err = run(capsys, "doctor")
        lines = self.lines(out)
        assert (status, err) == (1, "")
        assert lines["vsrife"][1].startswith(f"{vsrife.__version__} ")
        for name in ("python", "vapoursynth", "torch", "numpy", "cpu"):
            assert lines[name][0] == "ok"
        assert {"cupy", "core.rife", "models"} < set(lines)
        mark, text = lines["default"]
        assert mark == "error"
        assert "python -m vsrife models fetch 4.0" in text

    def test_all_is_well(self, capsys, folder, monkeypatch):
        folder.mkdir()
        (folder / "flownet_v4.0.pkl").write_bytes(CONTENT)
        monkeypatch.setattr(doctor, "_plugin", lambda: iter([doctor.Finding("core.rife", "there")]))
        # A file of the right name is not enough: it is read and summed.
        status, out, _ = run(capsys, "doctor")
        assert status == 1
        mark, text = self.lines(out)["default"]
        assert mark == "error"
        assert text.endswith("is damaged; fetch it again: python -m vsrife models fetch 4.0")
        monkeypatch.setattr(store, "digest_of", lambda _path: catalogue.find("4.0").sha256)
        status, out, _ = run(capsys, "doctor")
        assert status == 0
        mark, text = self.lines(out)["default"]
        assert mark == "ok"
        assert text.startswith(
            "a call without model runs 4.0, an official network, since this package contains no default"
        )
        assert text.endswith(f": {folder / 'flownet_v4.0.pkl'}")

    def test_a_missing_package_is_named_with_the_remedy(self, capsys, monkeypatch):
        """Case 31."""
        for name in ("torch", "cupy", "vapoursynth"):
            monkeypatch.setitem(sys.modules, name, None)
        status, out, err = run(capsys, "doctor")
        lines = self.lines(out)
        assert (status, err) == (1, "")
        for name in ("torch", "vapoursynth"):
            assert lines[name][0] == "error"
            assert lines[name][1].endswith(f"install it: python -m pip install {name}")
        assert lines["cupy"][0] == "note"
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
            ([], "error", "not loaded"),
            ([("rife", "/plugins/rife.so", OURS, ["RIFE"])], "ok", "org.vapoursynth-rife.rife (/plugins/rife.so)"),
            ([("rife", "/plugins/rife.so", "another.one", ["RIFE2"])], "error", "another plugin took the name"),
        ],
    )
    def test_the_plugin(self, capsys, monkeypatch, plugins, mark, text):
        stand_in(monkeypatch, *(Plugin(*each) for each in plugins))
        found = self.lines(run(capsys, "doctor")[1])["core.rife"]
        assert found[0] == mark
        assert text in found[1]

    def finding(self, capsys, subject):
        """The line about ``subject``, or None; whatever it says, it makes no call fail."""
        found = self.lines(run(capsys, "doctor")[1]).get(subject)
        assert found is None or found[0] in ("ok", "note")
        return found

    @pytest.mark.parametrize(
        ("namespaces", "expected"),
        [
            (["std", "bs"], ("ok", "core.bs (/plugins/bs.so); the README's examples take core.bs")),
            (
                ["ffms2", "lsmas", "bs"],
                ("ok", f"core.bs (/plugins/bs.so), {OTHERS}; the README's examples take core.bs"),
            ),
            (["std"], ("note", NO_BS)),
            (["ffms2", "lsmas"], ("note", f"{NO_BS} (there is {OTHERS})")),
        ],
    )
    def test_what_reads_files(self, capsys, monkeypatch, namespaces, expected):
        stand_in(monkeypatch, *(Plugin(name, f"/plugins/{name}.so") for name in namespaces))
        assert self.finding(capsys, "sources") == expected

    def test_the_ffmpeg_that_encode_sh_runs(self, capsys, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        program = tmp_path / "inside"
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))
        assert self.finding(capsys, "ffmpeg") == ("ok", f"{program} (not on PATH; examples/encode.sh finds it)")

        on_path = tmp_path / ("ffmpeg.exe" if os.name == "nt" else "ffmpeg")
        on_path.write_text("")
        on_path.chmod(0o755)
        assert self.finding(capsys, "ffmpeg") == ("ok", str(on_path))

        on_path.unlink()
        monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
        mark, text = self.finding(capsys, "ffmpeg")
        assert mark == "note"
        assert text.startswith("none, and only what encodes needs it (ModuleNotFoundError: ")
        assert text.endswith("; python -m pip install imageio-ffmpeg")

    @pytest.mark.parametrize(
        ("vulkan", "cuda", "expected"),
        [
            ({"uuid": UUID}, UUID, ("ok", "A GPU, frames on it are used in place")),
            ({"uuid": UUID}, UUID[::-1], ("note", f"{DOWNLOADED} it is no CUDA device of torch")),
            ({"uuid": UUID}, None, ("note", f"{DOWNLOADED} it is no CUDA device of torch")),
            ({"uuid": UUID, "shares": 0}, UUID, ("note", f"{DOWNLOADED} its driver shares no memory")),
            (
                {"uuid": UUID, "usable": False},
                UUID,
                ("note", "no frames on the GPU (A GPU: needs Vulkan 1.4, has 1.3)"),
            ),
            ({"devices": []}, UUID, ("note", "no frames on the GPU (no device)")),
            (
                {"error": "Failed to load\nthe loader"},
                UUID,
                ("note", f"no frames on the GPU (RuntimeError: Failed to load the loader); {REMEDY}"),
            ),
            (None, UUID, ("note", "no frames on the GPU (VapourSynth R81 is the first that has them there)")),
        ],
    )
    def test_frames_on_the_gpu(self, capsys, monkeypatch, vulkan, cuda, expected):
        core = stand_in(monkeypatch)
        give_vulkan(core, vulkan)
        give_cuda(monkeypatch, cuda)
        assert self.finding(capsys, "vulkan") == expected

    @pytest.mark.parametrize("name", ["cupy", "cuda.bindings.runtime"])
    def test_frames_on_the_gpu_without_what_takes_them(self, capsys, monkeypatch, name):
        give_vulkan(stand_in(monkeypatch), {"uuid": UUID})
        give_cuda(monkeypatch, UUID)
        monkeypatch.setitem(sys.modules, name, None)
        mark, text = self.finding(capsys, "vulkan")
        assert mark == "note"
        assert text.startswith(f"{DOWNLOADED} ModuleNotFoundError: ")
        assert text.endswith("; install it: python -m pip install cupy-cuda13x")

    @pytest.mark.parametrize(
        ("installed_from", "two"),
        [("this folder", False), ("a folder above", False), ("another folder", True), ("an index", True)],
    )
    def test_the_plugin_of_another_install(self, capsys, monkeypatch, tmp_path, installed_from, two):
        """`python -m vsrife` in a clone imports the clone: what was installed from there belongs to it."""
        site = tmp_path / "site-packages"
        library = site / "vapoursynth" / "plugins" / "rife" / "rife.so"
        about = site / "vapoursynth_rife-0.1.0.dist-info"
        about.mkdir(parents=True)
        library.parent.mkdir(parents=True)
        library.touch()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: vapoursynth-rife\nVersion: 0.1.0\n")
        (about / "RECORD").write_text("vsrife/__init__.py,,\nvapoursynth/plugins/rife/rife.so,,\n")
        folders = {"this folder": PACKAGE.parent, "a folder above": PACKAGE.parents[1], "another folder": tmp_path}
        if installed_from in folders:
            (about / "direct_url.json").write_text(
                json.dumps({"url": folders[installed_from].as_uri(), "dir_info": {}})
            )
        monkeypatch.syspath_prepend(site)
        stand_in(monkeypatch, Plugin("rife", str(library), OURS, ["RIFE"]))
        found = self.finding(capsys, "installs")
        assert (found is not None) == two
        if two:
            assert found[0] == "note"
            assert f"VapourSynth has loaded {library}, and Python imports {PACKAGE}, which was not" in found[1]
            assert "`python -m pip uninstall -y vapoursynth-rife`" in found[1]

    def test_the_plugin_beside_the_package_and_a_copy(self, capsys, monkeypatch, tmp_path):
        beside = PACKAGE.parent / "vapoursynth" / "plugins" / "rife" / "rife.so"
        stand_in(monkeypatch, Plugin("rife", str(beside), OURS, ["RIFE"]))
        assert self.finding(capsys, "installs") is None
        stand_in(monkeypatch, Plugin("rife", str(tmp_path / "rife.so"), OURS, ["RIFE"]))
        assert self.finding(capsys, "installs") is not None

    def test_this_install_is_one(self, capsys):
        pytest.importorskip("vapoursynth")
        if self.lines(run(capsys, "doctor")[1])["core.rife"][0] != "ok":
            pytest.skip("the plugin is not installed")
        assert self.finding(capsys, "installs") is None

    def test_without_vapoursynth_the_rest_is_told(self, capsys, monkeypatch):
        monkeypatch.setitem(sys.modules, "vapoursynth", None)
        status, out, err = run(capsys, "doctor")
        assert (status, err) == (1, "")
        lines = self.lines(out)
        assert not {"sources", "vulkan", "installs", "core.rife"} & set(lines)
        assert {"ffmpeg", "models", "torch"} < set(lines)


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
