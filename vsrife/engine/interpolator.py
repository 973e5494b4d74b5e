"""Two source frames and a time in; the planes of the frame in between out.

A source frame is converted, padded and encoded once, and kept in a bounded cache of the process. The network answers a
motion for each (left, right, t); synthesis then warps and blends the clip's own planes. Nothing here knows VapourSynth.
"""

import itertools
import threading
from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from vsrife.engine.cache import Cache
from vsrife.engine.device import CPU_SLOTS, GPU_SLOTS, slot
from vsrife.engine.synthesis import synthesize
from vsrife.errors import ModelError
from vsrife.models.checkpoint import load
from vsrife.network.ifnet import IFNet
from vsrife.network.motion import Motion
from vsrife.video.picture import Layer, Picture, settle

__all__ = ["Interpolator", "Network", "load_network"]

CACHE_BYTES = 1 << 30
"""Memory of all cached source frames of the process. Fixed: what happens to be free must not change what is done."""

MOST_SOURCES = 32
"""Of small frames no more are kept than these: nobody asks for an older one again but by a jump back."""

KEPT_SOURCES = 2 * max(CPU_SLOTS, GPU_SLOTS)
"""As many stay cached whatever they weigh: the pairs of the frames that may be computed at a time."""

KEPT_NETWORKS = 4


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


_sources: Cache[tuple[int, int], _Source] = Cache(
    CACHE_BYTES, lambda source: max(source.bytes, CACHE_BYTES // MOST_SOURCES), at_least=KEPT_SOURCES
)
_networks: OrderedDict[tuple[Path, int, int, torch.device, torch.dtype], Network] = OrderedDict()
_networks_lock = threading.Lock()
_serials = itertools.count(1)


def load_network(path: Path, device: torch.device, dtype: torch.dtype) -> Network:
    """The checkpoint at ``path`` on ``device`` with convolutions in ``dtype``.

    Loaded once a process (a player evaluates its script again at every seek), again only where the file has changed.
    Raises ModelError as `checkpoint.load` does, and for weights that float16 cannot hold.
    """
    facts = path.stat()
    key = (path.resolve(), facts.st_mtime_ns, facts.st_size, device, dtype)
    with _networks_lock:
        network = _networks.get(key)
        if network is None:
            module = load(path).to(device=device, dtype=dtype)
            # Only float16 has less range than the file, whose weights `load` has found finite.
            if dtype is torch.float16 and not all(bool(weight.isfinite().all()) for weight in module.parameters()):
                raise ModelError(
                    f'model ({path}) has weights beyond the range of float16; pass precision="float32" or "bfloat16"'
                )
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
        """Raises ArgumentError for a scale or an ensemble that the network does not take."""
        network.module.check_options(scale=scale, ensemble=ensemble)
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

    def interpolate(self, left: Picture, right: Picture, t: Fraction, into: Picture) -> None:
        """Write the frame at time ``t``, 0 < t < 1, between two source frames into the planes of ``into``.

        Its alpha is made too where ``into`` and both sources have one. The caller has entered `device.computing`. On
        return the planes are written and the sources' memory is no longer read, also where this raises.
        """
        with slot(self.device):
            try:
                a, b = self._source(left), self._source(right)
                motion = self._network.module(
                    a.canvas, b.canvas, a.features, b.features, float(t), scale=self._scale, ensemble=self._ensemble
                )
                self._blend(motion, into, (left.layer, a.planes), (right.layer, b.planes), into.layer)
                if into.alpha is not None and left.alpha is not None and right.alpha is not None:
                    self._blend(motion, into, (left.alpha, a.alpha), (right.alpha, b.alpha), into.alpha)
            finally:
                settle(self.device)

    def close(self) -> None:
        """Drop what the cache holds for this object. Frames still being computed are not disturbed."""
        _sources.drop(lambda key: key[0] == self._serial)

    def _source(self, picture: Picture) -> _Source:
        return _sources.get((self._serial, picture.number), lambda: self._encode(picture))

    def _encode(self, picture: Picture) -> _Source:
        planes = picture.layer.planes_on(self.device)
        alpha = picture.alpha.planes_on(self.device) if picture.alpha else None
        canvas = picture.rgb(planes, self._canvas).to(self._network.dtype)
        return _Source(
            canvas=canvas,
            features=self._network.module.encode(canvas),
            planes=None if self._on_host else planes,
            alpha=None if self._on_host else alpha,
        )

    @property
    def _on_host(self) -> bool:
        """Whether planes on the device are VapourSynth's own memory: read and written in place, never kept."""
        return self.device.type == "cpu"

    def _blend(
        self,
        motion: Motion,
        picture: Picture,
        left: tuple[Layer, tuple[Tensor, ...] | None],
        right: tuple[Layer, tuple[Tensor, ...] | None],
        into: Layer,
    ) -> None:
        # What is not cached is brought now: in place on the host; and an alpha whose neighbour had none before.
        a, b = (layer.planes_on(self.device) if cached is None else cached for layer, cached in (left, right))
        made = synthesize(
            a,
            b,
            motion,
            into.format,
            chroma=into.colour.chroma,
            width=picture.width,
            height=picture.height,
            out=into.views if self._on_host else None,
        )
        if not self._on_host:
            into.receive(made)
