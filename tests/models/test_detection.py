"""The network that a checkpoint is, by shapes, metadata and names."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.models.loading import fails, one_line
from tests.network import fixtures, papers
from tests.network.legacy.networks import V3
from tests.network.legacy.networks import small as small_legacy
from tests.network.small import ARCHITECTURES, OWN, frames, infer, network
from vsrife.errors import ModelError
from vsrife.models.catalogue import CATALOGUE
from vsrife.models.checkpoint import load
from vsrife.models.detection import detect_ifnet, detect_legacy, detect_network, is_large_by_name
from vsrife.models.metadata import metadata_of
from vsrife.network.architecture import Architecture, Head, Trunk
from vsrife.network.ifnet import IFNet
from vsrife.network.legacy.paper import PaperNet


@pytest.mark.parametrize("version", fixtures.checkpoints())
def test_every_official_version_is_told_apart_and_has_exactly_its_keys(version):
    shapes = {key.removeprefix("module."): shape for key, shape in fixtures.checkpoints()[version].items()}
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    architecture = detect_ifnet(state)
    with torch.device("meta"):
        built = IFNet(architecture)
    assert {key: list(value.shape) for key, value in built.state_dict().items()} == shapes
    entry = CATALOGUE[version]
    assert architecture.supports_ensemble == (entry.group[0] < "I")
    assert architecture.modulus(1.0) == {"A": 64, "J": 64, "K": 64, "J-heavy": 64, "J-lite": 128}.get(entry.group, 32)
    assert architecture.reruns == (entry.group == "A")
    assert architecture.groups == (2 if entry.group == "G-grouped" else 1)


evens = st.integers(1, 12).map(lambda half: 2 * half)


@st.composite
def architectures(draw):
    five = draw(st.booleans())
    widths = tuple(draw(st.lists(evens, min_size=4 + five, max_size=4 + five)))
    lite = five and widths[-1] == 24
    scales = (32, 16, 8, 4, 1) if lite else (16, 8, 4, 2, 1) if five else (8, 4, 2, 1)
    trunk = draw(st.sampled_from(Trunk))
    head = draw(st.sampled_from(Head))
    return Architecture(
        widths=widths,
        scales=scales,
        trunk=trunk,
        groups=draw(st.sampled_from((1, 2))) if trunk is Trunk.RESIDUAL else 1,
        outputs=draw(st.sampled_from((20, 24, 52))) if trunk is Trunk.RESIDUAL else 5,
        head=head,
        head_width=0 if head is Head.NONE else draw(st.integers(1, 9)),
        features=0 if head is Head.NONE else draw(st.integers(1, 9)),
    )


@settings(max_examples=40, deadline=None)  # each builds a whole network
@given(architectures())
def test_shapes_alone_give_the_architecture_back(architecture):
    with torch.device("meta"):
        state = IFNet(architecture).state_dict()
    assert detect_ifnet(state) == architecture


@pytest.mark.parametrize("name", [*ARCHITECTURES, *OWN])
def test_the_metadata_tells_the_scales(name, tmp_path):
    before = network(name)
    path = tmp_path / "x.safetensors"
    save_file(before.state_dict(), path, {"format": "pt", **metadata_of(before.architecture)})
    after = load(path)
    assert after.architecture == before.architecture == (ARCHITECTURES | OWN)[name]
    modulus = before.modulus()
    left, right = frames(modulus, 3 * modulus)
    assert torch.equal(infer(before, left, right).flow, infer(after, left, right).flow)


powers = st.lists(st.sampled_from([1, 2, 4, 8, 16, 32, 64]), min_size=1, max_size=7, unique=True)


@settings(max_examples=40, deadline=None)
@given(architectures(), powers, st.data())
def test_shapes_and_metadata_give_any_network_back(architecture, scales, data):
    """Any number of blocks; three and fewer with a pixel shuffle, else they are the paper's."""
    widths = data.draw(st.lists(evens, min_size=len(scales), max_size=len(scales)))
    own = replace(architecture, widths=tuple(widths), scales=tuple(sorted(scales, reverse=True)))
    with torch.device("meta"):
        state = IFNet(own).state_dict()
    if own.shuffled or len(scales) > 3:
        assert detect_network(state, metadata_of(own)) == own
    else:
        with pytest.raises(ModelError, match=r"before 4\.0|not a network of RIFE"):
            detect_network(state, metadata_of(own))


