"""Running a protocol: every frame is made by core.rife.RIFE, as in a user's script."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
import vapoursynth as vs

import vsrife
from vsrife.errors import RifeError
from vsrife.evaluation.examples import Example, Frame, Gallery
from vsrife.evaluation.metrics import MEASURES, Picture
from vsrife.evaluation.protocols import Protocol
from vsrife.evaluation.samples import SampleSet, pictures
from vsrife.evaluation.vmaf import Vmaf, find_vmaf

__all__ = ["AVERAGE", "Result", "Row", "evaluate"]

AVERAGE: Final = "average"
"""The method that every model is compared with: the mean of the two frames, weighted by their distance in time."""

type Precision = Literal["auto", "float32", "float16", "bfloat16"]

type Values = dict[str, dict[str, float]]
"""Values by method, then by measure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """The scores of one frame."""

    name: str
    time: Fraction
    values: Values


@dataclass(kw_only=True, slots=True)
class Row:
    """A clip, or a triplet. whole: scores of the clip as a whole (VMAF)."""

    name: str
    group: str
    scores: list[Score] = field(default_factory=list)
    whole: Values = field(default_factory=dict)

    def mean(self, method: str, measure: str, time: Fraction | None = None) -> float | None:
        """The mean over its frames, or those at one time; None if there is no score."""
        if MEASURES[measure].of is None:
            return self.whole.get(method, {}).get(measure) if time is None else None
        return _mean(score.values[method][measure] for score in self.scores if time in (None, score.time))


@dataclass(kw_only=True, slots=True)
class Result:
    """measures: keys of MEASURES. methods: the average, then the models. notes: why a measure is missing.

    In means each row counts once.
    """

    title: str
    measures: tuple[str, ...]
    methods: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)

    @property
    def groups(self) -> list[str]:
        """The groups of the rows; empty if there is only one."""
        found = list(dict.fromkeys(row.group for row in self.rows))
        return found if len(found) > 1 else []

    @property
    def times(self) -> list[Fraction]:
        """The times of the frames; empty if there is only one."""
        found = sorted({score.time for row in self.rows for score in row.scores})
        return found if len(found) > 1 else []

    def mean(
        self, method: str, measure: str, *, group: str | None = None, time: Fraction | None = None
    ) -> float | None:
        """The mean over all rows, or those of a group; None if one of them has no score."""
        return _mean(row.mean(method, measure, time) for row in self.rows if group in (None, row.group))


def _mean(values: Iterable[float | None]) -> float | None:
    found = list(values)
    there = [value for value in found if value is not None]
    return float(np.mean(there)) if there and len(there) == len(found) else None


def evaluate(
    protocol: Protocol,
    folder: Path,
    models: Mapping[str, str | None],
    *,
    limit: int | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    vmaf: bool = True,
    worst: int = 12,
    progress: Callable[[Frame], object] | None = None,
) -> Result:
    """Measure models and the plain average.

    Args:
        protocol: Which frames, and which measures.
        folder: Where the set or the clips lie.
        models: By the name that the tables show, one or more: a model's name or file, None for the default.
        limit: Samples of each clip or list. Default: as the protocol says.
        device: As of core.rife.RIFE. Default: "auto".
        precision: As of core.rife.RIFE. Default: "auto".
        vmaf: Whether VMAF is measured where the protocol has it. Default: True.
        worst: Rows of which pictures are kept, those where the first model does worst. Default: 12.
        progress: Called with each frame when it is measured.

    Raises:
        RifeError: The folder is not what it must be, or a model or the device cannot be had.

    """
    single = tuple(name for name in protocol.measures if MEASURES[name].of is not None)
    measures = protocol.measures if vmaf else single
    result = Result(title=protocol.title, measures=measures, methods=(AVERAGE, *models))
    program = None
    if "vmaf" in measures:
        program, reason = find_vmaf()
        if program is None:
            result.notes["VMAF"] = reason
    gallery = Gallery(worst, higher_is_better=MEASURES[single[0]].higher_is_better)
    rows: dict[tuple[str, str], Row] = {}
    try:
        for samples in protocol.open(folder, limit):
            with _Scorer(samples, result.methods, single, program) as scorer:
                for frame in _frames(samples, models, device, precision):
                    score = scorer.add(frame)
                    row = rows.setdefault((frame.group, frame.row), Row(name=frame.row, group=frame.group))
                    row.scores.append(score)
                    gallery.offer(frame, score.values[result.methods[1]][single[0]])
                    if progress is not None:
                        progress(frame)
                if program is not None:  # then all samples are of one clip
                    row.whole, reason = scorer.whole()
                    if reason:
                        result.notes[f"VMAF of {row.name}"] = reason
    except vs.Error as error:
        raise RifeError(str(error).strip().splitlines()[-1].removeprefix("RIFE: ")) from None
    result.rows = list(rows.values())
    result.examples = gallery.examples()
    return result


