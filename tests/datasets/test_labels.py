"""Labels: their making from what networks say, their files, and windows of shots that have them."""

import itertools
import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

import vsrife.datasets.labels as labels_module
from vsrife.datasets.labelling import Wanted, at_moment, make_label, rounds, wanted_labels
from vsrife.datasets.labels import STEP, Label, LabelFolder, Labels, Place, enlarged, reduced
from vsrife.datasets.packing import Pack
from vsrife.datasets.shots import ClipWindowDataset, InMemoryShots, ShotSettings
from vsrife.errors import ArgumentError
from vsrife.network.warp import backward_warp

CPU = torch.device("cpu")


def picture_at(dx: float, dy: float, height: int, width: int) -> Tensor:
    """A smooth picture without end, moved by (dx, dy): float32 [3, height, width]."""
    x = torch.arange(width).view(1, -1) - dx
    y = torch.arange(height).view(-1, 1) - dy
    waves = [torch.cos(x / 9 + y / 31 + c) + torch.sin(y / 11 - x / 37 + 2 * c) for c in range(3)]
    return torch.stack(waves) / 8 + 0.5


def moving_shot(count: int, height: int, width: int, speed: tuple[float, float]) -> Tensor:
    """uint8 [count, 3, height, width] of a picture that moves evenly."""
    frames = torch.stack([picture_at(n * speed[0], n * speed[1], height, width) for n in range(count)])
    return (frames * 255).round().to(torch.uint8)


def even_label(height: int, width: int, speed: tuple[float, float], distance: int, trust: int = 255) -> Label:
    one = torch.tensor([-speed[0], -speed[1], speed[0], speed[1]]) * distance
    size = (math.ceil(height / STEP), math.ceil(width / STEP))
    return Label(flow=one.view(4, 1, 1).expand(4, *size).half(), trust=torch.full((2, *size), trust, dtype=torch.uint8))


@pytest.mark.parametrize("crop", [(37, 37), (35, 61)])
def test_a_turned_sample_warps_to_its_truth(crop: tuple[int, int]) -> None:
    """However samples are flipped, turned and reversed, the flow still leads from the truth to both frames."""
    height, width, speed = 43, 70, (2.5, -1.25)
    shot = moving_shot(7, height, width, speed)
    labels = Labels({Place(0, n, d): even_label(height, width, speed, d) for d in (1, 2) for n in range(d, 7 - d)})
    settings = ShotSettings(
        height=crop[0], width=crop[1], spans=(2, 4, 3), any_time=True, labelled=0.5, zoomed=0.5, zoom=(0.8, 1.4)
    )
    batch = ClipWindowDataset(InMemoryShots([shot]), settings, CPU, labels=labels).draw(120, 4)
    directions = set()
    margin = 12  # beyond it a place may lie outside of the crop
    inner = (..., slice(margin, -margin), slice(margin, -margin))
    seen = batch.visible[inner].amax((2, 3))
    for side, frame in enumerate((batch.left, batch.right)):
        warped = backward_warp(frame, batch.flow[:, 2 * side : 2 * side + 2])
        apart = (warped - batch.truth).abs()[inner].amax((1, 2, 3))
        assert (apart[seen[:, side] > 0] < 2 / 255).all()
        flow = batch.flow[:, 2 * side : 2 * side + 2].mean((2, 3))
        assert (flow[seen[:, side] == 0].abs() < 1e-6).all()
        directions |= {(*each.sign().int().tolist(), bool(each[0].abs() > each[1].abs())) for each in flow}
    wide = (True, False) if crop[0] == crop[1] else (True,)
    assert {each for each in directions if each[0]} == set(itertools.product((-1, 1), (-1, 1), wide))
    assert set(batch.t.flatten().tolist()) >= {0.25, 0.5, 0.75}
    assert (batch.known[:, 0].amax((1, 2)) == seen.amax(1)).all()


