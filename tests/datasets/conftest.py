"""Small data, made here: banks of tiles whose pictures are known functions, folders of pictures and clips."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vsrife.datasets.bank import CUTOUT, TILE, Bank
from vsrife.datasets.text import Text, make_text


def smooth_tiles(count: int, size: int, fastest: int, seed: int = 5) -> Tensor:
    """Sums of cosines with whole half periods over a tile, which go on smoothly when they are mirrored. Values from 20
    to 180 of 255: brightened by a third they are not clipped, which would give them edges.
    """
    generator = torch.Generator().manual_seed(seed)
    waves = torch.cos(math.pi * torch.arange(fastest + 1).view(-1, 1) * torch.linspace(0, 1, size))
    weights = torch.randn((count, 3, fastest + 1, fastest + 1), generator=generator) / fastest
    pictures = torch.einsum("nckl,ky,lx->ncyx", weights, waves, waves)
    low, high = pictures.amin((1, 2, 3), keepdim=True), pictures.amax((1, 2, 3), keepdim=True)
    return ((pictures - low) / (high - low) * 160 + 20).round().to(torch.uint8)


@pytest.fixture(scope="session")
def text() -> Text:
    return make_text()


@pytest.fixture(scope="session")
def smooth_bank(text: Text) -> Bank:
    """Pictures whose shortest wave is 170 texels, at least 85 pixels."""
    no_cutouts = torch.zeros((0, 4, CUTOUT, CUTOUT), dtype=torch.uint8)
    return Bank(backgrounds=smooth_tiles(8, TILE, 6), cutouts=no_cutouts, text=text)


@pytest.fixture(scope="session")
def flat_bank(text: Text) -> Bank:
    """Tiles of one colour each, no two alike."""
    colours = torch.randint(30, 180, (64, 3, 1, 1), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    return Bank(
        backgrounds=colours.expand(-1, -1, TILE, TILE),
        cutouts=torch.zeros((0, 4, CUTOUT, CUTOUT), dtype=torch.uint8),
        text=text,
    )


@pytest.fixture(scope="session")
def noise_bank(text: Text) -> Bank:
    """Noise, with cut-outs: the finest pictures there are."""
    generator = torch.Generator().manual_seed(4)
    tiles = torch.randint(0, 256, (6, 3, TILE, TILE), generator=generator, dtype=torch.uint8)
    disc = torch.linspace(-1, 1, CUTOUT).square()
    alpha = (disc.view(-1, 1) + disc < 0.8).to(torch.uint8)
    cutouts = torch.cat((tiles[:3, :, :CUTOUT, :CUTOUT] * alpha, (alpha * 255).expand(3, 1, -1, -1)), dim=1)
    return Bank(backgrounds=tiles, cutouts=cutouts, text=text)


def moving_square(count: int, height: int, width: int, seed: int = 1) -> list[Tensor]:
    """Frames of a bright square that crosses a picture, 4 pixels a frame: uint8 [3, height, width]."""
    background = smooth_tiles(1, max(height, width), 12, seed)[0, :, :height, :width]
    frames = []
    for n in range(count):
        frame = background.clone()
        frame[:, 8:40, 4 * n : 4 * n + 32] = torch.tensor([220, 200, 240], dtype=torch.uint8).view(3, 1, 1)
        frames.append(frame)
    return frames


def save_picture(picture: Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(path)


def save_clip(frames: list[Tensor], path: Path) -> None:
    """Uncompressed, so that what is read is what was written, but for rounding."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, height, width = frames[0].shape
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F24:1 Ip A1:1 C444\n".encode())
        for frame in frames:
            file.write(b"FRAME\n")
            file.write(_bt601(frame.numpy().astype(np.float64)).tobytes())


def save_training_data(folder: Path, held_out: tuple[int, int]) -> None:
    """What tools/pack_data.py takes: a few pictures and a clip; and a clip of that height and width that measures."""
    for index, tile in enumerate(smooth_tiles(4, 512, 12)):
        save_picture(tile, folder / ("photos" if index % 2 else "textures") / f"{index}.png")
    (folder / "sprites").mkdir()
    Image.fromarray(np.full((40, 30, 4), 200, np.uint8)).save(folder / "sprites" / "a.png")
    save_clip(moving_square(7, 80, 112, seed=3), folder / "clips_train" / "train.y4m")
    save_clip(moving_square(9, *held_out), folder / "clips_eval" / "square.y4m")
    (folder / "SOURCES.tsv").write_text("0.png\tmade here\n")
    (folder / "README.md").write_text("CC0, all of them.\n")


def _bt601(rgb: np.ndarray) -> np.ndarray:
    red, green, blue = rgb / 255
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = (16 + 219 * luma, 128 + 224 * (blue - luma) / 1.772, 128 + 224 * (red - luma) / 1.402)
    return np.rint(np.stack(planes)).clip(0, 255).astype(np.uint8)
