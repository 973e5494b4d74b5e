"""Any time by bisection."""

from fractions import Fraction

import pytest

from vsrife.network.legacy.bisection import bisections


@pytest.mark.parametrize("denominator", [2, 4, 8, 64])
def test_powers_of_two_are_met_exactly(denominator):
    for numerator in range(1, denominator):
        runs = bisections(Fraction(numerator, denominator))
        assert runs[-1].middle == Fraction(numerator, denominator)


def test_every_time_is_met_within_the_bound_in_six_runs_of_frames_that_are_there():
    for numerator in range(1, 1001):
        t = Fraction(numerator, 1001)
        runs = bisections(t)
        assert abs(runs[-1].middle - t) < Fraction(1, 64)
        assert len(runs) <= 6
        there = {Fraction(0), Fraction(1)}
        for low, middle, high in runs:
            assert {low, high} <= there
            assert middle == (low + high) / 2
            there.add(middle)
