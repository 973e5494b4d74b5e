"""Configurations in TOML files: reading them, the ones in the package, and changes from the command line."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vsrife.errors import ArgumentError
from vsrife.training.config import Config
from vsrife.training.settings import parse_table

__all__ = ["CONFIGS", "config_of", "merged", "read_config", "read_table"]

CONFIGS: Final = Path(__file__).parent / "configs"
"""The folder of the configurations in the package."""


def read_table(source: str | Path) -> dict[str, Any]:
    """The tables of a TOML file, or of a configuration in CONFIGS by name. Raises ArgumentError as `read_config`."""
    path = Path(source)
    if path.suffix != ".toml":
        packaged = CONFIGS / f"{source}.toml"
        if not packaged.is_file():
            names = ", ".join(
                sorted(str(each.relative_to(CONFIGS).with_suffix("")) for each in CONFIGS.rglob("*.toml"))
            )
            raise ArgumentError(f"config ({source}) must be a .toml file or one of {names}")
        path = packaged
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentError(f"config ({path}) must be a file that can be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArgumentError(f"config ({path}) must be valid TOML: {' '.join(str(error).split())}; correct it") from None


def read_config(source: str | Path, changes: Sequence[str] = ()) -> Config:
    """The configuration of a file with changes such as "run.steps=100": the key with its tables, and a TOML value.

    A value that is not valid TOML is taken as text. Raises ArgumentError, one line, if anything is wrong.
    """
    return config_of(read_table(source), changes)


def config_of(table: Mapping[str, Any], changes: Sequence[str] = ()) -> Config:
    """As `read_config`, from tables, which are not modified."""
    changed = merged({}, table)
    for change in changes:
        _change(changed, change)
    return parse_table(Config, changed)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, key by key, in nested tables too."""
    result = dict(base)
    for key, value in over.items():
        mine = result.get(key, {})
        is_table = isinstance(mine, Mapping) and isinstance(value, Mapping)
        result[key] = merged(mine, value) if is_table else value
    return result


def _change(table: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    *parents, last = key.strip().split(".")
    if not equals or not last:
        raise ArgumentError(f"set ({change}) must be KEY=VALUE, as in run.steps=20000")
    try:
        value: Any = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ArgumentError(f"set ({change}) must name a key in a table; {parent} is not a table")
    table[last] = value
