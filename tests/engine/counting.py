"""What a frame costs beside arithmetic on the CUDA path, counted without a GPU: `python -m tests.engine.counting`.

Nodes: the engine runs in the layout it has on a GPU, on tensors without memory ("meta") and with kernels whose launches
are only recorded; a dispatch mode counts what torch would launch. Nothing is computed, so full size costs nothing.

Microseconds: the engine runs on tiny tensors of the CPU with the real `Loader`, on a stand-in for cupy that launches
nothing, and graphs whose replay does nothing. What the thread's clock counts then is what a replayed frame takes
under the GIL in Python and in torch's calls, on this machine; what only a GPU has is missing: events, streams, cupy's
and the driver's own part of a launch, the copies between host and device.
"""

import contextlib
import ctypes
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
from typing import Any, NoReturn, cast
from unittest import mock

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.network.small import network
from vsrife.bench.synthetic_input import ARCHITECTURES
from vsrife.engine import interpolator as interpolators
from vsrife.engine import slots
from vsrife.engine.backend.cuda import graphs
from vsrife.engine.backend.cuda.backend import CudaBackend
from vsrife.engine.backend.cuda.kernels import Kernels, Loader, loader, new_pair
from vsrife.engine.backend.cuda.kernels.launch import Launch
from vsrife.engine.backend.cuda.sampler import FusedSampler
from vsrife.engine.block_estimator import BlockEstimator
from vsrife.engine.interpolator import Interpolator
from vsrife.engine.memory import choose_working_set
from vsrife.engine.networks import BlockNetwork, Network
from vsrife.engine.picture import Layer, Picture
from vsrife.engine.streams import lane
from vsrife.engine.transfer import host
from vsrife.formats.colour import ColourOverrides, colour_of
from vsrife.formats.pixel_format import Family, PixelFormat
from vsrife.network.ifnet import IFNet

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
    prepared = Network.of(module, device, dtype, CudaBackend(kernels))
    assert isinstance(prepared, BlockNetwork)
    return prepared


def estimator_for(network: BlockNetwork, canvas: tuple[int, int]) -> BlockEstimator:
    """As the interpolator makes it on a GPU. canvas: (height, width)."""
    on_gpu = dataclasses.replace(network, device=torch.device("cuda"))
    working = choose_working_set(on_gpu, canvas, scale=1.0, total=CARD)
    return BlockEstimator(network, canvas, band=working.band, strips=working.strips)


def frame_nodes(version: str, size: str) -> Counter[str]:
    """The nodes of the graph of one new frame, by kind."""
    launches, estimator, kernels = _counting(version, size)
    sources = [estimator.new_source() for _ in range(2)]
    sampler = FusedSampler(estimator.network, estimator.canvas, kernels).bound()
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


def _counting(version: str, size: str) -> tuple[Launches, BlockEstimator, Kernels]:
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
        replace(graphs, "replays", OrderedDict())
        replace(interpolators, "slot", lambda _device, _needed: slots.slot(torch.device("cuda", 0)))
        yield Kernels(Loader(torch.device("cuda", 0)))


def microseconds(call: Callable[[], object], count: int = 50, batches: int = 41) -> dict[str, float]:
    """What a call takes of this thread: the least and the median of batches of ``count`` calls. Other programs make the
    median larger, since they evict what the processor's caches hold; the least hardly.
    """
    call()
    times = []
    for _ in range(batches):
        began = time.thread_time()
        for _ in range(count):
            call()
        times.append((time.thread_time() - began) / count)
    return {"least": 1e6 * min(times), "median": 1e6 * statistics.median(times)}


FORMAT = PixelFormat(family=Family.YUV, float_samples=False, bits=8, subsampling_w=1, subsampling_h=1)
SIDE = 64
HALF = Fraction(1, 2)


class _HostLayer(Layer):
    """Planes that a GPU has copies of, as it has of those in host memory; the copying does nothing."""

    __slots__ = ()

    def is_on(self, device: torch.device) -> bool:
        """See `Layer.is_on`."""
        return False

    def planes_on(self, device: torch.device) -> tuple[Tensor, ...]:
        """See `Layer.planes_on`."""
        return tuple(self.views)

    def receive(self, planes: Sequence[Tensor]) -> None:
        """See `Layer.receive`."""


def _picture(number: int) -> Picture:
    views = tuple(
        torch.zeros(FORMAT.plane_size(plane, SIDE, SIDE)[::-1], dtype=torch.uint8) for plane in range(FORMAT.planes)
    )
    layer = _HostLayer(format=FORMAT, colour=colour_of({}, FORMAT, SIDE, SIDE, ColourOverrides()), views=views)
    return Picture(number=number, width=SIDE, height=SIDE, layers=(layer,))


def _never() -> NoReturn:
    raise AssertionError("a source was not cached")


