"""Who may import whom inside the package, and what must come without torch: read from the source, nothing is run."""

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest

from .conftest import ROOT

WALLS: dict[str, tuple[str, ...]] = {
    "vsrife": ("vsrife._api", "vsrife.errors"),
    "vsrife.__main__": ("vsrife.cli",),
    # What each argument accepts, and the networks of vsmlrt's numbers, for errors about values that cannot be passed;
    # the class of an error that the plugin raised; downloads for auto_download.
    "vsrife._api": (
        "vsrife._compat",
        "vsrife.errors",
        "vsrife.models.ncnn",
        "vsrife.models.store",
        "vsrife.plugin.arguments",
        "vsrife.plugin.failures",
        "vsrife.plugin.signature",
    ),
    # The names of networks, and the detector's default threshold.
    "vsrife._compat": ("vsrife.errors", "vsrife.models.catalogue", "vsrife.scene.scene_change"),
    # Streams and captures, for every room that queues work on a GPU.
    "vsrife.cuda": (),
    # Values that are each computed once, for the engine and for scene detection.
    "vsrife.cache": (),
    # Choices that only measurements on a GPU can decide.
    "vsrife.choices": (),
    "vsrife.errors": (),
    # The package itself for its version; devices and the plugin it asks torch and VapourSynth about, not the engine.
    "vsrife.cli": (
        "vsrife.bench",
        "vsrife.cli",
        "vsrife.errors",
        "vsrife.evaluation",
        "vsrife.models",
        "vsrife.training",
        "vsrife",
    ),
    # What is measured, apart from the whole filter.
    "vsrife.bench": (
        "vsrife.bench",
        "vsrife.choices",
        "vsrife.cuda",
        "vsrife.engine",
        "vsrife.errors",
        "vsrife.formats",
        "vsrife.models",
        "vsrife.network",
        "vsrife",
    ),
    "vsrife.formats": ("vsrife.errors", "vsrife.formats"),
    "vsrife.scene": ("vsrife.cache", "vsrife.errors", "vsrife.formats", "vsrife.scene"),
    "vsrife.network": ("vsrife.errors", "vsrife.network"),
    "vsrife.models": ("vsrife.errors", "vsrife.models", "vsrife.network"),
    # The definitions of what a device's scene statistics are.
    "vsrife.engine": (
        "vsrife.cache",
        "vsrife.choices",
        "vsrife.cuda",
        "vsrife.engine",
        "vsrife.errors",
        "vsrife.formats",
        "vsrife.models",
        "vsrife.network",
        "vsrife.scene",
    ),
    "vsrife.plugin": (
        "vsrife.engine",
        "vsrife.errors",
        "vsrife.formats",
        "vsrife.models",
        "vsrife.plugin",
        "vsrife.scene",
    ),
    # Signatures and duplicates, to find the shots of a clip; a stream for uploads.
    "vsrife.datasets": ("vsrife.cuda", "vsrife.datasets", "vsrife.errors", "vsrife.network", "vsrife.scene"),
    # The package itself for its version.
    "vsrife.training": (
        "vsrife.cuda",
        "vsrife.datasets",
        "vsrife.errors",
        "vsrife.evaluation",
        "vsrife.models",
        "vsrife.network",
        "vsrife.training",
        "vsrife",
    ),
    # Frames are made by the public call; of the rest it only reads pictures and finds clips.
    "vsrife.evaluation": (
        "vsrife.datasets.clips",
        "vsrife.datasets.pictures",
        "vsrife.errors",
        "vsrife.evaluation",
        "vsrife",
    ),
}
"""For each room, or module, what of the package it may import, lazily or not. A room stands for all that is in it, but
`vsrife` for its __init__ alone; a room inside another has walls of its own."""

TORCH_FREE = (
    *("vsrife", "vsrife.__main__", "vsrife._api", "vsrife._compat"),
    *("vsrife.choices", "vsrife.errors"),
    *("vsrife.cli", "vsrife.cli.doctor", "vsrife.cli.evaluate", "vsrife.cli.models", "vsrife.cli.train"),
    *("vsrife.bench", "vsrife.bench.worker", "vsrife.bench.command"),
    "vsrife.network.families",
    *("vsrife.models", "vsrife.models.catalogue", "vsrife.models.download", "vsrife.models.store"),
    *("vsrife.models.ncnn", "vsrife.plugin.ncnn", "vsrife.plugin.raw_arguments"),
    *(
        "vsrife.plugin",
        "vsrife.plugin.arguments",
        "vsrife.plugin.callbacks",
        "vsrife.plugin.failures",
        "vsrife.plugin.installation",
    ),
    *(
        "vsrife.plugin.native",
        "vsrife.plugin.signature",
        "vsrife.plugin.durations",
        "vsrife.plugin.source_durations",
        "vsrife.plugin.timing",
        "vsrife.plugin.vsapi",
        "vsrife.plugin.gpu.vulkan",
    ),
    *("vsrife.formats", "vsrife.formats.colour", "vsrife.formats.pixel_format"),
)
"""Modules that must not bring torch when they are imported, by themselves or through another one."""

HEAVY = ("torch", "cupy", "safetensors.torch")


class Import(NamedTuple):
    importer: str
    imported: str
    line: int
    lazy: bool  # inside a function, or for the type checker alone


