"""How calls are timed."""

import pytest
import torch

from vsrife.bench.timing import Pace, Subject, Timing, alternate, several, timed

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


class TestTiming:
    def test_median_and_spread(self):
        timing = Timing(samples=(5.0, 1.0, 2.0, 4.0, 3.0))
        assert (timing.median, timing.spread) == (3.0, 1.0)
        assert Timing(samples=(7.0,)).spread == 0.0

    def test_subjects_take_turns_in_the_state_they_want(self):
        calls = []

        class Around:
            def __enter__(self):
                calls.append("(")

            def __exit__(self, *_):
                calls.append(")")

        subjects = {
            "a": Subject(call=lambda: calls.append("a")),
            "b": Subject(call=lambda: calls.append("b"), around=Around),
        }
        pace = Pace(warm_up=0.0, sample=0.0, rounds=3, least=3, budget=0.0, runs=1)
        times = alternate(subjects, CPU, pace)
        assert "".join(calls) == "a(b)" + "a(b)" * 3
        assert {name: len(timing.samples) for name, timing in times.items()} == {"a": 3, "b": 3}

    def test_a_sample_holds_as_many_calls_as_it_takes(self, monkeypatch):
        now = [0.0]
        monkeypatch.setattr("time.perf_counter", lambda: now[0])
        calls = []

        def call():
            calls.append(now[0])
            now[0] += 0.01

        pace = Pace(warm_up=0.05, sample=0.1, rounds=4, least=1, budget=0.15, runs=1)
        timing = timed(call, CPU, pace)
        # Five to warm up, then ten each for as long as the budget lasts.
        assert len(calls) == 5 + 2 * 10
        assert timing.samples == pytest.approx((0.01, 0.01))

    def test_several_stops_at_the_budget(self, monkeypatch):
        now = [0.0]
        monkeypatch.setattr("time.perf_counter", lambda: now[0])

        def call():
            now[0] += 1.0
            return now[0]

        pace = Pace(warm_up=0.0, sample=0.0, rounds=1, least=1, budget=2.5, runs=9)
        assert several(call, pace) == (1.0, 2.0, 3.0)
