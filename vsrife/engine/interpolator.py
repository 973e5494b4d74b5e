"""Two source frames and a time in; the planes of the frame in between out.

A source frame is converted, padded and encoded once, and kept in a bounded cache of the process. The network estimates
the motion for each (left, right, t); synthesis then warps and blends the clip's own planes. Where a network predicts
the middle alone, other times are made from middles, which are kept like sources: its 4x is 2x of 2x, to the bit.
"""

import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vsrife.cache import Cache
from vsrife.choices import chosen
from vsrife.engine.backend.cuda.graphs import drop_all as drop_graphs
from vsrife.engine.backend.cuda.kernels import PlacedPlanes
from vsrife.engine.block_estimator import BlockEstimator
from vsrife.engine.field import Field
from vsrife.engine.legacy_estimator import LegacyEstimator, endpoints, nearest_dyadic
from vsrife.engine.memory import choose_working_set, retry_on_oom, synchronize
from vsrife.engine.motion_estimator import MotionEstimator
from vsrife.engine.networks import RGB, BlockNetwork, PreparedLegacyNetwork
from vsrife.engine.picture import Layer, Picture, release
from vsrife.engine.slots import slot
from vsrife.engine.streams import Lane, Mark, capture_lock, downloading, lane, mark, uploading

__all__ = ["Interpolator", "cached_sources", "drop_cached"]

CACHE_BYTES = 1 << 30
"""Memory of all cached source frames of the process. Fixed: what happens to be free must not change what is done."""

MOST_SOURCES = 32
"""Of small frames no more are kept than these: an older one is needed again only after a jump back."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Source:
    """What the cache keeps of a source frame, or of a middle, all on the device and none of it VapourSynth's memory.

    packed: RGB on the canvas and what the network's encoder made of it, see `MotionEstimator`.
    layers: the native planes of each layer of the picture; None where the frame's own are read in place.
    ready: when all that is written.
    """

    packed: Tensor
    layers: tuple[PlacedPlanes | None, ...]
    ready: Mark

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.packed, *(plane for planes in self.layers for plane in planes or ())

    def follow(self, held: Lane) -> None:
        """Let the lane's stream read this from now on."""
        self.ready.follow()
        if held.stream is not None:
            for tensor in self.tensors:
                tensor.record_stream(held.stream)


_Made = tuple[list[tuple[Tensor, ...] | None], Mark]
"""The planes of each layer of a new frame, None where they are in its own memory already; and when that is done."""


class _Key(NamedTuple):
    """Of which interpolator; and which frames, at what time between them. A source frame is both, at 0.

    seen: `Picture.seen` of a source frame, which is kept once for each way that it is seen in.
    """

    serial: int
    left: int
    right: int
    time: Fraction | int = 0
    seen: Hashable = None


def _kept_sources() -> int:
    """As many stay cached whatever they weigh: the pairs in the lanes. Frames in progress hold theirs in any case."""
    return 2 * chosen().lanes


