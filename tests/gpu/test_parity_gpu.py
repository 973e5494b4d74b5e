"""The kernels and the graphs against plain torch on the same device, and half precision against float32."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.engine.backend.cuda.kernels.inputs import gray, rgb, yuv
from tests.engine.backend.cuda.test_sampler import made, picture
from tests.network.legacy.networks import KINDS, small
from tests.network.small import ARCHITECTURES, frames, infer, network
from tests.plugin.clips import samples
from vsrife.bench.synthetic_input import ARCHITECTURES as OFFICIAL
from vsrife.bench.synthetic_input import moving_frames, save_seeded, seeded_network
from vsrife.choices import chosen
from vsrife.engine.backend.cuda import graphs
from vsrife.engine.backend.cuda.backend import CudaBackend
from vsrife.engine.backend.cuda.graphs import field_in
from vsrife.engine.backend.torch_backend import TORCH
from vsrife.engine.block_estimator import BlockEstimator
from vsrife.engine.interpolator import Interpolator
from vsrife.engine.loading import load_network
from vsrife.engine.networks import Network
from vsrife.engine.slots import inference_context, slot
from vsrife.engine.streams import lane

from .near import HALF, assert_same_motion, assert_same_planes, psnr, root_mean_square

core = vs.core

LANES = chosen().lanes

FORMATS = [yuv(1, 1), yuv(1, 0, 16), yuv(2, 2), rgb(8), rgb(32, floats=True), gray(16)]
RAGGED = [(36, 20), (148, 100), (644, 364), (1028, 52)]
TIMES = [Fraction(1, 2), Fraction(1, 3), Fraction(3, 4), Fraction(1, 2), Fraction(1, 5), Fraction(2, 3)]
"""Of enough frames for each lane to make one launch by launch, to capture, and to replay."""


@pytest.fixture(autouse=True)
def no_graphs():
    """Each test begins without graphs and leaves none."""
    graphs.drop_all()
    yield
    graphs.drop_all()


def captured():
    """Of each lane that was used: whether it has a graph."""
    return [replay._graph is not None for replay in graphs.replays.values()]


def found_and_defined(
    device, kernels, name, *, times=(0.3, 0.5, 0.8), scale=1.0, ensemble=False, motion=1.0, **options
):
    """Pairs of motions in float32: through one lane's graph from the second on, and by the network's definition."""
    net = Network.of(network(name, motion=motion), device, torch.float32, CudaBackend(kernels))
    modulus = ARCHITECTURES[name].modulus(scale)
    canvas = 3 * modulus, 5 * modulus  # no multiple of the tiles that blocks of threads work on
    estimator = BlockEstimator(net, canvas, scale=scale, ensemble=ensemble, **options)
    with inference_context(), slot(device), lane(device) as held:
        one, other = (frame.to(device) for frame in frames(*canvas))
        sources = {id(frame): estimator.pack(frame) for frame in (one, other)}
        for turn, t in enumerate(times):
            left, right = (one, other) if turn < 2 else (other, one)
            field = field_in(held, estimator, kernels, sources[id(left)], sources[id(right)], t)
            yield field.motion, infer(net.module, left, right, t, scale=scale, ensemble=ensemble)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_motion_of_every_network(cuda, kernels, name):
    for found, expected in found_and_defined(cuda, kernels, name):
        assert_same_motion(found, expected)
    assert captured() == [not ARCHITECTURES[name].reruns]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("B", {"scale": 0.5}),
        ("G", {"scale": 0.25}),
        ("J", {"scale": 0.5}),
        ("A", {"ensemble": True}),
        ("D", {"ensemble": True}),
        ("G", {"ensemble": True}),
        ("A", {"motion": 4.0}),
        ("J", {"band": 500}),
        ("J", {"strips": 3}),
        ("C", {"band": 900, "strips": 2}),
    ],
)
def test_motion_of_every_option(cuda, kernels, name, options):
    for found, expected in found_and_defined(cuda, kernels, name, **options):
        assert_same_motion(found, expected)


@pytest.mark.parametrize("size", RAGGED)
@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_pictures_of_every_format_and_ragged_sizes(cuda, kernels, fmt, size):
    plain = made(Network.of(network("J"), cuda, torch.float32), fmt, *size, TIMES)
    assert captured() == []
    fast = made(Network.of(network("J"), cuda, torch.float32, CudaBackend(kernels)), fmt, *size, TIMES)
    assert captured()
    assert all(captured())
    for found, expected in zip(fast, plain, strict=True):
        assert_same_planes(found, expected, fmt)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_pictures_of_every_network(cuda, kernels, name):
    fmt, size = yuv(1, 1), (150, 98)
    plain = made(Network.of(network(name), cuda, torch.float32), fmt, *size, TIMES)
    for found, expected in zip(
        made(Network.of(network(name), cuda, torch.float32, CudaBackend(kernels)), fmt, *size, TIMES),
        plain,
        strict=True,
    ):
        assert_same_planes(found, expected, fmt)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_the_networks_before_4_0(cuda, kernels, kind):
    fmt, size, halves = yuv(1, 1), (150, 98), TIMES[:1] * 4
    expected = made(Network.of(small(kind), torch.device("cpu"), torch.float32), fmt, *size, halves)
    for each in (TORCH, CudaBackend(kernels)):
        found = made(Network.of(small(kind), cuda, torch.float32, each), fmt, *size, halves)
        for one, other in zip(found, expected, strict=True):
            assert_same_planes(one, other, fmt)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_middles_of_middles_are_the_same_from_many_threads(cuda, kernels, dtype):
    """Each middle is made in some lane, and read in others."""
    fmt, size, times = yuv(1, 1), (150, 98), [Fraction(n, 8) for n in (1, 6, 3, 7, 2, 5)]
    alone = made(Network.of(small("3.8"), cuda, dtype, CudaBackend(kernels)), fmt, *size, times)
    pictures = [picture(fmt, *size, number, 4.0 * number) for number in range(3)]
    frames = Interpolator(Network.of(small("3.8"), cuda, dtype, CudaBackend(kernels)), *size, scale=1.0, ensemble=False)

    def one(index):
        into = picture(fmt, *size, 9, 0.0, write=True)
        with inference_context():
            frames.interpolate(pictures[index % 2], pictures[index % 2 + 1], times[index], into)
        return into.image.views

    with ThreadPoolExecutor(6) as pool:
        for found, expected in zip(pool.map(one, range(len(times))), alone, strict=True):
            assert all(map(torch.equal, found, expected))
    frames.close()


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*((name, torch.float16) for name in ARCHITECTURES), *((name, torch.bfloat16) for name in ("B", "G", "J"))],
)
def test_half_precision_of_every_network_is_as_good_as_plain_torch_s(cuda, kernels, name, dtype):
    fmt, size = rgb(32, floats=True), (150, 98)
    exact = made(Network.of(network(name), cuda, torch.float32), fmt, *size, TIMES)
    errors = [
        max(map(root_mean_square, made(Network.of(network(name), cuda, dtype, each), fmt, *size, TIMES), exact))
        for each in (TORCH, CudaBackend(kernels))
    ]
    assert 0 < errors[1] <= HALF * errors[0] + 1e-4


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("name", ["A", "C", "G", "I", "J", "J-lite"])
def test_a_replayed_frame_is_the_one_launched_step_by_step_bit_for_bit(cuda, kernels, name, dtype):
    net, fmt = Network.of(network(name), cuda, dtype, CudaBackend(kernels)), rgb(32, floats=True)
    # Two pairs in turn, and lanes in turn: after an odd number of frames each pair meets the other lane.
    first, then = (made(net, fmt, 150, 98, [Fraction(1, 3)] * count) for count in (5, 6))
    for results in (first, then):
        for n, result in enumerate(results):
            assert all(map(torch.equal, result, first[n % 2]))
    assert not all(map(torch.equal, first[0], first[1]))
    assert captured() == [not ARCHITECTURES[name].reruns] * LANES


def test_a_replayed_frame_of_an_official_size_is_too(cuda, kernels):
    net = Network.of(seeded_network(OFFICIAL["4.26"]), cuda, torch.float16, CudaBackend(kernels))
    results = made(net, yuv(1, 1), 1920, 1080, [Fraction(1, 2)] * 8)
    for n, result in enumerate(results):
        assert all(map(torch.equal, result, results[n % 2]))
    assert captured()
    assert all(captured())


def test_a_graph_holds_for_other_filters_and_other_pairs(cuda, kernels):
    """What one filter captured serves the next one of the same size, whose sources lie elsewhere."""
    net = Network.of(network("G"), cuda, torch.float32, CudaBackend(kernels))
    first = made(net, yuv(1, 1), 150, 98, TIMES)
    kept = {id(replay) for replay in graphs.replays.values()}
    ballast = torch.empty(1 << 24, device=cuda)  # so that the second filter's sources get other addresses
    again = made(net, yuv(1, 1), 150, 98, TIMES)
    assert {id(replay) for replay in graphs.replays.values()} == kept
    assert all(all(map(torch.equal, a, b)) for a, b in zip(first, again, strict=True))
    del ballast


# Half precision at 2160p. 50 dB is the promise. Places past 2048 have no fraction in half, and would give about that at
# the right edge of these pictures if they were not float32; the convolutions alone cost far less, hence 60.


@pytest.fixture(scope="module")
def smooth_model(tmp_path_factory):
    """The 4.26 architecture with seeded weights: its flow is smooth, 10 pixels to either side and more."""
    path = tmp_path_factory.mktemp("models") / "smooth.safetensors"
    save_seeded(OFFICIAL["4.26"], path)
    return str(path)


def moving_clip(width, height, format):
    """Two frames of texture that moves by 20 pixels, at 16 bits, so that roundings do not hide anything."""
    planes = moving_frames(width + width % 2, height + height % 2, 2)
    clip = core.std.BlankClip(width=width + width % 2, height=height + height % 2, format=vs.YUV420P8, length=2)

    def draw(n, f):
        copy = f.copy()
        for target, plane in zip(copy, planes[n], strict=True):
            np.asarray(target)[...] = plane.numpy()
        return copy

    drawn = clip.std.ModifyFrame(clip, draw)
    return drawn.resize.Point(format=format).std.CropAbs(width=width, height=height)


@pytest.mark.parametrize(("size", "format"), [((3840, 2160), vs.YUV420P16), ((3841, 2177), vs.GRAY16)])
def test_half_precision_at_2160p_to_the_far_edges(cuda, smooth_model, size, format):
    clip = moving_clip(*size, format)
    exact, half = (
        samples(core.rife.RIFE(clip, model=smooth_model, device=str(cuda), precision=each, sc=0, skip=0).get_frame(1))
        for each in ("float32", "float16")
    )
    here = samples(clip.get_frame(0))
    assert psnr(exact, here, 65535) < 40, "a picture that does not move tells nothing"
    parts = {
        "whole": (slice(None), slice(None)),
        "right": (slice(None), slice(-256, None)),
        "bottom": (slice(-256, None), slice(None)),
        "corner": (slice(-256, None), slice(-256, None)),
    }
    found = {name: psnr([p[part] for p in half], [p[part] for p in exact], 65535) for name, part in parts.items()}
    assert min(found.values()) >= 60, found
    assert found["whole"] < 200, "the two precisions were one"


def test_the_flow_there_is_smooth_and_large(cuda, kernels):
    """What the test above rests on."""
    net = Network.of(seeded_network(OFFICIAL["4.26"]), cuda, torch.float32, CudaBackend(kernels))
    frame = [plane.to(cuda) for plane in moving_frames(1280, 704, 2)[0]]
    estimator = BlockEstimator(net, (704, 1280))
    with inference_context(), slot(cuda), lane(cuda) as held:
        grey = (frame[0].float() / 255).expand(1, 3, -1, -1).contiguous()
        packed = estimator.pack(grey)
        flow = field_in(held, estimator, kernels, packed, packed, 0.5).motion.flow
    assert 5 < flow.abs().max() < 64
    assert (flow[..., 1:] - flow[..., :-1]).abs().mean() < 0.5


def test_the_filter_s_networks_have_these_kernels(cuda, kernels, smooth_model):
    """None of the above means much where the filter itself runs plain torch."""
    assert load_network(Path(smooth_model), cuda, torch.float16).backend.kernels is kernels
