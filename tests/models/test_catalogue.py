import re
import subprocess
import sys

import pytest

from tests.network import fixtures
from vsrife.errors import ModelError
from vsrife.models.catalogue import CATALOGUE, DEFAULT, Entry, entry_of_file, find


def test_every_official_version_is_there():
    assert set(CATALOGUE) == {*fixtures.checkpoints(), "3.1", "3.5", "3.8"}
    assert DEFAULT in CATALOGUE


def test_versions_are_in_their_order():
    names = list(CATALOGUE)
    assert names.index("4.9") < names.index("4.10") < names.index("4.25") < names.index("4.25.lite")


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
def test_entries_are_sound(entry):
    for file in entry.files:
        assert re.fullmatch(r"[a-z]+_v3\.1\.pkl|flownet_v[0-9a-z.]+\.pkl", file.name)
        assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert (file.member is not None) == (entry.wheel is not None)
        assert entry_of_file(file.name) == (entry, file)
    assert entry.licence == "MIT"
    if entry.wheel is None:
        assert entry.source == f"https://github.com/HolyWu/vs-rife/releases/download/model/flownet_v{entry.name}.pkl"
    assert isinstance(find(entry.name), Entry)


def test_no_two_models_share_a_file_or_a_sum():
    files = [file for entry in CATALOGUE.values() for file in entry.files]
    assert len({file.name for file in files}) == len(files)
    sums = [file.sha256 for file in files if file.sha256]
    assert len(set(sums)) == len(sums) == 15


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("v4.26", "4.26"),
        ("rife4.6", "4.6"),
        ("RIFE-v4.6", "4.6"),
        ("4.27", "4.26"),
        ("5.0", "4.0"),
        ("4", "4.0"),
        ("2", "3.1"),
        ("4.25.lit", "4.25.lite"),
        ("4.25-heavy", "4.25.heavy"),
        ("4.26.Heavy", "4.26.heavy"),
    ],
)
def test_a_near_name_is_suggested(typed, meant):
    """Case 9."""
    with pytest.raises(ModelError) as error:
        find(typed)
    text = str(error.value)
    assert text.startswith(f"model ({typed}) must be a model's name")
    assert f"did you mean {meant}?" in text
    assert "names: 3.1, 3.5, 3.8, 4.0, 4.1, " in text


@pytest.mark.parametrize("typed", ["", "best", "../../x", "/etc/passwd", "flownet_v4.6.pkl\0", "4.٣"])
def test_other_names_list_the_choices(typed):
    with pytest.raises(ModelError, match=r"names: 3\.1, 3\.5, 3\.8, 4\.0, 4\.1, .*4\.26\.heavy$") as error:
        find(typed)
    assert "did you mean" not in str(error.value) or typed.startswith(("flownet", "4"))


@pytest.mark.parametrize("typed", ["-1", "-4.6", "-1e5", "-0.5"])
def test_a_number_below_0_is_like_no_name(typed):
    with pytest.raises(ModelError) as error:
        find(typed)
    assert "did you mean" not in str(error.value)


def test_neither_torch_nor_a_http_client_is_imported():
    program = (
        "import sys, vsrife.models.store, vsrife.cli; "
        "bad = {'torch', 'numpy', 'vapoursynth', 'pooch', 'requests', 'socket'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
