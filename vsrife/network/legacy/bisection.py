"""Any time from a network that knows the middle alone: halve the interval until its middle is near enough."""

from fractions import Fraction
from typing import NamedTuple

__all__ = ["TIME_TOLERANCE", "Bisection", "bisections"]

TIME_TOLERANCE = Fraction(1, 64)
"""How far a made frame's time may be from the one asked for: less than this. At most six bisections get there, and
64ths (so 2x, 4x ... 64x) are met exactly."""


class Bisection(NamedTuple):
    """One run of the network: the frames at ``low`` and ``high`` give the one at ``middle``, (low + high) / 2."""

    low: Fraction
    middle: Fraction
    high: Fraction


def bisections(t: Fraction | float, within: Fraction = TIME_TOLERANCE) -> tuple[Bisection, ...]:
    """The runs, in their order, that make the frame at time ``t``, 0 < t < 1; the last one's middle is the answer.

    The sources are at 0 and 1; every other end is the middle of an earlier run, mostly of the one before, and no frame
    is needed that no run makes. The last middle is less than ``within`` (above 0) from ``t``.
    """
    wanted = Fraction(t)
    low, high = Fraction(0), Fraction(1)
    runs = []
    while True:
        middle = (low + high) / 2
        runs.append(Bisection(low, middle, high))
        if abs(middle - wanted) < within:
            return tuple(runs)
        low, high = (low, middle) if wanted < middle else (middle, high)
