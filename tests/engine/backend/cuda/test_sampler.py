"""The engine with the kernels in it, run by the host's compiler on tensors of the CPU; and the graphs' bookkeeping.

What a CUDA graph does is played by a stand-in with its rules: captured work is run again by each replay, with what it
was given then, and its results lie in the same memory every time.
"""

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from tests.engine.backend.cuda.kernels.conftest import host, kernels
from tests.network.small import ARCHITECTURES, OWN, frames, infer, network
from vsrife import cuda
from vsrife.engine import interpolator as interpolators
from vsrife.engine.backend.cuda import graphs
from vsrife.engine.backend.cuda.backend import CudaBackend
from vsrife.engine.backend.cuda.sampler import FusedSampler
from vsrife.engine.backend.torch_backend import TORCH
from vsrife.engine.block_estimator import BlockEstimator
from vsrife.engine.interpolator import Interpolator
from vsrife.engine.networks import Network
from vsrife.engine.picture import Layer, Picture
from vsrife.engine.streams import Lane, Mark
from vsrife.formats.colour import ChromaLocation, Colour, Matrix
from vsrife.formats.pixel_format import Family, PixelFormat
from vsrife.formats.rgb import to_rgb

__all__ = ["host", "kernels"]  # fixtures

CPU = torch.device("cpu")
LANE = Lane(index=0)
YUV420P8 = PixelFormat(family=Family.YUV, float_samples=False, bits=8, subsampling_w=1, subsampling_h=1)
RGBS = PixelFormat(family=Family.RGB, float_samples=True, bits=32)
GRAY16 = PixelFormat(family=Family.GRAY, float_samples=False, bits=16)
GRAY8 = PixelFormat(family=Family.GRAY, float_samples=False, bits=8)


def canvas_of(name, scale=1.0):
    modulus = (ARCHITECTURES | OWN)[name].modulus(scale)
    return modulus, 2 * modulus


def assert_same(plain, fast):
    assert plain.flow.abs().max() > 0.5
    assert torch.isclose(plain.flow, fast.flow, rtol=1e-4, atol=2e-4).all()
    assert torch.isclose(plain.mask, fast.mask, rtol=0, atol=5e-5).all()


def estimated(kernels, name, t=0.5, *, scale=1.0, ensemble=False, motion=1.0, **options):
    """The motion by definition, and by the kernels."""
    height, width = canvas_of(name, scale)
    left, right = frames(height, width)
    plain = infer(network(name, motion=motion), left, right, t, scale=scale, ensemble=ensemble)
    net = Network.of(network(name, motion=motion), CPU, torch.float32, CudaBackend(kernels))
    with torch.inference_mode():
        estimator = BlockEstimator(net, (height, width), scale=scale, ensemble=ensemble, **options)
        sampler = FusedSampler(net, (height, width), kernels)
        fast = estimator.field(estimator.pack(left), estimator.pack(right), t, sampler).motion
    return plain, fast


@pytest.mark.parametrize("name", [*ARCHITECTURES, *OWN])
def test_every_kind_of_network(kernels, name):
    assert_same(*estimated(kernels, name, 0.3))


@pytest.mark.parametrize(
    ("name", "scale"),
    [("B", 0.5), ("G", 0.25), ("J", 0.5), ("ends in 2", 0.5), ("ends in 2", 2.0), ("ends in 4", 4.0)],
)
def test_scales(kernels, name, scale):
    assert_same(*estimated(kernels, name, 0.7, scale=scale))


@pytest.mark.parametrize("name", ["A", "D", "G"])
def test_ensemble(kernels, name):
    assert_same(*estimated(kernels, name, 0.4, ensemble=True))


def test_the_second_start_of_group_a(kernels):
    assert_same(*estimated(kernels, "A", motion=4.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if ARCHITECTURES[name].features])
def test_encoders(kernels, name, dtype):
    height, width = canvas_of(name)
    rgb, _ = frames(height, width)
    net = Network.of(network(name), CPU, dtype, CudaBackend(kernels))
    with torch.inference_mode():
        expected = network(name).to(dtype).encode(rgb.to(dtype)).float()
        packed = BlockEstimator(net, (height, width)).pack(rgb)
    features = packed[:, 3 : 3 + expected.shape[1]].float()
    rounding = 2e-6 if dtype is torch.float32 else 2.0**-7
    assert (features - expected).abs().max() <= rounding * expected.abs().max()
    assert expected.std() > 0.01
    assert torch.equal(packed[:, :3], rgb.to(dtype))
    assert not packed[:, 3 + expected.shape[1] :].any()
    assert packed.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["A", "J"])
