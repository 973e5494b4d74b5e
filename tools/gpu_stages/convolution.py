"""One residual convolution of each width: by the engine, by cuDNN alone, and as one fused cuDNN graph.

It decides whether own convolutions are worth their while: bias, residual and activation in the library's kernel, or
a kernel of our own, against what is done now.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from gpu_stages.measured import device_of, pace_of, precision_of, repeated, seeded_model
from gpu_stages.settings import Settings
from gpu_stages.told import Told, main_of
from vsrife.cli.bench.engine import working_on
from vsrife.cli.bench.timing import timed
from vsrife.engine.networks import BlockNetwork, load_network

COUNTED = {32: "8.5..19", 64: "7.3..12", 192: "4.1..7.3"}
"""Channels, and the microseconds counted for an H200 at 1080p: a kernel of our own with everything fused that keeps
what it needs on the chip, to a library's with everything fused. Not measured.
"""

REPEATS = 50
"""Convolutions in one CUDA graph, so that launching it costs nothing beside them."""


def layers(told: Told, settings: Settings) -> None:
    """A trunk layer of each width, at the size that it has in 4.26."""
    device = device_of(settings)
    count = 2 if settings.quick else REPEATS
    with tempfile.TemporaryDirectory() as folder, working_on(device):
        network = load_network(seeded_model("seeded:4.26", Path(folder)), device, precision_of(settings))
        assert isinstance(network, BlockNetwork)
        architecture, modulus = network.module.architecture, network.module.modulus()
        width, height = (-(-side // modulus) * modulus for side in settings.size)
        for channels, counted in COUNTED.items():
            index = architecture.widths.index(channels)
            cells = 4 * architecture.scales[index]
            layer = network.blocks[index].trunk[0]
            x = torch.randn(1, channels, height // cells, width // cells, device=device, dtype=network.dtype)
            x = x.contiguous(memory_format=torch.channels_last)
            told.note(f"{channels} channels: {tuple(x.shape)}, {network.dtype}")
            told.figure(f"c={channels}, counted for an H200 at 1080p", counted, "us")

            def measured(name: str, call: Callable[[], object], channels: int = channels) -> None:
                seconds = timed(repeated(call, device, count), device, pace_of(settings)).median / count
                told.figure(f"c={channels}, {name}", 1e6 * seconds, "us")

            plain = partial(functional.conv2d, x, layer.weight, None, 1, 1)
            # As the engine has it now: the convolution, then bias, residual and activation in a kernel of ours.
            with told.part(f"c={channels}, as the engine"):
                measured("as the engine", partial(layer, x))
            with told.part(f"c={channels}, convolution alone"):
                measured("convolution alone", plain)
                with _benchmark():
                    measured("convolution alone, cuDNN's benchmark", plain)
            _fused(told, f"c={channels}, cuDNN graph", layer.weight, layer.bias, x, measured)


@contextmanager
def _benchmark() -> Iterator[None]:
    """Let cuDNN try its algorithms and take the fastest, as the engine never does."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _fused(
    told: Told,
    name: str,
    weight: Tensor,
    bias: Tensor,
    x: Tensor,
    measured: Callable[[str, Callable[[], object]], None],
) -> None:
    """The same layer as one cuDNN graph, if its Python package is there and cuDNN has such a kernel; neither is needed
    otherwise, so a failure is a note.
    """
    from gpu_stages.cudnn_graph import FusedLayer

    try:
        with FusedLayer(weight, bias, x) as fused:
            told.figure(f"{name}, largest difference", fused.difference())
            measured("cuDNN graph", fused)
    except Exception as error:  # noqa: BLE001 - not installed, no such kernel, a release that calls it otherwise
        told.note(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        told.figure(name, "none")


if __name__ == "__main__":
    sys.exit(main_of({"layers": layers}))
