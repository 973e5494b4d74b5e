"""Signatures of every format and size: exact means, on one scale."""

import numpy as np
import pytest
import torch

from tests.formats.scenery import scene
from vsrife.scene.signature import CELLS, signature, signature_size


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 65), (33, 17), (361, 641), (18, 8192)])
@pytest.mark.parametrize("cells", [64, CELLS])
def test_signature_holds_the_exact_mean_of_every_cell(size: tuple[int, int], cells: int) -> None:
    plane = torch.randint(0, 256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    cell = -(-max(size) // cells)
    found = signature([plane], 8, cells=cells)
    assert found.shape == (-(-size[0] // cell), -(-size[1] // cell))
    for (row, column), value in np.ndenumerate(found):
        block = plane[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell].to(torch.int64)
        assert value == int(np.floor(int(block.sum()) * 257 / block.numel() + 0.5))


def test_signature_of_a_strided_view_is_that_of_its_copy() -> None:
    wide = torch.randint(0, 1024, (90, 300), generator=torch.Generator().manual_seed(4)).to(torch.uint16)
    view = wide[5:78, 7:208]
    assert not view.is_contiguous()
    assert np.array_equal(signature([view], 10), signature([view.clone()], 10))


@pytest.mark.parametrize(
    ("dtype", "bits", "peak"),
    [
        (torch.uint8, 8, 255),
        (torch.uint16, 10, 1023),
        (torch.uint16, 16, 65535),
        (torch.float16, 16, 1),
        (torch.float32, 32, 1),
    ],
)
def test_signature_has_one_scale_for_all_formats(dtype: torch.dtype, bits: int, peak: int) -> None:
    unit = scene(1, 120, 161) / 255
    plane = unit * peak if dtype.is_floating_point else (unit * peak).round()
    expected = signature([unit], 32)
    assert np.abs(signature([plane.to(dtype)], bits) - expected).max() <= 65535 / 255
    assert signature([torch.full((40, 70), peak, dtype=dtype)], bits).min() == 65535


def test_signature_of_rgb_weighs_the_planes() -> None:
    black, white = torch.zeros(30, 50, dtype=torch.uint8), torch.full((30, 50), 255, dtype=torch.uint8)
    means = [int(signature([white if i == k else black for i in range(3)], 8)[0, 0]) for k in range(3)]
    assert means == [16384, 40959, 8192]


def test_signature_clamps_bad_floats() -> None:
    bad = torch.tensor([[float("nan"), float("inf"), -float("inf"), -3.0, 7.0, 0.5]])
    assert signature([bad], 32).tolist() == [[0, 65535, 0, 0, 65535, 32768]]


def test_large_16_bit_cells_do_not_overflow() -> None:
    assert signature([torch.full((200, 60000), 65535, dtype=torch.uint16)], 16).tolist() == [[65535] * 400] * 2


def test_the_size_is_told_without_a_frame() -> None:
    for size in ((1, 1), (33, 17), (1080, 1920), (2160, 3840), (720, 577)):
        assert signature([torch.zeros(size, dtype=torch.uint8)], 8).shape == signature_size(*size)
