"""Networks that are given both frames whole, the paper's and the 3.x line, run as vsrife.network defines them.

They may answer two pictures to average, and may draw on what warping brings. Those that know the middle alone reach
other times by halving: the frame in the middle becomes a source like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import override

from torch import Tensor

from vsrife.engine.backend.synthesis import Part
from vsrife.engine.estimator import Field
from vsrife.engine.networks import RGB, PreparedLegacyNetwork
from vsrife.engine.packing import Packing
from vsrife.engine.picture import Layer
from vsrife.network.flow_and_mask import FlowAndMask, merged
from vsrife.network.frames import limited
from vsrife.network.legacy.base import Prediction, refined
from vsrife.network.legacy.bisection import bisections

__all__ = ["PairEstimator", "Predicted", "nearest", "parents"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Drawing:
    """What a network draws on a picture: that picture as it sees it, and the same with what it adds.

    before, after: float32 [1, 3, h, w] RGB in 0..1.
    """

    before: Tensor
    after: Tensor


class Predicted(Field):
    """A field that is at the canvas' size already: of a picture, or of several to average, each with its drawing."""

    def __init__(self, pictures: Sequence[tuple[FlowAndMask, Drawing | None]]) -> None:
        super().__init__((), adds_masks=False, band=0, motion=pictures[0][0])
        self._pictures = tuple(pictures)

    @override
    def parts(self, layer: Layer) -> tuple[Part, ...]:
        return tuple(
            Part(motion=motion, added=None if drawing is None else layer.difference(drawing.before, drawing.after))
            for motion, drawing in self._pictures
        )

    @property
    @override
    def undrawn(self) -> "Predicted":
        return Predicted([(motion, None) for motion, _ in self._pictures])


class PairEstimator(Packing):
    """A network of `network.legacy` for canvases of one size. Any number of threads may use it at once.

    canvas: (height, width), multiples of `LegacyNetwork.modulus(scale)`. picture: of the picture on it.
    """

    def __init__(
        self,
        network: PreparedLegacyNetwork,
        canvas: tuple[int, int],
        picture: tuple[int, int],
        *,
        scale: float,
        ensemble: bool,
    ) -> None:
        """Raises ArgumentError for a scale or an ensemble that the network does not take."""
        network.module.check_options(scale=scale, ensemble=ensemble)
        super().__init__(network, canvas)
        self._module = network.module
        self._picture = picture
        self._scale = scale
        self._ensemble = ensemble

    @property
    def halves(self) -> bool:
        """Whether the network knows the middle alone, so that other times are middles of middles."""
        return not self._module.any_time

    def field(self, left: Tensor, right: Tensor, time: float) -> Field:
        """The frame at ``time`` between two packed sources."""
        pair = left[:, :RGB], right[:, :RGB]
        predictions = self._module.interpolate(*pair, time, scale=self._scale, ensemble=self._ensemble)
        return Predicted([(each.motion, self._drawing(*pair, each)) for each in predictions])

    def _drawing(self, left: Tensor, right: Tensor, prediction: Prediction) -> Drawing | None:
        if prediction.residual is None:
            return None
        # Merged like the planes, which know nothing of the canvas' black: outside the picture is its edge.
        height, width = self._picture
        left, right, flow, mask, residual = (
            each[..., :height, :width]
            for each in (left, right, prediction.motion.flow, prediction.motion.mask, prediction.residual)
        )
        before = merged(limited(left), limited(right), FlowAndMask(flow=flow, mask=mask))
        return Drawing(before=before, after=refined(before, residual))


def nearest(t: Fraction) -> Fraction:
    """The time of the middle that stands for the frame at ``t``, 0 < t < 1, see `bisections`."""
    return bisections(t)[-1].middle


def parents(middle: Fraction) -> tuple[Fraction, Fraction]:
    """The times of the two frames whose middle is at ``middle``, an odd number over a power of two."""
    step = Fraction(1, middle.denominator)
    return middle - step, middle + step