def _frames(samples: SampleSet, models: Mapping[str, str | None], device: str, precision: Precision) -> Iterator[Frame]:
    """Every interpolated frame of every sample, in order, by each method."""
    steps = range(1, samples.multi)
    given = pictures(samples.given, (sample.left + side for sample in samples.members for side in (0, 1)))
    truths = pictures(samples.truth, (number for sample in samples.members for number in sample.truths))
    made = {}
    for name, model in models.items():
        # What decides about cuts, still frames and pauses is not what is measured here. Besides, where frames were left
        # out, the durations of the others are no longer the time to the next one.
        clip = vsrife.RIFE(
            samples.given, samples.multi, model=model, sc=False, skip=False, pause=0, device=device, precision=precision
        )
        numbers = (sample.left * samples.multi + step for sample in samples.members for step in steps)
        made[name] = pictures(clip, numbers)
    with ExitStack() as stack:
        for each in (given, truths, *made.values()):
            stack.enter_context(closing(each))
        for sample in samples.members:
            left, right = next(given), next(given)
            for time in samples.times:
                yield Frame(
                    row=sample.row,
                    group=sample.group,
                    name=sample.name,
                    time=time,
                    left=left,
                    right=right,
                    truth=next(truths),
                    made={AVERAGE: _average(left, right, time), **{name: next(each) for name, each in made.items()}},
                )


def _average(left: Picture, right: Picture, time: Fraction) -> Picture:
    mixed = float(1 - time) * left + float(time) * right
    return np.rint(mixed).astype(np.uint8)


class _Scorer:
    """Measures the frames of one sample set; a context manager."""

    def __init__(
        self, samples: SampleSet, methods: Sequence[str], measures: Sequence[str], program: str | None
    ) -> None:
        """measures: of single frames. program: ffmpeg for VMAF, None not to measure it."""
        self._methods = methods
        self._measures = measures
        self._stack = ExitStack()
        self._pool = self._stack.enter_context(ThreadPoolExecutor(len(methods)))
        size = samples.given.width, samples.given.height
        self._runs = (
            {} if program is None else {method: self._stack.enter_context(Vmaf(program, *size)) for method in methods}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def add(self, frame: Frame) -> Score:
        """Measure a frame."""

        def measured(method: str) -> dict[str, float]:
            made = frame.made[method]
            if method in self._runs:
                self._runs[method].add(frame.truth, made)
            return {name: of(frame.truth, made) for name in self._measures if (of := MEASURES[name].of)}

        values = dict(zip(self._methods, self._pool.map(measured, self._methods), strict=True))
        return Score(name=frame.name, time=frame.time, values=values)

    def whole(self) -> tuple[Values, str]:
        """The scores of all frames together, and the reason if one is missing."""
        values, reason = {}, ""
        for method, run in self._runs.items():
            score, why = run.score()
            if score is None:
                reason = why
            else:
                values[method] = {"vmaf": score}
        return values, reason
