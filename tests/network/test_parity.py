"""Every official version against the answers of the upstream code, in float32 on a CPU."""

import numpy as np
import pytest
import torch

from tests.network import fixtures
from tests.network.seeded import seeded_frames, seeded_state
from vsrife.models.checkpoint import load

pytestmark = pytest.mark.slow

# The answers' own steps are 2e-5, half of that is lost to rounding. What is left is the order of float32 sums, which
# differs between machines and grows with the flow: up to 1e-5 was seen.
TOLERANCE = 1e-4


def frames():
    seed, height, width = fixtures.setup()
    return [torch.from_numpy(x).permute(2, 0, 1)[None].float() / 255 for x in seeded_frames(height, width, seed)]


def seeded_network(version, multiply, folder):
    """Through a file and the project's own loader, as a user's would come."""
    path = folder / "seeded.pkl"
    torch.save(seeded_state(fixtures.checkpoints()[version], fixtures.setup()[0], multiply), path)
    return load(path)


@pytest.mark.parametrize("version", fixtures.checkpoints())
def test_every_case_of_a_version(version, tmp_path):
    left, right = frames()
    networks = {}
    errors = {}
    for case in fixtures.cases(version):
        expected = fixtures.answer(case["key"])
        scaling = tuple(case["multiply"].items())
        if scaling not in networks:
            networks[scaling] = seeded_network(version, case["multiply"], tmp_path)
        network = networks[scaling]
        assert network.modulus(1.0) == case["modulo"]
        with torch.inference_mode():
            features = network.encode(left), network.encode(right)
            motion = network(left, right, *features, case["timestep"], scale=case["scale"], ensemble=case["ensemble"])
            merged = network.merge(left, right, motion)
        got = merged[0, :, :: expected.step, :: expected.step].double().numpy()
        assert got.shape == expected.values.shape
        errors[case["key"]] = np.abs(got - expected.values).max()
    assert len(errors) >= 3
    assert {key: error for key, error in errors.items() if not error < TOLERANCE} == {}


def test_the_cases_are_all_there():
    assert len(fixtures.checkpoints()) == 36
    keys = [case["key"] for version in fixtures.checkpoints() for case in fixtures.cases(version)]
    assert len(keys) == len(set(keys)) == 136
    assert fixtures.SMALL.stat().st_size < 700_000
    with np.load(fixtures.SMALL) as data:
        assert set(data) == {"checkpoints", "cases", "every", *keys}


def test_the_small_answers_are_the_full_ones():
    if not fixtures.FULL.is_file():
        pytest.skip("needs ../shared/parity/parity.npz, which is not here")
    with np.load(fixtures.SMALL) as small, np.load(fixtures.FULL) as full:
        every = int(small["every"])
        keys = set(full) - {"frame0", "frame1"}
        assert len(keys) == 136
        assert all(np.array_equal(small[key], full[key][:, ::every, ::every]) for key in keys)


def test_a_wrong_network_is_far_off(tmp_path):
    """The tolerance can tell: four biases moved by a twentieth of a pixel are seen."""
    case = fixtures.cases("4.6")[0]
    expected = fixtures.answer(case["key"])
    network = seeded_network("4.6", {}, tmp_path)
    left, right = frames()
    with torch.inference_mode():
        network.block3.lastconv[0].bias[:4] += 0.05
        merged = network.merge(left, right, network(left, right, None, None, case["timestep"]))
    got = merged[0, :, :: expected.step, :: expected.step].double().numpy()
    assert np.abs(got - expected.values).max() > TOLERANCE
