"""Each layout is read as published, and what is missing is told before anything is measured."""

import numpy as np
import pytest

from vsrife.errors import ArgumentError
from vsrife.evaluation import clips
from vsrife.evaluation.protocols import PROTOCOLS
from vsrife.evaluation.samples import pictures
from vsrife.evaluation.sets import SNU_MODES

from . import folders
from .folders import texture


def read(protocol, folder, limit=None):
    """By (group, row, name): the pictures left, truths..., right, as [h, w, 3]."""
    found = {}
    for samples in PROTOCOLS[protocol].open(folder, limit):
        assert [float(time) for time in samples.times] == [step / samples.multi for step in range(1, samples.multi)]
        for sample in samples.members:
            left, right = pictures(samples.given, (sample.left, sample.left + 1))
            frames = [left, *pictures(samples.truth, sample.truths), right]
            found[sample.group, sample.row, sample.name] = [frame.transpose(1, 2, 0) for frame in frames]
    return found


def same(frames, expected):
    return len(frames) == len(expected) and all(np.array_equal(*pair) for pair in zip(frames, expected, strict=True))


@pytest.mark.parametrize("place", ["sequences", "target"])
def test_vimeo90k(tmp_path, place):
    found = read("vimeo90k", folders.vimeo90k(tmp_path, place))
    assert list(found) == [("", name, "") for name in ("00001/0001", "00001/0266", "00002/0013")]
    for index, frames in enumerate(found.values()):
        assert same(frames, [texture(10 * index + step) for step in range(3)])
    assert len(read("vimeo90k", tmp_path, limit=2)) == 2


@pytest.mark.parametrize("inner", ["", "ucf101_interp_ours"])
def test_ucf101(tmp_path, inner):
    found = read("ucf101", folders.ucf101(tmp_path) / inner)
    assert [row for _, row, _ in found] == ["1", "2", "11"]
    for (_, row, _), frames in found.items():
        assert same(frames, [texture(int(row) + step) for step in range(3)])


def test_middlebury_of_two_sizes(tmp_path):
    found = read("middlebury", folders.middlebury(tmp_path))
    assert len(found) == 12
    assert same(found["", "Beanbags", ""], [texture(step, 58, 39) for step in range(3)])
    assert same(found["", "Walking", ""], [texture(11 + step, 64, 48) for step in range(3)])


@pytest.mark.parametrize("lists", ["", "eval_modes"])
def test_snu_film(tmp_path, lists):
    found = read("snu-film", folders.snu_film(tmp_path, lists))
    assert len(found) == 8
    for step, mode in enumerate(SNU_MODES, 1):
        assert same(found[mode, f"GOPRO_test/GOPR1/{step:06}", ""], [texture(time) for time in (0, step, 2 * step)])
        assert (mode, f"YouTube_test/0001/{step:05}", "") in found


@pytest.mark.parametrize(("protocol", "multi", "count"), [("hd-2x", 2, 4), ("hd-4x", 4, 2)])
def test_hd(tmp_path, monkeypatch, protocol, multi, count):
    found = read(protocol, folders.hd(tmp_path, monkeypatch))
    assert len(found) == 11 * count
    assert {group for group, _, _ in found} == {"544p", "720p", "1080p"}
    frames = found["720p", "shields_1280x720_60", str(multi)]
    for step, frame in enumerate(frames):
        # Full-range luma and no colour: R, G and B are the luma.
        assert np.array_equal(frame, np.repeat(texture(multi + step, 64, 38)[..., :1], 3, 2))
    assert len(read(protocol, tmp_path, limit=1)) == 11


def test_hd_ends_at_frame_100(tmp_path, monkeypatch):
    found = read("hd-4x", folders.hd(tmp_path, monkeypatch, frames=110))
    assert max(int(name) for _, _, name in found) == 96


