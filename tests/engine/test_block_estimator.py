"""The fast way to a motion against the definition, for every kind of network."""

import pytest
import torch

from tests.network.small import ARCHITECTURES, ENSEMBLE, OWN, frames, infer, network
from vsrife.engine import block_estimator as estimator_module
from vsrife.engine import convolution_layers, winograd
from vsrife.engine.block_estimator import BlockEstimator
from vsrife.engine.networks import Network

CPU = torch.device("cpu")


def prepared(name, *, dtype=torch.float32, motion=1.0):
    return Network.of(network(name, motion=motion), CPU, dtype)


def found(name, height, width, t=0.5, *, motion=1.0, batch=None, **options):
    """The motion of both ways between two frames on a canvas, and the network's modulus is the caller's to keep."""
    left, right = frames(height, width)
    scale, ensemble = options.pop("scale", 1.0), options.pop("ensemble", False)
    plain = infer(network(name, motion=motion), left, right, t, scale=scale, ensemble=ensemble)
    with torch.inference_mode():
        estimator = BlockEstimator(
            prepared(name, motion=motion), (height, width), scale=scale, ensemble=ensemble, **options
        )
        fast = estimator.field(estimator.pack(left), estimator.pack(right), t).motion
    return plain, fast


def assert_same(plain, fast):
    """The same but for float32 rounding: a flow of 50 pixels has steps of 4e-6, warps pass them on, and a small flow
    may be the difference of two large ones.
    """
    largest = float(plain.flow.abs().max())
    assert largest > 0.5  # else nothing was tried
    assert torch.isclose(plain.flow, fast.flow, rtol=1e-4, atol=1e-4 + 1e-6 * largest).all()
    assert torch.isclose(plain.mask, fast.mask, rtol=0, atol=3e-5).all()


def canvas(name, scale=1.0):
    modulus = (ARCHITECTURES | OWN)[name].modulus(scale)
    return modulus, 3 * modulus


@pytest.mark.parametrize("name", [*ARCHITECTURES, *OWN])
def test_every_kind_of_network(name):
    assert_same(*found(name, *canvas(name), 0.3))


@pytest.mark.parametrize("name", ["A", "B", "G-grouped", "J"])
def test_convolutions_by_torch_alone(name, monkeypatch):
    monkeypatch.setattr(winograd, "resolve", lambda device, dtype: (0, "as on another processor"))
    assert {layer.winograd for block in prepared(name).blocks for layer in block.trunk} == {None}
    assert_same(*found(name, *canvas(name), 0.3))


@pytest.mark.parametrize("name", ["A", "B", "J"])
def test_trunks_and_last_layers_by_winograd(name):
    lanes, reason = winograd.resolve(CPU, torch.float32)
    if not lanes:
        pytest.skip(reason)
    for block in prepared(name).blocks:
        assert all(layer.winograd is not None for layer in (*block.trunk, block.last))
        assert (block.stride, block.side) == (4, 2 if name in "AB" else 4)
    assert {layer.winograd for block in prepared("G-grouped").blocks for layer in block.trunk} == {None}


@pytest.mark.parametrize("side", [1, 2])
def test_a_transposed_convolution_as_one_of_stride_1(side):
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(6, 5 * side**2, 4, 4, generator=generator, dtype=torch.float64)
    x = torch.randn(1, 6, 5, 7, generator=generator, dtype=torch.float64)
    made = torch.nn.functional.conv2d(x, convolution_layers._as_convolution(weight, side), padding=1)
    # Channels s * P + c of a pixel are its pixels from left to right and from top to bottom, as of the shuffle's.
    expected = torch.nn.functional.conv_transpose2d(x, weight, None, 2, 1)
    across = 2 * side
    pixels = made.view(across, across, 5, 5, 7).permute(2, 3, 0, 4, 1).reshape(5, 5 * across, 7 * across)
    shuffled = expected.view(side, side, 5, 10, 14).permute(2, 3, 0, 4, 1).reshape(5, 10 * side, 14 * side)
    assert torch.allclose(pixels, shuffled, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["B", "D", "G", "J", "J-lite", *OWN])
@pytest.mark.parametrize("scale", [0.25, 0.5, 2.0, 4.0])
def test_every_scale(name, scale):
    height, width = canvas(name, scale)
    assert_same(*found(name, height, width if scale < 1 else 2 * width, 0.7, scale=scale))


@pytest.mark.parametrize("name", [*ENSEMBLE, "three blocks", "half answers"])
def test_ensemble(name):
    assert_same(*found(name, *canvas(name), 0.4, ensemble=True))


@pytest.mark.parametrize("ensemble", [False, True])
def test_the_second_start_of_group_a(ensemble, monkeypatch):
    verdicts = []
    decide = estimator_module._moves_far
    monkeypatch.setattr(estimator_module, "_moves_far", lambda level: verdicts.append(decide(level)) or verdicts[-1])
    assert_same(*found("A", *canvas("A"), motion=4.0, ensemble=ensemble))
    assert verdicts == [True]


@pytest.mark.parametrize("name", ["A", "C", "G-grouped", "J", "ends in 2"])
@pytest.mark.parametrize("band", [1, 700, 5000])
def test_bands_do_not_show(name, band):
    height, width = canvas(name)
    whole, _ = found(name, 2 * height, width)
    _, banded = found(name, 2 * height, width, band=band)
    assert_same(whole, banded)


@pytest.mark.parametrize("name", ["A", "D", "J", "ends in 4"])
@pytest.mark.parametrize("strips", [2, 5])
def test_strips_do_not_show(name, strips):
    width, height = canvas(name)
    whole, _ = found(name, 2 * height, width)
    _, cut = found(name, 2 * height, width, strips=strips)
    assert_same(whole, cut)


def test_flow_that_leaves_the_picture():
    plain, fast = found("J", *canvas("J"), motion=16.0)
    assert plain.flow.abs().max() > 192
    assert_same(plain, fast)


@pytest.mark.parametrize("by_torch", [False, True])
@pytest.mark.parametrize("name", [name for name, each in ARCHITECTURES.items() if each.features])
def test_packed_source_holds_the_frame_and_its_features(name, by_torch, monkeypatch):
    if by_torch:
        monkeypatch.setattr(winograd, "resolve", lambda device, dtype: (0, "as on another processor"))
    left, _ = frames(64, 192)
    net = prepared(name)
    with torch.inference_mode():
        packed = BlockEstimator(net, (64, 192)).pack(left)
        features = net.module.encode(left)
    assert packed.shape == (1, 3 + features.shape[1], 64, 192)
    assert packed.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(packed[:, :3], left)
    assert features.std() > 0.01
    assert torch.allclose(packed[:, 3:], features, rtol=0, atol=1e-5 * float(features.abs().max()))


def test_bfloat16_stays_near():
    left, right = frames(128, 192)
    plain = infer(network("J"), left, right)
    with torch.inference_mode():
        estimator = BlockEstimator(prepared("J", dtype=torch.bfloat16), (128, 192))
        half = estimator.field(estimator.pack(left), estimator.pack(right), 0.5).motion
    assert half.flow.dtype is torch.float32
    assert (plain.flow - half.flow).abs().mean() < 0.05 * plain.flow.abs().mean()
    assert not torch.equal(plain.flow, half.flow)