@pytest.mark.parametrize("side", [37, 41])
def test_what_leads_out_of_the_crop_is_not_believed(side: int) -> None:
    """The frame has what the flow leads to, the sample has not."""
    speed = 15.0
    shot = moving_shot(7, 60, 97, (speed, 0))
    labels = Labels({Place(0, 3, 1): even_label(60, 97, (speed, 0), 1)})
    settings = ShotSettings(height=37, width=side, spans=(2,), labelled=1.0)
    batch = ClipWindowDataset(InMemoryShots([shot]), settings, CPU, labels=labels).draw(24, 2)
    for first in (0, 2):
        flow, trust = batch.flow[:, first : first + 2], batch.visible[:, first // 2]
        x = torch.arange(side) + flow[:, 0]
        y = torch.arange(37).view(-1, 1) + flow[:, 1]
        inside = (x > -0.01) & (x < side - 0.99) & (y > -0.01) & (y < 36.01)
        assert (trust[~inside] == 0).all()
        assert (trust[inside] > 0.99).all()
        assert inside.float().mean() < 0.65


def test_a_window_takes_each_side_from_the_label_of_that_distance() -> None:
    """A truth of a third of the way has its left frame one frame away, its right one two."""
    labels = Labels({Place(2, 5, 1): even_label(40, 50, (3, 1), 1), Place(2, 5, 2): even_label(40, 50, (7, 1), 1, 127)})
    crops = [(slice(3, 20), slice(10, 41))] * 4
    windows = [(4, 5, 7), (3, 5, 6), (4, 5, 8), (3, 4, 5)]
    flow, trust = labels.motion([(2, frame) for window in windows for frame in window], crops, (17, 31))
    assert flow.shape == (4, 4, 17, 31)
    assert flow[:, :, 5, 5].tolist() == [[-3, -1, 7, 1], [-7, -1, 3, 1], [-3, -1, 0, 0], [0, 0, 0, 0]]
    assert trust[:, :, 5, 5].tolist() == [
        [1, pytest.approx(127 / 255)],
        [pytest.approx(127 / 255), 1],
        [1, 0],
        [0, 0],
    ]


def test_without_labels_windows_are_as_ever() -> None:
    """A shot that has none goes on to work, and the samples of a seed are the same ones."""
    shots = InMemoryShots([moving_shot(6, 40, 48, (1, 0)), moving_shot(5, 40, 48, (0, 2))])
    settings = ShotSettings(height=33, width=47, spans=(2, 4), labelled=0.0)
    elsewhere = Labels({Place(7, 5, 1): even_label(40, 48, (1, 0), 1)})
    plain = ClipWindowDataset(shots, settings, CPU).draw(9, 3)
    with_others = ClipWindowDataset(shots, settings, CPU, labels=elsewhere).draw(9, 3)
    for name, tensor in plain.tensors().items():
        assert torch.equal(tensor, with_others.tensors()[name]), name
    assert (plain.known == 0).all()


def test_the_share_of_labelled_windows_is_as_told() -> None:
    shots = InMemoryShots([moving_shot(60, 40, 48, (1, 0))])
    labels = Labels({Place(0, 30, 1): even_label(40, 48, (1, 0), 1)})
    for share in (0.0, 0.5, 1.0):
        settings = ShotSettings(height=33, width=47, spans=(2,), labelled=share)
        known = ClipWindowDataset(shots, settings, CPU, labels=labels).draw(200, 3).known.amax((1, 2, 3)).mean().item()
        assert known == pytest.approx(share, abs=0.1)


@pytest.mark.parametrize("size", [(48, 80), (45, 82), (5, 3)])
def test_a_field_that_is_reduced_and_enlarged_is_where_it_was(size: tuple[int, int]) -> None:
    """A slope comes back as it was, in any crop, but for half a value at the edges."""
    height, width = size
    y, x = torch.arange(height).float().view(-1, 1), torch.arange(width).float().view(1, -1)
    field = (2 * x - 3 * y)[None, None].expand(2, 1, -1, -1)
    small = reduced(field)
    assert small.shape[-2:] == (math.ceil(height / STEP), math.ceil(width / STEP))
    whole = enlarged(small, slice(0, height), slice(0, width))
    assert torch.allclose(whole[..., 2:-5, 2:-5], field[..., 2:-5, 2:-5], atol=1e-3)
    part = enlarged(small, slice(1, height - 1), slice(2, width))
    assert torch.allclose(part, whole[..., 1:-1, 2:], atol=1e-4)


@pytest.mark.parametrize("moment", [0.3, 0.4, 0.5, 0.65])
def test_a_thing_that_moves_unevenly_is_found(moment: float) -> None:
    """Networks see the outer frames alone and answer for the middle; the label is that of the true frame."""
    height, width = 66, 93
    speed = 12.0
    left, truth, right = (picture_at(speed * at, -speed * at / 2, height, width)[None] for at in (0, moment, 1))
    middle = torch.tensor([-6.0, 3.0, 6.0, -3.0]).view(1, 4, 1, 1).expand(1, 4, height, width)
    label = make_label(left, truth, right, [middle, middle + 0.1])
    expected = torch.tensor([-12 * moment, 6 * moment, 12 * (1 - moment), -6 * (1 - moment)]).view(4, 1, 1)
    inner = (..., slice(4, -4), slice(5, -5))
    assert (label.flow.float() - expected)[inner].abs().amax() < 0.6
    assert (label.trust[inner] > 200).float().mean() > 0.95


def test_at_another_moment_a_thing_leaves_its_place() -> None:
    """What moves is found where it is at that moment, between its place in the middle and that in an outer frame."""
    flows = torch.zeros(1, 4, 20, 40)
    flows[:, 0, :, 16:24] = -32.0
    flows[:, 2, :, 16:24] = 32.0
    later = at_moment(flows, 0.75)
    # A quarter of 64 pixels, 16, which is 4 values.
    assert torch.equal(later[0, :, 10, 22], torch.tensor([-48.0, 0.0, 16.0, 0.0]))
    assert torch.equal(later[0, :, 10, 30], torch.zeros(4))
    sooner = at_moment(flows, 0.25)
    assert torch.equal(sooner[0, :, 10, 16], torch.tensor([-16.0, 0.0, 48.0, 0.0]))


def test_nothing_is_believed_that_the_truth_does_not_bear_out() -> None:
    height, width = 64, 96
    frames = [picture_at(6.0 * n, 0, height, width)[None] for n in range(3)]
    right_flow = torch.tensor([-6.0, 0, 6, 0]).view(1, 4, 1, 1).expand(1, 4, height, width)
    wrong = right_flow + 9
    inner = (..., slice(4, -4), slice(5, -5))
    assert (make_label(*frames, [right_flow, right_flow + 0.2]).trust[inner] > 200).float().mean() > 0.95
    # A network that stands alone is not believed, even where it is right; nor two that are wrong alike.
    assert (make_label(*frames, [right_flow, wrong]).trust == 0).all()
    assert (make_label(*frames, [wrong, wrong]).trust == 0).float().mean() > 0.9
    # The one that the truth bears out is taken.
    assert (make_label(*frames, [wrong, right_flow]).flow.float()[inner][0] + 6).abs().amax() < 0.6


def test_windows_that_change_most_come_first_and_all_shots_in_turn() -> None:
    still = moving_shot(9, 40, 48, (0, 0))
    brighter = still // 2 + torch.arange(0, 90, 10, dtype=torch.uint8).view(-1, 1, 1, 1)
    faster = torch.cat((moving_shot(8, 40, 48, (1, 0)), moving_shot(6, 40, 48, (5, 0))))
    assert wanted_labels(0, still, (1, 2), 1) == []
    assert wanted_labels(0, brighter, (1,), 1) == []
    found = wanted_labels(3, faster, (1, 2), 3)
    assert {each.place.shot for each in found} == {3}
    assert all(each.place.frame % 3 == 1 for each in found)
    assert [each.change for each in found] == sorted((each.change for each in found), reverse=True)
    assert found[0].place.distance == 2

    def of(shot: int, *changes: float) -> list[Wanted]:
        return [Wanted(place=Place(shot, n, 1), change=change) for n, change in enumerate(changes)]

    order = list(rounds([of(0, 2, 2, 2), [], of(2, 9, 8, 1, 1)], 2))
    assert [[tuple(place)[:2] for place in part] for part in order] == [
        [(2, 0), (2, 1)],
        [(0, 0), (0, 1)],
        [(0, 2)],
        [(2, 2), (2, 3)],
    ]


def pack_of(folder: Path, digest: str = "a") -> Pack:
    """As far as labels ask: the sums of its clips."""
    return Pack(folder=folder, about={"files": {"clips-0.safetensors": {"sha256": digest}}})


def test_a_folder_is_gone_on_with_and_read(tmp_path: Path) -> None:
    pack, out = pack_of(tmp_path), tmp_path / "labels"
    made_of = {"networks": [{"file": "a.pkl"}]}
    folder = LabelFolder(out, pack)
    assert folder.begin(made_of) == set()
    first, second = Place(0, 5, 1), Place(12, 100, 2)
    folder.add({first: even_label(30, 41, (1, 2), 1)})
    (out / "labels-0001.part").write_bytes(b"half")  # what a process that was killed leaves
    assert folder.begin(made_of) == {first}
    folder.add({second: even_label(30, 41, (3, 2), 2, 7)})
    assert LabelFolder(out, pack).begin(made_of) == {first, second}
    labels = folder.read(CPU)
    assert len(labels) == 2
    assert labels.windows(2) == [(0, 4)]
    assert labels.windows(4) == [(12, 98)]
    assert labels.windows(6) == ()
    flow, trust = labels.motion([(12, 98), (12, 100), (12, 102)], [(slice(0, 30), slice(0, 41))], (30, 41))
    assert flow[0, :, 9, 9].tolist() == [-6, -4, 6, 4]
    assert trust[0, :, 9, 9].tolist() == pytest.approx([7 / 255, 7 / 255])


def test_two_that_write_at_once_do_not_write_over_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one writes all of its file while the first one is still writing."""
    folders = [LabelFolder(tmp_path / "labels", pack_of(tmp_path)) for _ in range(2)]
    for folder in folders:
        folder.begin({})
    save = labels_module.save_file

    def slowly(tensors: dict[str, Tensor], path: Path) -> None:
        monkeypatch.setattr(labels_module, "save_file", save)
        folders[1].add({Place(0, 2, 1): even_label(9, 9, (1, 1), 1)})
        save(tensors, path)

    monkeypatch.setattr(labels_module, "save_file", slowly)
    folders[0].add({Place(0, 1, 1): even_label(9, 9, (1, 1), 1)})
    assert folders[0].begin({}) == {Place(0, 1, 1), Place(0, 2, 1)}
    assert not list((tmp_path / "labels").glob("*.part"))


def test_what_is_wrong_with_a_folder_is_told(tmp_path: Path) -> None:
    pack, out = pack_of(tmp_path), tmp_path / "labels"
    with pytest.raises(ArgumentError, match=r"^labels \(.*\) must be a folder with labels.json; make it with tools"):
        LabelFolder(out, pack).read(CPU)
    folder = LabelFolder(out, pack)
    folder.begin({"networks": ["a"]})
    with pytest.raises(ArgumentError, match=r"^labels \(.*\) must hold labels; "):
        folder.read(CPU)
    with pytest.raises(ArgumentError, match=r"^out \(.*\) must be a new folder, or hold labels of the same pack and"):
        folder.begin({"networks": ["b"]})
    with pytest.raises(ArgumentError, match=r"^labels \(.*\) must be of the pack .*; they are of other clips, "):
        LabelFolder(out, pack_of(tmp_path, "b")).read(CPU)
    folder.add({Place(0, 1, 1): even_label(9, 9, (1, 1), 1)})
    (out / "labels-0000.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(ArgumentError, match=r"^labels \(.*labels-0000.safetensors\) must be as it was written: "):
        folder.read(CPU)
    (out / "labels.json").write_text(json.dumps([1]))
    with pytest.raises(ArgumentError, match=r"must be a folder with labels\.json"):
        folder.read(CPU)
    with pytest.raises(ArgumentError, match=r"^out \(.*\) must be a new or empty folder, or one of labels"):
        LabelFolder(tmp_path, pack).begin({})
