"""Tables of TOML to frozen dataclasses, every key checked: which there are, what they may hold, what was meant."""

import difflib
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Final, Literal, Union, cast, get_args, get_origin, get_type_hints

from vsrife.errors import ArgumentError

__all__ = ["as_plain", "check_at_least", "check_share", "parse_table"]

_WORDS: Final[Mapping[object, str]] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text in quotes",
    Path: "a path in quotes",
}


def check_at_least(name: str, value: float, least: float) -> None:
    """Raise ArgumentError if a value is below `least` or not finite."""
    if not (math.isfinite(value) and value >= least):
        raise ArgumentError(f"{name} ({value:g}) must be {least:g} or more")


def check_share(name: str, value: float) -> None:
    """Raise ArgumentError if a value is not from 0 to 1."""
    if not 0 <= value <= 1:
        raise ArgumentError(f"{name} ({value:g}) must be from 0 to 1")


def parse_table[S](kind: type[S], table: object, where: str = "") -> S:
    """The dataclass `kind` with the values of `table`, a TOML table whose name is `where`.

    A field may be a number, text, a truth, a path, a Literal, a tuple of one kind of them, another dataclass, a mapping
    from text to anything, or one of these or None. Raises ArgumentError, which names the key, its value and what is
    taken, for an unknown key, a missing one and a value of another kind.
    """
    if not isinstance(table, Mapping):
        raise ArgumentError(f"{where} ({_shown(table)}) must be a table; write [{where}] above its keys")
    hints = get_type_hints(kind)
    known = [field.name for field in fields(cast(Any, kind))]
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ArgumentError(f"{_name(where, key)} ({_shown(table[key])}) must be left out; {hint}{_listed(known)}")
    values = {key: _value(hints[key], value, _name(where, key)) for key, value in table.items()}
    for field in fields(cast(Any, kind)):
        if field.name not in values and field.default is MISSING and field.default_factory is MISSING:
            expected = _WORDS.get(hints[field.name], "there")
            raise ArgumentError(f"{_name(where, field.name)} (missing) must be {expected}; add it")
    return kind(**values)


def as_plain(value: Any) -> Any:
    """Settings as JSON and TOML have them: tables, lists, text, numbers; what is None is left out of a table."""
    if is_dataclass(value):
        pairs = {field.name: getattr(value, field.name) for field in fields(value)}
        return {name: as_plain(each) for name, each in pairs.items() if each is not None}
    if isinstance(value, Mapping):
        return {str(key): as_plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [as_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def _value(hint: Any, value: object, name: str) -> Any:
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        (hint,) = [part for part in parts if part is not types.NoneType]
        return _value(hint, value, name)
    if origin is Literal:
        if value not in parts:
            raise ArgumentError(f"{name} ({_shown(value)}) must be one of {', '.join(map(str, parts))}")
        return value
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ArgumentError(f"{name} ({_shown(value)}) must be a list; put it into [ ]")
        return tuple(_value(parts[0], each, f"{name}[{index}]") for index, each in enumerate(value))
    if is_dataclass(hint):
        return parse_table(cast(type[Any], hint), value, name)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise ArgumentError(f"{name} ({_shown(value)}) must be a table")
        return {str(key): _value(parts[1], each, _name(name, key)) for key, each in value.items()}
    return _plain(hint, value, name)


def _plain(hint: Any, value: object, name: str) -> Any:
    if hint is Path and isinstance(value, str) and value:
        return Path(value).expanduser()
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is not Path and isinstance(value, hint) and isinstance(value, bool) == (hint is bool):
        return value
    raise ArgumentError(f"{name} ({_shown(value)}) must be {_WORDS[hint]}")


def _name(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def _shown(value: object) -> str:
    text = str(value).replace("\n", " ")
    return text if len(text) <= 60 else f"{text[:57]}..."


def _listed(names: Sequence[str]) -> str:
    return f"there are: {', '.join(names)}"
