"""Held drawings found from differences of pairs: which frames are asked for, and that each pair is measured once."""

from fractions import Fraction

from vsrife.scene.held_drawings import HeldDrawings
from vsrife.scene.retiming import longest_run, window

TWOS = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
"""Which drawing each source frame shows."""


def drawings_of(frames, measured):
    def difference(left, right):
        measured.append((left, right))
        return 0.0 if left[1] == right[1] else 0.05

    sources = dict(enumerate((number, drawing) for number, drawing in enumerate(frames)))
    return HeldDrawings(difference, len(frames), Fraction(24)), sources


def test_a_clip_on_twos():
    measured = []
    drawings, sources = drawings_of(TWOS, measured)
    runs = [drawings.at(frame, sources) for frame in range(len(TWOS))]
    assert all(missing == frozenset() for missing, _ in runs)
    assert [(run.first, run.after) for _, run in runs[2:8]] == [(2, 4), (2, 4), (4, 6), (4, 6), (6, 8), (6, 8)]
    assert len(measured) == len(set(measured)) <= len(TWOS) - 1


def test_frames_that_are_missing_are_named_and_nothing_is_told_before():
    measured = []
    drawings, sources = drawings_of(TWOS, measured)
    missing, run = drawings.at(5, {})
    pairs = window(5, longest_run(Fraction(24)), len(TWOS))
    assert missing == {*pairs, *(pair + 1 for pair in pairs)}
    assert run is None
    assert measured == []
    missing, run = drawings.at(5, {index: sources[index] for index in missing})
    assert (missing, run.first, run.after) == (frozenset(), 4, 6)


def test_a_clip_that_moves_in_every_frame_has_no_runs():
    drawings, sources = drawings_of(list(range(12)), [])
    assert all(drawings.at(frame, sources) == (frozenset(), None) for frame in range(12))


def test_the_order_of_requests_changes_nothing():
    forward, sources = drawings_of(TWOS, [])
    backward, _ = drawings_of(TWOS, [])
    expected = {frame: forward.at(frame, sources) for frame in range(len(TWOS))}
    assert {frame: backward.at(frame, sources) for frame in reversed(range(len(TWOS)))} == expected