@pytest.mark.parametrize("options", [{"band": 1}, {"band": 500}, {"strips": 3}, {"band": 900, "strips": 2}])
def test_bands_and_strips(kernels, name, options):
    assert_same(*estimated(kernels, name, **options))


def picture(fmt, width, height, number, shift, *, write=False):
    planes = []
    for plane in range(fmt.planes):
        columns, rows = fmt.plane_size(plane, width, height)
        y, x = torch.meshgrid(
            torch.arange(rows) * (height / rows), torch.arange(columns) * (width / columns), indexing="ij"
        )
        wave = 0.5 + 0.2 * torch.sin((x - shift) / 7 + plane) + 0.2 * torch.cos(y / 5 + (x - shift) / 11)
        wave = torch.zeros_like(wave) if write else wave
        dtype = {8: torch.uint8, 16: torch.uint16, 32: torch.float32}[fmt.bits]
        planes.append((wave * fmt.peak).round().to(dtype) if fmt.bits < 32 else wave)
    matrix = Matrix.BT709 if fmt.family is Family.YUV else Matrix.RGB
    colour = Colour(matrix=matrix, full_range=fmt.float_samples, chroma=ChromaLocation.LEFT)
    layer = Layer(format=fmt, colour=colour, views=tuple(planes))
    return Picture(number=number, width=width, height=height, layers=(layer,))


def made(net, fmt, width, height, times, *, scale=1.0):
    """The planes of the frames at ``times`` between pictures 0 and 1, 1 and 2, in turn."""
    pictures = [picture(fmt, width, height, number, 4.0 * number) for number in range(3)]
    interpolator = Interpolator(net, width, height, scale=scale, ensemble=False)
    results = []
    with torch.inference_mode():
        for index, t in enumerate(times):
            into = picture(fmt, width, height, 9, 0.0, write=True)
            interpolator.interpolate(pictures[index % 2], pictures[index % 2 + 1], t, into)
            results.append([plane.clone() for plane in into.image.views])
    interpolator.close()
    return results


def largest_step(one, other):
    """The largest difference of any sample between two lists of frames."""
    pairs = [pair for frames in zip(one, other, strict=True) for pair in zip(*frames, strict=True)]
    return max(float((a.double() - b.double()).abs().max()) for a, b in pairs)


@pytest.fixture
def replays(monkeypatch):
    """The graphs, and how often each captured piece of work was replayed."""
    counts = []

    def captured(work, lane):
        field, index = work(), len(counts)
        counts.append(0)

        def replay():
            counts[index] += 1
            for there, now in zip(field.levels, work().levels, strict=True):
                there.raw.copy_(now.raw)

        return replay, field

    monkeypatch.setattr(graphs, "replays", OrderedDict())
    monkeypatch.setattr(graphs, "_captured", captured)
    return counts


TIMES = [Fraction(1, 2), Fraction(1, 3), Fraction(3, 4), Fraction(1, 2), Fraction(1, 5)]


