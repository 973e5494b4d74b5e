"""Writing: there, of the size that is told, within its tile; with the font that Pillow carries and without it."""

import pytest
import torch
from PIL import features

from vsrife.datasets.text import LETTER, LINE, PAGES, SIGN, Text, make_text


@pytest.fixture(scope="module", params=["scalable", "bitmap"])
def written(request) -> Text:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "bitmap":
            patch.setattr(features, "check", lambda _feature: False)
        return make_text()


def extents(alpha: torch.Tensor) -> torch.Tensor:
    """Columns and rows from the first to the last that are not empty, [n, 2]."""
    sizes = []
    for tile in alpha:
        spans = [(tile.amax(axis) > 0).nonzero()[:, 0] for axis in (0, 1)]
        sizes.append([int(span[-1] - span[0]) + 1 for span in spans])
    return torch.tensor(sizes)


def test_signs(written: Text) -> None:
    assert written.signs.shape[1:] == (SIGN, SIGN)
    assert written.signs.dtype is torch.uint8
    assert len(written.signs) > PAGES
    found = extents(written.signs)
    assert (written.sizes <= SIGN - 8).all()
    assert (found <= written.sizes).all()
    assert (written.sizes - found).max() < 24
    assert len({tile.numpy().tobytes() for tile in written.signs}) == len(written.signs)
    ink = written.signs.float().mean((1, 2)) / 255
    assert ink.min() > 0.003
    assert ink.max() < 0.4
    # Pages have several lines: rows with ink and rows without take turns.
    for page in written.signs[:PAGES]:
        inked = (page.amax(1) > 0).int()
        assert (inked.diff() == 1).sum() >= 4


def test_lines_have_an_outline(written: Text) -> None:
    assert written.lines.shape[1:] == (2, *LINE)
    letters, edged = written.lines[:, 0], written.lines[:, 1]
    found, grown = extents(letters), extents(edged)
    assert (found[:, 0] <= written.widths).all()
    assert (written.widths - found[:, 0]).max() < 16
    assert (found[:, 1] <= 1.25 * LETTER).all()
    assert ((grown - found >= 4) & (grown - found <= 6)).all()
    assert (edged >= letters).all()
    assert ((edged > 250) & (letters == 0)).flatten(1).any(1).all()
    assert edged.float().mean() > 1.5 * letters.float().mean()


def test_it_is_small() -> None:
    text = make_text()
    assert sum(tensor.numel() * tensor.element_size() for tensor in vars(text).values()) < 8e6
