"""Tiles: their number, size and place, and that cut-outs are multiplied by their alpha once."""

import pytest
import torch

from vsrife.datasets.bank import CUTOUT, TILE, make_bank
from vsrife.datasets.scene_rng import SceneRng
from vsrife.datasets.shapes import draw_alpha
from vsrife.errors import ArgumentError


def picture(height: int, width: int, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height)
    return torch.randint(0, 256, (channels, height, width), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("height", "width", "tiles"), [(512, 512, 1), (300, 280, 1), (512, 910, 2), (720, 1280, 4), (720, 720, 3)]
)
def test_tiles_of_a_picture(height: int, width: int, tiles: int) -> None:
    bank = make_bank([picture(height, width)])
    assert bank.backgrounds.shape == (tiles, 3, TILE, TILE)
    assert bank.cutouts.shape == (0, 4, CUTOUT, CUTOUT)


def test_a_picture_of_a_tiles_size_is_unchanged() -> None:
    tile = picture(TILE, TILE)
    assert torch.equal(make_bank([tile]).backgrounds[0], tile)


def test_cutouts_are_multiplied_by_alpha_and_end_before_the_tile_does() -> None:
    sprite = picture(120, 77, channels=4)
    bank = make_bank([picture(64, 64)], [sprite])
    assert bank.cutouts.shape == (3, 4, CUTOUT, CUTOUT)
    colours, alpha = bank.cutouts[:, :3].int(), bank.cutouts[:, 3:].int()
    assert (colours <= alpha + 1).all()
    for border in (bank.cutouts[:, :, :2], bank.cutouts[:, :, :, -2:]):
        assert (border == 0).all()
    heights = [int((tile.amax(-1) > 0).sum()) for tile in alpha[:, 0]]
    assert heights == [252, 126, 63]


def test_no_picture_is_an_error() -> None:
    with pytest.raises(ArgumentError, match=r"^pictures \(none\) must be at least one; "):
        make_bank([])


def test_banks_hold_the_same_text() -> None:
    first, second = (make_bank([picture(64, side)]).text for side in (64, 80))
    assert torch.equal(first.signs, second.signs)
    assert torch.equal(first.lines, second.lines)


@pytest.mark.parametrize("size", [64, 256])
def test_shapes_are_neither_empty_nor_everything_and_leave_the_border_clear(size: int) -> None:
    alpha = draw_alpha(SceneRng(2, torch.device("cpu")), 32, size)
    assert alpha.shape == (32, 1, size, size)
    assert (alpha >= 0).all()
    assert (alpha <= 1).all()
    for border in (alpha[:, :, :2], alpha[:, :, -2:], alpha[..., :2], alpha[..., -2:]):
        assert (border == 0).all()
    covered = alpha.mean((1, 2, 3))
    assert (covered > 0).float().mean() > 0.9
    assert covered.max() < 0.9
    assert covered.std() > 0.05
    # Edges are soft: between nothing and all there is something.
    assert ((alpha > 0.05) & (alpha < 0.95)).any()
