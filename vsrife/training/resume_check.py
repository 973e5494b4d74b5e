"""Which keys of a configuration may change when a run is resumed."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import Any, Final

from vsrife.datasets.ring import RingSettings
from vsrife.training.config import Config, Log, Loss, Network, Optimiser, Run, Save, Validation
from vsrife.training.config_file import merged
from vsrife.training.data_config import Also, Data, Mix
from vsrife.training.settings import as_plain

__all__ = ["changed_key"]

_FREE: Final = (
    "run.budget",
    "run.time_limit",
    "run.device",
    "run.graph",
    "run.folder",
    "log",
    "save",
    "validation",
    "data.pack",
    "data.pictures",
    "data.cutouts",
    "data.clips",
    "data.labels",
    "data.vimeo",
    "data.prefetch",
    "data.threads",
    "data.ring.folder",
)
"""Keys and tables that do not affect what is learnt, and the places of data, which may be moved."""

_TABLES: Final[Mapping[str, type]] = MappingProxyType(
    {
        "run": Run,
        "network": Network,
        "loss": Loss,
        "optimiser": Optimiser,
        "data": Data,
        "validation": Validation,
        "save": Save,
        "log": Log,
    }
)
"""The class of each field of Config."""

_ENTRIES: Final[Mapping[str, type]] = MappingProxyType({"also": Also, "mix": Mix})
"""The class of each entry of lists of tables in `data`."""


def changed_key(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """The first key in which two plain configurations differ and which affects training, with both values; or None.

    A key that one of them lacks, because it did not exist then, has its default there.
    """
    for key, values in _differences(_completed(one), _completed(other), ""):
        if not any(key == free or key.startswith(f"{free}.") for free in _FREE):
            return f"{key} ({values[0]} then, {values[1]} now)"
    return None


def _completed(table: Mapping[str, Any]) -> dict[str, Any]:
    found = merged({each.name: _defaults(_TABLES[each.name]) for each in fields(Config)}, table)
    data = found["data"]
    for name, kind in _ENTRIES.items():
        data[name] = [{**_defaults(kind), **each} for each in data[name]]
    if data.get("ring") is not None:
        data["ring"] = {**_defaults(RingSettings), **data["ring"]}
    return found


def _defaults(kind: type) -> dict[str, Any]:
    """The defaults of a table's keys, without those keys that have none."""
    found = {}
    for each in fields(kind):
        value = each.default if each.default_factory is MISSING else each.default_factory()
        if value is not MISSING and value is not None:
            found[each.name] = as_plain(value)
    return found


def _differences(one: Any, other: Any, where: str) -> list[tuple[str, tuple[Any, Any]]]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        found = []
        for key in dict.fromkeys((*one, *other)):
            found += _differences(one.get(key), other.get(key), f"{where}.{key}" if where else key)
        return found
    return [] if one == other else [(where, (one, other))]