@pytest.mark.parametrize("fmt", [YUV420P8, RGBS, GRAY16], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("name", ["A", "J", "ends in 2", "ends in 4"])
def test_whole_frames(kernels, replays, name, fmt):
    width, height = 150, 98
    plain = made(Network.of(network(name), CPU, torch.float32), fmt, width, height, TIMES)
    fused = made(Network.of(network(name), CPU, torch.float32, CudaBackend(kernels)), fmt, width, height, TIMES)
    step = 2e-5 if fmt.float_samples else 1
    for one, other in zip(plain, fused, strict=True):
        for a, b in zip(one, other, strict=True):
            assert (a.double() - b.double()).abs().max() <= step
            assert a.double().std() > 0
    # Captured once and replayed for each; never where the data decide what is launched.
    assert replays == ([] if name == "A" else [len(TIMES)])


def with_alpha(source, alpha_format, *, see_through):
    """The same picture with an alpha of waves across it that does not move with it."""
    beside = picture(alpha_format, source.width, source.height, source.number, -6.0 * source.number).image
    return replace(source, layers=(source.image, beside), see_through=see_through)


@pytest.mark.parametrize("alpha_format", [GRAY16, GRAY8], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("name", ["B", "J"])
def test_what_an_alpha_lets_through_is_seen_the_same_way_with_kernels(kernels, name, alpha_format):
    """What is kept of a source: the kernels' view, and the definition's of the picture laid over black."""
    width, height = 150, 98
    plain, fused = (Network.of(network(name), CPU, torch.float32, backend) for backend in (TORCH, CudaBackend(kernels)))
    source = with_alpha(picture(YUV420P8, width, height, 1, 4.0), alpha_format, see_through=True)
    planes, alpha = source.image.views, source.layers[1].views
    packed = []
    for net in (plain, fused):
        interpolator = Interpolator(net, width, height, scale=1.0, ensemble=False)
        with torch.inference_mode():
            packed.append(interpolator.pack(source, (planes, alpha)))
            untouched = interpolator.pack(replace(source, see_through=False), (planes, alpha))
            assert torch.equal(untouched, interpolator.pack(source, (planes,)))
    view, kept = packed[0][:, :3], packed[1][:, :3]
    assert (view - kept).abs().max() < 1e-6
    weight = alpha[0].double() / alpha_format.peak
    rgb = to_rgb(planes, YUV420P8, source.image.colour, width=width, height=height)
    expected = (0.25 + 0.75 * rgb[0].double()) * weight
    assert (view[0, :, :height, :width] - expected).abs().max() < 1e-6
    assert not view[..., height:, :].any()
    assert not view[..., width:].any()


def test_the_arguments_of_a_format_are_laid_out_once_a_graph(kernels, replays, monkeypatch):
    laid_out = []
    synthesis = kernels.synthesis
    monkeypatch.setattr(
        kernels, "synthesis", lambda *args, **rest: laid_out.append(args[1]) or synthesis(*args, **rest)
    )
    net = Network.of(network("J"), CPU, torch.float32, CudaBackend(kernels))
    for fmt in (YUV420P8, GRAY16, YUV420P8):
        made(net, fmt, 150, 98, TIMES)
    assert laid_out == [YUV420P8, GRAY16]
    assert replays == [3 * len(TIMES)]


def test_a_scale_that_has_no_fast_way(kernels, replays):
    plain = made(Network.of(network("J"), CPU, torch.float32), YUV420P8, 150, 98, TIMES[:2], scale=2.0)
    fused = made(
        Network.of(network("J"), CPU, torch.float32, CudaBackend(kernels)), YUV420P8, 150, 98, TIMES[:2], scale=2.0
    )
    assert largest_step(plain, fused) == 0
    assert replays == []


def test_a_field_is_not_seen_through_the_one_before(kernels, replays):
    net = Network.of(network("J"), CPU, torch.float32, CudaBackend(kernels))
    height, width = canvas_of("J")
    estimator = BlockEstimator(net, (height, width))
    with torch.inference_mode():
        a, b = (estimator.pack(frame) for frame in frames(height, width))
        for t in (0.2, 0.5, 0.8):
            motion = graphs.field_in(LANE, estimator, kernels, a, b, t).motion
            expected = estimator.field(a, b, t, FusedSampler(net, (height, width), kernels)).motion
            assert torch.equal(motion.flow, expected.flow)
        swapped = graphs.field_in(LANE, estimator, kernels, b, a, 0.8).motion
        assert not torch.equal(swapped.flow, motion.flow)
    assert replays == [4]


def test_graphs_are_shared_by_filters_and_the_least_recently_used_are_dropped(kernels, replays):
    net = Network.of(network("J"), CPU, torch.float32, CudaBackend(kernels))
    height, width = canvas_of("J")
    with torch.inference_mode():
        a, b = (BlockEstimator(net, (height, width)).pack(frame) for frame in frames(height, width))
        for _ in range(3):  # a script that is evaluated again makes an estimator of its own
            graphs.field_in(LANE, BlockEstimator(net, (height, width)), kernels, a, b, 0.5)
        assert replays == [3]
        graphs.field_in(Lane(index=1), BlockEstimator(net, (height, width)), kernels, a, b, 0.5)
        assert len(graphs.replays) == 2  # each lane has its own memory
        for strips in range(2, 2 + graphs.most_graphs()):
            graphs.field_in(LANE, BlockEstimator(net, (height, width), strips=strips), kernels, a, b, 0.5)
        assert len(graphs.replays) == graphs.most_graphs()
        graphs.drop_all()
        assert len(graphs.replays) == 0


def test_a_capture_that_fails_is_one_warning_and_the_plain_path(kernels, replays, monkeypatch, caplog):
    def refuse(_work, _lane):
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    monkeypatch.setattr(graphs, "_captured", refuse)
    plain = made(Network.of(network("J"), CPU, torch.float32), YUV420P8, 150, 98, TIMES)
    with caplog.at_level("WARNING", "vsrife"):
        fused = made(Network.of(network("J"), CPU, torch.float32, CudaBackend(kernels)), YUV420P8, 150, 98, TIMES)
    (said,) = [record.message for record in caplog.records]
    assert said.startswith("a CUDA graph could not be captured (operation not permitted when stream is capturing);")
    assert largest_step(plain, fused) <= 1


def test_a_capture_that_failed_is_tried_again_later(kernels, replays, monkeypatch, caplog):
    capture, failures = graphs._captured, [RuntimeError("previous error during capture")]

    def fail_first(work, lane):
        if failures:
            raise failures.pop()
        return capture(work, lane)

    monkeypatch.setattr(graphs, "_captured", fail_first)
    monkeypatch.setattr(cuda, "_PAUSES", (2, 5))
    plain = made(Network.of(network("J"), CPU, torch.float32), YUV420P8, 150, 98, TIMES)
    with caplog.at_level("WARNING", "vsrife"):
        fused = made(Network.of(network("J"), CPU, torch.float32, CudaBackend(kernels)), YUV420P8, 150, 98, TIMES)
    (said,) = [record.message for record in caplog.records]
    assert said.endswith("frames are launched step by step, and it is tried again later")
    assert replays == [len(TIMES) - 3]  # the first frame and two more were launched step by step
    assert largest_step(plain, fused) <= 1


def test_memory_that_runs_out_in_a_capture_is_no_reason_to_go_without_a_graph(kernels, replays, monkeypatch, caplog):
    capture, failures = graphs._captured, [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")]

    def fail_first(work, lane):
        if failures:
            raise failures.pop()
        return capture(work, lane)

    monkeypatch.setattr(graphs, "_captured", fail_first)
    plain = made(Network.of(network("J"), CPU, torch.float32), YUV420P8, 150, 98, TIMES)
    with caplog.at_level("WARNING", "vsrife"):
        fused = made(Network.of(network("J"), CPU, torch.float32, CudaBackend(kernels)), YUV420P8, 150, 98, TIMES)
    (said,) = [record.message for record in caplog.records]
    assert said.startswith("out of memory on cpu")
    assert replays == [len(TIMES)]
    assert largest_step(plain, fused) <= 1


@pytest.mark.parametrize("elsewhere", [True, False])
def test_the_frame_is_waited_for_before_its_planes_are_copied(monkeypatch, elsewhere):
    """A copy to a frame's memory returns when it is done: queued behind the frame's work it would spin in its call."""
    log = []

    class Noted(Mark):
        def wait(self):
            log.append("wait")

    receive = Layer.receive
    monkeypatch.setattr(interpolators, "mark", lambda _device: Noted(None))
    monkeypatch.setattr(Layer, "receive", lambda self, planes: (log.append("copy"), receive(self, planes)))
    monkeypatch.setattr(interpolators, "release", lambda *_: log.append("release"))
    if elsewhere:
        monkeypatch.setattr(Layer, "targets_on", lambda self, device: None)
    made(Network.of(network("B"), CPU, torch.float32), YUV420P8, 150, 98, TIMES[:1])
    assert log == (["wait", "copy", "release"] if elsewhere else ["release"])


def test_many_threads_get_the_right_frames(kernels, replays):
    net = Network.of(network("J"), CPU, torch.float32, CudaBackend(kernels))
    pictures = [picture(YUV420P8, 150, 98, number, 4.0 * number) for number in range(4)]
    interpolator = Interpolator(net, 150, 98, scale=1.0, ensemble=False)
    one_at_a_time = threading.Lock()  # there is one lane on a CPU, and its holder is not waited for

    def make(job):
        pair, t = job
        into = picture(YUV420P8, 150, 98, 9, 0.0, write=True)
        with torch.inference_mode(), one_at_a_time:
            interpolator.interpolate(pictures[pair], pictures[pair + 1], t, into)
        return [plane.clone() for plane in into.image.views]

    jobs = [(pair, Fraction(k, 4)) for pair in range(3) for k in (1, 2, 3)]
    in_order = [make(job) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(make, reversed(jobs)))
    assert largest_step(in_order, together[::-1]) == 0
    interpolator.close()
    assert not [key for key in interpolators.cached_sources._values if key.serial == interpolator._serial]
