"""What a frame costs beside arithmetic on the CUDA path, counted without a GPU: `python -m tests.engine.counting`.

Nodes: the engine runs in the layout it has on a GPU, on tensors without memory ("meta") and with kernels whose launches
are only recorded; a dispatch mode counts what torch would launch. Nothing is computed, so full size costs nothing.

Microseconds: the engine runs on tiny tensors of the CPU with the real `Loader`, on a stand-in for cupy that launches
nothing, and graphs whose replay does nothing. What the thread's clock counts then is what a replayed frame takes
under the GIL in Python and in torch's calls, on this machine; what only a GPU has is missing: events, streams, cupy's
and the driver's own part of a launch, the copies between host and device.
"""

import contextlib
import dataclasses
import statistics
import tempfile
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest import mock

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.network.small import network
from vsrife.cli.bench.scenery import ARCHITECTURES
from vsrife.engine import device, graphs
from vsrife.engine import interpolator as interpolators
from vsrife.engine.estimator import Estimator
from vsrife.engine.fused import FusedSampler
from vsrife.engine.interpolator import Interpolator
from vsrife.engine.kernels import Kernels, Loader, loader, new_pair
from vsrife.engine.kernels.launch import Launch
from vsrife.engine.memory import plan
from vsrife.engine.networks import BlockNetwork, Network
from vsrife.engine.streams import lane
from vsrife.network import IFNet
from vsrife.video.colour import ColourOverrides, colour_of
from vsrife.video.formats import Family, PixelFormat
from vsrife.video.picture import Layer, Picture

__all__ = ["SIZES", "engine_microseconds", "frame_nodes", "plugin_microseconds", "source_launches"]

SIZES = {"1080p": (1920, 1088), "2160p": (3840, 2176)}
"""Canvases, width and height."""

META = torch.device("meta")
CARD = 80 << 30
"""Bytes of memory of the GPU that the counts are for."""

_FREE = ("empty", "empty_strided", "empty_like", "new_empty", "scalar_tensor")
_CONVOLUTIONS = ("convolution", "cudnn_convolution", "cudnn_convolution_transpose")


class Launches(TorchDispatchMode):
    """Counts, inside, what torch launches on a GPU: one for each operation that is no view and no allocation.

    A convolution with a bias is two, torch adds it in a kernel of its own; and one more where the weight lies otherwise
    than the tensor in channels-last memory, which torch copies then. `Kernels(launches.record)` are counted as well.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def record(self, launch: Launch) -> None:
        """A launcher that launches nothing."""
        self.counts[launch.function] += 1

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Count, then do as without."""
        name = func.overloadpacket.__name__
        aliases = [value.alias_info for value in func._schema.returns]
        view = any(alias is not None and not alias.is_write for alias in aliases)
        if name in _CONVOLUTIONS:
            self.counts["convolution"] += 1
            self.counts["bias"] += isinstance(args[2], Tensor)
            self.counts["weight's layout"] += not args[1].is_contiguous(memory_format=torch.channels_last)
            # cuDNN answers in the layout of what it is given.
            return func(*args, **(kwargs or {})).contiguous(memory_format=torch.channels_last)
        if not view and name not in _FREE:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


def network_on(device: torch.device, dtype: torch.dtype, version: str, kernels: Kernels) -> BlockNetwork:
    """An official architecture without weights, as `load_network` prepares it for a GPU."""
    with device:
        module = IFNet(ARCHITECTURES[version])
    prepared = Network.of(module, device, dtype, kernels)
    assert isinstance(prepared, BlockNetwork)
    return prepared


def estimator_for(network: BlockNetwork, canvas: tuple[int, int]) -> Estimator:
    """As the interpolator makes it on a GPU. canvas: (height, width)."""
    on_gpu = dataclasses.replace(network, device=torch.device("cuda"))
    working = plan(on_gpu, canvas, scale=1.0, total=CARD)
    return Estimator(network, canvas, band=working.band, strips=working.strips)


def frame_nodes(version: str, size: str) -> Counter[str]:
    """The nodes of the graph of one new frame, by kind."""
    launches, estimator, kernels = _counting(version, size)
    sources = [estimator.new_source() for _ in range(2)]
    sampler = FusedSampler(estimator.network, estimator.canvas, kernels).told()
    with torch.no_grad(), launches:
        estimator.field(*sources, 0.5, sampler)
    return +launches.counts


