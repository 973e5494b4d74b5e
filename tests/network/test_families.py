"""The registry of networks: it agrees with the shapes of official files, with the networks and with the docs."""

import re
from dataclasses import replace

import pytest
import torch

from tests.conftest import ROOT
from tests.network import fixtures, papers
from vsrife.models.catalogue import CATALOGUE
from vsrife.models.detection import detect_ifnet, detect_legacy
from vsrife.network.architecture import Architecture
from vsrife.network.families import FAMILIES, FAMILY_OF, PAPER, PRESETS, architecture_4x, released_scales
from vsrife.network.ifnet import IFNet
from vsrife.network.legacy.architecture import PaperArchitecture
from vsrife.network.legacy.paper import PaperNet
from vsrife.network.legacy.v3 import build

NAMES = [family.names[0] for family in FAMILIES]


def built(architecture):
    with torch.device("meta"):
        if isinstance(architecture, Architecture):
            return IFNet(architecture)
        return PaperNet(architecture) if isinstance(architecture, PaperArchitecture) else build(architecture)


def on_meta(shapes):
    return {key.removeprefix("module."): torch.empty(shape, device="meta") for key, shape in shapes.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_parameters_are_those_of_the_network(name):
    family = FAMILY_OF[name]
    network = built(family.architecture)
    assert sum(each.numel() for each in network.parameters()) == family.parameters
    assert family.blocks == sum(bool(re.fullmatch(r"block\d", child)) for child, _ in network.named_children())


@pytest.mark.parametrize("version", fixtures.checkpoints())
def test_an_official_4_x_file_has_the_architecture_of_its_family(version):
    assert detect_ifnet(on_meta(fixtures.checkpoints()[version])) == architecture_4x(version)


@pytest.mark.parametrize(("kind", "name"), [("rife", "RIFE"), ("rife_m", "RIFE-m"), ("rife_large_2r", "RIFE-Large")])
def test_an_official_file_of_the_paper_has_the_architecture_of_its_family(kind, name):
    state = on_meta(papers.table("checkpoints")[kind])
    assert detect_legacy(state, name=f"{kind}.pkl") == FAMILY_OF[name].architecture


def test_every_name_is_there_once_and_every_release_in_the_catalogue():
    names = [name for family in FAMILIES for name in family.names]
    assert len(set(names)) == len(names)
    assert set(CATALOGUE) == {name for family in FAMILIES if family.group != PAPER for name in family.names}


def test_scales_are_those_of_the_release_with_as_many_and_as_wide_blocks():
    for family in FAMILIES:
        if isinstance(family.architecture, Architecture):
            assert released_scales(family.architecture.widths) == family.architecture.scales
    assert released_scales((8, 8, 8, 8)) == (8, 4, 2, 1)
    assert released_scales((8, 8, 8, 8, 8)) == (16, 8, 4, 2, 1)
    assert released_scales((8, 8, 8, 8, 24)) == (32, 16, 8, 4, 1)
    assert released_scales((8,) * 6) is None


def test_slim_is_4_26_with_fewer_channels():
    slim = PRESETS["slim"]
    assert replace(slim, widths=architecture_4x("4.26").widths) == architecture_4x("4.26")
    assert built(slim).architecture.block_inputs(1) == architecture_4x("4.26").block_inputs(1)


def rows(heading):
    """The cells of the table of docs/models.md whose first column has this heading."""
    lines = (ROOT / "docs" / "models.md").read_text(encoding="utf-8").splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_the_tables_in_the_docs_are_those_of_the_registry():
    four = [family for family in FAMILIES if isinstance(family.architecture, Architecture)]
    assert [row[:6] for row in rows("group")] == [
        [
            family.group,
            " ".join(family.names),
            str(family.blocks),
            f"{family.parameters / 1e6:.2f} M",
            "yes" if family.architecture.supports_ensemble else "no",
            str(family.architecture.modulus()),
        ]
        for family in four
    ]
    assert [row[:3] for row in rows("network")] == [
        [family.names[0], str(family.blocks), f"{family.parameters / 1e6:.2f} M"]
        for family in FAMILIES
        if family not in four
    ]
