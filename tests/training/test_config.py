import dataclasses
import tomllib

import pytest

from vsrife.datasets.packing import PackSettings
from vsrife.errors import ArgumentError
from vsrife.models.checkpoint import load
from vsrife.network.families import PRESETS
from vsrife.training.config import Network, Save
from vsrife.training.config_file import CONFIGS, config_of, merged, read_config, read_table
from vsrife.training.export import export
from vsrife.training.model import build_model
from vsrife.training.resume_check import changed_key

ERRORS = [
    ("run.step=5", "run.step (5) must be left out; did you mean steps? there are: folder, steps,"),
    ("nothing.a=5", "nothing ({'a': 5}) must be left out; there are: run, data,"),
    ("run=5", "run (5) must be a table; write [run] above its keys"),
    (
        "run.steps=0",
        "run.steps (0) must be 1 or more, or run.time_limit (0) the seconds of the whole run; set one of them",
    ),
    (
        "run={folder='.', time_limit=9.0, steps=-1}",
        "run.steps (-1) must be 1 or more, or run.time_limit (9) the seconds",
    ),
    (
        "run={folder='.'}",
        "run.steps (0) must be 1 or more, or run.time_limit (0) the seconds of the whole run; set one",
    ),
    ("run.time_limit=-1", "run.time_limit (-1) must be 0 or more"),
    ("run.steps=1.5", "run.steps (1.5) must be a whole number"),
    ("run.steps=true", "run.steps (True) must be a whole number"),
    ("run.precision=half", "run.precision (half) must be one of bfloat16, float32"),
    ("run.folder=5", "run.folder (5) must be a path in quotes"),
    ("run.budget=-1", "run.budget (-1) must be 0 or more"),
    ("run.budget=nan", "run.budget (nan) must be 0 or more"),
    ("network.widths=8", "network.widths (8) must be a list; put it into [ ]"),
    ('network.widths=[8, "x"]', "network.widths[1] (x) must be a whole number"),
    ("network.teacher=1", "network.teacher (1) must be true or false"),
    ("loss.distillation=-0.1", "loss.distillation (-0.1) must be 0 or more"),
    ("loss.reconstruction=l2", "loss.reconstruction (l2) must be one of laplacian, l1, charbonnier"),
    ("optimiser.rate=0", "optimiser.rate (0) must be above 0 and at most 1; 1e-4 to 3e-4 is usual"),
    ("optimiser.rate=inf", "optimiser.rate (inf) must be 0 or more"),
    ("optimiser.least=0.1", "optimiser.least (0.1) must be at most optimiser.rate (0.001)"),
    ("optimiser.clip=0", "optimiser.clip (0) must be above 0; 1 is usual"),
    ("optimiser.ema=1", "optimiser.ema (1) must be from 0 to below 1; 0.999 is usual"),
    ("optimiser.warm_up=6", "optimiser.warm_up (6) must be below run.steps (6); lower it"),
    ("data.crop=[64]", "data.crop ([64]) must be a height and a width of 33 or more"),
    ("data.crop=[32, 64]", "data.crop ([32, 64]) must be a height and a width of 33 or more"),
    ("data.mix=[]", "data.mix (no table with start = 0) must define the first batch; add such a table"),
    ("data.mix=[{start = 0.5, clips = 1}]", "data.mix (no table with start = 0) must define"),
    ("data.mix=[{start = 1.0, clips = 1}]", "data.mix.start (1) must be from 0 to below 1; it is a share of the steps"),
    ("data.mix=[{start = 0.0}]", "data.mix ({'start': 0.0, 'synthetic': 0.0"),
    ("data.mix=[{clips = -1.0}]", "data.mix.clips (-1) must be 0 or more"),
    ("data.mix=[{clips = 1.0}]", "data.clips (missing) must be a folder, because data.mix uses clips; set it, or"),
    ("data.mix=[{vimeo = 1.0}]", "data.vimeo (missing) must be a folder, because data.mix uses vimeo; set it"),
    ("data.pictures=/nowhere", "data.pictures (/nowhere) must be a folder; it does not exist or is not one"),
    ("data.pack=/nowhere", "data.pack (/nowhere) must be left out with data.pictures, cutouts or clips"),
    ("data.labels=/nowhere", "data.labels (/nowhere) must be labels of data.pack, which is missing; set it"),
    ("data.shots.labelled=0.5", "data.shots.labelled (0.5) must be left out without data.labels; or set that"),
    (
        "data={pack='.', labels='/nowhere'}",
        "data.labels (/nowhere) must be left out if data.mix has no clips; add a share of it",
    ),
    (
        "data={pack='.', ring={scenes=9}, mix=[{clips=1}]}",
        "data.ring ({'scenes': 9, ",
    ),
    ("data.shots.labelled=1.5", "data.shots.labelled (1.5) must be from 0 to 1; it is a share of the samples"),
    ("data.prefetch=-1", "data.prefetch (-1) must be 0 or more"),
    ("data.synthetic.layer=2", "data.synthetic.layer (2) must be left out; did you mean layers?"),
    ("data.synthetic.blurred=2", "data.synthetic.blurred (2.0) must be from 0 to 1; it is a share of the samples"),
    ("data.synthetic.height=64", "data.synthetic.height (64) must be left out; data.crop is the size of all samples"),
    ("data.shots.spans=[1]", "data.shots.spans ((1,)) must be numbers of at least 2"),
    ("validation.clips=/nowhere", "validation.clips (/nowhere) must be a folder; it does not exist or is not one"),
    ("validation.multi=1", "validation.multi (1) must be 2 or more"),
    ("save.every=0", "save.every (0) must be 1 or more"),
    ("log.pictures=-1", "log.pictures (-1) must be 0 or more"),
    ("run.steps", "set (run.steps) must be KEY=VALUE, as in run.steps=20000"),
    ("run.steps.x=1", "set (run.steps.x=1) must name a key in a table; steps is not a table"),
]


