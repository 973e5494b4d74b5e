"""Two source frames and a time in; the planes of the frame in between out.

A source frame is converted, padded and encoded once, and kept in a bounded cache of the process. The network answers a
motion for each (left, right, t); synthesis then warps and blends the clip's own planes. A network that knows the middle
alone makes other times from middles, which are kept like sources: its 4x is 2x of 2x, to the bit. Nothing here knows
VapourSynth.
"""

import itertools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vsrife.choices import chosen
from vsrife.engine.backend.cuda import sampler
from vsrife.engine.backend.cuda.graphs import drop_all as drop_graphs
from vsrife.engine.backend.cuda.graphs import field_in
from vsrife.engine.backend.cuda.kernels import PlacedPlanes
from vsrife.engine.backend.synthesis import synthesize_mean
from vsrife.engine.cache import Cache
from vsrife.engine.device import slot
from vsrife.engine.estimator import Estimator, Field
from vsrife.engine.memory import plan, quiesce, twice
from vsrife.engine.networks import RGB, BlockNetwork, WholeNetwork
from vsrife.engine.pairs import PairEstimator, nearest, parents
from vsrife.engine.picture import Layer, Picture, settle
from vsrife.engine.streams import Lane, Mark, downloading, lane, mark, undisturbed, uploading

__all__ = ["Interpolator"]

CACHE_BYTES = 1 << 30
"""Memory of all cached source frames of the process. Fixed: what happens to be free must not change what is done."""

MOST_SOURCES = 32
"""Of small frames no more are kept than these: nobody asks for an older one again but by a jump back."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Source:
    """What the cache keeps of a source frame, or of a middle, all on the device and none of it VapourSynth's memory.

    packed: RGB on the canvas and what the network's encoder made of it, see `Packing`.
    planes, alpha: the native planes; None where the frame's own are read in place.
    ready: when all that is written.
    """

    packed: Tensor
    planes: PlacedPlanes | None
    alpha: PlacedPlanes | None
    ready: Mark

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.packed, *(self.planes or ()), *(self.alpha or ())

    def follow(self, held: Lane) -> None:
        """Let the lane's stream read this from now on."""
        self.ready.follow()
        if held.stream is not None:
            for tensor in self.tensors:
                tensor.record_stream(held.stream)


_Made = tuple[tuple[Tensor, ...] | None, tuple[Tensor, ...] | None, Mark]


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


