"""Durations of 32 bits. tests/plugin/test_timing.py has the rules of rounding, on whole clips."""

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrife.plugin.durations import MAX_INT32, fit_duration

F = Fraction


@settings(deadline=None, max_examples=120)
@given(st.fractions(min_value=F(1, 10**12), max_value=10**12, max_denominator=10**15))
def test_fit_duration(seconds):
    fitted = fit_duration(seconds)
    assert 1 <= fitted.numerator <= MAX_INT32
    assert fitted.denominator <= MAX_INT32
    if seconds.numerator <= MAX_INT32 and seconds.denominator <= MAX_INT32:
        assert fitted == seconds
    elif seconds >= MAX_INT32 - 1:
        assert fitted == MAX_INT32 - 1
    elif seconds * 2 * MAX_INT32 >= 1:
        assert abs(fitted - seconds) <= F(1, 2 * floor((MAX_INT32 - 1) / max(seconds, F(1))))
    else:
        assert fitted == F(1, MAX_INT32)


@pytest.mark.parametrize("seconds", [F(1, MAX_INT32), F(MAX_INT32 - 1, MAX_INT32), F(MAX_INT32)])
def test_what_fits_to_the_last_bit_stays(seconds):
    assert fit_duration(seconds) == seconds