cached_sources: Cache[_Key, _Source] = Cache(
    CACHE_BYTES,
    lambda source: max(sum(tensor.nbytes for tensor in source.tensors), CACHE_BYTES // MOST_SOURCES),
    at_least=_kept_sources,
)
_serials = itertools.count(1)


class Interpolator:
    """The frames in between of one clip, whose every frame has one format and size.

    Cached sources belong to this object (under its own serial number) and are dropped by `close`.
    """

    def __init__(
        self, network: BlockNetwork | PreparedLegacyNetwork, width: int, height: int, *, scale: float, ensemble: bool
    ) -> None:
        """Raises ArgumentError for a scale or an ensemble that the network does not take."""
        network.module.check_options(scale=scale, ensemble=ensemble)
        modulus = network.module.modulus(scale)
        canvas = -(-height // modulus) * modulus, -(-width // modulus) * modulus
        self._device = network.device
        self._backend = network.backend
        self._working = choose_working_set(network, canvas, scale=scale)
        self._estimator: MotionEstimator
        if isinstance(network, PreparedLegacyNetwork):
            self._estimator = LegacyEstimator(network, canvas, (height, width), scale=scale, ensemble=ensemble)
        else:
            self._estimator = BlockEstimator(
                network,
                canvas,
                scale=scale,
                ensemble=ensemble,
                band=self._working.band,
                strips=self._working.strips,
            )
        self._serial = next(_serials)
        self._closed = False

    @property
    def device(self) -> torch.device:
        """Where the frames are computed."""
        return self._device

    def interpolate(self, left: Picture, right: Picture, t: Fraction, into: Picture) -> None:
        """Write the frame at time ``t``, 0 < t < 1, between two source frames into the planes of ``into``.

        Its alpha is made too where ``into`` and both sources have one. The caller has entered
        `slots.inference_context`. On return frames in host memory are written and no longer read, also where this
        raises; for frames in GPU memory that is queued, and their owner has been notified.

        Where memory runs out, see `undertake`.
        """
        self.undertake(lambda: self._make(left, right, t, into))
        if self._closed:
            self.close()  # what this frame has put into the cache since

    def undertake[Result](self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns, done in one of the places in which the device works on frames, see `slots.slot`.

        Where memory runs out, caches are emptied and it is called once more; then OutOfMemoryError names what it needs.
        """
        with slot(self._device, self._working.needed):
            return retry_on_oom(work, self._device, self._working.needed, drop_cached)

    def close(self) -> None:
        """Drop what the cache holds for this object. Frames still being computed are not disturbed."""
        self._closed = True
        cached_sources.drop(lambda key: key.serial == self._serial)

    def _make(self, left: Picture, right: Picture, t: Fraction, into: Picture) -> None:
        # What the frame is made of, a middle's endpoints too: the device reads it until the frame is done, and the
        # cache may drop it before.
        used: list[_Source] = []
        try:
            if self._estimator.midpoint_only:
                layers, done = self._copied(self._at(nearest_dyadic(t), left, right, used), into)
            else:
                layers, done = self._new(left, right, t, into, used)
            with downloading(self._device, done):
                if any(planes is not None for planes in layers):
                    # Asleep. The call that copies to a frame's memory returns when it has, and would spin until then.
                    done.wait()
                for layer, planes in zip(into.layers, layers, strict=False):
                    if planes is not None:
                        layer.receive(planes)
                release(self._device, left, right, into)
        except BaseException:
            # Wherever it stopped: nothing may be queued any more that touches host memory, which is let go of next.
            # The owner of leased GPU memory waits for it.
            with capture_lock:
                synchronize(self._device)
            raise

    def _new(self, left: Picture, right: Picture, t: Fraction, into: Picture, used: list[_Source]) -> _Made:
        a, b = self._source(left, used), self._source(right, used)
        with lane(self._device) as held:
            field = self._between(held, a, b, float(t), into)
            # A layer is made where both sources and the new frame have it.
            layers = [
                self.blend(field, into, one, other, target)
                for one, other, target in zip(
                    zip(left.layers, a.layers, strict=True),
                    zip(right.layers, b.layers, strict=True),
                    into.layers,
                    strict=False,
                )
            ]
            return layers, mark(self._device)

    def _copied(self, middle: _Source, into: Picture) -> _Made:
        """As `_new`, of a frame that is there."""
        with lane(self._device) as held:
            middle.follow(held)
            layers = [self._placed(planes, layer) for planes, layer in zip(middle.layers, into.layers, strict=False)]
            return layers, mark(self._device)

    def _placed(self, planes: tuple[Tensor, ...] | None, into: Layer) -> tuple[Tensor, ...] | None:
        """The planes, or None where they could be copied into ``into`` already."""
        assert planes is not None  # those of a middle are always kept
        targets = into.targets_on(self._device)
        if targets is None:
            return planes
        for target, plane in zip(targets, planes, strict=True):
            target.copy_(plane)
        return None

    def _between(self, held: Lane, a: _Source, b: _Source, time: float, picture: Picture) -> Field:
        for source in (a, b):
            source.follow(held)
        field = self.field(held, a.packed, b.packed, time)
        # A refine network that sees a picture by its alpha works on the black that shows through, not on the picture.
        return field.without_residual if picture.see_through else field

    def _at(self, time: Fraction, left: Picture, right: Picture, used: list[_Source]) -> _Source:
        """The source at ``time`` of a pair: 0 and 1 are its frames, what is between them is a middle. It is added to
        ``used``, after those that it is made of if it is made now.
        """
        if time in (0, 1):
            return self._source(right if time else left, used)
        key = _Key(self._serial, left.number, right.number, time)
        source = cached_sources.get(key, lambda: self._middle(time, left, right, used))
        used.append(source)
        return source

    def _source(self, picture: Picture, used: list[_Source]) -> _Source:
        """As `_at`, of a source frame."""
        key = _Key(self._serial, picture.number, picture.number, seen=picture.seen)
        source = cached_sources.get(key, lambda: self._encode(picture))
        used.append(source)
        return source

    def _middle(self, time: Fraction, left: Picture, right: Picture, used: list[_Source]) -> _Source:
        """The frame at ``time``, made as any other is, and kept as a source."""
        # Both before the lane is held: they may need one too, or another thread that makes them.
        a, b = (self._at(each, left, right, used) for each in endpoints(time))
        with lane(self._device) as held:
            field = self._between(held, a, b, 0.5, left)
            layers = tuple(
                PlacedPlanes(self._blended(field, left, one, other))
                for one, other in zip(
                    zip(left.layers, a.layers, strict=False), zip(right.layers, b.layers, strict=False), strict=False
                )
            )
            return _Source(packed=self.pack(left, layers), layers=layers, ready=mark(self._device))

    def _encode(self, picture: Picture) -> _Source:
        with uploading(self._device):
            layers = tuple(PlacedPlanes(layer.planes_on(self._device)) for layer in picture.layers)
            packed = self.pack(picture, layers)
            kept = tuple(
                None if layer.is_on(self._device) else planes
                for layer, planes in zip(picture.layers, layers, strict=True)
            )
            return _Source(packed=packed, layers=kept, ready=mark(self._device))

    def pack(self, picture: Picture, layers: Sequence[Sequence[Tensor]]) -> Tensor:
        """What is kept of a picture for the network, see `MotionEstimator`, from its layers' planes on the device."""
        image, new_source = picture.image, self._estimator.new_source
        packed = self._backend.convert(
            layers[0], image.format, image.colour, width=picture.width, height=picture.height, source=new_source
        )
        picture.show_alpha(packed[:, :RGB], layers)
        return self._estimator.encoded(packed)

    def pack_rgb(self, rgb: Tensor) -> Tensor:
        """The same of float32 RGB [1, 3, h, w] in 0..1 on the device, of this interpolator's size."""
        height, width = rgb.shape[-2:]
        rows, columns = self._estimator.canvas
        return self._estimator.pack(functional.pad(rgb, (0, columns - width, 0, rows - height)))

    def field(self, held: Lane, left: Tensor, right: Tensor, time: float) -> Field:
        """The motion between two packed sources, worked out in the lane ``held`` and valid until it is given back."""
        return self._backend.estimate(held, self._estimator, left, right, time)

    def blend(
        self,
        field: Field,
        picture: Picture,
        left: tuple[Layer, tuple[Tensor, ...] | None],
        right: tuple[Layer, tuple[Tensor, ...] | None],
        into: Layer,
    ) -> tuple[Tensor, ...] | None:
        """The planes of ``into``, made on the device from either layer and its planes there; None in their place: not
        cached. Returns None where they are written already.
        """
        targets = into.targets_on(self._device)
        made = self._blended(field, picture, left, right, targets)
        return made if targets is None else None

    def _blended(
        self,
        field: Field,
        picture: Picture,
        left: tuple[Layer, tuple[Tensor, ...] | None],
        right: tuple[Layer, tuple[Tensor, ...] | None],
        out: tuple[Tensor, ...] | None = None,
    ) -> tuple[Tensor, ...]:
        # What is not cached lies in the memory of the frames themselves, and is read in place.
        a, b = (layer.planes_on(self._device) if cached is None else cached for layer, cached in (left, right))
        return self._backend.synthesize(a, b, field, left[0], width=picture.width, height=picture.height, out=out)


def drop_cached() -> None:
    """Empty the caches of sources and of CUDA graphs; frames in progress keep what they use."""
    cached_sources.drop(lambda _key: True)
    drop_graphs()