_sources: Cache[_Key, _Source] = Cache(
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
        self, network: BlockNetwork | WholeNetwork, width: int, height: int, *, scale: float, ensemble: bool
    ) -> None:
        """Raises ArgumentError for a scale or an ensemble that the network does not take."""
        network.module.check_options(scale=scale, ensemble=ensemble)
        modulus = network.module.modulus(scale)
        canvas = -(-height // modulus) * modulus, -(-width // modulus) * modulus
        self._device = network.device
        self._kernels = network.kernels
        self._working = plan(network, canvas, scale=scale)
        self._estimator: Estimator | PairEstimator
        if isinstance(network, WholeNetwork):
            self._estimator = PairEstimator(network, canvas, (height, width), scale=scale, ensemble=ensemble)
        else:
            self._estimator = Estimator(
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

        Its alpha is made too where ``into`` and both sources have one. The caller has entered `device.computing`. On
        return frames in host memory are written and no longer read, also where this raises; for frames in GPU memory
        that is queued, and their owner has been told.

        Where memory runs out, see `undertake`.
        """
        self.undertake(lambda: self._make(left, right, t, into))
        if self._closed:
            self.close()  # what this frame has put into the cache since

    def undertake[Result](self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns, done in one of the places in which the device works on frames, see `device.slot`.

        Where memory runs out, caches are emptied and it is called once more; then OutOfMemoryError says what it needs.
        """
        with slot(self._device, self._working.needed):
            return twice(work, self._device, self._working.needed, _drop_all)

    def close(self) -> None:
        """Drop what the cache holds for this object. Frames still being computed are not disturbed."""
        self._closed = True
        _sources.drop(lambda key: key.serial == self._serial)

    def _make(self, left: Picture, right: Picture, t: Fraction, into: Picture) -> None:
        # What the frame is made of, a middle's parents too: the device reads it until the frame is done, and the cache
        # may drop it before.
        used: list[_Source] = []
        try:
            if isinstance(self._estimator, PairEstimator) and self._estimator.halves:
                made, made_alpha, done = self._copied(self._at(nearest(t), left, right, used), into)
            else:
                made, made_alpha, done = self._new(left, right, t, into, used)
            with downloading(self._device, done):
                if made is not None or made_alpha is not None:
                    # Asleep. The call that copies to a frame's memory returns when it has, and would spin until then.
                    done.wait()
                if made is not None:
                    into.layer.receive(made)
                if into.alpha is not None and made_alpha is not None:
                    into.alpha.receive(made_alpha)
                settle(self._device, left, right, into)
        except BaseException:
            # Wherever it stopped: nothing may be queued any more that touches host memory, which is let go of next.
            # Whoever lent GPU memory waits for it.
            with undisturbed:
                quiesce(self._device)
            raise

    def _new(self, left: Picture, right: Picture, t: Fraction, into: Picture, used: list[_Source]) -> _Made:
        """The planes of the frame at ``t`` and of its alpha, None where they are written already or there are none, and
        when that is done.
        """
        a, b = self._source(left, used), self._source(right, used)
        with lane(self._device) as held:
            field = self._between(held, a, b, float(t), into)
            made = self.blend(field, into, (left.layer, a.planes), (right.layer, b.planes), into.layer)
            made_alpha = None
            if into.alpha is not None and left.alpha is not None and right.alpha is not None:
                made_alpha = self.blend(field.undrawn, into, (left.alpha, a.alpha), (right.alpha, b.alpha), into.alpha)
            return made, made_alpha, mark(self._device)

    def _copied(self, middle: _Source, into: Picture) -> _Made:
        """As `_new`, of a frame that is there."""
        assert middle.planes is not None
        with lane(self._device) as held:
            middle.follow(held)
            made = self._placed(middle.planes, into.layer)
            made_alpha = None
            if into.alpha is not None and middle.alpha is not None:
                made_alpha = self._placed(middle.alpha, into.alpha)
            return made, made_alpha, mark(self._device)

    def _placed(self, planes: tuple[Tensor, ...], into: Layer) -> tuple[Tensor, ...] | None:
        """The planes, or None where they could be copied into ``into`` already."""
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
        # What is drawn on a picture that is seen by its alpha is drawn for the black that shows through.
        return field.undrawn if picture.see_through else field

    def _at(self, time: Fraction, left: Picture, right: Picture, used: list[_Source]) -> _Source:
        """The source at ``time`` of a pair: 0 and 1 are its frames, what is between them is a middle. It is added to
        ``used``, after those that it is made of if it is made now.
        """
        if time in (0, 1):
            return self._source(right if time else left, used)
        key = _Key(self._serial, left.number, right.number, time)
        source = _sources.get(key, lambda: self._middle(time, left, right, used))
        used.append(source)
        return source

    def _source(self, picture: Picture, used: list[_Source]) -> _Source:
        """As `_at`, of a source frame."""
        key = _Key(self._serial, picture.number, picture.number, seen=picture.seen)
        source = _sources.get(key, lambda: self._encode(picture))
        used.append(source)
        return source

    def _middle(self, time: Fraction, left: Picture, right: Picture, used: list[_Source]) -> _Source:
        """The frame at ``time``, made as any other is, and kept as a source."""
        # Both before the lane is held: they may need one too, or another thread that makes them.
        a, b = (self._at(each, left, right, used) for each in parents(time))
        with lane(self._device) as held:
            field = self._between(held, a, b, 0.5, left)
            planes = self._blended(field, left, (left.layer, a.planes), (right.layer, b.planes))
            alpha = None
            if left.alpha is not None and right.alpha is not None:
                alpha = PlacedPlanes(self._blended(field.undrawn, left, (left.alpha, a.alpha), (right.alpha, b.alpha)))
            return _Source(
                packed=self.pack(left, planes, alpha),
                planes=PlacedPlanes(planes),
                alpha=alpha,
                ready=mark(self._device),
            )

    def _encode(self, picture: Picture) -> _Source:
        with uploading(self._device):
            planes = PlacedPlanes(picture.layer.planes_on(self._device))
            alpha = PlacedPlanes(picture.alpha.planes_on(self._device)) if picture.alpha else None
            packed = self.pack(picture, planes, alpha)
            return _Source(
                packed=packed,
                planes=None if picture.layer.lent(self._device) else planes,
                alpha=None if picture.alpha is None or picture.alpha.lent(self._device) else alpha,
                ready=mark(self._device),
            )

    def pack(self, picture: Picture, planes: tuple[Tensor, ...], alpha: tuple[Tensor, ...] | None = None) -> Tensor:
        """What is kept of a picture, see `Estimator.pack`, from its planes and those of its alpha on the device."""
        if self._kernels is None:
            rgb = picture.rgb(planes, self._estimator.canvas)
            picture.show_alpha(rgb, alpha)
            return self._estimator.pack(rgb)
        packed = self._estimator.new_source()
        layer = picture.layer
        self._kernels.convert(
            planes, layer.format, layer.colour, width=picture.width, height=picture.height, out=packed
        )
        picture.show_alpha(packed[:, :RGB], alpha)
        return self._estimator.encoded(packed)

    def pack_rgb(self, rgb: Tensor) -> Tensor:
        """The same of float32 RGB [1, 3, h, w] in 0..1 on the device, of this interpolator's size."""
        height, width = rgb.shape[-2:]
        rows, columns = self._estimator.canvas
        return self._estimator.pack(functional.pad(rgb, (0, columns - width, 0, rows - height)))

    def field(self, held: Lane, left: Tensor, right: Tensor, time: float) -> Field:
        """The motion between two packed sources, worked out in the lane ``held`` and valid until it is given back."""
        estimator = self._estimator
        if isinstance(estimator, PairEstimator) or self._kernels is None or estimator.plain:
            return estimator.field(left, right, time)
        return field_in(held, estimator, self._kernels, left, right, time)

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
        layer = left[0]
        fmt, chroma = layer.format, layer.colour.chroma
        size = {"width": picture.width, "height": picture.height}
        if self._kernels is None or not field.has_levels:
            return tuple(synthesize_mean(a, b, field.parts(layer), fmt, chroma=chroma, **size, out=out))
        made = tuple(torch.empty_like(plane) for plane in a) if out is None else out
        sampler.synthesize(self._kernels, a, b, field, fmt, chroma=chroma, **size, out=made)
        return made


def _drop_all() -> None:
    _sources.drop(lambda _key: True)
    drop_graphs()
