"""The hyperparameters of a network of the 4.x line."""

import pytest

from tests.network.small import ARCHITECTURES, network
from vsrife.errors import ArgumentError
from vsrife.network.architecture import USER_SCALES


@pytest.mark.parametrize(
    ("name", "at_one"), [("A", 64), ("B", 32), ("C", 32), ("G", 32), ("I", 32), ("J", 64), ("J-lite", 128)]
)
def test_modulus(name, at_one):
    net = network(name)
    assert [net.modulus(scale) for scale in USER_SCALES] == [4 * at_one, 2 * at_one, at_one, at_one, at_one]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"widths": (16, 8)}, r"scales .* must be one for each"),
        ({"widths": ()}, r"scales .* must be one for each"),
        ({"widths": (15, 8, 8, 8)}, r"widths .* must be even"),
        ({"groups": 5}, r"widths .* must be even and a multiple of groups \(5\)"),
        ({"outputs": 21}, r"outputs \(21\) must be"),
        ({"features": 4}, r"features \(4\) must be"),
    ],
)
def test_an_architecture_that_contradicts_itself_is_refused(changes, complaint):
    base = ARCHITECTURES["D"]
    numbers = {name: getattr(base, name) for name in base.__slots__}
    with pytest.raises(ArgumentError, match=complaint):
        type(base)(**{**numbers, **changes})
