"""Vimeo90K's official layout, triplets and septuplets, and what a wrong folder is told."""

from pathlib import Path

import pytest
import torch

from vsrife.datasets.shots import ClipWindowDataset, ShotSettings
from vsrife.datasets.vimeo import Vimeo
from vsrife.errors import ArgumentError

from .conftest import moving_square, save_picture

NAMES = ["00001/0001", "00001/0389", "00078/0002"]


def write(folder: Path, kind: str, split: str = "train") -> list[list[torch.Tensor]]:
    sequences = []
    for number, name in enumerate(NAMES):
        frames = moving_square({"tri": 3, "sep": 7}[kind], 50, 66, seed=number)
        for n, frame in enumerate(frames):
            save_picture(frame, folder / "sequences" / name / f"im{n + 1}.png")
        sequences.append(frames)
    (folder / f"{kind}_{split}list.txt").write_text("\n".join(NAMES) + "\n\n")
    return sequences


@pytest.mark.parametrize(("kind", "length"), [("tri", 3), ("sep", 7)])
def test_the_official_layout(tmp_path: Path, kind: str, length: int) -> None:
    sequences = write(tmp_path, kind)
    vimeo = Vimeo(tmp_path)
    assert vimeo.lengths == [length] * 3
    assert vimeo.smallest == (50, 66)
    (first, last) = vimeo.read([(0, 0), (2, length - 1)])
    assert torch.equal(first, sequences[0][0])
    assert torch.equal(last, sequences[2][-1])


def test_the_test_split(tmp_path: Path) -> None:
    write(tmp_path, "tri", "test")
    assert len(Vimeo(tmp_path, "test").lengths) == 3
    with pytest.raises(ArgumentError, match=r"must be a folder with tri_trainlist.txt or sep_trainlist.txt"):
        Vimeo(tmp_path, "train")


def test_septuplets_give_any_time(tmp_path: Path) -> None:
    write(tmp_path, "sep")
    settings = ShotSettings(height=48, width=48, spans=(6,), any_time=True)
    batch = ClipWindowDataset(Vimeo(tmp_path, threads=2), settings, torch.device("cpu")).draw(40, 2)
    assert {round(6 * t) for t in batch.t.flatten().tolist()} == {1, 2, 3, 4, 5}
    assert batch.left.shape == (40, 3, 48, 48)
    assert not torch.equal(batch.left, batch.right)


def test_a_wrong_folder_is_named_with_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        Vimeo(tmp_path)
    assert str(caught.value) == (
        f"vimeo ({tmp_path}) must be a folder with tri_trainlist.txt or sep_trainlist.txt, "
        "and sequences/00001/0001/im1.png; found no list"
    )


def test_a_list_without_sequences(tmp_path: Path) -> None:
    (tmp_path / "tri_trainlist.txt").write_text("00001/0001\n")
    with pytest.raises(ArgumentError, match=r"found no sequences beside tri_trainlist.txt$"):
        Vimeo(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"must list sequences, one a line like 00001/0001; it is empty$"),
        ("00001/0001\n../../etc\n", r"must have lines like 00001/0001, not '../../etc'$"),
        ("00001/0001\n00009/0009\n", r"must hold sequences/00009/0009/im1.png, which its list names$"),
    ],
)
def test_a_wrong_list(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, "tri")
    (tmp_path / "tri_trainlist.txt").write_text(text)
    with pytest.raises(ArgumentError, match=message):
        Vimeo(tmp_path)


def test_a_broken_picture_is_named_when_it_is_read(tmp_path: Path) -> None:
    write(tmp_path, "tri")
    broken = tmp_path / "sequences" / "00001/0389" / "im2.png"
    broken.write_bytes(broken.read_bytes()[:100])
    vimeo = Vimeo(tmp_path)
    with pytest.raises(ArgumentError) as caught:
        vimeo.read([(0, 0), (1, 1)])
    assert str(caught.value).startswith(f"picture ({broken}) must be a picture file; ")
