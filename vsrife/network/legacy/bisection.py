"""Any time from a network that makes middle frames only: bisect the interval until a middle is near enough."""

from fractions import Fraction
from typing import NamedTuple

__all__ = ["TIME_TOLERANCE", "Bisection", "bisections"]

TIME_TOLERANCE = Fraction(1, 64)
"""The time of the frame differs from the requested one by less than this. At most six bisections are needed, and
multiples of 1/64 (so 2x, 4x ... 64x) are exact."""


class Bisection(NamedTuple):
    """One run of the network: the frames at ``low`` and ``high`` give the one at ``middle``, (low + high) / 2."""

    low: Fraction
    middle: Fraction
    high: Fraction


def bisections(t: Fraction | float, within: Fraction = TIME_TOLERANCE) -> tuple[Bisection, ...]:
    """The runs, in order, that make the frame at time ``t``, 0 < t < 1: the middle of the last one.

    The sources are at 0 and 1; every other end of an interval is the middle of an earlier run. The last middle is less
    than ``within`` (above 0) from ``t``.
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
