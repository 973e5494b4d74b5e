import json

import pytest
import torch

from vsrife.errors import ArgumentError, RifeError
from vsrife.training import state
from vsrife.training.state import Snapshot, largest_state, read_carry, read_state, write_carry, write_state


def snapshot(step=5) -> Snapshot:
    generator = torch.Generator().manual_seed(step)

    def row(size):
        shapes = {"a.weight": (6, 5, 3, 3), "a.bias": (6,), "none": (4,)}
        return {name: torch.randn(shape, generator=generator) * size for name, shape in shapes.items()}

    weights = row(0.1)
    weights["none"].zero_()
    return Snapshot(
        rows={
            "weights": weights,
            "average": {name: each + 0.001 * torch.randn(each.shape) for name, each in weights.items()},
            "first": row(1e-4),
            "second": {name: each.square() for name, each in row(1e-4).items()},
        },
        buffers={"norm.running_mean": torch.randn(3), "norm.num_batches_tracked": torch.tensor(7)},
        about={"step": step, "seconds": 1.5, "best": None, "config": {"run": {"steps": 9}}},
    )


def test_exact(tmp_path):
    before = snapshot()
    place = write_state(tmp_path, before, keep=2)
    after = read_state(place)
    assert {**after.about} == {**before.about, "format": 1}
    for row in state.ROWS:
        assert all(torch.equal(after.rows[row][name], each) for name, each in before.rows[row].items())
    assert all(torch.equal(after.buffers[name], each) for name, each in before.buffers.items())


def test_the_newest_are_kept_and_the_newest_whole_one_counts(tmp_path):
    assert largest_state(tmp_path) is None
    for step in (2, 9, 10, 11):
        write_state(tmp_path, snapshot(step), keep=2)
    assert sorted(each.name for each in (tmp_path / "state").iterdir()) == ["00000010", "00000011"]
    (tmp_path / "state" / "00000012").mkdir()
    assert largest_state(tmp_path).name == "00000011"


def test_a_write_that_fails_leaves_what_was(tmp_path, monkeypatch):
    write_state(tmp_path, snapshot(1), keep=1)

    def full(_tensors):
        raise OSError("no space left")

    monkeypatch.setattr(state, "save", full)
    with pytest.raises(OSError, match="no space"):
        write_state(tmp_path, snapshot(2), keep=1)
    assert read_state(largest_state(tmp_path)).about["step"] == 1


@pytest.mark.parametrize("damage", ["index", "tensors", "gone", "format"])
def test_damage_is_named(tmp_path, damage):
    place = write_state(tmp_path, snapshot(), keep=1)
    index, tensors = place / "state.json", place / "tensors.safetensors"
    if damage == "index":
        index.write_text("{")
    elif damage == "gone":
        tensors.unlink()
    elif damage == "format":
        index.write_text(json.dumps({**json.loads(index.read_text()), "format": 2}))
    else:
        tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")
    with pytest.raises(ArgumentError, match=rf"^state \({place}.*\) must be .*; ?.*") as raised:
        read_state(place)
    assert "\n" not in str(raised.value)


def test_compact(tmp_path):
    before = snapshot()
    size = write_carry(tmp_path, before, most=100_000)
    assert size == sum(each.stat().st_size for each in (tmp_path / "carry").iterdir())
    after = read_carry(tmp_path / "carry")
    assert after.about["step"] == 5
    for name, weight in before.rows["weights"].items():
        assert after.rows["weights"][name].dtype == torch.float32
        torch.testing.assert_close(after.rows["weights"][name], weight, rtol=1e-3, atol=1e-6)
        away = (before.rows["average"][name] - weight.half().float()).abs().max()
        assert (after.rows["average"][name] - before.rows["average"][name]).abs().max() <= away / 127
        for moment in ("first", "second"):
            torch.testing.assert_close(after.rows[moment][name], before.rows[moment][name], rtol=1 / 128, atol=0)
    assert all(torch.equal(after.buffers[name], each) for name, each in before.buffers.items())


def test_compact_within_its_bytes(tmp_path, monkeypatch):
    """In files of at most so many bytes; without the first moment where it would be too much, else an error."""
    monkeypatch.setattr(state, "MOST_IN_FILE", 2500)
    before = snapshot()
    whole = write_carry(tmp_path, before, most=100_000)
    files = sorted((tmp_path / "carry").glob("*.safetensors"))
    assert len(files) > 1
    assert max(each.stat().st_size for each in files) <= 2500
    less = write_carry(tmp_path, before, most=4000)
    assert less < whole - 500
    after = read_carry(tmp_path / "carry")
    assert not any(each.any() for each in after.rows["first"].values())
    assert after.rows["first"]["a.weight"].shape == (6, 5, 3, 3)
    with pytest.raises(ArgumentError, match=r"^save.carry \(500\) must be \d+ bytes or more for this network$"):
        write_carry(tmp_path, before, most=500)
    assert read_carry(tmp_path / "carry").about["step"] == 5


@pytest.mark.parametrize("value", [65520.0, -1e6, float("nan")])
def test_a_weight_beyond_half_precision_is_named(tmp_path, value):
    """It would be infinite, and the average of all its tensor no number."""
    before = snapshot()
    before.rows["weights"]["a.bias"][2] = value
    expected = rf"^weight \(a.bias\) must be from -65504 to 65504 in half precision, but has {value:g}; carry on from "
    with pytest.raises(RifeError, match=expected.replace("+", r"\+")) as raised:
        write_carry(tmp_path, before, most=100_000)
    assert "or raise optimiser.decay and begin anew" in str(raised.value)
    assert not (tmp_path / "carry").exists()


def test_the_largest_weight_travels(tmp_path):
    before = snapshot()
    before.rows["weights"]["a.bias"][2] = before.rows["average"]["a.bias"][2] = -65504.0
    write_carry(tmp_path, before, most=100_000)
    after = read_carry(tmp_path / "carry")
    assert after.rows["weights"]["a.bias"][2] == after.rows["average"]["a.bias"][2] == -65504
    assert after.rows["average"]["a.bias"].isfinite().all()


def test_a_compact_state_with_a_weight_that_is_infinite_is_refused(tmp_path, monkeypatch):
    before = snapshot()
    before.rows["weights"]["a.bias"][2] = 1e6
    monkeypatch.setattr(torch, "isfinite", lambda each: torch.ones(()))
    write_carry(tmp_path, before, most=100_000)
    monkeypatch.undo()
    with pytest.raises(ArgumentError, match=r"^state \(.*\) must have finite weights, and a.bias is not; use an older"):
        read_carry(tmp_path / "carry")


def test_five_or_seven_bytes_a_number(tmp_path):
    """What 4.26 with its teacher, 5.77 M numbers, needs: 29 MB beside 32 MB of data, under 64 MB."""
    row = {"weight": torch.randn(500, 1000)}
    before = Snapshot(rows=dict.fromkeys(state.ROWS, row), buffers={}, about=snapshot().about)
    assert write_carry(tmp_path, before, most=10**8) == pytest.approx(7 * 500_000, rel=0.01)
    assert write_carry(tmp_path, before, most=3_000_000) == pytest.approx(5 * 500_000, rel=0.01)
