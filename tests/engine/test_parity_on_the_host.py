"""tests/gpu's parity file where there is no GPU: the kernels compiled for the host, lanes and CUDA graphs by stand-ins.

A graph's stand-in keeps every operation of torch and every launch of a kernel in order, and a replay runs them again on
the same memory: what is not in that memory, such as a number of Python's, stays what it was at the capture.
"""

import queue
import threading
from contextlib import contextmanager
from types import FunctionType

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.engine.backend.cuda.kernels.conftest import host
from tests.engine.backend.cuda.kernels.inputs import yuv
from tests.gpu import test_order_gpu as order
from tests.gpu import test_parity_gpu as parity
from tests.gpu.test_parity_gpu import no_graphs
from tests.network.small import network
from vsrife.engine import interpolator as interpolators
from vsrife.engine.backend.cuda import graphs
from vsrife.engine.backend.cuda.backend import CudaBackend
from vsrife.engine.backend.cuda.kernels import Kernels
from vsrife.engine.networks import Network
from vsrife.engine.streams import Lane

pytestmark = pytest.mark.slow

__all__ = ["host", "no_graphs"]  # fixtures

LEFT_OUT = {
    "test_half_precision_at_2160p_to_the_far_edges": "minutes a frame on a CPU",
    "test_the_flow_there_is_smooth_and_large": "it is what the test at 2160p rests on",
    "test_a_replayed_frame_of_an_official_size_is_too": "minutes on a CPU; small networks have the same launches",
    "test_the_filter_s_networks_have_these_kernels": "asks what the device itself has",
}
"""Tests of the parity file that are for a GPU alone, and why."""

FEWER = {
    "test_pictures_of_every_format_and_ragged_sizes": {"fmt": parity.FORMATS, "size": [(148, 100), (36, 20)]},
    "test_a_replayed_frame_is_the_one_launched_step_by_step_bit_for_bit": {
        "name": ["A", "G", "J-lite"],
        "dtype": [torch.float32],
    },
    "test_half_precision_of_every_network_is_as_good_as_plain_torch_s": {
        "name,dtype": [("J", torch.float16), ("B", torch.bfloat16)]
    },
    "test_middles_of_middles_are_the_same_from_many_threads": {"dtype": [torch.float32]},
    "test_pictures_of_the_networks_before_4_0": {"kind": ["rife", "3.8"]},
}
"""Cases in place of a test's own, where all of them take too long: half precision is slow on a CPU."""


def with_cases(test, cases):
    fewer = FunctionType(test.__code__, test.__globals__, test.__name__)
    for names, values in cases.items():
        fewer = pytest.mark.parametrize(names, values)(fewer)
    return fewer


for name, each in vars(parity).items():
    if name.startswith("test") and name not in LEFT_OUT:
        globals()[name] = with_cases(each, FEWER[name]) if name in FEWER else each

READ_BY_THE_HOST = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default}

_capturing = threading.local()


class Capture(TorchDispatchMode):
    """What is done within it on this thread, and the memory that it was done in."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in READ_BY_THE_HOST:
            raise RuntimeError("operation not permitted when stream is capturing")
        made = function(*args, **(kwargs or {}))
        self.steps.append((function, args, kwargs or {}, made))
        return made

    def replay(self):
        for function, args, kwargs, made in self.steps:
            for there, now in zip(tree_leaves(made), tree_leaves(function(*args, **kwargs)), strict=True):
                if isinstance(there, torch.Tensor) and there.data_ptr() != now.data_ptr():
                    there.copy_(now)


def captured(work, lane):
    """In place of `graphs._captured`."""
    with Capture() as capture:
        _capturing.steps = capture.steps
        try:
            field = work()
        finally:
            _capturing.steps = None
    return capture.replay, field


@pytest.fixture(scope="module")
def cuda():
    """Where the tests' tensors are."""
    return torch.device("cpu")


@pytest.fixture(scope="module")
def kernels(host):
    """Of the host; a launch in a capture is kept as well."""

    def launch(launched):
        host(launched)
        if getattr(_capturing, "steps", None) is not None:
            _capturing.steps.append((host, (launched,), {}, None))

    return Kernels(launch)


@pytest.fixture(autouse=True)
def lanes_and_graphs(monkeypatch):
    """As many lanes as on a GPU, taken in turn, and graphs in them."""
    free = queue.SimpleQueue()
    for index in range(parity.LANES):
        free.put(Lane(index=index))

    @contextmanager
    def lane(_device):
        held = free.get()
        try:
            yield held
        finally:
            free.put(held)

    for module in (interpolators, parity):
        monkeypatch.setattr(module, "lane", lane)
    monkeypatch.setattr(graphs, "_captured", captured)


def test_what_is_left_out_is_there_on_a_gpu():
    assert LEFT_OUT.keys() <= vars(parity).keys()


def test_lanes_that_overlap_do_not_meet(cuda, kernels):
    """As the test of this name in tests/gpu, with fewer turns."""
    net = Network.of(network("G"), cuda, torch.float32, CudaBackend(kernels))
    expected = order.frames_of(net, yuv(1, 1), (150, 98), order.JOBS, 1)
    assert order.differing(order.frames_of(net, yuv(1, 1), (150, 98), order.JOBS, 4), expected) == []
    assert order.lanes_with_graphs() == set(range(parity.LANES))
