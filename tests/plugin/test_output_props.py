"""`interpolated_time`. How properties are written is in test_vsapi.py, which values they get in test_filter.py."""

from fractions import Fraction

import pytest

from vsrife.plugin.output_props import interpolated_time

HALF, SECOND = Fraction(1, 2), Fraction(1)


@pytest.mark.parametrize(
    ("left", "right", "t", "left_duration", "expected"),
    [
        (10.0, 14.0, HALF, SECOND, 12.0),  # the times count, not the duration
        (10.0, None, HALF, SECOND, 10.5),
        (10.0, None, HALF, None, None),
        (None, 14.0, HALF, SECOND, None),
        (10.0, 14.0, Fraction(0), SECOND, None),  # a source frame keeps its own time
        (14.0, 10.0, Fraction(1, 4), SECOND, 13.0),  # a clip that was reversed
    ],
)
def test_time_between_two_frames(left, right, t, left_duration, expected):
    assert interpolated_time(left, right, t, left_duration) == expected
