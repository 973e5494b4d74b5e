"""Every kernel on a CUDA device, through the functions that the engine calls, against its torch twin on the CPU."""

import pytest
import torch

from tests.engine.backend.cuda.kernels import cases, inputs
from vsrife.engine.backend.cuda.kernels import KERNELS, Kernels, Loader, new_pair, resolve


@pytest.fixture(scope="module")
def kernels(cuda: torch.device, cupy: object) -> Kernels:
    found, reason = resolve(cuda)
    assert found is not None, reason
    return found


@pytest.mark.parametrize("case", cases.CONVERT, ids=str)
def test_convert(kernels, cuda, case):
    cases.check_convert(kernels, cuda, case)


@pytest.mark.parametrize("case", cases.GATHER, ids=str)
def test_gather(kernels, cuda, case):
    cases.check_gather(kernels, cuda, case)


@pytest.mark.parametrize("case", cases.SYNTHESIS, ids=str)
def test_synthesis(kernels, cuda, case):
    cases.check_synthesis(kernels, cuda, case)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("fmt", cases.STILLNESS, ids=str)
def test_what_stands_or_steps_is_bit_for_bit(kernels, cuda, fmt, first):
    cases.check_stillness(kernels, cuda, fmt, first)


def test_halves_go_to_even(kernels, cuda):
    cases.check_halves(kernels, cuda)


@pytest.mark.parametrize("case", cases.EPILOGUE, ids=str)
def test_epilogue(kernels, cuda, case):
    cases.check_epilogue(kernels, cuda, case)


@pytest.mark.parametrize("case", cases.MEASURES, ids=str)
def test_measures(kernels, cuda, case):
    cases.check_signature(kernels, cuda, case)
    cases.check_still(kernels, cuda, case)


LARGE = [
    cases.Gather(net=inputs.of_type(inputs.NETS["J"], inputs.HALF), canvas=(2176, 3840), block=4, reach=20.0,
                 exact=True),
    cases.Gather(net=inputs.of_type(inputs.NETS["J"], inputs.HALF), canvas=(1088, 1920), block=2, reach=20.0),
]  # fmt: skip


@pytest.mark.parametrize("case", LARGE, ids=str)
def test_gather_of_whole_frames(kernels, cuda, case):
    cases.check_gather(kernels, cuda, case)


def test_synthesis_of_a_whole_frame(kernels, cuda):
    net = inputs.of_type(inputs.NETS["J"], inputs.HALF)
    cases.check_synthesis(kernels, cuda, cases.Synthesis(fmt=inputs.yuv(1, 1), size=(3838, 2158), net=net, reach=20.0))


def test_a_captured_graph_reads_what_the_pair_says_now(kernels, cuda):
    net, canvas = inputs.NETS["G"], (64, 96)
    levels = [inputs.level_of(scale, canvas, net, 3.0, "graph", hidden=0, device=cuda) for scale in net.scales[:3]]
    sources = [inputs.channels_last(8, *canvas, torch.float32, cuda) for _ in range(4)]
    for source in sources:
        source.copy_(torch.rand(source.shape))
    pair, options = new_pair(cuda), {"canvas": canvas, "channels": 8, "adds_masks": False}
    out, plain = (inputs.channels_last(24, *canvas, torch.float32, cuda) for _ in range(2))
    kernels.set_pair(pair, *sources[:2], 0.25)
    kernels.gather(pair, levels, 1, plain, **options)
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize(cuda)
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        kernels.gather(pair, levels, 1, out, **options)
    for left, right, time in [(0, 1, 0.25), (2, 3, 0.75), (1, 0, 0.5)]:
        kernels.set_pair(pair, sources[left], sources[right], time)
        graph.replay()
        kernels.gather(pair, levels, 1, plain, **options)
        assert torch.equal(out, plain)


def test_a_first_launch_in_a_capture_is_refused(cuda, cupy):
    fresh = Kernels(Loader(cuda))
    y = inputs.channels_last(8, 2, 2, torch.float32, cuda)
    bias = torch.zeros(8, device=cuda)
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize(cuda)
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        y.zero_()
        with pytest.raises(RuntimeError, match="before the capture"):
            fresh.epilogue(y, bias)


def test_no_kernel_spills(kernels, cuda, cupy):
    from tests.engine.backend.cuda.kernels.test_variants import FEW

    loader = Loader(cuda)
    found = {variant: loader.registers(variant) for variant in FEW}
    assert {name for each in found.values() for name in each} == {name for names in KERNELS.values() for name in names}
    assert all(spilled == 0 for each in found.values() for _, spilled in each.values())