def source_launches(version: str, size: str) -> Counter[str]:
    """What is launched to encode one source, behind `convert`, by kind."""
    launches, estimator, _ = _counting(version, size)
    source = estimator.new_source()
    with torch.no_grad(), launches:
        estimator.encoded(source)
    return +launches.counts


def _counting(version: str, size: str) -> tuple[Launches, Estimator, Kernels]:
    launches = Launches()
    kernels = Kernels(launches.record)
    width, height = SIZES[size]
    return launches, estimator_for(network_on(META, torch.float16, version, kernels), (height, width)), kernels


class _Cupy:
    """Compiles nothing and launches nothing."""

    def __init__(self) -> None:
        self.cuda = SimpleNamespace(Stream=SimpleNamespace(from_external=lambda stream: SimpleNamespace(ptr=stream)))

    def RawModule(self, *, code: str, options: tuple[str, ...]) -> SimpleNamespace:
        """A module whose every function does nothing."""

        def function(
            grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[object], *, stream: object
        ) -> None: ...

        function.num_regs = 1  # type: ignore[attr-defined]
        return SimpleNamespace(get_function=lambda _name: function)


@contextmanager
def launching_nothing() -> Iterator[Kernels]:
    """Kernels whose launches end in cupy's hands, and graphs that are captured but do nothing when replayed."""
    with ExitStack() as stack:

        def replace(where: object, name: str, what: object) -> None:
            stack.enter_context(mock.patch.object(where, name, what))

        replace(loader.importlib, "import_module", lambda _name: _Cupy())
        replace(torch.cuda, "device", lambda _device: contextlib.nullcontext())
        replace(torch.cuda, "current_stream", lambda _device: SimpleNamespace(cuda_stream=7))
        replace(torch.cuda, "is_current_stream_capturing", lambda: False)
        replace(graphs, "_captured", lambda work, _lane: (lambda: None, work()))
        replace(graphs, "_replays", OrderedDict())
        yield Kernels(Loader(torch.device("cuda", 0)))


def microseconds(call: Callable[[], object], count: int = 50, batches: int = 41) -> float:
    """What a call takes of this thread: the median of batches of ``count`` calls."""
    call()
    times = []
    for _ in range(batches):
        began = time.thread_time()
        for _ in range(count):
            call()
        times.append((time.thread_time() - began) / count)
    return 1e6 * statistics.median(times)


FORMAT = PixelFormat(family=Family.YUV, float_samples=False, bits=8, subsampling_w=1, subsampling_h=1)
SIDE = 64
HALF = Fraction(1, 2)


def _picture(number: int) -> Picture:
    views = tuple(
        torch.zeros(FORMAT.plane_size(plane, SIDE, SIDE)[::-1], dtype=torch.uint8) for plane in range(FORMAT.planes)
    )
    layer = Layer(format=FORMAT, colour=colour_of({}, FORMAT, SIDE, SIDE, ColourOverrides()), views=views)
    return Picture(number=number, width=SIDE, height=SIDE, layer=layer)


def _never() -> NoReturn:
    raise AssertionError("a source was not cached")


def engine_microseconds(version: str) -> dict[str, float]:
    """What one replayed frame and one source take of the calling thread, and of that the parts."""
    cpu = torch.device("cpu")
    with launching_nothing() as kernels, device.computing():
        official = network_on(cpu, torch.float32, version, kernels)
        frames = Interpolator(official, SIDE, SIDE, scale=1.0, ensemble=False)
        left, right, into = (_picture(number) for number in range(3))
        frames.interpolate(left, right, HALF, into)
        sources = interpolators._sources
        keys = [key for key in sources._values if key.serial == frames._serial]
        a, b = (sources._values[key][0].packed for key in keys)
        with lane(cpu) as held:
            field = frames.field(held, a, b, 0.5)
            pair, small = new_pair(cpu), a[:, :, :4, :4].contiguous(memory_format=torch.channels_last)
            found = {
                "frame": microseconds(lambda: frames.interpolate(left, right, HALF, into)),
                "field": microseconds(lambda: frames.field(held, a, b, 0.5)),
                "set_pair": microseconds(lambda: kernels.set_pair(pair, a, b, 0.5)),
                "blend": microseconds(
                    lambda: frames.blend(field, into, (left.layer, None), (right.layer, None), into.layer)
                ),
                "cached sources": microseconds(lambda: [sources.get(key, _never) for key in keys]),
                "exact arithmetic": microseconds(device._promise_exact_arithmetic),
                "encoder": microseconds(lambda: frames._estimator.encoded(small)),
            }
            # Convolutions of the CPU do their arithmetic on this thread: of few pixels, that is nothing.
            encoded = frames._estimator.encoded

            def encoded_small(_packed: Tensor) -> Tensor:
                return encoded(small)

            with mock.patch.object(frames._estimator, "encoded", encoded_small):
                found["source"] = microseconds(lambda: frames._encode(left))
        frames.close()
    return found


