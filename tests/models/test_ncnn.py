"""The other plugin's networks: what its numbers and folders stand for here, and what is used where that is missing."""

import re

import pytest

from tests.conftest import ROOT
from vsrife.errors import ModelError
from vsrife.models import ncnn
from vsrife.models.catalogue import CATALOGUE
from vsrife.models.ncnn import TITLES, find_model, model_of_folder, model_of_number


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Puts files of some size in the place of networks; their sums are not looked at before they are loaded."""
    monkeypatch.setenv("VSRIFE_MODELS", str(tmp_path))

    def put(*names):
        for name in names:
            for file in CATALOGUE[name].files:
                with (tmp_path / file.name).open("wb") as stream:
                    stream.truncate(file.size or 1)
        return tmp_path

    return put


# Numbers and names as the README of r9_mod_v33 lists them.
LISTED = {
    0: ("rife", "3.1", False), 1: ("rife-HD", "3.1", False), 2: ("rife-UHD", "3.1", False),
    3: ("rife-anime", "3.1", False), 4: ("rife-v2", "3.1", False), 5: ("rife-v2.3", "3.1", False),
    6: ("rife-v2.4", "3.1", False), 7: ("rife-v3.0", "3.1", False), 8: ("rife-v3.1", "3.1", False),
    9: ("rife-v3.9", "4.0", False), 10: ("rife-v3.9", "4.0", True), 11: ("rife-v4", "4.0", False),
    12: ("rife-v4", "4.0", True), 14: ("rife-v4.1", "4.1", True), 19: ("rife-v4.4", "4.4", False),
    21: ("rife-v4.5", "4.5", False), 22: ("rife-v4.5", "4.5", True), 23: ("rife-v4.6", "4.6", False),
    24: ("rife-v4.6", "4.6", True), 36: ("rife-v4.12", "4.12", True), 37: ("rife-v4.12-lite", "4.12.lite", False),
    41: ("rife-v4.13-lite", "4.13.lite", False), 45: ("rife-v4.14-lite", "4.14.lite", False),
    47: ("rife-v4.15", "4.15", False), 52: ("rife-v4.16-lite", "4.16.lite", True), 57: ("rife-v4.18", "4.18", False),
    59: ("rife-v4.19-beta", "4.19", False), 62: ("rife-v4.20", "4.20", True), 63: ("rife-v4.21", "4.21", False),
    64: ("rife-v4.22", "4.22", False), 65: ("rife-v4.22-lite", "4.22.lite", False),
    66: ("rife-v4.23-beta", "4.23", False), 67: ("rife-v4.24", "4.24", False), 68: ("rife-v4.24", "4.24", True),
    69: ("rife-v4.25", "4.25", False), 70: ("rife-v4.25-lite", "4.25.lite", False),
    71: ("rife-v4.25-heavy", "4.25.heavy", False), 72: ("rife-v4.26", "4.26", False),
    73: ("rife-v4.26-large", "4.26.heavy", False),
}  # fmt: skip


def test_the_numbers_are_those_of_the_list():
    assert len(TITLES) == 74
    for number, (title, network, ensemble) in LISTED.items():
        found = model_of_number(number)
        assert (found.title, found.network, found.ensemble) == (title, network, ensemble), number
        assert found.exact == (number == 8 or number >= 11)


def test_while_there_was_multiplier_9_was_4_0():
    found = model_of_number(9, before_factors=True)
    assert (found.title, found.network, found.exact, found.ensemble) == ("rife-v4", "4.0", True, False)
    assert model_of_number(8, before_factors=True) == model_of_number(8)
    assert model_of_number(10, before_factors=True) == model_of_number(10)


def test_every_4_x_network_has_a_number():
    found = {model_of_number(number).network for number in range(len(TITLES))}
    assert found == set(CATALOGUE) - {"3.5", "3.8"}


def test_the_page_has_the_table():
    page = (ROOT / "docs" / "coming-from.md").read_text()
    rows = [
        (int(number), title, network)
        for numbers, title, network in re.findall(r"^\| ([\d, ]+) \| (\S+) \| (`.+) \|$", page, re.MULTILINE)
        for number in numbers.split(", ")
    ]
    made = [model_of_number(number) for number in range(len(TITLES))]
    assert sorted(rows) == [
        (number, model.title, f"`{model.network}`" + ("" if model.exact else ", the nearest"))
        for number, model in enumerate(made)
    ]


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (74, "python -m vsrife models"),
        (410, 'RIFEModel 410 of vsmlrt is model="4.10"'),
        (426, 'RIFEModel 426 of vsmlrt is model="4.26"'),
        (4151, 'RIFEModel 4151 of vsmlrt is model="4.15.lite"'),
        (4252, 'RIFEModel 4252 of vsmlrt is model="4.25.heavy"'),
        (999999999, "python -m vsrife models"),
    ],
)
def test_other_numbers(number, hint):
    with pytest.raises(ModelError, match=re.escape(f"model ({number}) must be a name, or a number of the ncnn plugin")):
        model_of_number(number)
    with pytest.raises(ModelError, match=re.escape(hint)):
        model_of_number(number)


@pytest.mark.parametrize(
    ("folder", "network", "exact", "ensemble"),
    [
        ("/opt/rife/models/rife-v4.6_ensembleFalse", "4.6", True, False),
        ("models/rife-v4.22_lite_ensembleFalse/", "4.22.lite", True, False),
        (r"C:\Program Files\SVP 4\rife\models\rife-v4.15_ensembleTrue" + "\\", "4.15", True, True),
        ("rife-v4", "4.0", True, False),
        ("rife-v4_ensembleTrue_fastFalse", "4.0", True, True),
        ("rife-v4.3_enbembleTrue_fastFalse", "4.3", True, True),
        ("rife-v4.25_heavy_beta_ensembleFalse", "4.25.heavy", True, False),
        ("rife-v4.25-lite_ensembleFalse", "4.25.lite", True, False),
        ("rife-v4.26-large_ensembleFalse", "4.26.heavy", True, False),
        ("rife-v4.26-heavy", "4.26.heavy", True, False),
        ("rife-v4.19_beta_ensembleTrue", "4.19", True, True),
        ("RIFE46", "4.6", True, False),
        ("rife415", "4.15", True, False),
        ("rife-v3.9_ensembleFalse_fastTrue", "4.0", False, False),
        ("sudo_rife4_ensembleTrue_fastTrue", "4.0", False, True),
        ("rife-v2.3", "3.1", False, False),
        ("rife-v3.6", "3.5", False, False),
        ("rife-UHD", "3.1", False, False),
        ("rife", "3.1", False, False),
        ("rife-v4.27", "4.26", False, False),
        ("rife-v4.26_lite", "4.26", False, False),
    ],
)
def test_folders_are_told_by_their_names(folder, network, exact, ensemble):
    found = model_of_folder(folder)
    assert found is not None
    assert (found.network, found.exact, found.ensemble) == (network, exact, ensemble)


@pytest.mark.parametrize("folder", ["/opt/models", "mine", "/", "", "/rife-v4.6/files", "models/2024.12.1", "rifle"])
def test_folders_that_tell_nothing(folder):
    assert model_of_folder(folder) is None


def test_the_network_itself_where_it_is_here(cache):
    folder = cache("4.6", "4.0")
    assert find_model(model_of_number(23), "model (23)") == (folder / "flownet_v4.6.pkl", "")


@pytest.mark.parametrize(
    ("here", "number", "file", "line"),
    [
        (
            ["3.8", "4.0"],
            21,
            "flownet_v4.0.pkl",
            (
                "is rife-v4.5 of the ncnn plugin; 4.5 is not on this machine, and 4.0 is used in its place: "
                "python -m vsrife models fetch 4.5 brings 4.5"
            ),
        ),
        (
            ["4.0", "4.4", "4.7"],
            21,
            "flownet_v4.4.pkl",
            (
                "is rife-v4.5 of the ncnn plugin; 4.5 is not on this machine, and 4.4 is used in its place: "
                "python -m vsrife models fetch 4.5 brings 4.5"
            ),
        ),
        (
            ["4.25", "4.25.lite", "4.15.lite"],
            65,
            "flownet_v4.25.lite.pkl",
            (
                "is rife-v4.22-lite of the ncnn plugin; 4.22.lite is not on this machine, and 4.25.lite is used in its "
                "place: python -m vsrife models fetch 4.22.lite brings 4.22.lite"
            ),
        ),
        (
            ["4.0", "3.1"],
            3,
            "flownet_v3.1.pkl",
            "is rife-anime of the ncnn plugin, which vsrife does not have; 3.1, the nearest, is used in its place",
        ),
        (
            ["4.0", "3.8"],
            3,
            "flownet_v3.8.pkl",
            (
                "is rife-anime of the ncnn plugin, which vsrife does not have; 3.1, the nearest, is not on this "
                "machine, and 3.8 is used in its place: python -m vsrife models fetch 3.1 brings 3.1"
            ),
        ),
        (
            ["3.8"],
            72,
            "flownet_v3.8.pkl",
            (
                "is rife-v4.26 of the ncnn plugin; 4.26 is not on this machine, and 3.8 is used in its place: "
                "python -m vsrife models fetch 4.26 brings 4.26"
            ),
        ),
    ],
)
def test_the_nearest_that_is_here(cache, here, number, file, line):
    folder = cache(*here)
    assert find_model(model_of_number(number), f"model ({number})") == (folder / file, f"model ({number}) {line}")


def test_the_network_inside_the_package_where_no_other_is_here(cache, monkeypatch, tmp_path):
    cache()
    monkeypatch.setattr(ncnn, "embedded_default", lambda: tmp_path / "own.safetensors")
    path, line = find_model(model_of_number(23), "model (23)")
    assert path.name == "own.safetensors"
    assert "4.6 is not on this machine, and the default network is used in its place" in line


def test_nothing_at_all_is_an_error_with_the_command(cache, monkeypatch):
    cache()
    monkeypatch.setattr(ncnn, "embedded_default", lambda: None)
    with pytest.raises(ModelError) as caught:
        find_model(model_of_number(23), "model (23)")
    text = str(caught.value)
    assert text.startswith("model (23) is rife-v4.6 of the ncnn plugin: model (4.6) is not on this machine; run: ")
    assert "python -m vsrife models fetch 4.6" in text
    assert "\n" not in text


def test_a_file_of_another_size_is_not_there(cache):
    folder = cache("4.0", "3.8")
    (folder / "flownet_v4.0.pkl").write_bytes(b"half of it")
    path, _ = find_model(model_of_number(11), "model (11)")
    assert path.name == "flownet_v3.8.pkl"
