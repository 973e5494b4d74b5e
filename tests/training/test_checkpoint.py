import json

import pytest
import torch

from vsrife.errors import ArgumentError, RifeError
from vsrife.training import checkpoint
from vsrife.training.checkpoint import (
    Snapshot,
    newest_checkpoint,
    read_checkpoint,
    read_compact,
    write_checkpoint,
    write_compact,
)


def snapshot(step=5) -> Snapshot:
    generator = torch.Generator().manual_seed(step)

    def tensors(size):
        shapes = {"a.weight": (6, 5, 3, 3), "a.bias": (6,), "none": (4,)}
        return {name: torch.randn(shape, generator=generator) * size for name, shape in shapes.items()}

    params = tensors(0.1)
    params["none"].zero_()
    return Snapshot(
        slots={
            "params": params,
            "ema": {name: each + 0.001 * torch.randn(each.shape) for name, each in params.items()},
            "exp_avg": tensors(1e-4),
            "exp_avg_sq": {name: each.square() for name, each in tensors(1e-4).items()},
        },
        buffers={"norm.running_mean": torch.randn(3), "norm.num_batches_tracked": torch.tensor(7)},
        about={"step": step, "seconds": 1.5, "best": None, "config": {"run": {"steps": 9}}},
    )


def test_exact(tmp_path):
    before = snapshot()
    place = write_checkpoint(tmp_path, before, keep=2)
    after = read_checkpoint(place)
    assert {**after.about} == {**before.about, "format": 2}
    for slot in checkpoint.SLOTS:
        assert all(torch.equal(after.slots[slot][name], each) for name, each in before.slots[slot].items())
    assert all(torch.equal(after.buffers[name], each) for name, each in before.buffers.items())


def test_the_newest_are_kept_and_the_newest_whole_one_counts(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    for step in (2, 9, 10, 11):
        write_checkpoint(tmp_path, snapshot(step), keep=2)
    assert sorted(each.name for each in (tmp_path / "checkpoints").iterdir()) == ["00000010", "00000011"]
    (tmp_path / "checkpoints" / "00000012").mkdir()
    assert newest_checkpoint(tmp_path).name == "00000011"


def test_a_write_that_fails_leaves_what_was(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, snapshot(1), keep=1)

    def full(_tensors):
        raise OSError("no space left")

    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(OSError, match="no space"):
        write_checkpoint(tmp_path, snapshot(2), keep=1)
    assert read_checkpoint(newest_checkpoint(tmp_path)).about["step"] == 1


@pytest.mark.parametrize("damage", ["index", "tensors", "gone", "format"])
def test_damage_is_named(tmp_path, damage):
    place = write_checkpoint(tmp_path, snapshot(), keep=1)
    index, tensors = place / "checkpoint.json", place / "tensors.safetensors"
    if damage == "index":
        index.write_text("{")
    elif damage == "gone":
        tensors.unlink()
    elif damage == "format":
        index.write_text(json.dumps({**json.loads(index.read_text()), "format": 99}))
    else:
        tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")
    with pytest.raises(ArgumentError, match=rf"^checkpoint \({place}.*\) must be .*; ?.*") as raised:
        read_checkpoint(place)
    assert "\n" not in str(raised.value)


def test_compact(tmp_path):
    before = snapshot()
    size = write_compact(tmp_path, before, most=100_000)
    assert size == sum(each.stat().st_size for each in (tmp_path / "compact").iterdir())
    after = read_compact(tmp_path / "compact")
    assert after.about["step"] == 5
    for name, weight in before.slots["params"].items():
        assert after.slots["params"][name].dtype == torch.float32
        torch.testing.assert_close(after.slots["params"][name], weight, rtol=1e-3, atol=1e-6)
        away = (before.slots["ema"][name] - weight.half().float()).abs().max()
        assert (after.slots["ema"][name] - before.slots["ema"][name]).abs().max() <= away / 127
        for moment in ("exp_avg", "exp_avg_sq"):
            torch.testing.assert_close(after.slots[moment][name], before.slots[moment][name], rtol=1 / 128, atol=0)
    assert all(torch.equal(after.buffers[name], each) for name, each in before.buffers.items())


def test_compact_within_its_bytes(tmp_path, monkeypatch):
    """In files of at most so many bytes; without the first moment where it would be too much, else an error."""
    monkeypatch.setattr(checkpoint, "MOST_IN_FILE", 2500)
    before = snapshot()
    whole = write_compact(tmp_path, before, most=100_000)
    files = sorted((tmp_path / "compact").glob("*.safetensors"))
    assert len(files) > 1
    assert max(each.stat().st_size for each in files) <= 2500
    less = write_compact(tmp_path, before, most=4000)
    assert less < whole - 500
    after = read_compact(tmp_path / "compact")
    assert not any(each.any() for each in after.slots["exp_avg"].values())
    assert after.slots["exp_avg"]["a.weight"].shape == (6, 5, 3, 3)
    with pytest.raises(ArgumentError, match=r"^save.compact \(500\) must be \d+ bytes or more for this network$"):
        write_compact(tmp_path, before, most=500)
    assert read_compact(tmp_path / "compact").about["step"] == 5


@pytest.mark.parametrize("value", [65520.0, -1e6, float("nan")])
def test_a_weight_beyond_half_precision_is_named(tmp_path, value):
    """It would be infinite, and the average of all its tensor no number."""
    before = snapshot()
    before.slots["params"]["a.bias"][2] = value
    expected = rf"^weight \(a.bias\) must be from -65504 to 65504 in half precision, but has {value:g}; resume from "
    with pytest.raises(RifeError, match=expected.replace("+", r"\+")) as raised:
        write_compact(tmp_path, before, most=100_000)
    assert "or raise optimiser.decay and start a new run" in str(raised.value)
    assert not (tmp_path / "compact").exists()


def test_the_largest_weight_is_kept(tmp_path):
    before = snapshot()
    before.slots["params"]["a.bias"][2] = before.slots["ema"]["a.bias"][2] = -65504.0
    write_compact(tmp_path, before, most=100_000)
    after = read_compact(tmp_path / "compact")
    assert after.slots["params"]["a.bias"][2] == after.slots["ema"]["a.bias"][2] == -65504
    assert after.slots["ema"]["a.bias"].isfinite().all()


def test_a_compact_state_with_a_weight_that_is_infinite_is_refused(tmp_path, monkeypatch):
    before = snapshot()
    before.slots["params"]["a.bias"][2] = 1e6
    monkeypatch.setattr(torch, "isfinite", lambda each: torch.ones(()))
    write_compact(tmp_path, before, most=100_000)
    monkeypatch.undo()
    with pytest.raises(
        ArgumentError, match=r"^checkpoint \(.*\) must have finite weights, and a.bias is not; use an older"
    ):
        read_compact(tmp_path / "compact")


def test_five_or_seven_bytes_a_number(tmp_path):
    """What 4.26 with its teacher, 5.77 M numbers, needs: 29 MB beside 32 MB of data, under 64 MB."""
    row = {"weight": torch.randn(500, 1000)}
    before = Snapshot(slots=dict.fromkeys(checkpoint.SLOTS, row), buffers={}, about=snapshot().about)
    assert write_compact(tmp_path, before, most=10**8) == pytest.approx(7 * 500_000, rel=0.01)
    assert write_compact(tmp_path, before, most=3_000_000) == pytest.approx(5 * 500_000, rel=0.01)
