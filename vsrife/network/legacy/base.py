"""The interface of the networks before 4.0: two frames in, a prediction for each frame to be averaged out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

import torch
from torch import Tensor, nn

from vsrife.errors import ArgumentError
from vsrife.network.flow_and_mask import FlowAndMask, merged
from vsrife.network.frames import check_canvas, check_scale, limited
from vsrife.network.legacy.architecture import PaperArchitecture, V3Architecture
from vsrife.network.legacy.bisection import bisections

__all__ = ["MIDDLE", "LegacyNetwork", "Prediction", "refined", "turned"]

MIDDLE = 0.5


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prediction:
    """What one frame is made of.

    motion: flow and mask on the canvas of the two frames.
    residual: float32 [N, 3, H, W] RGB in -1..1 to add to the merged picture, which is then limited to 0..1; None where
        the network has no refine step.
    """

    motion: FlowAndMask
    residual: Tensor | None = None

    def turned(self) -> Self:
        """The prediction for both frames turned by 180 degrees (flipped both ways)."""
        motion = FlowAndMask(flow=-turned(self.motion.flow), mask=turned(self.motion.mask))
        return type(self)(motion=motion, residual=None if self.residual is None else turned(self.residual))


def turned(frame: Tensor) -> Tensor:
    """[..., H, W] turned by 180 degrees."""
    return frame.flip(-2, -1)


def refined(picture: Tensor, residual: Tensor | None) -> Tensor:
    """A merged frame plus the residual of a refine network, limited to 0..1; the frame itself where that is None."""
    return picture if residual is None else (picture + residual).clamp(0.0, 1.0)


class LegacyNetwork(nn.Module, ABC):
    """A network that takes both frames whole: nothing can be computed of one frame without the other.

    Frames are float32 [N, 3, H, W] RGB, limited to 0..1 here, on a canvas whose H and W are multiples of
    ``modulus(scale)``; zeros on the right and at the bottom bring a frame to that size. Convolutions run in the dtype
    of the weights; flow, mask, residual and every sample are float32.

    architecture: the hyperparameters it was built from.
    any_time: whether `interpolate` takes any time; else 0.5 only, and other times are reached by `bisections`.
    ensemble_refused: None where ``ensemble=True`` is taken, else why not, as the end of a sentence.
    """

    architecture: PaperArchitecture | V3Architecture
    any_time: bool = False
    ensemble_refused: str | None = None

    @property
    def supports_ensemble(self) -> bool:
        """Whether `interpolate` takes ``ensemble=True``."""
        return self.ensemble_refused is None

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights, which the convolutions run in."""
        return next(self.parameters()).dtype

    def modulus(self, scale: float = 1.0) -> int:
        """The number that a canvas' width and height must be multiples of at the user's ``scale``."""
        return self.architecture.modulus(scale)

    @abstractmethod
    def predictions(
        self, left: Tensor, right: Tensor, t: float | Tensor, *, scale: float, ensemble: bool
    ) -> tuple[Prediction, ...]:
        """`interpolate` without its checks; frames are limited already."""

    def interpolate(
        self,
        left: Tensor,
        right: Tensor,
        t: float | Tensor = MIDDLE,
        *,
        scale: float = 1.0,
        ensemble: bool = False,
    ) -> tuple[Prediction, ...]:
        """The predictions whose frames, averaged with equal weight, are the frame at time ``t``: one, or two of an
        ensemble that averages frames. `picture` makes that frame in RGB.

        t: 0 is left, 1 is right; a number or a tensor [N] or [N, 1, 1, 1].
        Raises ArgumentError for a canvas, a time, a scale or an ensemble that this network does not take. The inputs
        are not modified.
        """
        self.check_options(scale=scale, ensemble=ensemble)
        self.check_pair(left, right, t, scale=scale)
        return self.predictions(limited(left), limited(right), t, scale=scale, ensemble=ensemble)

    def picture(self, left: Tensor, right: Tensor, predictions: Sequence[Prediction]) -> Tensor:
        """The frame that ``predictions`` describe, float32 [N, 3, H, W] in 0..1: the reference for a clip of RGB."""
        left, right = limited(left), limited(right)
        pictures = [refined(merged(left, right, each.motion), each.residual) for each in predictions]
        return torch.stack(pictures).mean(0)

    def frame(
        self, left: Tensor, right: Tensor, t: Fraction | float, *, scale: float = 1.0, ensemble: bool = False
    ) -> Tensor:
        """The frame at any time 0 < t < 1, as `picture` gives it.

        A network that makes the middle frame only makes every frame of `bisections` and returns the last.
        """
        if self.any_time:
            return self.picture(left, right, self.interpolate(left, right, float(t), scale=scale, ensemble=ensemble))
        frames = {Fraction(0): left, Fraction(1): right}
        runs = bisections(t)
        for run in runs:
            pair = frames[run.low], frames[run.high]
            frames[run.middle] = self.picture(*pair, self.interpolate(*pair, scale=scale, ensemble=ensemble))
        return frames[runs[-1].middle]

    def check_options(self, *, scale: float, ensemble: bool) -> None:
        """Raise ArgumentError for a ``scale`` that is not one of USER_SCALES, or an unsupported ``ensemble``."""
        check_scale(scale)
        if ensemble and self.ensemble_refused is not None:
            raise ArgumentError(f"ensemble (1) must be 0 for this model: {self.ensemble_refused}")

    def check_pair(self, left: Tensor, right: Tensor, t: float | Tensor, *, scale: float) -> None:
        """Raise ArgumentError for a canvas or a time that this network does not take."""
        check_canvas(left, right, modulus=self.modulus(scale), scale=scale)
        if not self.any_time and not bool((torch.as_tensor(t) == MIDDLE).all()):
            raise ArgumentError(
                f"t ({t}) must be 0.5 for this model, which makes the middle frame only; bisect the interval"
            )
