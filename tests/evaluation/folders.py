"""Tiny sets in the published layouts, and clips, of a texture that moves."""

from pathlib import Path

import numpy as np
from PIL import Image

from vsrife.evaluation import clips
from vsrife.evaluation.sets import MIDDLEBURY, SNU_MODES

SIZE = (70, 45)


def texture(time: float, width: int = SIZE[0], height: int = SIZE[1]) -> np.ndarray:
    """A picture, uint8 [h, w, 3], that moves to the right by a pixel for each 1 of time."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    x = x - time
    waves = [np.sin(x / 7 + c) + np.cos(y / 4 - c) * np.sin((x + y) / 9) for c in range(3)]
    return np.rint(127.5 + 40 * np.stack(waves, -1)).astype(np.uint8)


def fade(time: float) -> np.ndarray:
    """A picture that becomes another one, in a straight line: what the plain average is right about."""
    return np.rint((1 - time / 8) * texture(0) + time / 8 * texture(9)).astype(np.uint8)


def save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def vimeo90k(folder: Path, place: str = "sequences") -> Path:
    names = ["00001/0001", "00001/0266", "00002/0013"]
    for index, name in enumerate(names):
        for frame in range(3):
            save(folder / place / name / f"im{frame + 1}.png", texture(10 * index + frame))
    (folder / "tri_testlist.txt").write_text("\n".join([*names, "", ""]))
    return folder


def ucf101(folder: Path) -> Path:
    for name in ("1", "11", "2"):
        for frame, file in enumerate(("frame_00.png", "frame_01_gt.png", "frame_02.png")):
            save(folder / "ucf101_interp_ours" / name / file, texture(int(name) + frame))
    return folder


def middlebury(folder: Path) -> Path:
    for index, name in enumerate(MIDDLEBURY):
        size = (64, 48) if index % 2 else (58, 39)
        for frame, file in enumerate(
            ("other-data/{}/frame10.png", "other-gt-interp/{}/frame10i11.png", "other-data/{}/frame11.png")
        ):
            save(folder / file.format(name), texture(index + frame, *size))
    return folder


def snu_film(folder: Path, lists: str = "") -> Path:
    for frame in range(9):
        save(folder / "test" / "GOPRO_test" / "GOPR1" / f"{frame:06}.png", texture(frame))
        save(folder / "test" / "YouTube_test" / "0001" / f"{frame:05}.png", texture(frame, 60, 50))
    (folder / lists).mkdir(exist_ok=True)
    for mode, step in zip(SNU_MODES, (1, 2, 3, 4), strict=True):
        lines = [
            " ".join(f"data/SNU-FILM/test/GOPRO_test/GOPR1/{frame:06}.png" for frame in (0, step, 2 * step)),
            " ".join(f"data/SNU-FILM/test/YouTube_test/0001/{frame:05}.png" for frame in (0, step, 2 * step)),
        ]
        (folder / lists / f"test-{mode}.txt").write_text("\n".join(lines) + "\n")
    return folder


def hd(folder: Path, monkeypatch, frames: int = 9) -> Path:
    """The eleven files, but small."""
    sizes = {group: (48 + 16 * index, 38) for index, group in enumerate(clips.HD_SIZES)}
    monkeypatch.setattr(clips, "HD_SIZES", sizes)
    for group, names in clips.HD_SEQUENCES.items():
        for name in names:
            path = folder / "HD_dataset" / group / f"{name}.yuv"
            path.parent.mkdir(parents=True, exist_ok=True)
            width, height = sizes[group]
            with path.open("wb") as file:
                for frame in range(frames):
                    file.write(texture(frame, width, height)[..., 0].tobytes())
                    file.write(bytes([128]) * (width * height // 2))
    return folder


def clip(path: Path, frames) -> None:
    """Their green channel as a gray clip, without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, _ = frames[0].shape
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F24:1 Ip A1:1 Cmono XCOLORRANGE=FULL\n".encode())
        for frame in frames:
            file.write(b"FRAME\n" + frame[..., 1].tobytes())


def clip_folder(folder: Path, frame=texture, count: int = 21) -> Path:
    clip(folder / "a.y4m", [frame(n) for n in range(count)])
    clip(folder / "b.y4m", [frame(n) for n in range(4, count)])
    (folder / "notes.txt").write_text("not a clip")
    return folder
