"""The registry of networks: the official releases by group, the architecture of each, and the presets of training.

The catalogue of files, the detection of a checkpoint's network, training, the benchmark and the table in docs/models.md
are all made from it or checked against it. It imports no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from vsrife.network.architecture import Architecture, Head, Trunk
from vsrife.network.legacy.architecture import PaperArchitecture, V3Architecture, V3Version

__all__ = ["FAMILIES", "FAMILY_OF", "PAPER", "PRESETS", "V3", "Family", "architecture_4x", "released_scales"]

V3: Final = "3.x"
"""The group of the networks between the paper and 4.0."""

PAPER: Final = "paper"
"""The group of the paper's networks, of which no official file can be fetched by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """Networks with the same architecture, which differ in their weights only.

    group: a letter of this project for the 4.x line, with a suffix for smaller and larger networks; else V3 or PAPER.
    names: the official releases, oldest first; for the paper's, their names in it.
    parameters: how many parameters such a network has, without those that only training uses.
    """

    group: str
    names: tuple[str, ...]
    architecture: Architecture | PaperArchitecture | V3Architecture
    parameters: int

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return 3 if isinstance(self.architecture, V3Architecture) else len(self.architecture.widths)


_WIDE: Final = (192, 128, 96, 64)
_SLIM: Final = (128, 96, 64, 48)
_FOUR_SCALES: Final = (8, 4, 2, 1)
_FIVE_SCALES: Final = (16, 8, 4, 2, 1)


def _family(
    group: str, names: str, parameters: int, architecture: Architecture | PaperArchitecture | V3Architecture
) -> Family:
    return Family(group=group, names=tuple(names.split()), architecture=architecture, parameters=parameters)


def _four(widths: tuple[int, ...], outputs: int, *, trunk: Trunk = Trunk.RESIDUAL, **others: Any) -> Architecture:
    """Four blocks, as before 4.25."""
    return Architecture(widths=widths, scales=_FOUR_SCALES, trunk=trunk, outputs=outputs, **others)


def _five(widths: tuple[int, ...], features: int, scales: tuple[int, ...] = _FIVE_SCALES) -> Architecture:
    """Five blocks, as of 4.25."""
    return Architecture(widths=widths, scales=scales, trunk=Trunk.RESIDUAL, outputs=52, **_clamped(16, features))


def _clamped(head_width: int, features: int) -> dict[str, Any]:
    return {"head": Head.CLAMPED, "head_width": head_width, "features": features}


def _sequential(features: int) -> dict[str, Any]:
    return {"head": Head.SEQUENTIAL, "head_width": 32, "features": features}


FAMILIES: Final[tuple[Family, ...]] = (
    _family(PAPER, "RIFE", 10_071_550, PaperArchitecture()),
    _family(PAPER, "RIFE-m", 10_073_710, PaperArchitecture(timed=True)),
    _family(PAPER, "RIFE-Large", 10_071_550, PaperArchitecture(large=True)),
    _family(V3, "3.1", 17_579_312, V3Architecture(version=V3Version.V31, width=160, context=32)),
    _family(V3, "3.5", 1_899_060, V3Architecture(version=V3Version.V35)),
    _family(V3, "3.8", 2_277_600, V3Architecture(version=V3Version.V38)),
    _family("A", "4.0 4.1", 5_160_980, _four(_WIDE, 5, trunk=Trunk.PRELU)),
    _family("B", "4.2 4.3 4.4", 5_156_420, _four(_WIDE, 5, trunk=Trunk.LEAKY)),
    _family("C", "4.5", 5_275_520, _four(_WIDE, 20)),
    _family("D", "4.6", 5_306_256, _four(_WIDE, 24)),
    _family("E", "4.7 4.8 4.9", 5_325_012, _four(_WIDE, 24, head=Head.LINEAR, head_width=16, features=4)),
    _family("F", "4.10 4.11 4.12", 5_364_312, _four(_WIDE, 24, **_sequential(8))),
    _family("F-lite", "4.12.lite 4.13.lite", 2_631_804, _four(_SLIM, 24, **_sequential(4))),
    _family("G", "4.13 4.14 4.15 4.17 4.18 4.19 4.24", 5_364_312, _four(_WIDE, 24, **_clamped(32, 8))),
    _family("G-grouped", "4.14.lite", 2_968_152, _four(_WIDE, 24, groups=2, **_clamped(32, 8))),
    _family("G-lite", "4.15.lite 4.16.lite 4.17.lite", 2_616_476, _four(_SLIM, 24, **_clamped(16, 4))),
    _family("H", "4.20", 15_376_512, _four((384, 192, 96, 48), 24, **_clamped(32, 8))),
    _family("I", "4.21 4.22 4.23", 9_322_416, _four((256, 192, 96, 48), 52, **_clamped(32, 8))),
    _family("I-lite", "4.22.lite", 4_866_052, _four((192, 128, 64, 32), 52, **_clamped(16, 4))),
    _family("J", "4.25 4.26", 5_664_776, _five((*_WIDE, 32), 4)),
    _family("J-lite", "4.25.lite", 5_622_700, _five((*_WIDE, 24), 4, (32, 16, 8, 4, 1))),
    _family("J-heavy", "4.25.heavy", 21_663_528, _five((384, 256, 192, 128, 64), 4)),
    _family("K", "4.26.heavy", 5_723_156, _five((*_WIDE, 32), 16)),
)
"""All of them, in the order in which their first networks came."""

FAMILY_OF: Final[Mapping[str, Family]] = MappingProxyType(
    {name: family for family in FAMILIES for name in family.names}
)
"""The family of each official release, and of the paper's networks, by name."""


def architecture_4x(name: str) -> Architecture:
    """The architecture of an official release of the 4.x line."""
    architecture = FAMILY_OF[name].architecture
    assert isinstance(architecture, Architecture)
    return architecture


def released_scales(widths: Sequence[int]) -> tuple[int, ...] | None:
    """The scales of the release whose blocks are like these: as many, and the last one as wide if there is such a one.

    No tensor's shape depends on the scales, so a checkpoint alone does not have them. None where no release has so many
    blocks.
    """
    releases = [
        family.architecture
        for family in FAMILIES
        if isinstance(family.architecture, Architecture) and family.blocks == len(widths)
    ]
    alike = [each for each in releases if each.widths[-1] == widths[-1]] or releases
    return alike[0].scales if alike else None


_TRAINED: Final = ["4.0", "4.6", "4.15", "4.15.lite", "4.22", "4.22.lite", "4.26", "4.25.lite"]

PRESETS: Final[Mapping[str, Architecture | PaperArchitecture]] = MappingProxyType(
    {
        **{
            name: family.architecture
            for name, family in FAMILY_OF.items()
            if isinstance(family.architecture, PaperArchitecture)
        },
        **{name: architecture_4x(name) for name in _TRAINED},
        "slim": _five((*_SLIM, 32), 4),
    }
)
"""The networks that `network.preset` of a training configuration may name: the paper's, one of each kind of the 4.x
line, and `slim`, 4.26 with two thirds of its channels.
"""