@pytest.mark.parametrize(("protocol", "multi", "firsts"), [("clips-2x", 2, "0 4 8 12 16"), ("clips-4x", 4, "0 8 16")])
def test_skip_frame(tmp_path, protocol, multi, firsts):
    found = read(protocol, folders.clip_folder(tmp_path))
    assert [name for _, row, name in found if row == "a.y4m"] == firsts.split()
    for (_, row, name), frames in found.items():
        begin = int(name) + (4 if row == "b.y4m" else 0)
        gray = [np.repeat(texture(begin + step)[..., 1:2], 3, 2) for step in range(multi + 1)]
        assert same(frames, gray)
    assert len(read(protocol, tmp_path, limit=1)) == 2


def test_cuts_and_duplicates_do_not_count(tmp_path):
    black, white = np.zeros((45, 70, 3), np.uint8), np.full((45, 70, 3), 255, np.uint8)
    shots = [texture(0), texture(1), texture(2), black, black, black, black, black, white, white, white, white]
    frames = [*shots, *(texture(n) for n in range(5))]
    folders.clip(tmp_path / "a.y4m", frames)
    # 0: moves; 4: black and black; 8: white and white; 12: moves.
    assert [name for _, _, name in read("clips-2x", tmp_path)] == ["0", "12"]
    folders.clip(tmp_path / "a.y4m", [texture(0), texture(1), black, white, white])
    with pytest.raises(ArgumentError, match="must have clips of 3 frames or more that move"):
        read("clips-2x", tmp_path)


def test_at_most_16_of_a_clip(tmp_path):
    folders.clip(tmp_path / "a.y4m", [texture(n, 24, 16) for n in range(80)])
    assert len(read("clips-2x", tmp_path)) == clips.SAMPLES
    assert len(read("clips-2x", tmp_path, limit=18)) == 18


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_another_folder_is_told_in_one_line(tmp_path, protocol):
    with pytest.raises(ArgumentError) as caught:
        PROTOCOLS[protocol].open(tmp_path, None).__next__()
    assert str(tmp_path) in str(caught.value)
    assert " must " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("protocol", "lost", "complaint"),
    [
        ("vimeo90k", "sequences/00002/0013/im3.png", "must exist: the set is incomplete"),
        ("ucf101", "ucf101_interp_ours/2/frame_00.png", "must exist"),
        ("middlebury", "other-gt-interp/Venus/frame10i11.png", "must exist"),
        ("snu-film", "test/YouTube_test/0001/00008.png", "must exist"),
        ("snu-film", "test-hard.txt", "must be SNU-FILM"),
        ("hd-2x", "HD_dataset/HD1080p_GT/BlueSky.yuv", "must be the HD benchmark; HD1080p_GT/BlueSky.yuv"),
    ],
)
def test_what_is_missing_is_named_before_the_first_sample(tmp_path, monkeypatch, protocol, lost, complaint):
    if protocol == "hd-2x":
        folders.hd(tmp_path, monkeypatch)
    else:
        getattr(folders, protocol.replace("-", "_"))(tmp_path)
    (tmp_path / lost).unlink()
    with pytest.raises(ArgumentError, match=complaint):
        next(PROTOCOLS[protocol].open(tmp_path, None))


def test_a_wrong_size_list_or_length_is_told(tmp_path, monkeypatch):
    folders.vimeo90k(tmp_path)
    folders.save(tmp_path / "sequences/00002/0013/im2.png", texture(0, 60, 45))
    with pytest.raises(ArgumentError, match="must have the size of its neighbours"):
        next(PROTOCOLS["vimeo90k"].open(tmp_path, None))
    (tmp_path / "tri_testlist.txt").write_text("\n")
    with pytest.raises(ArgumentError, match="it is empty"):
        next(PROTOCOLS["vimeo90k"].open(tmp_path, None))
    folders.snu_film(tmp_path / "snu")
    (tmp_path / "snu" / "test-easy.txt").write_text("test/a.png test/b.png\n")
    with pytest.raises(ArgumentError, match="must name three files a line"):
        next(PROTOCOLS["snu-film"].open(tmp_path / "snu", None))
    folders.hd(tmp_path / "hd", monkeypatch)
    with (tmp_path / "hd/HD_dataset/HD720p_GT/parkrun_1280x720_50.yuv").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ArgumentError, match="must hold 3 or more whole frames of 64x38 YUV420P8"):
        next(PROTOCOLS["hd-2x"].open(tmp_path / "hd", None))
