"""The scene and still measures give the CPU's answer on a CUDA device, to the last integer."""

import numpy as np
import pytest
import torch

from vsrife.video.cuts import signature
from vsrife.video.still import is_still

SAMPLES = [(torch.uint8, 8), (torch.uint16, 10), (torch.uint16, 16), (torch.float16, 16), (torch.float32, 32)]


def noise(dtype, bits, height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(height, width, generator=generator)
    return values.to(dtype) if dtype.is_floating_point else (values * ((1 << bits) - 1)).to(torch.int32).to(dtype)


@pytest.mark.parametrize(("dtype", "bits"), SAMPLES)
@pytest.mark.parametrize("size", [(361, 641), (18, 34), (1, 1), (1080, 1920)])
def test_signature_and_still(cuda, dtype, bits, size):
    left, right = noise(dtype, bits, *size, 1), noise(dtype, bits, *size, 2)
    assert np.array_equal(signature([left], bits), signature([left.to(cuda)], bits))
    assert is_still([left.to(cuda)], [left.to(cuda)], bits, 120.0)
    for threshold in (0.0, 8.0, 20.0, 60.0):
        there = is_still([left.to(cuda)], [right.to(cuda)], bits, threshold)
        assert there == is_still([left], [right], bits, threshold)
