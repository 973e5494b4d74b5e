from fractions import Fraction
from itertools import pairwise
from math import ceil, floor, lcm

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrife.errors import ArgumentError
from vsrife.plugin.durations import MAX_INT32
from vsrife.plugin.timing import ENDLESS_FRAMES, MAX_FRAMES, FrameTiming, simple_ratio

F = Fraction
relaxed = settings(deadline=None, max_examples=120)

RATIOS = [F(2), F(5, 2), F(1001, 400), F(1), F(6, 5), F(3), F(1, 2), F(2, 5), F(2, 3), F(400, 1001), F(1251249, 500000)]
PLAYER_FRAMES = 2**27 - 1

ratios = st.one_of(
    st.sampled_from(RATIOS),
    st.builds(F, st.integers(1, 60), st.integers(1, 30)),
    st.builds(F, st.integers(1, 3000), st.integers(1, 3000)).filter(lambda r: F(1, 8) <= r <= 50),
)
lengths = st.integers(1, 40)


def timelines(**options):
    return st.builds(lambda ratio, frames: FrameTiming(ratio=ratio, source_frames=frames, **options), ratios, lengths)


def durations(timing, source):
    return [timing.duration(n, source.__getitem__) for n in range(timing.length)]


# Positions


@pytest.mark.parametrize(
    ("ratio", "frames", "length"),
    [
        (F(2), 1, 2),
        (F(2), 2, 4),
        (F(5, 2), 3, 8),
        (F(1001, 400), 24, 61),
        (F(1, 2), 5, 3),
        (F(1, 10), 3, 1),
        (F(1), 7, 7),
    ],
)
def test_length_is_rounded_up(ratio, frames, length):
    assert FrameTiming(ratio=ratio, source_frames=frames).length == length


@pytest.mark.parametrize(
    ("rate", "target", "expected"),
    [
        (F(24000, 1001), F(60), [(0, F(0)), (0, F(400, 1001)), (0, F(800, 1001)), (1, F(199, 1001))]),
        (F(50), F(60), [(0, F(0)), (0, F(5, 6)), (1, F(2, 3)), (2, F(1, 2)), (3, F(1, 3)), (4, F(1, 6)), (5, F(0))]),
        (F(60), F(24), [(0, F(0)), (2, F(1, 2)), (5, F(0)), (7, F(1, 2))]),
    ],
)
def test_what_the_first_outputs_show(rate, target, expected):
    timing = FrameTiming(ratio=target / rate, source_frames=100, fps=rate)
    moments = [timing.at(n) for n in range(len(expected))]
    assert [(m.left, m.t) for m in moments] == expected
    assert [m.right for m in moments] == [None if t == 0 else left + 1 for left, t in expected]
    assert timing.output_fps == target.as_integer_ratio()


def test_the_tail_holds_the_last_frame():
    timing = FrameTiming(ratio=F(5, 2), source_frames=2)
    assert [(m.left, m.right, m.after_end) for m in map(timing.at, range(5))] == [
        (0, None, False),
        (0, 1, False),
        (0, 1, False),
        (1, None, True),
        (1, None, True),
    ]


@relaxed
@given(timelines())
def test_moments_are_the_exact_positions(timing):
    for n in range(timing.length):
        moment = timing.at(n)
        assert moment.left + moment.t == timing.position(n) == n / timing.ratio
        assert 0 <= moment.t < 1
        assert 0 <= moment.left < timing.source_frames
        assert moment.right in (None, moment.left + 1)
        assert (moment.right is not None) == (moment.t > 0 and moment.left + 1 < timing.source_frames)
        assert moment.after_end == (moment.t > 0 and moment.left + 1 == timing.source_frames)
    assert timing.position(timing.length) >= timing.source_frames


# Ratios of rounded rates

ROUNDED = [
    (F(int(47.952048 * 1e8), int(23.976023 * 1e8)), F(2)),
    (F("2.0000001"), F(2)),
    (F("1.9999999"), F(2)),
    (F("59.94") / F(24000, 1001), F(5, 2)),
    (F("23.976") / F(24000, 1001), F(1)),
    (F(60000, 1001) / F("119.88012"), F(1, 2)),
    (F(60) / F(23.976023976023978), F(1001, 400)),
    (F(float(F(24000, 1001))) / F(60), F(400, 1001)),
]


