"""`vsrife models`: what there is, what is here, and bringing the rest."""

import argparse
from typing import TYPE_CHECKING

from vsrife.models import store
from vsrife.models.catalogue import CATALOGUE, Entry
from vsrife.models.embedded import Embedded, embedded

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add"]


def add(commands: "Commands") -> None:
    """Add `models` and its own subcommands to a parser's."""
    parser = commands.add_parser(
        "models",
        help="list, fetch and find the networks' files",
        description="List the networks: those inside the package, if any, and the official ones; `fetch` brings one of "
        "these, `path` tells where one lies.",
        epilog=f"The files lie in a cache folder; the environment variable {store.FOLDER_VARIABLE} chooses another.",
    )
    parser.set_defaults(run=list_models)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")

    listing = actions.add_parser("list", help="list the official networks (also without an action)")
    listing.set_defaults(run=list_models)

    fetch = actions.add_parser("fetch", help="bring checkpoints into the cache folder and verify them")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="a name from the list, e.g. 4.26")
    fetch.set_defaults(run=fetch_models)

    path = actions.add_parser("path", help="print where a network's file lies")
    path.add_argument("name", metavar="NAME", help="a name from the list, or a file")
    path.set_defaults(run=print_path)


def list_models(_arguments: argparse.Namespace) -> int:
    """Print the catalogue as a table."""
    rows: list[tuple[str, ...]] = [("name", "group", "parameters", "size", "here", "licence", "sha256")]
    own = embedded()
    rows += [_own_row(each) for each in own]
    rows += [_row(entry) for entry in CATALOGUE.values()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()
    print(f"folder: {store.cache_folder()}")
    default, why = store.default_model()
    print(f"a call without model runs: {default} ({why})")
    for each in own:
        if each.about is not None:
            print(f"{each.name}: what it learnt from, and by which teachers: {each.about}")
    print("group: networks with the same entry are built alike and differ in their weights only (docs/models.md)")
    if own:
        print("group own: trained by this project, inside the package")
    print("size: > is what the weights alone take; sha256: * as recorded when the file first came")
    return 0


def _row(entry: Entry) -> tuple[str, ...]:
    path = store.paths_of(entry)[0]
    cached = store.is_cached(entry)
    size = sum(each.stat().st_size for each in store.paths_of(entry)) if cached else entry.size
    recorded = None if entry.sha256 or not cached else store.recorded_sha256(path)
    return (
        entry.name,
        entry.group,
        f"{entry.parameters / 1e6:.2f} M",
        f"{size / 1e6:.1f} MB" if size else f">{4 * entry.parameters / 1e6:.0f} MB",
        "yes" if cached else "no",
        entry.licence,
        entry.sha256 or (f"{recorded}*" if recorded else "-"),
    )


def _own_row(network: Embedded) -> tuple[str, ...]:
    return (
        network.name,
        "own",
        f"{network.parameters / 1e6:.2f} M",
        f"{network.size / 1e6:.1f} MB",
        "yes",
        network.licence,
        network.sha256,
    )


def fetch_models(arguments: argparse.Namespace) -> int:
    """Fetch each name; the first one that fails ends it."""
    # All of them first: a misspelt last name should not cost the download of the first.
    entries = [store.entry_to_fetch(name) for name in arguments.names]
    for entry in entries:
        before = store.is_cached(entry)
        if not before:
            print(f"{entry.name}: fetching {entry.source}", flush=True)
        store.fetch(entry.name)
        for path, file in zip(store.paths_of(entry), entry.files, strict=True):
            proof = "as published" if file.sha256 else "recorded at first sight, not published"
            print(f"{entry.name}: {path} ({path.stat().st_size} bytes)")
            print(f"{entry.name}: sha256 {store.expected_sha256(path)} ({proof})")
    return 0


def print_path(arguments: argparse.Namespace) -> int:
    """Print the file of a model that is here."""
    entry = CATALOGUE.get(arguments.name)
    if entry is not None and store.is_cached(entry):
        for path in store.paths_of(entry):
            print(path)
    else:
        print(store.locate(arguments.name))
    return 0
