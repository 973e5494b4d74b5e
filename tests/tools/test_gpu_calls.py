"""What the measuring stages do with CUDA and cuDNN, on stand-ins for both: order and arithmetic, no speed."""

import contextlib
import sys
import types

import pytest
import torch
from torch.nn import functional


@pytest.fixture
def played(monkeypatch):
    """A GPU as far as `repeated` uses one: a list of what is done with it. A captured call is done at replays alone."""
    done = []

    class Graph:
        def replay(self):
            done.append("replay")

    class Stream:
        device = torch.device("cuda", 0)

        def __init__(self, device, priority=0):
            pass

        def wait_stream(self, other):
            done.append("wait")

    @contextlib.contextmanager
    def on(stream):
        yield

    @contextlib.contextmanager
    def capture(graph, *, pool, stream, capture_error_mode):
        assert capture_error_mode == "thread_local"
        done.append("capture")
        yield
        done.append("captured")

    for name, value in {
        "CUDAGraph": Graph,
        "Stream": Stream,
        "stream": on,
        "graph": capture,
        "synchronize": lambda device=None: done.append("synchronize"),
        "graph_pool_handle": lambda: (0, 1),
        "current_stream": lambda device=None: types.SimpleNamespace(cuda_stream=7),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return done


def test_a_call_is_repeated_from_a_graph(tool, played):
    again = tool("gpu_stages.measured").repeated(lambda: played.append("call"), torch.device("cuda", 0), 4)
    assert played == ["wait", *["call"] * 3, "synchronize", "capture", *["call"] * 4, "captured"]
    again()
    assert played[-1] == "replay"


def test_on_a_cpu_it_is_just_called(tool):
    calls = []
    tool("gpu_stages.measured").repeated(lambda: calls.append(1), torch.device("cpu"), 4)()
    assert len(calls) == 4


class Node:
    """A tensor of such a graph: what it is bound to, or how it is worked out."""

    def __init__(self, work=None):
        self.work, self.bound, self.output = work, None, False

    def set_output(self, on):
        self.output = on

    def value(self):
        return self.work() if self.work else self.bound


class Graph:
    """cuDNN's graph as `FusedLayer` builds one: each node works out its value from what `execute` is given."""

    def __init__(self, log):
        self.log = log

    def tensor_like(self, template):
        return Node()

    def _node(self, name, work):
        self.log.append(name)
        self.last = Node(work)
        return self.last

    def conv_fprop(self, *, image, weight, padding, stride, dilation):
        return self._node(
            "convolution",
            lambda: functional.conv2d(image.value(), weight.value(), None, stride, padding, dilation),
        )

    def bias(self, *, name, input, bias):
        return self._node("bias", lambda: input.value() + bias.value())

    def add(self, *, name, a, b):
        return self._node("add", lambda: a.value() + b.value())

    def leaky_relu(self, *, name, input, negative_slope):
        return self._node("leaky_relu", lambda: functional.leaky_relu(input.value(), negative_slope))

    def __getattr__(self, name):
        assert name in ("validate", "build_operation_graph", "create_execution_plans", "check_support", "build_plans")
        return lambda *given: self.log.append(name)

    def get_workspace_size(self):
        return 0

    def execute(self, pointers, workspace, *, handle):
        for node, memory in pointers.items():
            node.bound = memory
        assert self.last.output
        self.last.bound.copy_(self.last.value())


@pytest.fixture
def cudnn(monkeypatch):
    """A module `cudnn` that works things out by PyTorch on the CPU, and what it was asked for."""
    log = []
    module = types.SimpleNamespace(
        data_type=types.SimpleNamespace(HALF="half", BFLOAT16="bfloat16", FLOAT="float"),
        heur_mode=types.SimpleNamespace(A="A", FALLBACK="FALLBACK"),
        create_handle=lambda: "handle",
        destroy_handle=lambda handle: log.append("destroyed"),
        set_stream=lambda *, handle, stream: log.append(f"stream {stream}"),
        pygraph=lambda **options: log.append(options["io_data_type"]) or Graph(log),
        log=log,
    )
    monkeypatch.setitem(sys.modules, "cudnn", module)
    return module


@pytest.mark.parametrize("residual", [True, False])
def test_the_fused_layer_is_the_engine_s(tool, cudnn, played, residual):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(1, 8, 6, 10, generator=generator).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(8, 8, 3, 3, generator=generator), torch.randn(8, generator=generator)
    with tool("gpu_stages.cudnn_graph").FusedLayer(weight, bias, x, residual=residual) as fused:
        assert fused.difference() < 1e-6
        summed = functional.conv2d(x, weight, bias, 1, 1) + (x if residual else 0)
        assert torch.allclose(fused.out, functional.leaky_relu(summed, 0.2), atol=1e-5)
    parts = ["convolution", "bias", *(["add"] if residual else []), "leaky_relu"]
    assert [each for each in cudnn.log if each in parts] == parts
    assert "stream 7" in cudnn.log, "the stream that is current, which may be one that is captured"
    assert cudnn.log[-1] == "destroyed"
