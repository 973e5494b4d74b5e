"""Packs hold what they should, say so, and hold nothing of the clips that measure."""

import shutil
from pathlib import Path

import pytest
import torch

from vsrife.datasets.packing import PackSettings, open_pack, write_pack
from vsrife.datasets.pictures import decode_sequence, encode_sequence, read_picture
from vsrife.errors import ArgumentError

from .conftest import moving_square, save_clip, save_picture, smooth_tiles

SETTINGS = PackSettings(pictures=80, clips=80, large=130, window=(64, 96))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    photos = smooth_tiles(2, 80, 5)
    save_picture(photos[0], folder / "photos" / "000.jpg")
    save_picture(photos[1], folder / "textures" / "000.png")
    sprite = torch.cat((photos[0], photos[1][:1]))[:, :60, :45]
    save_picture(sprite, folder / "sprites" / "000.webp")
    save_clip(moving_square(5, 66, 98), folder / "clips_train" / "small.y4m")
    save_clip(moving_square(4, 132, 164, seed=2), folder / "clips_train" / "large.y4m")
    save_clip(moving_square(6, 66, 98, seed=3), folder / "clips_eval" / "measured.y4m")
    (folder / "SOURCES.tsv").write_text("file\tpackage\nphotos/000.jpg\tsome-package\n")
    (folder / "README.md").write_text("Licences: CC0.\n")
    return folder


@pytest.fixture(scope="module")
def packed(data: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("packs") / "pack"
    lines: list[str] = []
    write_pack(data, folder, SETTINGS, lines.append)
    assert len(lines) == 4
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_was_packed_comes_back(data: Path, packed: Path) -> None:
    pack = open_pack(packed)
    pictures, cutouts, shots = list(pack.pictures()), list(pack.cutouts()), list(pack.shots())
    assert [tuple(picture.shape) for picture in pictures] == [(3, 80, 80), (3, 80, 80)]
    assert [tuple(cutout.shape) for cutout in cutouts] == [(4, 60, 45)]
    original = read_picture(data / "textures" / "000.png")
    assert (pictures[1].float() - original.float()).abs().mean() < 2
    assert sorted(tuple(shot.shape) for shot in shots) == [(4, 3, 64, 96), (4, 3, 66, 82), (5, 3, 66, 98)]
    assert pack.shot_names() == [
        f"clips_train/{name}" for name in ("large.y4m/0000 cut", "large.y4m/0000 halved", "small.y4m/0000")
    ]
    assert all(torch.equal(pack.shot(name), shot) for name, shot in zip(pack.shot_names(), shots, strict=True))
    small = next(shot for shot in shots if shot.shape[3] == 98)
    assert (small.float() - torch.stack(moving_square(5, 66, 98)).float()).abs().mean() < 3
    assert pack.about["counts"]["clips_train"] == {
        "files": 2,
        "entries": 3,
        "frames": 13,
        "bytes": pack.about["counts"]["clips_train"]["bytes"],
    }


def test_the_window_of_a_large_clip_sees_what_moves(packed: Path) -> None:
    window = next(shot for shot in open_pack(packed).shots() if shot.shape[2] == 64)
    changed = (window[0].int() - window[-1].int()).abs().amax(0) > 60
    assert changed.sum() > 500


def test_licences_are_kept_beside_the_pictures(data: Path, packed: Path) -> None:
    assert files(packed)["SOURCES.tsv"] == (data / "SOURCES.tsv").read_bytes()
    assert files(packed)["LICENCES.md"] == (data / "README.md").read_bytes()


def test_nothing_of_the_measuring_clips_gets_in(data: Path, packed: Path, tmp_path: Path) -> None:
    """The pack is the same to the byte with the clips that measure and without them, whenever it is made."""
    copy = tmp_path / "data"
    shutil.copytree(data, copy, ignore=shutil.ignore_patterns("clips_eval"))
    write_pack(copy, tmp_path / "without", SETTINGS, lambda line: None)
    assert files(tmp_path / "without") == files(packed)


@pytest.mark.parametrize("way", ["copy", "link", "folder"])
def test_a_measuring_clip_among_the_others_is_refused(data: Path, tmp_path: Path, way: str) -> None:
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    measured = copy / "clips_eval" / "measured.y4m"
    sneaked = copy / "clips_train" / "renamed.y4m"
    if way == "copy":
        shutil.copy(measured, sneaked)
    elif way == "link":
        sneaked.symlink_to(measured)
    else:
        shutil.rmtree(copy / "clips_train")
        (copy / "clips_train").symlink_to(copy / "clips_eval")
        sneaked = copy / "clips_train" / "measured.y4m"
    with pytest.raises(ArgumentError) as caught:
        write_pack(copy, tmp_path / "pack", SETTINGS, lambda line: None)
    assert str(caught.value) == f"data ({sneaked}) must not be part of clips_eval, which measures; take it away"
    assert not (tmp_path / "pack").exists()


def test_a_pack_that_would_be_too_large_is_not_written(data: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ArgumentError, match=r"^most \(1000\) must be at least \d+ bytes at these qualities; lower those"
    ):
        write_pack(data, tmp_path / "pack", PackSettings(most=1000), lambda line: None)
    assert not (tmp_path / "pack").exists()


@pytest.mark.parametrize("missing", ["photos", "clips_train", "SOURCES.tsv"])
def test_missing_data_is_named(data: Path, tmp_path: Path, missing: str) -> None:
    copy = tmp_path / "data"
    shutil.copytree(data, copy, ignore=shutil.ignore_patterns(missing))
    with pytest.raises(ArgumentError) as caught:
        write_pack(copy, tmp_path / "pack", SETTINGS, lambda line: None)
    assert missing in str(caught.value)
    assert str(copy) in str(caught.value)


def test_a_folder_with_files_is_not_written_into(data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="must be a new or empty folder; name another one"):
        write_pack(data, tmp_path, SETTINGS, lambda line: None)


def test_a_changed_pack_is_refused(packed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "pack"
    shutil.copytree(packed, copy)
    shard = copy / "pictures-0.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    with pytest.raises(ArgumentError, match=r"must be as it was written; its sum differs"):
        open_pack(copy)
    shard.unlink()
    with pytest.raises(ArgumentError, match=r"must hold pictures-0.safetensors, which pack.json names"):
        open_pack(copy)
    with pytest.raises(ArgumentError, match=r"must be a folder with pack.json; make it with tools/pack_data.py$"):
        open_pack(tmp_path)


def test_sequences_keep_their_frames_in_order() -> None:
    frames = [torch.full((3, 32, 48), 20 * n, dtype=torch.uint8) for n in range(1, 9)]
    found = decode_sequence(encode_sequence(frames, 80))
    assert found.float().mean((1, 2, 3)).tolist() == pytest.approx([20.0 * n for n in range(1, 9)], abs=2)
