"""What can be known of the loader without a GPU, with a cupy that remembers what it was asked for."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vsrife.engine.backend.cuda.kernels import Kernels, Loader, Variant, loader, new_pair, resolve
from vsrife.engine.backend.cuda.kernels.launch import Pair

CUDA = torch.device("cuda", 0)
BRAIN = torch.bfloat16


class Cupy:
    """Compiles nothing; a launch of set_pair is done by hand."""

    __version__ = "14.9"

    def __init__(self, *, broken: bool = False) -> None:
        self.compiled: list[tuple[str, tuple[str, ...]]] = []
        self.launches: list[tuple[str, tuple[int, ...], tuple[int, ...], int]] = []
        self.broken = broken
        self.cuda = SimpleNamespace(Stream=SimpleNamespace(from_external=self._wrapped))
        self.wrapped: list[int] = []

    def _wrapped(self, stream: SimpleNamespace) -> SimpleNamespace:
        self.wrapped.append(stream.cuda_stream)
        return SimpleNamespace(ptr=stream.cuda_stream)

    def RawModule(self, *, code: str, options: tuple[str, ...]) -> SimpleNamespace:
        assert 'extern "C" __global__' in code
        self.compiled.append((code, options))
        return SimpleNamespace(get_function=self._function)

    def _function(self, name):
        def launch(grid, block, arguments, *, stream):
            (value,) = arguments
            assert isinstance(value, np.ndarray)
            assert value.size == 1
            self.launches.append((name, grid, block, stream.ptr))
            data = bytes(value.tobytes())
            if name == "set_pair" and not self.broken:
                import ctypes

                ctypes.memmove(int.from_bytes(data[:8], "little"), data[8:], len(data) - 8)

        launch.num_regs, launch.local_size_bytes = 32, 0
        return launch


@pytest.fixture
def cupy(monkeypatch):
    """A cupy, and a torch that believes in a GPU."""
    made = Cupy()

    class Here:
        def __init__(self, device) -> None: ...
        def __enter__(self) -> None: ...
        def __exit__(self, *_) -> None: ...

    monkeypatch.setattr(loader.importlib, "import_module", lambda name: made)
    monkeypatch.setattr(torch.cuda, "device", Here)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=77))
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    monkeypatch.setattr(loader, "_resolved", {})
    return made


def sources() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros((1, 4, 1, 1)), torch.ones((1, 4, 1, 1))


def test_a_variant_is_compiled_once_and_launched_on_torchs_stream(cupy):
    kernels, pair, (left, right) = Kernels(Loader(CUDA)), new_pair(torch.device("cpu")), sources()
    for time in (0.25, 0.5):
        kernels.set_pair(pair, left, right, time)
        found = Pair.from_buffer_copy(pair.memory.numpy().tobytes())
        assert (found.left, found.right, found.time) == (left.data_ptr(), right.data_ptr(), time)
    ((code, options),) = cupy.compiled
    assert code == Variant.pair().code
    assert options == ("-std=c++17",)
    assert cupy.launches == [("set_pair", (1, 1, 1), (1, 1, 1), 77)] * 2
    assert cupy.wrapped == [77]


def test_variants_differ_in_their_text_and_not_in_options(cupy):
    """For each set of options that it has not met, cupy compiles an empty file."""
    made = Loader(CUDA)
    made.prepare(
        [Variant.measures(torch.uint8), Variant.measures(torch.float16), Variant.convert(torch.uint8, BRAIN, 8)]
    )
    assert {options for _, options in cupy.compiled} == {("-std=c++17",)}
    codes = [code for code, _ in cupy.compiled]
    assert [code.splitlines()[0] for code in codes] == [
        *["#define SAMPLE u8"] * 2,
        *["#define SAMPLE f16"] * 2,
        "#define CHANNELS 8",
    ]
    assert made.registers(Variant.measures(torch.uint8)) == {"signature_sums": (32, 0), "still": (32, 0)}
    assert len(cupy.compiled) == 5


def test_many_threads_load_a_variant_once(cupy):
    made, barrier = Loader(CUDA), threading.Barrier(8)

    def prepare() -> None:
        barrier.wait()
        made.prepare([Variant.pair()])

    threads = [threading.Thread(target=prepare) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cupy.compiled) == 1


def test_nothing_is_loaded_while_a_graph_is_captured(cupy, monkeypatch):
    made = Loader(CUDA)
    made.prepare([Variant.pair()])
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    Kernels(made).set_pair(new_pair(torch.device("cpu")), *sources(), 0.5)
    with pytest.raises(RuntimeError, match="not loaded before the capture"):
        made.prepare([Variant.measures(torch.uint8)])


def test_resolve_says_why_not(cupy, monkeypatch):
    kernels, reason = resolve(torch.device("cpu"))
    assert kernels is None
    assert "NVIDIA" in reason
    monkeypatch.setattr(loader.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError("no cupy")))
    kernels, reason = resolve(CUDA)
    assert kernels is None
    assert "ImportError: no cupy" in reason
    assert "install" in reason


@pytest.mark.parametrize("broken", [False, True])
def test_resolve_tries_a_launch_once_for_each_device(cupy, monkeypatch, broken):
    cupy.broken = broken
    monkeypatch.setattr(loader, "new_pair", lambda device: new_pair(torch.device("cpu")))
    zeros = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda *args, device=None, **rest: zeros(*args, **rest))
    kernels, reason = resolve(CUDA)
    assert (kernels is None) == broken
    assert ("something else" in reason) == broken
    assert resolve(CUDA) == (kernels, reason)
    assert len(cupy.launches) == 1