def package() -> dict[str, str]:
    """The source of every module, by its name."""
    sources = {}
    for path in (ROOT / "vsrife").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        sources[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return sources


def imports_of(module: str, sources: Mapping[str, str]) -> Iterator[Import]:
    """Every import statement of a module; a submodule counts as itself, however it is asked for."""

    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(module, alias.name, child.lineno, lazy)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{module}:{child.lineno}: a relative import"
                for alias in child.names:
                    whole = f"{child.module}.{alias.name}"
                    yield Import(
                        module, whole if whole in (*sources, *HEAVY) else str(child.module), child.lineno, lazy
                    )
            elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                yield from walk(ast.Module(child.body, []), True)
                yield from walk(ast.Module(child.orelse, []), lazy)
            else:
                yield from walk(child, lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))

    yield from walk(ast.parse(sources[module]), False)


def within(module: str, room: str) -> bool:
    return module == room or (room != "vsrife" and module.startswith(f"{room}."))


def trespasses(sources: Mapping[str, str]) -> list[str]:
    """Imports that go through a wall, as `importer:line imports imported`."""
    found = []
    for module in sources:
        room = max((room for room in WALLS if within(module, room)), key=len)
        for each in imports_of(module, sources):
            ours = each.imported.split(".")[0] == "vsrife"
            if ours and not any(within(each.imported, allowed) for allowed in WALLS[room]):
                found.append(f"{module}:{each.line} imports {each.imported}")
    return found


def ways_to_torch(sources: Mapping[str, str]) -> list[str]:
    """For each module that should be free of torch and is not: the modules on the way to it."""
    return [" > ".join(way) for module in TORCH_FREE if (way := _way(module, sources, set()))]


def _way(module: str, sources: Mapping[str, str], seen: set[str]) -> list[str]:
    if any(within(module, heavy) for heavy in HEAVY):
        return [module]
    if module not in sources or module in seen:
        return []
    seen.add(module)
    # Importing a.b.c runs a and a.b first.
    parents = [module.rsplit(".", count)[0] for count in range(1, module.count(".") + 1)]
    for following in [*parents, *(each.imported for each in imports_of(module, sources) if not each.lazy)]:
        way = _way(following, sources, seen)
        if way:
            return [module, *way]
    return []


def test_no_import_goes_through_a_wall():
    assert trespasses(package()) == []


def test_every_wall_stands_around_something():
    sources = package()
    for room, allowed in WALLS.items():
        assert any(within(module, room) for module in sources), room
        for each in allowed:
            assert any(within(module, each) for module in sources), each


def test_torch_is_not_brought_by_what_must_do_without():
    sources = package()
    assert set(TORCH_FREE) <= set(sources)
    assert ways_to_torch(sources) == []


VIOLATIONS = {
    "vsrife.network.warp": ["from vsrife.cache import Cache", "import vsrife.formats.rgb"],
    "vsrife.errors": ["import vsrife.models", "import vsrife"],
    "vsrife.engine.backend.synthesis": [
        "from vsrife.plugin import filter",
        "def f():\n    from vsrife.plugin import vsapi",
    ],
    "vsrife.formats.rgb": ["if TYPE_CHECKING:\n    from vsrife.network.flow_and_mask import FlowAndMask"],
    "vsrife.models.store": ["import os, vsrife"],
    "vsrife.cli.doctor": ["from vsrife.engine.device import resolve_device"],
    "vsrife.bench.end_to_end": ["from vsrife.plugin import vsapi"],
    "vsrife.plugin.filter": ["import vsrife.network.ifnet as ifnet"],
    "vsrife.evaluation.run": ["from vsrife.engine.interpolator import Interpolator"],
}


@pytest.mark.parametrize(("module", "line"), [(module, line) for module, lines in VIOLATIONS.items() for line in lines])
def test_a_trespass_is_seen(module, line):
    sources = package()
    (found,) = trespasses({**sources, module: f"{sources[module]}\n{line}\n"})
    assert found.startswith(f"{module}:")


@pytest.mark.parametrize(
    ("module", "line", "way"),
    [
        ("vsrife.plugin.timing", "import torch", "vsrife.plugin.timing > torch"),
        (
            "vsrife.cli.models",
            "try:\n    from torch import Tensor\nexcept ImportError: ...",
            "vsrife.cli.models > torch",
        ),
        ("vsrife.models.store", "import safetensors.torch", "vsrife.models.store > safetensors.torch"),
        ("vsrife.models.store", "from safetensors import torch as t", "vsrife.models.store > safetensors.torch"),
        ("vsrife.formats", "import torch.nn", "vsrife.formats.pixel_format > vsrife.formats > torch.nn"),
        (
            *("vsrife.models.download", "from vsrife.models.checkpoint import load"),
            "vsrife.models.store > vsrife.models.download > vsrife.models.checkpoint > torch",
        ),
    ],
)
def test_torch_is_seen(module, line, way):
    sources = package()
    assert way in ways_to_torch({**sources, module: f"{sources[module]}\n{line}\n"})


@pytest.mark.parametrize("line", ["def f():\n    import torch", "if TYPE_CHECKING:\n    import torch"])
def test_torch_may_be_imported_later(line):
    sources = package()
    module = "vsrife.plugin.timing"
    assert ways_to_torch({**sources, module: f"{sources[module]}\n{line}\n"}) == []