@pytest.mark.parametrize(
    ("name", "scales", "complaint"),
    [
        ("J", "16 8 4 2", "has 5 blocks, but its metadata names 4 scales (16 8 4 2)"),
        ("G", "16 8 4 2 1", "has 4 blocks, but its metadata names 5 scales (16 8 4 2 1)"),
        ("G", "8 4 4 1", "scales ((8, 4, 4, 1)) must be powers of two, at most 64, each less than the one before"),
        ("G", "1 2 4 8", "scales ((1, 2, 4, 8)) must be powers of two"),
        ("G", "8 6 2 1", "scales ((8, 6, 2, 1)) must be powers of two"),
        ("G", "128 4 2 1", "scales ((128, 4, 2, 1)) must be powers of two, at most 64"),
        ("G", "8 4 2 0", "scales ((8, 4, 2, 0)) must be powers of two"),
        ("G", "8, 4, 2, 1", "names scales ('8, 4, 2, 1') in its metadata, which must be 1 to 8 whole numbers"),
        ("G", "", "names scales ('') in its metadata"),
        ("G", "8 4 2 -1", "names scales ('8 4 2 -1') in its metadata"),
        ("G", "8 4 2 1\n" * 99, "names scales ("),
    ],
)
def test_metadata_that_contradict_the_shapes_are_an_error(name, scales, complaint, tmp_path):
    path = tmp_path / "x.safetensors"
    save_file(network(name).state_dict(), path, {"scales": scales})
    assert complaint in fails(path)


@pytest.mark.parametrize("kind", ["rife", "rife_m", "3.8"])
def test_scales_of_a_legacy_network_are_an_error(kind, tmp_path):
    path = tmp_path / "x.safetensors"
    save_file(small_legacy(kind).state_dict(), path, {"scales": "4 2 1"})
    assert "from before 4.0 by its shapes, whose scales are fixed, but its metadata names scales (4 2 1)" in fails(path)


@pytest.mark.parametrize(
    ("name", "large"),
    [
        ("rife_large.pkl", True),
        ("RIFE-2R.pkl", True),
        ("2T2R flownet.pth", True),
        ("RIFELarge.pkl", True),
        ("rifeLarge_v2.pkl", True),
        ("flownet.pkl", False),
        ("enlarged.pkl", False),
        ("flownet_v3.8.pkl", False),
    ],
)
def test_rife_large_is_recognised_by_a_word_of_the_name(name, large):
    assert is_large_by_name(name) == large


def test_large_in_the_name_of_another_network_is_ignored(tmp_path):
    torch.save(small_legacy("3.8").state_dict(), tmp_path / "large.pkl")
    assert load(tmp_path / "large.pkl").architecture == V3["3.8"]


@pytest.mark.parametrize(
    ("kind", "variant", "complaint"),
    [
        ("3.8", "large", r"is RIFE 3.8 by its shapes, but its metadata names variant (large)"),
        ("rife_m", "large", r"takes a time, as RIFE-m does, which has no large variant"),
        ("rife", "huge", r"has variant (huge) in its metadata, which must be large"),
    ],
)
def test_a_variant_in_the_metadata_that_contradicts_the_shapes_is_an_error(kind, variant, complaint, tmp_path):
    path = tmp_path / "x.safetensors"
    save_file(small_legacy(kind).state_dict(), path, {"variant": variant})
    with pytest.raises(ModelError) as error:
        load(path)
    assert complaint in one_line(error)


def test_rife_large_is_recognised_by_its_metadata_or_its_name(tmp_path):
    def large(name, metadata=None):
        save_file(small_legacy("rife").state_dict(), tmp_path / name, metadata)
        return load(tmp_path / name).architecture.large

    assert [large("x.safetensors"), large("x-large.safetensors")] == [False, True]
    assert large("x.safetensors", {"variant": "large"})


@pytest.mark.parametrize("kind", ["rife", "rife_m", "rife_large_2r"])
def test_the_papers_official_shapes_are_told(kind):
    table = papers.table("checkpoints")[kind]
    state = {key.removeprefix("module."): torch.empty(shape, device="meta") for key, shape in table.items()}
    found = detect_legacy(state, name=f"{kind}.pkl")
    assert found == papers.architecture(kind)
    with torch.device("meta"):
        built = PaperNet(found, teacher=True).state_dict()
    assert {key: value.shape for key, value in built.items()} == {key: value.shape for key, value in state.items()}