@pytest.mark.parametrize(("ratio", "simple"), ROUNDED)
def test_a_ratio_of_rounded_rates_is_the_simple_one_that_it_stands_for(ratio, simple):
    for frames in (1, 2, 3, 7, 50, 2000, None):
        assert simple_ratio(ratio, frames) == simple
    timing = FrameTiming(ratio=simple, requested_ratio=ratio, source_frames=50, fps=F(24))
    assert timing.output_fps == (24 * ratio).as_integer_ratio()


@pytest.mark.parametrize("ratio", [ratio for ratio, _ in ROUNDED])
def test_over_a_clip_that_is_too_long_for_it_time_stays_true(ratio):
    for frames in (10, 10**3, 10**5, 10**6, 10**7):
        simple = simple_ratio(ratio, frames)
        assert abs(frames * simple - frames * ratio) <= 1
    assert simple_ratio(ratio, ceil(1 / abs(simple_ratio(ratio, 1) - ratio)) + 1) == ratio


def test_usual_ratios_are_meant_as_they_are():
    rates = [F(r, d) for r in (10000, 12000, 15000, 24000, 25000, 30000, 48000, 50000, 60000) for d in (1000, 1001)]
    targets = [F(r, d) for r in (72000, 75000, 90000, 100000, 120000, 144000, 165000, 240000) for d in (1000, 1001)]
    for rate in rates:
        for target in rates + targets:
            assert simple_ratio(target / rate, 100) == target / rate
    for num in range(1, 5000, 7):
        assert simple_ratio(F(num, 997), 2) == F(num, 997)
    assert simple_ratio(F(2501, 1000), 2) == F(2501, 1000)
    assert simple_ratio(F(10**7 + 1), 2) == 10**7 + 1
    assert simple_ratio(F(1, 10**7 + 1), 2) == F(1, 10**7 + 1)
    assert simple_ratio(F("2.00003"), 2) == F("2.00003")


# Bounds


def test_too_long_names_both_arguments_and_the_largest_multi():
    with pytest.raises(ArgumentError) as caught:
        FrameTiming(ratio=F(3_000_000), source_frames=1000, cause="multi (3000000)")
    assert str(caught.value) == (
        "multi (3000000) and clip (1000 frames) must make at most 2147483647 frames, not 3000000000; trim the clip or "
        "pass multi=2147483 or less"
    )
    assert FrameTiming(ratio=F(2147483), source_frames=1000).length <= MAX_FRAMES
    assert FrameTiming(ratio=F(MAX_FRAMES), source_frames=1).length == MAX_FRAMES


def test_a_stream_has_no_length_to_exceed():
    assert FrameTiming(ratio=F(40), source_frames=PLAYER_FRAMES, streaming=True).length == MAX_FRAMES
    told = FrameTiming(
        ratio=F(24), source_frames=PLAYER_FRAMES, streaming=True, fps=F(10)
    )  # AssumeFPS: its length is as before
    assert (told.length, told.output_fps) == (MAX_FRAMES, (240, 1))
    with pytest.raises(ArgumentError, match=r"multi and clip \(2147483647 frames\)"):
        FrameTiming(ratio=F(2), source_frames=MAX_FRAMES, streaming=True, fps=F(25))
    assert ENDLESS_FRAMES < PLAYER_FRAMES


def test_rate_that_vapoursynth_cannot_hold():
    with pytest.raises(
        ArgumentError, match=r"multi \(x\) must make a frame rate of two 64-bit integers, not \d+/\d+; pass"
    ):
        FrameTiming(ratio=F(2**61 - 1, 2**60 + 1), source_frames=3, fps=F(24000, 1001), cause="multi (x)")
    assert FrameTiming(ratio=F(2**61 - 1, 2**60 + 1), source_frames=3).output_fps == (0, 1)
    # By one: an int64 holds the first.
    assert FrameTiming(ratio=F(2**63 - 1, 2**62), source_frames=3, fps=F(1)).output_fps == (2**63 - 1, 2**62)
    with pytest.raises(ArgumentError):
        FrameTiming(ratio=F(2**63 + 1, 2**62), source_frames=3, fps=F(1))