def engine_microseconds(version: str) -> dict[str, dict[str, float]]:
    """What one replayed frame and one source take of the calling thread, and of that the parts."""
    cpu = torch.device("cpu")
    with launching_nothing() as kernels, slots.inference_context():
        official = network_on(cpu, torch.float32, version, kernels)
        frames = Interpolator(official, SIDE, SIDE, scale=1.0, ensemble=False)
        left, right, into = (_picture(number) for number in range(3))
        frames.interpolate(left, right, HALF, into)
        sources = interpolators.cached_sources
        keys = [key for key in sources._values if key.serial == frames._serial]
        one, other = (sources._values[key][0] for key in keys)
        sides = (left.image, one.layers[0]), (right.image, other.layers[0])
        a, b = one.packed, other.packed
        with lane(cpu) as held:
            field = frames.field(held, a, b, 0.5)
            pair, small = new_pair(cpu), a[:, :, :4, :4].contiguous(memory_format=torch.channels_last)
            found = {
                "frame": microseconds(lambda: frames.interpolate(left, right, HALF, into)),
                "field": microseconds(lambda: frames.field(held, a, b, 0.5)),
                "set_pair": microseconds(lambda: kernels.set_pair(pair, a, b, 0.5)),
                "blend": microseconds(lambda: frames.blend(field, into, *sides, into.image)),
                "cached sources": microseconds(lambda: [sources.get(key, _never) for key in keys]),
                "exact arithmetic": microseconds(slots._use_exact_arithmetic),
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


class _Counted:
    """A table of C functions, their calls counted: each gives the GIL up and takes it again."""

    def __init__(self, functions: Any, calls: Counter[str]) -> None:
        self._functions = functions
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._functions, name)
        if not callable(found):
            return found

        def counted(*args: object) -> object:
            self._calls[name] += 1
            return found(*(each._functions if isinstance(each, _Counted) else each for each in args))

        return counted


def plugin_microseconds(frames: int = 2000) -> dict[str, dict[str, float]]:
    """What VapourSynth's callbacks take of their thread for one output frame, without the engine.

    With cuts and still pairs decided and without, a new frame and a source frame: "least" (a hundredth of the frames is
    faster), "median" (frames come one by one and find the processor's caches cold), and "calls" of C functions.

    With tools/gil_meter.c preloaded, what is done without the GIL does not count; a call takes half a microsecond more
    then. Without it calls count as a whole, and most of a verdict is the arithmetic of one.
    """
    import vapoursynth as vs

    from vsrife.plugin import callbacks, vsapi

    def interpolate(_self: Interpolator, _left: Picture, _right: Picture, _t: Fraction, into: Picture) -> None:
        # As a GPU that copies to host memory by address.
        assert into.image.targets_on(META) is None
        host._places(into.image.views)

    size: dict[str, Any] = {"width": SIDE, "height": SIDE, "format": vs.YUV420P8}
    greys = [vs.core.std.BlankClip(**size, length=frames // 2, color=[grey, 128, 128], keep=True) for grey in (80, 90)]
    clip = vs.core.std.Interleave(greys).std.AssumeFPS(fpsnum=24000, fpsden=1001)
    clip = clip.std.SetFrameProps(_Matrix=1, _Range=0, _Transfer=1, _Primaries=1, _ChromaLocation=0, _FieldBased=0)
    found = {}
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(Interpolator, "interpolate", interpolate):
        model = Path(folder) / "small.safetensors"
        save_file({key: value.contiguous() for key, value in network("J").state_dict().items()}, model)
        for part, on in (("beside the verdict", 0), ("with it", 1)):
            made = vs.core.rife.RIFE(clip, model=str(model), device="cpu", sc=on, skip=on)
            times = _callback_times(made)
            made = vs.core.rife.RIFE(clip[:8], model=str(model), device="cpu", sc=on, skip=on)
            core = callbacks.instances[max(callbacks.instances)]._core
            calls: Counter[str] = Counter()
            core.api = _Counted(core.api, calls)
            library = SimpleNamespace(ffi=vsapi.ffi(), lib=_Counted(vsapi.lib(), calls))
            with mock.patch.object(vsapi, "_module", library):
                made.get_frame(5).close()
                for kind, rife_kind, n in (("new frame", "interpolated", 7), ("source frame", "source", 6)):
                    calls.clear()
                    with made.get_frame(n) as frame:
                        assert frame.props["RifeKind"] == rife_kind
                    each = sorted(1e6 * times[m] for m in range(n, len(times), 2))
                    least, median = each[len(each) // 100], statistics.median(each)
                    found[f"{kind}, {part}"] = {"least": least, "median": median, "calls": calls.total()}
    return found


def _gil_meter() -> Callable[[], float]:
    """Seconds of this thread's time without the GIL, where the meter is preloaded; else 0."""
    try:
        released = ctypes.CDLL(None).gil_meter_released
    except AttributeError:
        return lambda: 0.0
    released.restype = ctypes.c_double
    return cast("Callable[[], float]", released)


_released = _gil_meter()


def _held_time() -> float:
    return time.thread_time() - _released()


def _callback_times(clip: Any) -> dict[int, float]:
    """Seconds of its thread's time that all callbacks take for each frame of a clip that RIFE made."""
    from vsrife.plugin import callbacks, vsapi

    spent: dict[int, float] = defaultdict(float)

    def timed(n: int, *rest: object) -> object:
        began = _held_time()
        try:
            return callbacks._get_frame(n, *rest)
        finally:
            spent[n] += _held_time() - began

    vsapi.ffi().def_extern(name="rife_get_frame")(timed)
    try:
        for n in range(len(clip)):
            clip.get_frame(n).close()
    finally:
        vsapi.ffi().def_extern(name="rife_get_frame")(callbacks._get_frame)
    return spent


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
        for part, found in engine_microseconds(version).items():
            print(f"{version} microseconds, {part}: {_line(found)}")
    for kind, found in plugin_microseconds().items():
        print(f"plugin microseconds, {kind}: {_line(found)}")


if __name__ == "__main__":
    main()
