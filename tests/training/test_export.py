import dataclasses

import pytest
import torch
from safetensors import safe_open

from vsrife.errors import RifeError
from vsrife.training.config import Network
from vsrife.training.export import export, exported
from vsrife.training.model import build_model


@pytest.mark.parametrize(
    ("preset", "name", "metadata"),
    [
        ("RIFE", "model.safetensors", None),
        ("RIFE-Large", "model-large.safetensors", {"variant": "large"}),
        ("RIFE-m", "model.safetensors", None),
    ],
)
def test_large_is_told_by_name_and_metadata(make, tmp_path, preset, name, metadata):
    asked = Network(preset=preset, widths=(12, 8, 8), context=4)
    model = build_model(asked)
    path = export(tmp_path, model, dataclasses.replace(make(), network=asked), {"step": 3})
    assert path == exported(tmp_path, model) == tmp_path / name
    with safe_open(path, "pt") as file:
        assert file.metadata() == metadata
        assert set(file.keys()) == set(model.exported_state_dict())


def test_a_weight_beyond_half_precision_is_named(make, tmp_path):
    model = build_model(make().network)
    with torch.no_grad():
        next(model.module.network.block0.parameters()).fill_(1e6)
    with pytest.raises(
        RifeError, match=r"^weight \(block0\..*\) must be finite in half precision; raise optimiser.decay"
    ):
        export(tmp_path, model, make(), {})
    assert list(tmp_path.iterdir()) == []