class _Api:
    """VapourSynth's API, its calls counted."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self.calls = 0

    def __getattr__(self, name: str) -> Callable[..., object]:
        function = getattr(self._api, name)

        def counted(*args: object) -> object:
            self.calls += 1
            return function(*args)

        return counted


def plugin_microseconds(frames: int = 2000) -> dict[str, float]:
    """What VapourSynth's callbacks take of their thread for one output frame, without the engine, cuts and stills.

    Medians, and of the fastest hundredth, since these frames come one by one and find the processor's caches cold; and
    how often VapourSynth's API is called, which gives the GIL up and takes it again each time.
    """
    import vapoursynth as vs

    from vsrife.plugin import callbacks, vsapi

    spent: dict[int, float] = defaultdict(float)
    calls: dict[str, int] = {}

    def timed(n: int, *rest: object) -> object:
        began = time.thread_time()
        try:
            return callbacks._get_frame(n, *rest)
        finally:
            spent[n] += time.thread_time() - began

    def interpolate(_self: Interpolator, _left: Picture, _right: Picture, _t: Fraction, into: Picture) -> None:
        into.layer.targets_on(torch.device("cpu"))

    blank = vs.core.std.BlankClip(width=SIDE, height=SIDE, length=frames, fpsnum=24000, fpsden=1001, format=vs.YUV420P8)
    clip = blank.std.SetFrameProps(_Matrix=1, _Range=0, _Transfer=1, _Primaries=1, _ChromaLocation=0, _FieldBased=0)
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(Interpolator, "interpolate", interpolate):
        model = Path(folder) / "small.safetensors"
        save_file({key: value.contiguous() for key, value in network("J").state_dict().items()}, model)
        made = vs.core.rife.RIFE(clip, model=str(model), device="cpu", sc=0, skip=0)
        vsapi._module.ffi.def_extern(name="rife_get_frame")(timed)
        try:
            for n in range(len(made)):
                made.get_frame(n).close()
            made = vs.core.rife.RIFE(clip, model=str(model), device="cpu", sc=0, skip=0)
            core = callbacks._instances[max(callbacks._instances)]._core
            core.api = counting = _Api(core.api)
            for n, kind in enumerate(("source frame", "new frame", "source frame", "new frame")):
                before = counting.calls
                made.get_frame(n).close()
                calls[f"{kind}, calls"] = counting.calls - before
        finally:
            vsapi._module.ffi.def_extern(name="rife_get_frame")(callbacks._get_frame)
    found = {}
    for kind, first in (("new frame", 1), ("source frame", 0)):
        times = sorted(1e6 * spent[n] for n in range(first, len(made), 2))
        found[kind], found[f"{kind}, fastest"] = statistics.median(times), times[len(times) // 100]
    return {**found, **calls}


def _line(times: dict[str, float]) -> str:
    return ", ".join(f"{part} {each:.1f}" for part, each in times.items())


def main() -> None:
    """Print everything."""
    for version in ARCHITECTURES:
        for size in SIZES:
            for name, count in (("frame", frame_nodes), ("source", source_launches)):
                counts = count(version, size)
                kinds = ", ".join(f"{number} {kind}" for kind, number in counts.most_common())
                print(f"{version} {size} {name}: {counts.total()} ({kinds})")
        print(f"{version} microseconds: {_line(engine_microseconds(version))}")
    print(f"plugin microseconds: {_line(plugin_microseconds())}")


if __name__ == "__main__":
    main()
