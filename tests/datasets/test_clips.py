"""Clips are split at cuts and where a frame repeats."""

from pathlib import Path

import pytest
import torch

from vsrife.datasets.clips import find_clips, read_clip, split_shots
from vsrife.errors import ArgumentError

from .conftest import moving_square, save_clip


def test_a_clip_comes_back_as_it_was_written(tmp_path: Path) -> None:
    frames = moving_square(4, 70, 98)
    save_clip(frames, tmp_path / "a.y4m")
    read = list(read_clip(tmp_path / "a.y4m"))
    assert len(read) == 4
    for written, found in zip(frames, read, strict=True):
        assert found.dtype is torch.uint8
        # Two roundings to 8 bits, of YUV and of RGB.
        assert (written.int() - found.int()).abs().max() <= 3


def test_shots_end_at_cuts_and_repeated_frames() -> None:
    first, second = moving_square(6, 96, 160, seed=1), moving_square(5, 96, 160, seed=2)
    second = [frame.flip(-1).roll(40, -2) for frame in second]
    slightly = (first[2].int() + 1).clamp(0, 255).to(torch.uint8)  # as an encoder repeats a frame
    frames = [*first[:3], slightly, *first[3:], *second]
    shots = list(split_shots(frames))
    assert [len(shot) for shot in shots] == [3, 4, 5]
    assert shots[1][0] is slightly
    assert shots[2][0] is second[0]


def test_short_runs_are_dropped_and_long_ones_parted() -> None:
    frames = moving_square(11, 64, 96)
    assert list(split_shots(frames[:2])) == []
    assert list(split_shots([frames[0]] * 9)) == []
    assert [len(shot) for shot in split_shots(frames, longest=4)] == [4, 4, 3]


def test_clips_of_a_folder_by_name(tmp_path: Path) -> None:
    for name in ("b.MP4", "a.mkv", "c.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in find_clips(tmp_path)] == ["a.mkv", "b.MP4"]


def test_a_wrong_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        find_clips(tmp_path / "nowhere")
    assert str(caught.value).startswith(f"clips ({tmp_path / 'nowhere'}) must be a folder of video files; ")
    with pytest.raises(ArgumentError, match=r"must be a folder with video files \(.avi .*\); it holds none$"):
        find_clips(tmp_path)


def test_a_file_that_is_no_clip_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video at all")
    with pytest.raises(ArgumentError) as caught:
        next(read_clip(tmp_path / "a.mp4"))
    assert str(caught.value).startswith(
        f"clip ({tmp_path / 'a.mp4'}) must be a video that vapoursynth-bestsource reads"
    )
    assert "\n" not in str(caught.value)
