"""`vsrife evaluate`: how near the made frames come to the true ones. Importing this imports no torch."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import vsrife
from vsrife.errors import ArgumentError, RifeError
from vsrife.models import store
from vsrife.models.catalogue import CATALOGUE

if TYPE_CHECKING:
    from vsrife.evaluation.examples import Frame

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add"]

PROTOCOLS: Final = ("clips-2x", "clips-4x", "vimeo90k", "ucf101", "middlebury", "hd-2x", "hd-4x", "snu-film")
"""As the evaluation has them; stands here so that no torch is imported for --help."""

PRECISIONS: Final = ("auto", "float32", "float16", "bfloat16")


def add(commands: "Commands") -> None:
    """Add `evaluate` to a parser's subcommands."""
    parser = commands.add_parser(
        "evaluate",
        help="measure quality: PSNR, SSIM, VMAF on clips and published sets",
        description="Make frames that are known, and measure how near they come: models against the plain average.",
        epilog="docs/evaluation.md says what each protocol measures and which layout its folder must have.",
    )
    parser.add_argument("protocol", choices=PROTOCOLS, metavar="PROTOCOL", help=", ".join(PROTOCOLS))
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the clips, or the set in its published layout")
    parser.add_argument(
        "--models",
        nargs="+",
        metavar="MODEL",
        help="names or files; pictures are chosen by the first (default: the model of a call without one)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="samples of each clip or list (clips: 16, sets: all)")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1")
    parser.add_argument("--precision", default="auto", choices=PRECISIONS, metavar="P", help=", ".join(PRECISIONS))
    parser.add_argument("--no-vmaf", action="store_true", help="leave VMAF out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, every frame included")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with tables and pictures there")
    parser.add_argument(
        "--pictures", type=int, default=12, metavar="N", help="rows that the page shows pictures of, the worst (12)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the tables, write the files; 0 when done. Raises RifeError before it measures where it can."""
    for name, least in (("limit", 1), ("pictures", 0)):
        given = getattr(arguments, name)
        if given is not None and given < least:
            raise ArgumentError(f"{name} ({given}) must be {least} or more")
    for name in ("json", "html"):
        target: Path | None = getattr(arguments, name)
        if target is not None and (target.is_dir() or not target.parent.is_dir()):
            raise ArgumentError(f"{name} ({target}) must be a file in a folder that exists")
    if not arguments.folder.is_dir():
        raise ArgumentError(f"folder ({arguments.folder}) must be a folder; it does not exist or is not one")
    models, files = _models(arguments.models)
    try:
        from vsrife.evaluation.page import as_html
        from vsrife.evaluation.protocols import PROTOCOLS as PROTOCOL
        from vsrife.evaluation.report import as_json, as_text
        from vsrife.evaluation.run import evaluate
    except ModuleNotFoundError as error:
        raise RifeError(
            f"evaluate needs {error.name}, which is not installed: python -m pip install {error.name}"
        ) from None
    result = evaluate(
        PROTOCOL[arguments.protocol],
        arguments.folder,
        models,
        limit=arguments.limit,
        device=arguments.device,
        precision=arguments.precision,
        vmaf=not arguments.no_vmaf,
        worst=0 if arguments.html is None else arguments.pictures,
        progress=_progress(),
    )
    facts: dict[str, Any] = {
        "protocol": arguments.protocol,
        "folder": arguments.folder.resolve().name,
        "limit": arguments.limit,
        "device": arguments.device,
        "precision": arguments.precision,
        "vsrife": vsrife.__version__,
        "models": {label: {"file": path.name, "sha256": store.digest_of(path)} for label, path in files.items()},
    }
    print(as_text(result))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(as_json(result, facts), indent=1) + "\n", encoding="utf-8")
    if arguments.html is not None:
        arguments.html.write_text(as_html(result, facts), encoding="utf-8")
    return 0


def _models(given: Sequence[str] | None) -> tuple[dict[str, str | None], dict[str, Path]]:
    """By the name that tables show: what RIFE() is passed, and the file."""
    if given is None:
        label, _ = store.default_model()
        return {label: None}, {label: store.locate()}
    files = {name: store.locate(name) for name in dict.fromkeys(given)}
    named = {*CATALOGUE, *store.embedded_models()}
    short = {name: name if name in named else path.name for name, path in files.items()}
    # Two files of one name are told apart by what was typed.
    labels = {name: label if list(short.values()).count(label) == 1 else name for name, label in short.items()}
    return {labels[name]: name for name in files}, {labels[name]: path for name, path in files.items()}


def _progress() -> "Callable[[Frame], None]":
    """Says on stderr what was measured, where somebody reads along."""

    def say(frame: "Frame") -> None:
        if sys.stderr.isatty():
            print(f"{frame.group} {frame.row} {frame.name} t = {float(frame.time):g}".strip(), file=sys.stderr)

    return say