@pytest.mark.parametrize(("ratio", "frames"), [(F(0), 1), (F(-1), 1), (F(1), 0)])
def test_nonsense_is_refused(ratio, frames):
    with pytest.raises(ArgumentError):
        FrameTiming(ratio=ratio, source_frames=frames)


def test_nothing_is_as_long_as_the_clip():
    timing = FrameTiming(ratio=F(1001, 400), source_frames=2**29, fps=F(24000, 1001))
    n = timing.length - 1
    assert timing.at(n).left == 2**29 - 1
    assert len(timing.needs(n, scenes=True)) <= 3
    assert timing.duration(n // 2, lambda i: F(1001, 24000)) == F(1, 60)


# Spans


@relaxed
@given(timelines())
def test_spans_share_out_each_source_frame_once(timing):
    given_out = [F(0)] * timing.source_frames
    end = F(0)
    for n in range(timing.length):
        spans = timing.spans(n)
        assert spans[0].frame + spans[0].start == end == timing.position(n)
        for span in spans:
            assert 0 <= span.start < span.stop <= 1
            given_out[span.frame] += span.share
        for before, after in pairwise(spans):
            assert (before.stop, after.frame, after.start) == (1, before.frame + 1, 0)
        end = spans[-1].frame + spans[-1].stop
        if timing.ratio >= 1:
            moment = timing.at(n)
            assert {span.frame for span in spans} <= {moment.left, moment.right if moment.t else moment.left}
    assert end == timing.source_frames
    assert set(given_out) == {1}


# Boundaries between source frames


@relaxed
@given(timelines())
def test_each_boundary_is_left_once_and_arrived_at_once(timing):
    left = [k for n in range(timing.length) for k in timing.boundaries_after(n)]
    arrived = [k for n in range(timing.length) for k in timing.boundaries_before(n)]
    assert left == arrived == list(range(timing.at(timing.length - 1).left))
    for n in range(timing.length):
        assert all(timing.position(n) < k + 1 <= timing.position(n + 1) for k in timing.boundaries_after(n))
        assert all(timing.position(n - 1) < k + 1 <= timing.position(n) for k in timing.boundaries_before(n))


# Requests


@pytest.mark.parametrize(
    ("ratio", "streaming", "scenes", "expected"),
    [
        (F(2), False, True, [[0], [0, 1], [0, 1], [1, 2], [1, 2], [2]]),
        (F(2), False, False, [[0], [0, 1], [1], [1, 2], [2], [2]]),
        (F(2), True, True, [[0], [0, 1], [1], [1, 2], [2], [2]]),
        (F(1), False, True, [[0], [1], [2]]),
        (F(1, 2), False, True, [[0, 1, 2], [0, 1, 2]]),
        (F(1, 2), False, False, [[0, 1], [2]]),
        (F(1, 2), True, True, [[0, 1], [2]]),
        (F(2, 3), False, True, [[0, 1], [0, 1, 2]]),
    ],
)
def test_requests_for_three_frames(ratio, streaming, scenes, expected):
    timing = FrameTiming(ratio=ratio, source_frames=3, streaming=streaming)
    assert [list(timing.needs(n, scenes=scenes)) for n in range(timing.length)] == expected


@relaxed
@given(st.one_of(timelines(), timelines(streaming=True)), st.booleans())
def test_requests_hold_what_is_shown_and_covered_and_no_more_than_allowed(timing, scenes):
    for n in range(timing.length):
        needed, moment = timing.needs(n, scenes=scenes), timing.at(n)
        assert 0 <= needed[0] <= needed[-1] < timing.source_frames
        covered = {span.frame for span in timing.spans(n)}
        if timing.ratio == 1:
            assert list(needed) == [n]
            continue
        assert {moment.left, *covered, *([moment.right] if moment.right else [])} <= set(needed)
        if timing.ratio > 1:
            assert set(needed) <= {moment.left - 1, moment.left, moment.left + 1}
            if moment.t == 0:
                assert moment.left + 1 not in needed
        if timing.streaming:
            assert needed[0] == moment.left
            assert set(needed) == {moment.left, *covered, *([moment.right] if moment.right else [])}
        elif scenes:
            pairs = [*timing.boundaries_before(n), *timing.boundaries_after(n)]
            assert {i for k in pairs for i in (k, k + 1)} <= set(needed)


# Durations

BASES = [24000, 30000, 48000, 60000, 90000, 1000, 15360, 44100, 10**6, 10**7, 10**9, 27_000_000]
USUAL = [24000, 30000, 48000, 60000, 90000, 1000]


@st.composite
def sources(draw, bases, mixed=False):
    """Durations between 1 ms and 0.5 s in one time base, or each in its own."""
    base = draw(st.sampled_from(bases))
    source = []
    for _ in range(draw(st.integers(1, 30))):
        base = draw(st.sampled_from(bases)) if mixed else base
        source.append(F(draw(st.integers(base // 1000, base // 2)), base))
    return source


def check_fits(made):
    for duration in made:
        assert 0 < duration.numerator <= MAX_INT32
        assert duration.denominator <= MAX_INT32


@relaxed
@given(sources(USUAL, mixed=True), st.sampled_from(RATIOS))
def test_total_is_exact_in_usual_time_bases_however_mixed(source, ratio):
    timing = FrameTiming(ratio=ratio, source_frames=len(source))
    made = durations(timing, source)
    check_fits(made)
    assert sum(made) == sum(source)


@relaxed
@given(sources(BASES), st.sampled_from([F(2), F(5, 2), F(4), F(5), F(1, 2), F(25, 8), F(1251249, 500000)]))
def test_total_is_exact_in_any_usual_time_base(source, ratio):
    timing = FrameTiming(ratio=ratio, source_frames=len(source))
    made = durations(timing, source)
    check_fits(made)
    assert sum(made) == sum(source)


@relaxed
@given(sources([1000, 90000, 10**6]), st.integers(1, 2000), st.integers(1, 2000))
def test_total_and_each_duration_are_exact_for_short_ratios(source, num, den):
    timing = FrameTiming(ratio=F(num, max(den, num // 40 + 1)), source_frames=len(source))
    for n in range(timing.length):
        exact = sum(span.share * source[span.frame] for span in timing.spans(n))
        assert timing.duration(n, source.__getitem__) == exact


@relaxed
@given(
    st.lists(st.builds(F, st.integers(1, 2**31), st.integers(2**20, 2**33)), min_size=1, max_size=20),
    st.builds(F, st.integers(1, 10**7), st.integers(1, 10**7)).filter(lambda r: F(1, 8) <= r <= 20),
)
def test_wild_durations_stay_within_the_stated_bounds(source, ratio):
    timing = FrameTiming(ratio=ratio, source_frames=len(source))
    made = durations(timing, source)
    check_fits(made)
    bound = F(0)
    for n, duration in enumerate(made):
        spans = timing.spans(n)
        exact = sum(span.share * source[span.frame] for span in spans)
        # Each end of the output moves by half a step of 1/4,000,000 at most, then the sum is fitted.
        fitting = F(1, 2 * floor((MAX_INT32 - 1) / max(exact + 1, F(1)))) + F(1, MAX_INT32)
        assert abs(duration - exact) <= 2 * F(1, 8_000_000) + fitting
        bound += fitting
    assert abs(sum(made) - sum(source)) <= bound


def test_constant_rate_gives_constant_durations():
    for rate, target in [
        (F(24000, 1001), F(60)),
        (F(25), F(60000, 1001)),
        (F(10**7, 417083), F(60)),
        (F(2997, 125), F(60)),
    ]:
        timing = FrameTiming(ratio=target / rate, source_frames=1001, fps=rate)
        made = {timing.duration(n, lambda i, one=1 / rate: one) for n in range(0, timing.length - 1, 7)}
        assert made == {1 / target}


def test_a_phone_clip_scaled_by_its_average_rate_keeps_its_total():
    source = [F(ticks, 90000) for ticks in (3000, 3001, 2999, 3003, 3600, 3000, 2987, 3000, 6001)]
    timing = FrameTiming(ratio=F(1251249, 500000), source_frames=len(source), fps=F(2999, 100))
    made = durations(timing, source)
    check_fits(made)
    assert sum(made) == sum(source)
    assert len({d for d in made if d.denominator > 90000}) > 1  # rounding did happen


def test_cut_points_that_must_be_rounded_fall_on_four_million_parts_of_a_second():
    """docs/timeline.md, 2: the nearest multiple of 1 / lcm(b, 4,000,000)."""
    ratio = F(5003, 2000)  # 720,000 * 5003 is beyond 31 bits
    for length in (F(3, 100), F(1001, 24000), F(3003, 90000), F(33, 1000), F(1470, 44100), F(900_900, 27_000_000)):
        grid = lcm(length.denominator, 4_000_000)
        assert grid <= MAX_INT32
        first = FrameTiming(ratio=ratio, source_frames=4).duration(0, lambda _, length=length: length)
        exact = length / ratio
        assert first == F(round(exact * grid), grid) != exact
        assert abs(first - exact) <= F(1, 8_000_000)
    assert FrameTiming(ratio=ratio, source_frames=4).duration(0, lambda _: F(3, 100)) == F(47971, 4_000_000)


@pytest.mark.parametrize(
    ("length", "ratio", "grid"),
    [
        (F(4001, 120_000), F(5003, 2000), 12_000_000),  # 720,000 * 5003 is beyond 31 bits, 120,000 * 5003 is not
        (F(16_683_334, 500_000_000), F(3, 2), 500_000_000),  # nanoseconds, though they are reduced
        (F(83_417, 2_000_003), F(5, 2), None),  # a base of its own
        (F(1001, 24_000), F(2999, 1000), 12_000_000),  # the first numerator that 720,000 has no room for is 2983
        (F(1001, 24_000), F(2982, 1001), None),
    ],
)
def test_the_time_base_that_decides_whether_a_cut_point_stays_exact(length, ratio, grid):
    """docs/timeline.md, 1."""
    first = FrameTiming(ratio=ratio, source_frames=4).duration(0, lambda _: length)
    exact = length / ratio
    assert first == (exact if grid is None else F(round(exact * grid), grid))
    assert grid is None or first != exact


def test_a_time_base_of_its_own_keeps_its_total_too():
    source = [F(83417, 2_000_003)] * 9  # a prime: no common grid fits beside it
    timing = FrameTiming(ratio=F(1251249, 500000), source_frames=9)
    made = durations(timing, source)
    check_fits(made)
    assert sum(made) == sum(source)
    assert all(abs(d - source[0] / timing.ratio) < F(1, 10**9) for d in made[:-1])


@pytest.mark.parametrize("missing", [None, F(0), F(-1, 24)])
def test_missing_durations_fall_back_to_the_rate_or_stay_missing(missing):
    source = [F(1, 20), missing, F(1, 30)]
    known = FrameTiming(ratio=F(2), source_frames=3, fps=F(25))
    assert durations(known, source) == [F(1, 40), F(1, 40), F(1, 50), F(1, 50), F(1, 60), F(1, 60)]
    unknown = FrameTiming(ratio=F(3, 2), source_frames=3)
    # Outputs: [0, 2/3), [2/3, 4/3), [4/3, 2), [2, 8/3), [8/3, 3).
    assert durations(unknown, source) == [F(1, 30), None, None, F(1, 45), F(1, 90)]


def test_only_covered_frames_are_asked_for_their_duration():
    asked = []
    FrameTiming(ratio=F(2), source_frames=3).duration(2, lambda i: asked.append(i) or F(1, 24))
    assert asked == [1]


def test_length_matches_ceiling_of_the_product():
    for ratio in RATIOS:
        for frames in range(1, 50):
            assert FrameTiming(ratio=ratio, source_frames=frames).length == ceil(frames * ratio)
