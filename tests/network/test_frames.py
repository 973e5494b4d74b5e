import pytest
import torch

from vsrife.errors import ArgumentError
from vsrife.network.architecture import USER_SCALES
from vsrife.network.frames import as_time, check_canvas, check_scale, limited

CPU = torch.device("cpu")


def test_a_frame_is_limited_in_float32_and_left_alone():
    frame = torch.tensor([-0.5, 0.25, 1.5], dtype=torch.float16)
    got = limited(frame)
    assert got.dtype == torch.float32
    assert got.tolist() == [0.0, 0.25, 1.0]
    assert frame.tolist() == [-0.5, 0.25, 1.5]


@pytest.mark.parametrize(
    ("t", "expected"),
    [
        (0.3, [0.3]),
        (1, [1.0]),
        (torch.tensor(0.3, dtype=torch.float64), [0.3]),
        (torch.tensor([0.25, 0.3]), [0.25, 0.3]),
        (torch.tensor([0.25, 0.3]).view(2, 1, 1, 1), [0.25, 0.3]),
    ],
)
def test_a_time_is_a_number_for_each_pair(t, expected):
    time = as_time(t, CPU)
    assert time.shape == (len(expected), 1, 1, 1)
    assert torch.equal(time.view(-1), torch.tensor(expected))


def test_only_the_scales_of_the_list_are_taken():
    for scale in USER_SCALES:
        check_scale(scale)
    for scale in (0.0, 0.3, 3.0, -1.0, float("nan")):
        with pytest.raises(ArgumentError, match=r"^scale \(.*\) must be one of 0\.25, 0\.5, 1, 2, 4$"):
            check_scale(scale)


def frame(height, width, batch=1):
    return torch.zeros(batch, 3, height, width)


def test_a_canvas_is_a_multiple_each_way():
    check_canvas(frame(16, 32), frame(16, 32), modulus=16, scale=0.5)
    for height, width in ((17, 32), (16, 33), (8, 32)):
        with pytest.raises(
            ArgumentError,
            match=rf"^canvas \({width}x{height}, {width}x{height}\) must be one size for both frames, "
            r"a multiple of 16 each way at scale 0\.5; pad with zeros$",
        ):
            check_canvas(frame(height, width), frame(height, width), modulus=16, scale=0.5)


def test_a_canvas_is_one_for_both():
    for other in (frame(16, 48), frame(32, 32), frame(16, 32, batch=2)):
        with pytest.raises(ArgumentError, match=r"^canvas \(32x16, "):
            check_canvas(frame(16, 32), other, modulus=16, scale=1.0)
