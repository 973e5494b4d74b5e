"""Source frames without a duration, and what the log says of them."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest

from vsrife.plugin.source_durations import MissingDurations

F = Fraction
EVEN, UNEVEN = F(1, 25), F(1, 20)


@pytest.mark.parametrize(
    ("fps", "lengths", "told_at"),
    [
        (F(25), [UNEVEN, None, None, None, None, UNEVEN], 3),
        (F(25), [None, None, None, EVEN, UNEVEN, None], 4),  # in whatever order frames are asked for
        (F(25), [None, EVEN, None, EVEN, None, EVEN], None),  # a constant rate: 1 / fps is right
        (F(25), [UNEVEN, None, EVEN, UNEVEN, None, UNEVEN], None),  # the ends of two files, joined
        (F(25), [UNEVEN, EVEN, UNEVEN], None),
        (None, [None, EVEN, None, None, None], 3),
        (None, [EVEN, UNEVEN, None, None], None),
        (F(24000, 1001), [None, None, None, F(1001, 24000), F(1001, 24000)], None),
        (F(25), [None] * 6, None),
    ],
)
def test_many_missing_durations_are_told_of_once(fps, lengths, told_at):
    missing = MissingDurations(fps)
    told = [bool(missing.see(frame, length)) for frame, length in enumerate(lengths)]
    assert told == [frame == told_at for frame in range(len(lengths))]
    if told_at is not None:
        assert not any(missing.see(frame, length) for frame, length in enumerate(lengths))


def test_one_missing_duration_that_is_seen_often_is_one():
    missing = MissingDurations(F(25))
    assert not missing.see(0, UNEVEN)
    assert not any(missing.see(7, None) for _ in range(20))


def test_what_is_told_of_missing_durations():
    known, unknown = MissingDurations(F(24000, 1001)), MissingDurations(None)
    known.see(9, UNEVEN)
    lack = "many frames of the clip have no duration (_DurationNum, _DurationDen)"
    assert [known.see(frame, None) for frame in range(3)][2] == (
        f"{lack}, though its rate varies: each of them counts as 1001/24000 s, from the average rate, and "
        "sound may drift"
    )
    assert [unknown.see(frame, None) for frame in range(3)][2] == (
        f"{lack}, and it has no frame rate, so output frames made from them have no duration either"
    )


def test_missing_durations_are_told_of_by_one_thread_of_many():
    for _ in range(20):
        missing = MissingDurations(None)
        with ThreadPoolExecutor(8) as pool:
            lines = list(pool.map(lambda frame, seen=missing: seen.see(frame, None), range(64)))
        assert len([line for line in lines if line]) == 1
