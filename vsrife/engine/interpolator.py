"""Two source frames and a time in; the planes of the frame in between out.

A source frame is converted, padded and encoded once, and kept in a bounded cache of the process. The network answers a
motion for each (left, right, t); synthesis then warps and blends the clip's own planes. Nothing here knows VapourSynth.
"""

import itertools
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from vsrife.engine.cache import Cache
from vsrife.engine.device import slot
from vsrife.engine.synthesis import synthesize
from vsrife.errors import ArgumentError
from vsrife.models.checkpoint import load
from vsrife.network.ifnet import IFNet
from vsrife.network.motion import Motion
from vsrife.video.colour import Colour
from vsrife.video.formats import PixelFormat
from vsrife.video.host import download, finish, upload
from vsrife.video.rgb import to_rgb

__all__ = ["Interpolator", "Layer", "Network", "Picture", "load_network"]

CACHE_BYTES = 1 << 30
"""Memory of all cached source frames of the process. Fixed: what happens to be free must not change what is done."""

KEPT_NETWORKS = 4


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Layer:
    """Planes of one format: the picture itself, or its alpha. views: host memory, valid while the frame is held."""

    format: PixelFormat
    colour: Colour
    views: tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Picture:
    """One source frame in host memory. number: its index in the clip. alpha: None where the frame carries none."""

    number: int
    width: int
    height: int
    layer: Layer
    alpha: Layer | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Source:
    """What the cache keeps of a source frame, all on the device and none of it VapourSynth's memory.

    canvas: RGB [1, 3, Hp, Wp] in the network's dtype; features: what the network's encoder made of it, or None.
    planes, alpha: the native planes where the device is not the host; on the host they are read in place instead.
    """

    canvas: Tensor
    features: Tensor | None
    planes: tuple[Tensor, ...] | None
    alpha: tuple[Tensor, ...] | None

    @property
    def bytes(self) -> int:
        tensors = [self.canvas, self.features, *(self.planes or ()), *(self.alpha or ())]
        return sum(tensor.nbytes for tensor in tensors if tensor is not None)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Network:
    """A network on a device, ready to run: shared by every filter of the process that names the same three things."""

    module: IFNet
    device: torch.device
    dtype: torch.dtype


_sources: Cache[tuple[int, int], _Source] = Cache(CACHE_BYTES, lambda source: source.bytes)
_networks: OrderedDict[tuple[Path, int, int, torch.device, torch.dtype], Network] = OrderedDict()
_networks_lock = threading.Lock()
_serials = itertools.count(1)


def load_network(path: Path, device: torch.device, dtype: torch.dtype) -> Network:
    """The checkpoint at ``path`` on ``device`` with convolutions in ``dtype``.

    Loaded once a process (a player evaluates its script again at every seek), again only where the file has changed.
    Raises ModelError as `checkpoint.load` does.
    """
    facts = path.stat()
    key = (path.resolve(), facts.st_mtime_ns, facts.st_size, device, dtype)
    with _networks_lock:
        network = _networks.get(key)
        if network is None:
            module = load(path).to(device=device, dtype=dtype)
            network = _networks[key] = Network(module=module, device=device, dtype=dtype)
            while len(_networks) > KEPT_NETWORKS:
                _networks.popitem(last=False)
        _networks.move_to_end(key)
    return network


class Interpolator:
    """The frames in between of one clip, whose every frame has one format and size.

    Cached sources belong to this object (under its own serial number) and are dropped by `close`.
    """

    def __init__(self, network: Network, width: int, height: int, *, scale: float, ensemble: bool) -> None:
        if ensemble and not network.module.supports_ensemble:
            raise ArgumentError(
                "ensemble (1) must be 0 for this model: networks 4.21 to 4.23, 4.25 and 4.26 have no ensemble"
            )
        self._network = network
        self._scale = scale
        self._ensemble = ensemble
        modulus = network.module.modulus(scale)
        self._canvas = -(-height // modulus) * modulus, -(-width // modulus) * modulus
        self._serial = next(_serials)

    @property
    def device(self) -> torch.device:
        """Where the frames are computed."""
        return self._network.device

    def interpolate(
        self, left: Picture, right: Picture, t: Fraction, into: Sequence[Tensor], alpha_into: Sequence[Tensor] | None
    ) -> None:
        """Write the frame at time ``t``, 0 < t < 1, between two source frames into host planes.

        ``into``: one view per plane of the new frame. ``alpha_into``: those of its alpha frame, where both sources have
        one; None leaves alpha alone. The caller has entered `device.computing`. On return the planes are written and
        the sources' memory is no longer read.
        """
        with slot(self.device):
            try:
                a, b = self._source(left), self._source(right)
                motion = self._network.module(
                    a.canvas, b.canvas, a.features, b.features, float(t), scale=self._scale, ensemble=self._ensemble
                )
                self._blend(motion, left, (left.layer, a.planes), (right.layer, b.planes), into)
                if alpha_into is not None and left.alpha is not None and right.alpha is not None:
                    self._blend(motion, left, (left.alpha, a.alpha), (right.alpha, b.alpha), alpha_into)
            finally:
                # Also after a failure: VapourSynth may reuse the frames' memory as soon as this returns.
                finish(self.device)

    def close(self) -> None:
        """Drop what the cache holds for this object. Frames still being computed are not disturbed."""
        _sources.drop(lambda key: key[0] == self._serial)

    def _source(self, picture: Picture) -> _Source:
        return _sources.get((self._serial, picture.number), lambda: self._encode(picture))

    def _encode(self, picture: Picture) -> _Source:
        planes, alpha = self._upload(picture.layer), self._upload(picture.alpha) if picture.alpha else None
        layer = picture.layer
        canvas = to_rgb(
            planes or layer.views,
            layer.format,
            layer.colour,
            width=picture.width,
            height=picture.height,
            pad_to=self._canvas,
        ).to(self._network.dtype)
        return _Source(canvas=canvas, features=self._network.module.encode(canvas), planes=planes, alpha=alpha)

    def _upload(self, layer: Layer) -> tuple[Tensor, ...] | None:
        if self.device.type == "cpu":
            return None
        return tuple(upload(view, self.device) for view in layer.views)

    def _on_device(self, layer: Layer, cached: tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
        # Alpha may not have been cached: its neighbour had none when the source was.
        return cached or self._upload(layer) or layer.views

    def _blend(
        self,
        motion: Motion,
        picture: Picture,
        left: tuple[Layer, tuple[Tensor, ...] | None],
        right: tuple[Layer, tuple[Tensor, ...] | None],
        into: Sequence[Tensor],
    ) -> None:
        layer = left[0]
        on_host = self.device.type == "cpu"
        made = synthesize(
            self._on_device(*left),
            self._on_device(*right),
            motion,
            layer.format,
            chroma=layer.colour.chroma,
            width=picture.width,
            height=picture.height,
            out=into if on_host else None,
        )
        if not on_host:
            for tensor, view in zip(made, into, strict=True):
                download(tensor, view)
