"""The networks of the RIFE-ncnn-Vulkan plugin, by number and by folder name, mapped to networks of the catalogue.

The files of that plugin have another format and cannot be read. So a number or a folder selects the official network of
the same version or, where the catalogue or this machine does not have it, the nearest one. This applies to arguments of
that plugin's scripts alone; a name of the catalogue always selects exactly that network.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vsrife.errors import ModelError
from vsrife.models import catalogue
from vsrife.models.store import embedded_default, is_cached, locate

__all__ = ["TITLES", "NcnnModel", "find_model", "model_of_folder", "model_of_number", "name_of_mlrt"]

_GROUPS = (
    "rife rife-HD rife-UHD rife-anime rife-v2 rife-v2.3 rife-v2.4 rife-v3.0 rife-v3.1",
    (
        "3.9 4 4.1 4.2 4.3 4.4 4.5 4.6 4.7 4.8 4.9 4.10 4.11 4.12 4.12-lite 4.13 4.13-lite 4.14 4.14-lite 4.15 "
        "4.15-lite 4.16-lite 4.17 4.17-lite 4.18 4.19-beta 4.20"
    ),
    "4.21 4.22 4.22-lite 4.23-beta",
    "4.24",
    "4.25 4.25-lite 4.25-heavy 4.26 4.26-large",
)
"""Its list (r9_mod_v33) in alternating groups: networks with one number, then networks with two, the second with
ensemble."""


def _titles() -> tuple[tuple[str, bool], ...]:
    found: list[tuple[str, bool]] = []
    for place, group in enumerate(_GROUPS):
        for name in group.split():
            title = name if name.startswith("rife") else f"rife-v{name}"
            found += [(title, False), (title, True)] if place % 2 else [(title, False)]
    return tuple(found)


TITLES = _titles()
"""For each number from 0: the plugin's name of the network, and whether it runs with ensemble."""

LONGEST_TITLE = 60
"""Characters of a folder's name that a message shows."""

_SAME_KIND = {(3, 9, ""): "4.0"}
"""3.9 takes any time between two frames, as the 4.x networks do and those of the 3.x line in the catalogue do not."""

_VERSION = re.compile(r"(?<![\d.])(\d)\.(\d{1,2})(?![\d.])")
_SHORT_VERSION = re.compile(r"(?:rife|v)[-_ ]?v?(\d)(\d{0,2})(?![\d.])")
_WITH_ENSEMBLE = re.compile(r"en.emble[-_ ]?true")  # misspelt in some of its folders
_BEFORE_VERSIONS = re.compile(r"rife(?:[-_ ]?(?:u?hd|anime))?")

_Version = tuple[int, int, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class NcnnModel:
    """A network of the other plugin.

    title: its name there, e.g. "rife-v4.6".
    network: the name in the catalogue of that network or, if `exact` is false, of the nearest one.
    ensemble: whether it runs with ensemble.
    """

    title: str
    network: str
    exact: bool
    ensemble: bool = False


def model_of_number(number: int, *, before_factors: bool = False) -> NcnnModel:
    """The network with that number. Raises ModelError, with a name that may have been meant, where there is none.

    before_factors: the numbers of the plugin's versions with ``multiplier``, whose last one was 9.
    """
    if before_factors and number == len(_GROUPS[0].split()):
        return NcnnModel(title="rife-v4", network="4.0", exact=True)
    if not 0 <= number < len(TITLES):
        meant = name_of_mlrt(number)
        hint = f'RIFEModel {number} of vsmlrt is model="{meant}"' if meant else "for them: python -m vsrife models"
        raise ModelError(
            f"model ({number}) must be a name, or a number of the ncnn plugin from 0 to {len(TITLES) - 1}; {hint}"
        )
    title, ensemble = TITLES[number]
    version = _version_of(title)
    assert version is not None
    return _model(title, version, ensemble=ensemble)


def model_of_folder(folder: str) -> NcnnModel | None:
    """The network named by the last part of a folder's path; None where it names none."""
    name = re.split(r"[\\/]", folder.rstrip("\\/ "))[-1].strip()
    version = _version_of(name)
    if version is None:
        return None
    title = "".join(character if character.isprintable() else "?" for character in name)[:LONGEST_TITLE]
    return _model(title, version, ensemble=bool(_WITH_ENSEMBLE.search(name.lower())))


def find_model(model: NcnnModel, argument: str) -> tuple[Path, str]:
    """The file of `model`'s network or, where that is not on this machine, of the nearest one, and a line for the log.

    argument: name and value of the argument. The line is empty where the network is exactly the requested one. Raises
    ModelError with the command to fetch it where no network is on this machine.
    """
    start = f"{argument} is {model.title} of the ncnn plugin"
    if not model.exact:
        start += ", which vsrife does not have"
    network = model.network if model.exact else f"{model.network}, the nearest,"
    here = [name for name, entry in catalogue.CATALOGUE.items() if is_cached(entry)]
    if model.network in here:
        return locate(model.network), "" if model.exact else f"{start}; {network} is used in its place"
    if here:
        used = _nearest(_parts(model.network), here)
        path = locate(used)
    elif embedded := embedded_default():
        path, used = embedded, "the default network"
    else:
        try:
            return locate(model.network), ""
        except ModelError as error:
            raise ModelError(f"{start}: {error}") from None
    return path, (
        f"{start}; {network} is not on this machine, and {used} is used in its place: "
        f"python -m vsrife models fetch {model.network} brings {model.network}"
    )


def _model(title: str, version: _Version, *, ensemble: bool) -> NcnnModel:
    network = _SAME_KIND.get(version) or _nearest(version, catalogue.CATALOGUE)
    exact = (
        _parts(network) == version and "sudo" not in title.lower()
    )  # those were trained by others with the same shapes
    return NcnnModel(title=title, network=network, exact=exact, ensemble=ensemble)


def _version_of(name: str) -> _Version | None:
    """Major, minor and kind from a name of the other plugin: "rife-v4.12_lite", "rife46", "rife-HD"."""
    lower = name.lower()
    if _BEFORE_VERSIONS.fullmatch(lower):
        return 1, 0, ""
    found = _VERSION.search(lower) or _SHORT_VERSION.search(lower)
    if found is None:
        return None
    kind = "lite" if "lite" in lower else "heavy" if "heavy" in lower or "large" in lower else ""
    return int(found[1]), int(found[2] or 0), kind


def _parts(name: str) -> _Version:
    """The same of a name of the catalogue."""
    major, minor, *kind = name.split(".")
    return int(major), int(minor), "".join(kind)


def _nearest(wanted: _Version, names: Iterable[str]) -> str:
    """The name with the nearest version, preferably of the same kind; the older one of two that are equally near."""

    def distance(name: str) -> tuple[int, int, bool, int]:
        major, minor, kind = _parts(name)
        # Of an older major version the last one is the nearest, of a newer one the first.
        steps = abs(minor - wanted[1]) if major == wanted[0] else minor if major > wanted[0] else -minor
        return abs(major - wanted[0]), steps, kind != wanted[2], minor

    return min(names, key=distance)


def name_of_mlrt(number: int) -> str | None:
    """The catalogue's name of a RIFEModel of vsmlrt: 46 is 4.6, 426 is 4.26, 4151 is 4.15.lite, 4252 is 4.25.heavy."""
    digits = str(number)
    kind = {"1": ".lite", "2": ".heavy"}.get(digits[3:], "")
    name = f"{digits[0]}.{digits[1:3]}{kind}"
    return name if name in catalogue.CATALOGUE and len(digits) <= 3 + bool(kind) else None
