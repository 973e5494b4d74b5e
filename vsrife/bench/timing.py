"""The time of a call: after a warm-up, sampled with an idle device at both ends, alternating with other calls.

Wall-clock time, read when the device has finished, around enough calls that the cost of reading it is negligible. The
same rule holds for a GPU and a CPU, and for any streams and threads of the call.
"""

import contextlib
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

__all__ = ["FULL", "QUICK", "Pace", "Subject", "Timing", "alternate", "finish", "several", "timed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """The effort for one figure.

    warm_up: seconds of calls that do not count (at least one call). sample: the least seconds of one sample. rounds:
    number of samples. budget: seconds after which no more samples are taken, except for the first `least`. runs: number
    of runs of a long measurement that returns its own figure.
    """

    warm_up: float
    sample: float
    rounds: int
    least: int
    budget: float
    runs: int


FULL = Pace(warm_up=1.0, sample=0.05, rounds=20, least=3, budget=12.0, runs=5)
QUICK = Pace(warm_up=0.0, sample=0.0, rounds=3, least=1, budget=1.0, runs=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Samples of one call, each the mean seconds of several calls; at least one sample."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median in seconds."""
        return statistics.median(self.samples)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, in seconds; 0 for a single sample."""
        if len(self.samples) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.samples, n=4, method="inclusive")
        return (high - low) / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A call to be timed, and a context around it (settings of the process), which is not timed."""

    call: Callable[[], object]
    around: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext


def several(call: Callable[[], float], pace: Pace) -> tuple[float, ...]:
    """The figures that ``call`` returns, of `Pace.runs` calls or until the budget is spent; at least one."""
    began = time.perf_counter()
    samples = [call()]
    while len(samples) < pace.runs and time.perf_counter() - began < pace.budget:
        samples.append(call())
    return tuple(samples)


def finish(device: torch.device) -> None:
    """Wait until ``device`` has finished all of its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(call: Callable[[], object], device: torch.device, pace: Pace) -> Timing:
    """Seconds of one call."""
    return alternate({"call": Subject(call=call)}, device, pace)["call"]


def alternate(subjects: Mapping[str, Subject], device: torch.device, pace: Pace) -> dict[str, Timing]:
    """Seconds of one call of each subject. The subjects alternate, so that the machine's load affects all of them."""
    counts = {name: _warm_up(subject, device, pace) for name, subject in subjects.items()}
    samples: dict[str, list[float]] = {name: [] for name in subjects}
    began = time.perf_counter()
    for round_ in range(pace.rounds):
        if round_ >= pace.least and time.perf_counter() - began > pace.budget * len(subjects):
            break
        for name, subject in subjects.items():
            samples[name].append(_sample(subject, device, counts[name]))
    return {name: Timing(samples=tuple(each)) for name, each in samples.items()}


def _warm_up(subject: Subject, device: torch.device, pace: Pace) -> int:
    """Call for the warm-up; the number of calls for one sample."""
    began = time.perf_counter()
    while True:
        seconds = _sample(subject, device, 1)
        if time.perf_counter() - began >= pace.warm_up:
            return max(1, round(pace.sample / max(seconds, 1e-9)))


def _sample(subject: Subject, device: torch.device, count: int) -> float:
    with subject.around():
        finish(device)
        began = time.perf_counter()
        for _ in range(count):
            subject.call()
        finish(device)
        return (time.perf_counter() - began) / count