@pytest.mark.parametrize(("change", "expected"), ERRORS, ids=[change for change, _ in ERRORS])
def test_an_error_names_key_value_and_way_out(make, change, expected):
    with pytest.raises(ArgumentError) as raised:
        make(change)
    assert str(raised.value).startswith(expected)
    assert "\n" not in str(raised.value)


NETWORKS = [
    ('network.preset="4.99"', "network.preset (4.99) must be one of RIFE, RIFE-m, RIFE-Large, 4.0,"),
    ("network.widths=[12, 8]", "network.scales ((8, 4, 2, 1)) must be one for each of widths ((12, 8))"),
    ("network.widths=[12, 8, 8, 5]", "network.widths ((12, 8, 8, 5)) must be even and a multiple of groups (1)"),
    ("network.context=8", "network.context (8) must be left out; 4.15.lite has no such value"),
    ("network.outputs=6", "network.outputs (6) must be 5, 20, 24 or 52"),
    ("network.scales=[8, 4, 4, 1]", "network.scales ((8, 4, 4, 1)) must be powers of two, at most 64, each less than"),
    (
        "network={preset='4.0', widths=[8, 8], scales=[2, 1]}",
        "network.widths ((8, 8)) must make a network that loads: ",
    ),
]


@pytest.mark.parametrize(("change", "expected"), NETWORKS)
def test_an_error_of_the_network(make, change, expected):
    with pytest.raises(ArgumentError) as raised:
        build_model(make(change).network)
    assert str(raised.value).startswith(expected)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_and_is_read_as_what_it_is(make, name):
    """`build_model` compares with what the checkpoint reader deduces."""
    assert build_model(dataclasses.replace(make().network, preset=name, widths=None, head_width=None)).teacher


