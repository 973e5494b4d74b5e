"""Pairs that a network is asked about: by every kind of network, by the kernels, of every size."""

from pathlib import Path

import pytest
import torch

from tests.engine.backend.cuda.kernels.conftest import host, kernels
from tests.formats.scenery import scene
from tests.network.legacy.networks import KINDS as OLDER
from tests.network.legacy.networks import small
from tests.network.small import ARCHITECTURES, network
from vsrife.engine import interpolator as interpolators
from vsrife.engine.backend.cuda.backend import CudaBackend
from vsrife.engine.loading import load_network
from vsrife.engine.matcher import Matcher
from vsrife.engine.networks import Network
from vsrife.errors import RifeError
from vsrife.network.ifnet import IFNet
from vsrife.scene import scene_change
from vsrife.scene.signature import signature

__all__ = ["host", "kernels"]  # fixtures

CPU = torch.device("cpu")
KINDS = [*ARCHITECTURES, *OLDER]


def made(kind):
    return small(kind) if kind in OLDER else network(kind)


def pair(seed, other, height=180, width=320, step=0):
    pictures = scene(seed, height, width + step)[:, step:], scene(other, height, width + step)[:, :width]
    return [signature([picture.round().to(torch.uint8)], 8) for picture in pictures]


def asked(matcher, left, right):
    """The share of blocks without their like once the network has moved them."""
    found = scene_change.prepare(left, right)
    with torch.inference_mode():
        return matcher.warped(found.left, found.right, lambda a, b: scene_change.warped(found, a, b))


def test_the_official_network_tells_motion_from_a_cut(official_model):
    matcher = Matcher(load_network(Path(official_model), CPU, torch.float32), 180, 320)
    for seed in range(3):
        moved, cut = pair(seed, seed, step=12), pair(seed, seed + 10)
        assert scene_change.in_place(*moved) > 0.5
        assert asked(matcher, *moved) < 0.3
        assert scene_change.score_of(asked(matcher, *cut)) >= scene_change.DEFAULT_CUT_THRESHOLD


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (2, 33), (67, 121)])
def test_every_kind_of_network_and_size(kind, size):
    matcher = Matcher(Network.of(made(kind), CPU, torch.float32), *size)
    generator = torch.Generator().manual_seed(1)
    left, right = (
        signature([torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)], 8) for _ in range(2)
    )
    found = asked(matcher, left, right)
    assert 0 <= found < 1
    assert found == asked(matcher, left, right)
    assert asked(matcher, left, left) < 0.3


@pytest.mark.parametrize("kind", ["A", "G", "J", "3.8"])
def test_the_kernels_find_what_torch_finds(kernels, kind):
    plain = Network.of(made(kind), CPU, torch.float32)
    fast = Network.of(made(kind), CPU, torch.float32, CudaBackend(kernels))
    for left, right in (pair(1, 1, 96, 160, step=8), pair(1, 2, 96, 160)):
        expected = asked(Matcher(plain, *left.shape), left, right)
        assert asked(Matcher(fast, *left.shape), left, right) == pytest.approx(expected, abs=2e-3)


def test_out_of_memory_is_tried_again_and_then_said(monkeypatch):
    module = network("B")
    assert isinstance(module, IFNet)
    matcher = Matcher(Network.of(module, CPU, torch.float32), 64, 96)
    left, right = pair(1, 2, 64, 96)
    real, calls = interpolators.Interpolator.field, []

    def failing(self, *arguments):
        calls.append(1)
        if len(calls) in failures:
            raise MemoryError("made up")
        return real(self, *arguments)

    monkeypatch.setattr(interpolators.Interpolator, "field", failing)
    failures = {1}
    assert 0 <= asked(matcher, left, right) < 1
    assert len(calls) == 2
    failures = {3, 4}
    with pytest.raises(RifeError, match="out of memory on cpu"):
        asked(matcher, left, right)
