"""The README says what is true: its code runs, its table is the signature, its links lead somewhere."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import imageio_ffmpeg
import pytest
import vapoursynth as vs

import vsrife
from vsrife.models import catalogue
from vsrife.plugin.signature import SIGNATURE

from . import standin

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]

UNRUN = ("python3.12 -m venv", "./dev", "VSSCRIPT_PATH")
"""Commands that change the machine, take minutes or need a player: only their grammar and what they name is checked."""


class Block(NamedTuple):
    line: int
    language: str
    text: str


def blocks() -> Iterator[Block]:
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        yield Block(README[: found.start()].count("\n") + 1, *found.groups())


def of(language: str):
    chosen = [block for block in blocks() if block.language == language]
    assert chosen
    return pytest.mark.parametrize("block", chosen, ids=[f"line {block.line}" for block in chosen])


@pytest.fixture
def desk(average_model, tmp_path, monkeypatch) -> Path:
    """A folder with film.mkv and the examples; ffmpeg is on PATH, a stand-in for 4.0 is the fetched model."""
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ffmpeg").symlink_to(ffmpeg)
    path = os.pathsep.join([str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    monkeypatch.setenv("PATH", path)
    standin.put(Path(average_model), tmp_path / "models")
    monkeypatch.setenv(standin.FOLDER_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setattr(catalogue, "CATALOGUE", standin.with_stand_in())
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(standin.SITECUSTOMIZE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), str(ROOT)]))
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # what would be fetched all the same fails at once
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    subprocess.run(
        [ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=96x64:r=24", "-f", "lavfi", "-i", "sine",
         "-t", "0.25", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "film.mkv"],
        check=True,
    )  # fmt: skip
    return tmp_path


@of("python")
def test_python(block, desk):
    clip = vs.core.bs.VideoSource("film.mkv", showprogress=False)
    names = {"core": vs.core, "clip": clip}
    try:
        exec(compile("\n" * block.line + block.text, "README.md", "exec"), names)
        outputs = vs.get_outputs()
        made = outputs[0].clip if outputs else names["clip"]
        assert made.num_frames >= 12
        assert made.get_frame(1).props["RifeKind"] == "interpolated"
    finally:
        vs.clear_outputs()


@of("sh")
def test_sh(block, desk):
    grammar = subprocess.run(["sh", "-n"], input=block.text, text=True, capture_output=True, check=False)
    assert grammar.returncode == 0, grammar.stderr
    if block.text.startswith(UNRUN):
        for verb in re.findall(r"^\./dev (\w+)$", block.text, re.MULTILINE):
            assert f"\n{verb})" in (ROOT / "dev").read_text()
        for path in re.findall(r"examples/[\w.]+", block.text):
            assert (ROOT / path).is_file()
        return
    before = set(desk.iterdir())
    done = subprocess.run(["sh", "-ec", block.text], text=True, capture_output=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr
    for path in set(desk.iterdir()) - before - {desk / "cache"}:
        assert vs.core.bs.VideoSource(str(path), cachemode=0, showprogress=False).num_frames == 12


def test_the_table_is_the_signature():
    section = README.split("## Arguments")[1].split("\n## ")[0]
    cells = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    assert [name for cell in cells for name in re.findall(r"`(\w+)`", cell)] == [
        entry.split(":")[0] for entry in SIGNATURE.split(";") if entry
    ]


def test_what_install_says_is_there():
    section = README.split("## Install")[1].split("\n## ")[0]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (chosen,) = re.findall(r"pip install '\.\[([\w,]+)\]'", section)
    explained = re.findall(r"^- `\[(\w+)\]`", section, re.MULTILINE)
    assert chosen.split(",") == explained
    assert set(explained) <= set(extras)

    sizes = re.findall(r"(\d+) GB on disk", section) + re.findall(r"(\d+) GB", (ROOT / "dev").read_text())
    assert len(sizes) >= 3
    assert len(set(sizes)) == 1, "the README and ./dev name one size"

    (answer,) = re.findall(r"`vapoursynth config` says `(.*?)`", section, re.DOTALL)
    assert " ".join(answer.split()) in (Path(vs.__file__).parent / "_utils.py").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links(document):
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = (document.parent / path) if path else document
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            assert anchor in [heading.lower().replace(" ", "-") for heading in headings], target


def test_pictures_are_small():
    for path in (ROOT / "docs" / "img").iterdir():
        assert path.stat().st_size < 300_000, path.name


def test_the_signature_line_has_the_arguments_and_their_defaults():
    section = README.split("## Arguments")[1].split("\n## ")[0]
    (line,) = re.findall(r"core\.rife\.RIFE\((.*?)\)\n```", section, re.DOTALL)
    shown = dict(entry.strip().partition("=")[::2] for entry in line.split(",") if "=" in entry)
    (others,) = [row for row in section.splitlines() if row.startswith("| `multiplier`")]
    names = [entry.split(":")[0] for entry in SIGNATURE.split(";") if entry]
    assert list(shown) == [name for name in names if name != "clip" and f"`{name}`" not in others]
    # A denominator is passed with its numerator alone.
    defaults = {name: eval(value, {}) for name, value in shown.items() if not name.endswith("_den")}
    clip = vs.core.std.BlankClip(width=64, height=64, length=2, format=vs.GRAY8)
    plain, stated = vsrife.RIFE(clip), vsrife.RIFE(clip, **defaults)
    assert [frame.props["RifeKind"] for frame in stated.frames()] == [
        frame.props["RifeKind"] for frame in plain.frames()
    ]
    assert stated.num_frames == plain.num_frames == 4


def test_it_is_short():
    assert len(README.splitlines()) <= 150