OWN = [
    "network={preset='4.26', widths=[16, 12, 8, 8], scales=[16, 8, 4, 2]}",
    "network={preset='4.22', widths=[16, 12, 8, 8], scales=[8, 4, 2, 1]}",
    "network={preset='4.26', widths=[8, 8], scales=[8, 2]}",
    "network={preset='4.6', widths=[8, 8, 8], scales=[8, 4, 2]}",
]


@pytest.mark.parametrize("change", OWN)
def test_numbers_that_no_public_release_has(make, change, tmp_path):
    """A network that is trained, written and read again as what it is."""
    asked = make(change)
    model = build_model(asked.network)
    assert model.architecture.scales == asked.network.scales
    read = load(export(tmp_path, model, asked, {}))
    assert read.architecture == model.architecture


def test_a_missing_key_and_a_file_that_is_none(tmp_path):
    with pytest.raises(ArgumentError, match=r"^run.folder \(missing\) must be a path in quotes; add it$"):
        config_of({"run": {"steps": 5}})
    (tmp_path / "a.toml").write_text("[run\n")
    with pytest.raises(ArgumentError, match=r"^config \(.*a.toml\) must be valid TOML: .*line 1.*; correct it$"):
        read_config(tmp_path / "a.toml")
    with pytest.raises(ArgumentError, match=r"^config \(.*b.toml\) must be a file that can be read: No such file"):
        read_config(tmp_path / "b.toml")
    with pytest.raises(
        ArgumentError, match=r"^config \(fault\) must be a .toml file or one of ablations/base, .*paper"
    ):
        read_config("fault")


def test_clips_that_measure_are_not_learnt_from(make, folders):
    with pytest.raises(ArgumentError, match=r"^validation.clips .* must lie outside of data.pictures"):
        make(f"validation.clips={folders['pictures']}")


def test_changes_are_toml_or_text(make):
    config = make("run.steps=7", "data.mix=[{synthetic = 2}]", "network.preset=4.22.lite", "network.head_width=8")
    assert config.run.steps == 7
    assert config.data.mix[0].synthetic == 2.0
    assert config.network.preset == "4.22.lite"


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.toml")), ids=lambda path: path.stem)
def test_every_configuration_that_comes_along_is_sound(path, folders):
    table = tomllib.loads(path.read_text())
    if path.parent.name == "ablations":
        table = merged(read_table("ablations/base"), table)
    needed = ("pack",) if "held_out" in table["data"] else ("pictures", "clips", "vimeo")
    config = config_of(merged(table, {"data": {name: str(folders["pictures"]) for name in needed}}))
    modulus = build_model(config.network).module.modulus()
    assert not any(side % modulus for side in config.data.crop)


def test_a_time_takes_the_place_of_a_number_of_steps(make):
    assert make("run={folder='.', time_limit=50}").run.steps == 0
    # A number beside it is not read, so that one too small for the warm-up is no error.
    assert make("run.time_limit=50", "optimiser.warm_up=6").run.time_limit == 50


def test_a_compact_state_and_a_pack_are_less_than_64_mb():
    """With half a megabyte for indices, licences and headers."""
    assert Save().compact + PackSettings().most <= 63_500_000


def test_what_makes_another_run(make):
    plain = make().as_plain()
    for free in ("run.budget=5", "save.every=3", "log.every=9", "validation.samples=2", "data.prefetch=0"):
        assert changed_key(plain, make(free).as_plain()) is None
    for change, named in (
        ("run.seed=2", "run.seed (1 then, 2 now)"),
        ("network.groups=2", "network.groups (None then, 2 now)"),
        ("data.synthetic.layers=3", "data.synthetic.layers (2 then, 3 now)"),
    ):
        assert changed_key(plain, make(change).as_plain()) == named


def test_a_network_is_told_by_its_preset_and_what_is_not_its_own():
    assert Network(preset="4.6").description == "4.6"
    assert Network(widths=(12, 8), scales=(4, 2)).description == "4.26 with widths [12, 8], scales [4, 2]"
