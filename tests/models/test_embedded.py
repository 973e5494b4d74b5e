"""Networks inside the package: by name wherever a model is named, the default where one is called so, and offline."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from tests.conftest import ROOT
from vsrife.bench.cases import resolve_model
from vsrife.cli import doctor, evaluate, main
from vsrife.errors import ModelError
from vsrife.models import store
from vsrife.models.catalogue import CATALOGUE
from vsrife.models.embedded import ABOUT, MOST_BYTES, embedded
from vsrife.models.ncnn import find_model, model_of_number


@pytest.fixture
def weights(tmp_path, monkeypatch, average_model) -> Path:
    """A package that has `base` alone; nothing is in the cache folder."""
    folder = tmp_path / "package" / "weights"
    folder.mkdir(parents=True)
    monkeypatch.setattr(store, "EMBEDDED", folder)
    monkeypatch.setenv("VSRIFE_MODELS", str(tmp_path / "cache"))
    (folder / "base.safetensors").write_bytes(Path(average_model).read_bytes())
    (folder / "base.about.md").write_text("Clips of one studio, CC BY; no teacher.\n")
    return folder


def add_default(weights: Path) -> Path:
    path = weights / "default.safetensors"
    path.write_bytes((weights / "base.safetensors").read_bytes())
    return path


def one_line(call, *arguments) -> str:
    with pytest.raises(ModelError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def printed(capsys, *arguments) -> str:
    assert main(arguments) in (0, 1)
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_a_named_one_is_not_the_default(weights):
    assert store.locate("base") == weights / "base.safetensors"
    assert store.embedded_default() is None
    assert "model (4.0) is not on this machine" in one_line(store.locate)
    assert store.default_model()[0] == "4.0"
    assert 'model="base" needs no fetching' in store.default_model()[1]
    # A number of another plugin's asks for a network that this is no stand-in for.
    assert "model (4.6) is not on this machine" in one_line(find_model, model_of_number(23), "model (23)")


def test_the_one_called_default_is(weights):
    path = add_default(weights)
    assert store.locate() == store.locate("default") == store.embedded_default() == path
    assert store.locate("base") == weights / "base.safetensors"
    assert store.default_model() == ("default", "this package contains it, so nothing has to be fetched")
    assert "model (4.0) is not on this machine" in one_line(store.locate, "4.0")


def test_names_that_are_none(weights):
    text = one_line(store.locate, "bass")
    assert "did you mean base? names: base, 3.1, " in text
    assert "did you mean 4.26? names: base, 3.1, " in one_line(store.locate, "v4.26")
    assert "must be a file that exists" in one_line(store.locate, "base.safetensors")
    text = one_line(store.fetch, "base")
    assert text == "model (base) is inside this package, so there is nothing to fetch; leave it out"
    assert not set(CATALOGUE) & set(store.embedded_models())


def test_the_list_tells_of_it(weights, capsys):
    out = printed(capsys, "models")
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    (found,) = embedded()
    assert found.sha256 == store.digest_of(found.path)
    assert found.parameters > 1000
    size = found.path.stat().st_size / 1e6
    assert lines["base"].split() == [
        *("base", "own", f"{found.parameters / 1e6:.2f}", "M", f"{size:.1f}", "MB", "yes", "MIT", found.sha256),
    ]
    assert lines["base:"] == f"base: what it learnt from, and by which teachers: {weights / 'base.about.md'}"
    assert (
        "a call without model runs: 4.0 (an official network, since this package contains no default of its own" in out
    )
    add_default(weights)
    assert "a call without model runs: default (this package contains it" in printed(capsys, "models")
    assert printed(capsys, "models", "path", "base") == f"{weights / 'base.safetensors'}\n"


def test_a_damaged_one_is_one_line(weights):
    (weights / "base.safetensors").write_bytes(b"half of it, and no header")
    assert "is damaged; install vapoursynth-rife again" in one_line(embedded)


def test_doctor_says_which_model_runs_and_why(weights):
    found = list(doctor._models())
    assert [each.subject for each in found] == ["models", "own model", "default"]
    assert found[1].text == f'model="base": {weights / "base.safetensors"}'
    assert found[2].sound is False
    assert found[2].text.startswith(
        "a call without model runs 4.0, an official network, since this package contains no"
    )
    assert "run: python -m vsrife models fetch 4.0" in found[2].text
    path = add_default(weights)
    last = list(doctor._models())[-1]
    expected = "a call without model runs default, this package contains it, so nothing has to be fetched"
    assert (last.sound, last.text) == (True, f"{expected}: {path}")


def test_evaluate_and_bench_take_the_name(weights, tmp_path):
    assert evaluate._models(["base"]) == ({"base": "base"}, {"base": weights / "base.safetensors"})
    path = add_default(weights)
    assert evaluate._models(None) == ({"default": None}, {"default": path})
    model = resolve_model("base", tmp_path)
    assert (model.name, model.path, model.version) == ("base", weights / "base.safetensors", None)


# A call with the default of the package: which files it opens, and that it opens no socket.
CALL = """
import sys
from pathlib import Path
from vsrife.models import store
store.EMBEDDED = Path(sys.argv[1])
import vapoursynth as vs
seen = []
def watch(event, arguments):
    if event.startswith("socket."):
        seen.append([event, ""])
    elif event == "open" and isinstance(arguments[0], (str, bytes)):
        seen.append([event, str(arguments[0]), str(arguments[1])])
sys.addaudithook(watch)
clip = vs.core.std.BlankClip(width=70, height=50, format=vs.YUV420P8, length=4, color=[60, 90, 120])
clip = vs.core.std.StackHorizontal([clip, clip.std.Invert()])
counts = []
for model in ({}, {"model": "base"}):
    made = vs.core.rife.RIFE(clip, multi=2, sc=0, skip=0, **model)
    made.get_frame(1).close()
    counts.append(len(made))
import json
print(json.dumps({"frames": counts, "seen": seen}))
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_call_opens_no_socket_and_reads_nothing_outside_of_the_package(weights, tmp_path):
    """Python's own folders apart, from which modules are imported; it stands in a folder of its own."""
    add_default(weights)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", CALL, weights], cwd=elsewhere, capture_output=True, text=True, timeout=380, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["frames"] == [8, 8]
    assert [each for each in told["seen"] if each[0] != "open"] == []
    allowed = [weights, ROOT / "vsrife", *(Path(each) for each in (sys.prefix, sys.base_prefix))]
    opened = [path for _, path, _ in told["seen"]]
    outside = {path for path in opened if not any(Path(path).resolve().is_relative_to(each) for each in allowed)}
    # What torch asks the system of the processor and its memory.
    assert {path for path in outside if not path.startswith(("/proc/", "/sys/", "/dev/"))} == set()
    checkpoints = [Path(path).name for path in opened if path.endswith((".safetensors", ".pkl"))]
    assert checkpoints == ["default.safetensors", "base.safetensors"]
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("path", sorted(store.EMBEDDED.glob("*.safetensors")), ids=lambda path: path.stem)
def test_what_the_package_carries_is_small_and_has_its_papers(path):
    assert path.stat().st_size <= MOST_BYTES
    assert path.with_name(path.stem + ABOUT).read_text(encoding="utf-8").strip()
    with safe_open(path, "pt") as file:
        assert {file.get_slice(key).get_dtype() for key in file.keys()} == {"F16"}  # noqa: SIM118 - it is no dict
