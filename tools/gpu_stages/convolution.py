"""One residual convolution of each width: by the engine, by cuDNN alone, and as one fused cuDNN graph.

It decides whether own convolutions are worth their while: bias, residual and activation in the library's kernel, or
a kernel of our own, against what is done now.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from gpu_stages.cudnn_graph import FusedLayer
from gpu_stages.measured import device_of, pace_of, precision_of, repeated, seeded_model
from gpu_stages.profile import profiled, table_of
from gpu_stages.settings import Settings
from gpu_stages.told import Told, main_of
from vsrife.bench.engine import working_on
from vsrife.bench.timing import timed
from vsrife.engine.loading import load_network
from vsrife.engine.networks import BlockNetwork

COUNTED = {32: "8.5..19", 64: "7.3..12", 192: "4.1..7.3"}
"""Channels, and the microseconds counted for an H200 at 1080p: a kernel of our own with everything fused that keeps
what it needs on the chip, to a library's with everything fused. Not measured.
"""

REPEATS = 50
"""Convolutions in one CUDA graph, so that launching it costs nothing beside them."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Layer:
    """A trunk layer and its input, [1, channels, h, w] channels-last. run: the engine's own call."""

    channels: int
    x: Tensor
    weight: Tensor
    bias: Tensor
    run: Callable[[Tensor], Tensor]


def layers(told: Told, settings: Settings) -> None:
    """A trunk layer of each width, at the size that it has in 4.26."""
    device = device_of(settings)
    with tempfile.TemporaryDirectory() as folder, working_on(device):
        network = load_network(seeded_model("seeded:4.26", Path(folder)), device, precision_of(settings))
        assert isinstance(network, BlockNetwork)
        found = [_layer(network, channels, settings) for channels in COUNTED]
        for layer in found:
            told.note(f"{layer.channels} channels: {tuple(layer.x.shape)}, {network.dtype}")
            _plain(told, settings, layer)
        for layer in found:  # last: a capture that fails may leave PyTorch unable to make another
            _fused(told, settings, layer)


def _layer(network: BlockNetwork, channels: int, settings: Settings) -> _Layer:
    architecture, modulus = network.module.architecture, network.module.modulus()
    index = architecture.widths.index(channels)
    cells = 4 * architecture.scales[index]
    width, height = (-(-side // modulus) * modulus // cells for side in settings.size)
    x = torch.randn(1, channels, height, width, device=network.device, dtype=network.dtype)
    layer = network.blocks[index].trunk[0]
    return _Layer(
        channels=channels,
        x=x.contiguous(memory_format=torch.channels_last),
        weight=layer.weight,
        bias=layer.bias,
        run=layer,
    )


def _plain(told: Told, settings: Settings, layer: _Layer) -> None:
    """As the engine has it now (the convolution, then a kernel of ours for the rest), and the convolution alone."""
    alone = partial(functional.conv2d, layer.x, layer.weight, None, 1, 1)
    told.figure(f"c={layer.channels}, counted for an H200 at 1080p", COUNTED[layer.channels], "us")
    with told.part(f"c={layer.channels}, as the engine"):
        _measure(told, settings, layer, "as the engine", partial(layer.run, layer.x))
    with told.part(f"c={layer.channels}, convolution alone"):
        _measure(told, settings, layer, "convolution alone", alone)
        with _benchmark():
            _measure(told, settings, layer, "convolution alone, cuDNN's benchmark", alone)


def _fused(told: Told, settings: Settings, layer: _Layer) -> None:
    """The same layer as one cuDNN graph, if its Python package is there and cuDNN has such a kernel; where it has none,
    the layer without its residual. Nothing else needs either, so a failure is a note.
    """
    for name, residual in (("cuDNN graph", True), ("cuDNN graph without the residual", False)):
        try:
            with FusedLayer(layer.weight, layer.bias, layer.x, residual=residual) as fused:
                told.figure(f"c={layer.channels}, {name}, largest difference", fused.difference())
                _measure(told, settings, layer, name, fused)
                return
        except Exception as error:  # noqa: BLE001 - not installed, no such kernel, a release that calls it otherwise
            told.note(f"c={layer.channels}, {name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
            told.figure(f"c={layer.channels}, {name}", "none")
            if isinstance(error, ImportError):
                return


def _measure(told: Told, settings: Settings, layer: _Layer, name: str, call: Callable[[], object]) -> None:
    """By the profiler, launched one by one, which shows the kernels' names; then by the clock, from a CUDA graph."""
    device, count = layer.x.device, 2 if settings.quick else REPEATS
    call()
    kernels = profiled(call, device, count)
    told.note(table_of(kernels))
    told.figure(f"c={layer.channels}, {name}, kernels", sum(each.microseconds for each in kernels), "us")
    seconds = timed(repeated(call, device, count), device, pace_of(settings)).median / count
    told.figure(f"c={layer.channels}, {name}", 1e6 * seconds, "us")


@contextmanager
def _benchmark() -> Iterator[None]:
    """Let cuDNN try its algorithms and take the fastest, as the engine never does."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


if __name__ == "__main__":
    sys.exit(main_of({"layers": layers}))
