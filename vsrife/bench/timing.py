"""How long a call takes: warmed up, sampled with the device idle at both ends, several calls taking turns.

The clock is the wall's, read when the device has finished everything, around enough calls that reading it costs
nothing. So one rule serves a GPU and a CPU, and whatever streams and threads the call uses.
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
    """How much is done for one figure.

    warm_up: seconds of calls that do not count (one call at least). sample: seconds that one sample lasts at least.
    rounds: samples. budget: seconds after which no further sample is begun, `least` of them apart. runs: of what takes
    long and measures for itself.
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
    """Samples of one call, each the mean seconds of the calls it held; at least one."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds."""
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
    """A call to be timed, and the state it wants around it (settings of the process), which is not timed."""

    call: Callable[[], object]
    around: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext


def several(call: Callable[[], float], pace: Pace) -> tuple[float, ...]:
    """What a call that measures for itself answers, `Pace.runs` times or until the budget is spent, once at least."""
    began = time.perf_counter()
    samples = [call()]
    while len(samples) < pace.runs and time.perf_counter() - began < pace.budget:
        samples.append(call())
    return tuple(samples)


def finish(device: torch.device) -> None:
    """Wait until ``device`` has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(call: Callable[[], object], device: torch.device, pace: Pace) -> Timing:
    """Seconds of one call."""
    return alternate({"call": Subject(call=call)}, device, pace)["call"]


def alternate(subjects: Mapping[str, Subject], device: torch.device, pace: Pace) -> dict[str, Timing]:
    """Seconds of one call of each subject; they take turns, so what slows the machine slows them alike."""
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
    """Call until it has settled; the number of calls that one sample should hold."""
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
