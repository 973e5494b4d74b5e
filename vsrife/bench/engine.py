"""The engine as it is measured: the only module of the benchmark that calls it."""

import gc
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from vsrife.bench.timing import finish
from vsrife.choices import chosen
from vsrife.engine.interpolator import Interpolator
from vsrife.engine.loading import load_network
from vsrife.engine.networks import BlockNetwork
from vsrife.engine.picture import Layer, Picture
from vsrife.engine.slots import inference_context, slot
from vsrife.engine.streams import Lane, lane, mark, uploading
from vsrife.errors import ModelError
from vsrife.formats.colour import Colour, ColourOverrides, colour_of
from vsrife.formats.pixel_format import Family, PixelFormat
from vsrife.formats.rgb import to_rgb
from vsrife.network.architecture import Architecture
from vsrife.network.flow_and_mask import FlowAndMask

__all__ = ["FORMAT", "TIME", "Engine", "Source", "canvas_of", "device_memory", "rate_in_flight", "working_on"]

FORMAT: Final = PixelFormat(family=Family.YUV, float_samples=False, bits=8, subsampling_w=1, subsampling_h=1)
TIME: Final = 0.5


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Source:
    """A cached source frame on the device: its native planes, and the packed input of the network."""

    planes: tuple[Tensor, ...]
    packed: Tensor


def canvas_of(planes: Sequence[Tensor], size: tuple[int, int], canvas: tuple[int, int]) -> Tensor:
    """The RGB input of a network for a frame of ``size`` (width, height): float32 [1, 3, *canvas]."""
    return to_rgb(planes, FORMAT, _colour(size), width=size[0], height=size[1], pad_to=canvas)


def _colour(size: tuple[int, int]) -> Colour:
    return colour_of({}, FORMAT, *size, ColourOverrides())


class Engine:
    """A network at one frame size, planes of `FORMAT` in and out, all on the device.

    It calls what the filter calls for its frames. To be used inside `working_on`, with the lane that it yields.
    """

    def __init__(self, path: Path, device: torch.device, dtype: torch.dtype, size: tuple[int, int]) -> None:
        """size: (width, height) of the frame. Raises ModelError as `load_network`, and for a network before 4.0."""
        self.device = device
        self.size = size
        network = load_network(path, device, dtype)
        if not isinstance(network, BlockNetwork):
            raise ModelError(f"model ({path}) must be of the 4.x line to be timed step by step; choose one of them")
        self._network = network
        self._frames = Interpolator(self._network, *size, scale=1.0, ensemble=False)
        modulus = self._network.module.modulus()
        self.canvas = -(-size[1] // modulus) * modulus, -(-size[0] // modulus) * modulus

    @property
    def architecture(self) -> Architecture:
        """The network's architecture."""
        return self._network.module.architecture

    def rgb(self, planes: Sequence[Tensor]) -> Tensor:
        """The frame on the canvas, float32 [1, 3, Hp, Wp]."""
        return canvas_of(planes, self.size, self.canvas)

    def encode(self, planes: tuple[Tensor, ...]) -> Source:
        """The work that is done once for a source frame whose planes are on the device."""
        return Source(planes=planes, packed=self._frames.pack(self._picture(planes), (planes,)))

    def motion(self, held: Lane, left: Source, right: Source) -> FlowAndMask:
        """Flow and mask at `TIME`."""
        return self._frames.field(held, left.packed, right.packed, TIME).motion

    def new_frame(self, held: Lane, left: Source, right: Source) -> tuple[Tensor, ...]:
        """The planes of the frame at `TIME`, new, on the device."""
        field = self._frames.field(held, left.packed, right.packed, TIME)
        into = self._picture(tuple(torch.empty_like(plane) for plane in left.planes))
        a, b = (self._picture(source.planes).image for source in (left, right))
        self._frames.blend(field, into, (a, left.planes), (b, right.planes), into.image)
        return tuple(into.image.views)

    def fresh_frame(self, left: Source, planes: tuple[Tensor, ...]) -> None:
        """The work of the filter for a frame between a cached source and a new one, finished on return.

        Any number of threads may call it, outside of `working_on`: it enters the same contexts as the filter.
        """
        with inference_context(), slot(self.device):
            with uploading(self.device):
                right = self.encode(planes)
                ready = mark(self.device)
            with lane(self.device) as held:
                ready.follow()
                made = self.new_frame(held, left, right)
                done = mark(self.device)
            done.wait()
            del made, right  # the device used them until here

    def in_every_lane(self, left: Source, right: Source) -> None:
        """One frame in every lane at once, so that each has allocated its memory. Outside of `working_on`."""
        lanes = chosen().lanes
        together = threading.Barrier(lanes)

        def one(_number: int) -> None:
            with working_on(self.device) as held:
                together.wait()
                self.new_frame(held, left, right)

        with ThreadPoolExecutor(lanes) as pool:
            list(pool.map(one, range(lanes)))

    def merged(self, held: Lane, left: Source, right: Source) -> Tensor:
        """The new frame as RGB on the canvas, float32, for comparison with other implementations."""
        motion = self.motion(held, left, right)
        return self._network.module.merge(self.rgb(left.planes), self.rgb(right.planes), motion)

    def _picture(self, planes: tuple[Tensor, ...]) -> Picture:
        layer = Layer(format=FORMAT, colour=_colour(self.size), views=planes)
        return Picture(number=0, width=self.size[0], height=self.size[1], layers=(layer,))


@contextmanager
def working_on(device: torch.device) -> Iterator[Lane]:
    """The context in which the filter computes: fixed threads, inference mode, exact arithmetic, a lane's stream."""
    with inference_context(), slot(device), lane(device) as held:
        yield held


def rate_in_flight(device: torch.device, job: Callable[[], object], in_flight: int, jobs: int) -> float:
    """Jobs per second with ``in_flight`` threads, each of which starts the next job when its last one is done."""

    def one(_number: int) -> None:
        job()

    with ThreadPoolExecutor(in_flight) as pool:
        list(pool.map(one, range(in_flight)))
        finish(device)
        began = time.perf_counter()
        list(pool.map(one, range(jobs)))
        finish(device)
        return jobs / (time.perf_counter() - began)


def device_memory(device: torch.device) -> dict[str, int]:
    """Bytes that this process has allocated on a CUDA device without the context, by holder."""
    gc.collect()
    finish(device)
    held = {"torch": torch.cuda.memory_reserved(device), "cupy": 0, "imports": 0}
    try:
        import cupy
    except ImportError:
        return held
    held["cupy"] = int(cupy.get_default_memory_pool().total_bytes())
    return held
