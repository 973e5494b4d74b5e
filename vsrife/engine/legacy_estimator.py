"""The networks before 4.0, the paper's and the 3.x line, run as vsrife.network.legacy defines them.

They may predict two pictures to average, and their refine networks may add to what warping gives. Those that predict
the middle alone reach other times by bisection: the frame in the middle becomes a source like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import override

from torch import Tensor

from vsrife.engine.backend.synthesis import Part
from vsrife.engine.field import Field
from vsrife.engine.motion_estimator import MotionEstimator
from vsrife.engine.networks import RGB, PreparedLegacyNetwork
from vsrife.engine.picture import Layer
from vsrife.network.flow_and_mask import FlowAndMask, merged
from vsrife.network.frames import limited
from vsrife.network.legacy.base import Prediction, refined
from vsrife.network.legacy.bisection import bisections

__all__ = ["LegacyEstimator", "endpoints", "nearest_dyadic"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RefineResidual:
    """What a refine network adds to a picture: that picture as the network sees it, and the same with what it adds.

    before, after: float32 [1, 3, h, w] RGB in 0..1.
    """

    before: Tensor
    after: Tensor


class Predicted(Field):
    """A field that is at the canvas' size already: of a picture, or of several to average, each with its residual."""

    def __init__(self, pictures: Sequence[tuple[FlowAndMask, RefineResidual | None]]) -> None:
        super().__init__((), adds_masks=False, band=0, motion=pictures[0][0])
        self._pictures = tuple(pictures)

    @override
    def parts(self, layer: Layer) -> tuple[Part, ...]:
        return tuple(Part(motion=motion, added=_added(residual, layer)) for motion, residual in self._pictures)

    @property
    @override
    def without_residual(self) -> "Predicted":
        return Predicted([(motion, None) for motion, _ in self._pictures])


def _added(residual: RefineResidual | None, layer: Layer) -> Tensor | None:
    """What a refine network adds to planes like those of ``layer``; nothing to transparency, which is no colour."""
    if residual is None or layer.is_alpha:
        return None
    return layer.difference(residual.before, residual.after)


class LegacyEstimator(MotionEstimator):
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
    @override
    def midpoint_only(self) -> bool:
        return not self._module.any_time

    @override
    def field(self, left: Tensor, right: Tensor, time: float) -> Field:
        """The frame at ``time`` between two packed sources."""
        pair = left[:, :RGB], right[:, :RGB]
        predictions = self._module.interpolate(*pair, time, scale=self._scale, ensemble=self._ensemble)
        return Predicted([(each.motion, self._residual(*pair, each)) for each in predictions])

    def _residual(self, left: Tensor, right: Tensor, prediction: Prediction) -> RefineResidual | None:
        if prediction.residual is None:
            return None
        # Merged as the planes are, whose edge is that of the picture, not the black padding of the canvas.
        height, width = self._picture
        left, right, flow, mask, residual = (
            each[..., :height, :width]
            for each in (left, right, prediction.motion.flow, prediction.motion.mask, prediction.residual)
        )
        before = merged(limited(left), limited(right), FlowAndMask(flow=flow, mask=mask))
        return RefineResidual(before=before, after=refined(before, residual))


def nearest_dyadic(t: Fraction) -> Fraction:
    """The time of the middle that stands for the frame at ``t``, 0 < t < 1, see `bisections`."""
    return bisections(t)[-1].middle


def endpoints(middle: Fraction) -> tuple[Fraction, Fraction]:
    """The times of the two frames whose middle is at ``middle``, an odd number over a power of two."""
    step = Fraction(1, middle.denominator)
    return middle - step, middle + step
