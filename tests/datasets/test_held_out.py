"""Shots that are kept from training: which they are, that they are not read, and what they measure."""

import pytest
import torch

from tests.datasets.conftest import moving_square, save_clip, save_picture, smooth_tiles
from vsrife.datasets.held_out import held_out_triplets, names_of, without
from vsrife.datasets.packing import Pack, PackSettings, write_pack
from vsrife.datasets.shots import ClipWindowDataset, InMemoryShots, ShotSettings
from vsrife.errors import ArgumentError


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> Pack:
    """Three clips of a shot each; the largest is packed twice."""
    data = tmp_path_factory.mktemp("data")
    for kind in ("photos", "textures", "sprites"):
        save_picture(smooth_tiles(1, 64, 4)[0], data / kind / "a.png")
    for index, (name, count, size) in enumerate((("a", 7, (80, 112)), ("b", 12, (96, 128)), ("c", 5, (64, 96)))):
        save_clip(moving_square(count, *size, seed=index + 1), data / "clips_train" / f"{name}.y4m")
    for name in ("SOURCES.tsv", "README.md"):
        (data / name).write_text("all of it is free\n")
    settings = PackSettings(large=90, window=(64, 64))
    return write_pack(data, tmp_path_factory.mktemp("out") / "pack", settings, lambda _: None)


def test_a_shot_is_all_its_versions(pack) -> None:
    found = names_of(pack, ["b.y4m/0000", "a.y4m/0000"])
    assert sorted(found["b.y4m/0000"]) == ["clips_train/b.y4m/0000 cut", "clips_train/b.y4m/0000 halved"]
    assert found["a.y4m/0000"] == ["clips_train/a.y4m/0000"]


@pytest.mark.parametrize("name", ["b.y4m/000", "b.y4m", "d.y4m/0000", ""])
def test_a_shot_that_is_not_there_is_named(pack, name) -> None:
    with pytest.raises(ArgumentError, match=rf"^data.held_out \({name}\) must be a shot of the pack, such as"):
        names_of(pack, [name])


def test_what_is_held_out_has_no_frames_and_the_others_keep_their_places(pack) -> None:
    every = list(pack.shots())
    left = list(without(pack, ["b.y4m/0000"]))
    names = pack.shot_names()
    assert len(left) == len(every) == len(names) == 4
    for name, before, after in zip(names, every, left, strict=True):
        if "b.y4m" in name:
            assert len(after) == 0
        else:
            assert torch.equal(before, after)
    windows = ClipWindowDataset(InMemoryShots(left), ShotSettings(height=40, width=40), torch.device("cpu"))
    assert len(windows) == (7 - 2) + (5 - 2)
    assert windows.draw(20, 1).left.shape == (20, 3, 40, 40)


def test_triplets_are_frames_in_a_row_spread_over_the_shot(pack) -> None:
    frames = pack.shot("clips_train/b.y4m/0000 halved")
    found = list(held_out_triplets(pack, ["b.y4m/0000", "a.y4m/0000"], 3))
    assert [each.shot for each in found] == ["b.y4m/0000"] * 3 + ["a.y4m/0000"] * 2  # no frame twice
    firsts = []
    for each in found[:3]:
        (first,) = [n for n in range(10) if torch.equal(frames[n], each.left)]
        assert torch.equal(frames[first + 1], each.truth)
        assert torch.equal(frames[first + 2], each.right)
        firsts.append(first)
    assert firsts == [0, 4, 9]


def test_a_shot_without_three_frames_is_named(pack, monkeypatch) -> None:
    monkeypatch.setattr(Pack, "shot", lambda self, name, shot=Pack.shot: shot(self, name)[:2])
    with pytest.raises(ArgumentError, match=r"^data.held_out \(a.y4m/0000\) must have 3 frames or more, not 2; leave"):
        list(held_out_triplets(pack, ["a.y4m/0000"], 3))
