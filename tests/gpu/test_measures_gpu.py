"""The scene and still measures give the CPU's answer on a CUDA device, by torch and by the kernels, to the last
integer."""

from functools import partial

import numpy as np
import pytest
import torch

from tests.formats.scenery import scene
from tests.network.small import network
from vsrife.engine.backend.cuda.backend import CudaBackend
from vsrife.engine.backend.resolve import resolve_backend
from vsrife.engine.matcher import Matcher
from vsrife.engine.networks import Network
from vsrife.scene import scene_change
from vsrife.scene.duplicates import is_still
from vsrife.scene.signature import signature

SAMPLES = [(torch.uint8, 8), (torch.uint16, 10), (torch.uint16, 16), (torch.float16, 16), (torch.float32, 32)]


def noise(dtype, bits, height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(height, width, generator=generator)
    return values.to(dtype) if dtype.is_floating_point else (values * ((1 << bits) - 1)).to(torch.int32).to(dtype)


@pytest.fixture(params=["torch", "kernels"])
def measures(request, cuda):
    return None if request.param == "torch" else CudaBackend(request.getfixturevalue("kernels"))


@pytest.mark.parametrize(("dtype", "bits"), SAMPLES)
@pytest.mark.parametrize("size", [(361, 641), (18, 34), (1, 1), (1080, 1920)])
def test_signature_and_still(cuda, measures, dtype, bits, size):
    left, right = noise(dtype, bits, *size, 1), noise(dtype, bits, *size, 2)
    assert np.array_equal(signature([left], bits), signature([left.to(cuda)], bits, measures))
    assert is_still([left.to(cuda)], [left.to(cuda)], bits, 120.0, measures)
    for threshold in (0.0, 8.0, 20.0, 60.0):
        there = is_still([left.to(cuda)], [right.to(cuda)], bits, threshold, measures)
        assert there == is_still([left], [right], bits, threshold)


@pytest.mark.parametrize(("dtype", "bits"), SAMPLES)
def test_three_planes(cuda, measures, dtype, bits):
    left = [noise(dtype, bits, 361, 641, seed) for seed in range(3)]
    there = [plane.to(cuda) for plane in left]
    assert np.array_equal(signature(left, bits), signature(there, bits, measures))
    for plane in range(3):
        moved = [each.clone() for each in there]
        moved[plane][-1, -1] = 1 - left[plane][-1, -1].item() if dtype.is_floating_point else 0
        right = [each.cpu() for each in moved]
        for threshold in (20.0, 60.0, 100.0):
            assert is_still(there, moved, bits, threshold, measures) == is_still(left, right, bits, threshold)


def test_a_gpu_with_kernels_uses_them(cuda, kernels):
    assert isinstance(resolve_backend(cuda)[0], CudaBackend)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("kind", ["A", "G", "J"])
def test_a_network_is_asked_as_on_the_cpu(cuda, kernels, kind, dtype):
    """The share of blocks that motion does not match: within what other roundings of a flow make of it."""
    there = Matcher(Network.of(network(kind), cuda, dtype, CudaBackend(kernels)), 180, 320)
    here = Matcher(Network.of(network(kind), torch.device("cpu"), torch.float32), 180, 320)
    first, second = scene(1, 180, 332), scene(2, 180, 320)
    for left, right in ((first[:, :320], first[:, 12:]), (first[:, :320], second)):
        pair = scene_change.prepare(*(signature([each.round().to(torch.uint8)], 8) for each in (left, right)))
        measure = partial(scene_change.warped, pair)
        with torch.inference_mode():
            found, expected = (matcher.warped(pair.left, pair.right, measure) for matcher in (there, here))
            again = there.warped(pair.left, pair.right, measure)
        assert found == again
        assert found == pytest.approx(expected, abs=0.02 if dtype is torch.float32 else 0.1)
