"""Verdicts of detectors on rows: kept as JSON, counted, and printed as tables."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenes.case import Shard
from scenes.detectors import Verdicts

__all__ = ["SCORES", "Counts", "Kept", "best", "counted", "distribution", "score_table", "side_by_side"]

type Bools = NDArray[np.bool_]

SCORES = """| pairs | are | count | called cuts | least | 2 % | median | 98 % | most |
|---|---|---:|---:|---:|---:|---:|---:|---:|"""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Cuts, how many of them were found, pairs without one, how many of them were called cuts."""

    cuts: int
    found: int
    others: int
    false: int

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            cuts=self.cuts + other.cuts,
            found=self.found + other.found,
            others=self.others + other.others,
            false=self.false + other.false,
        )

    @property
    def f1(self) -> float | None:
        """Twice the cuts found, by the cuts there are and the pairs called cuts. None without a cut in the row."""
        return 2 * self.found / (self.cuts + self.found + self.false) if self.cuts else None

    def text(self) -> str:
        """Recall, false cuts, F1; a dash for what the row does not have."""
        recall = f"{100 * self.found / self.cuts:.0f} %" if self.cuts else "–"
        false = str(self.false) if self.others else "–"
        f1 = f"{self.f1:.3f}" if self.f1 is not None and self.others else "–"
        return f"{recall} · {false} · {f1}"


def counted(truth: Bools, called: Bools) -> Counts:
    """Counts of one row."""
    return Counts(
        cuts=int(truth.sum()),
        found=int((truth & called).sum()),
        others=int((~truth).sum()),
        false=int((~truth & called).sum()),
    )


class Kept:
    """One detector's verdicts on one half: a JSON file, to which rows are added."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}

    def add(self, shard: Shard, verdicts: Verdicts) -> Counts:
        """Keep a row's verdicts, and count them."""
        self.rows[shard.row] = {
            "apart": shard.apart,
            "name": [str(name) for name in shard.name],
            "truth": shard.cut.astype(int).tolist(),
            "called": verdicts.cut.astype(int).tolist(),
            "score": None if verdicts.score is None else np.round(verdicts.score, 6).tolist(),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.rows))
        return self.counts(shard.row)

    def counts(self, row: str) -> Counts:
        """Of a row that is kept."""
        return counted(*(np.array(self.rows[row][key], dtype=bool) for key in ("truth", "called")))


def side_by_side(kept: dict[str, Kept], rows: Sequence[str], apart: bool) -> Iterator[str]:
    """A table with a line for each row and a column for each detector; at the end the sums of those that have all."""
    yield "| row | cuts | not | " + " | ".join(kept) + " |"
    yield "|---|---:|---:|" + "---|" * len(kept)
    told: list[dict[str, Counts]] = []
    for row in rows:
        having = {name: each.counts(row) for name, each in kept.items() if row in each.rows}
        if not having or any(each.rows[row]["apart"] is not apart for each in kept.values() if row in each.rows):
            continue
        told.append(having)
        yield _line(row, having, list(kept))
    if told and not apart:
        complete = [name for name in kept if all(name in having for having in told)]
        none = Counts(cuts=0, found=0, others=0, false=0)
        yield _line("**all**", {name: sum((having[name] for having in told), none) for name in complete}, list(kept))


def _line(row: str, having: dict[str, Counts], names: list[str]) -> str:
    first = next(iter(having.values()), None)
    counts = f"{first.cuts} | {first.others}" if first else "|"
    return f"| {row} | {counts} | " + " | ".join(having[n].text() if n in having else "" for n in names) + " |"


def best(kept: Kept) -> tuple[float, Counts] | None:
    """The threshold with the highest F1 over all rows that are not counted apart, and what it finds."""
    rows = [row for row in kept.rows.values() if not row["apart"]]
    if not rows or any(row["score"] is None for row in rows):
        return None
    truth = np.concatenate([np.array(row["truth"], dtype=bool) for row in rows])
    score = np.concatenate([np.array(row["score"]) for row in rows])
    order = np.argsort(-score, kind="stable")
    found, called = np.cumsum(truth[order]), np.arange(1, len(order) + 1)
    f1 = 2 * found / (truth.sum() + called)
    # Pairs of one score are called cuts together.
    f1[:-1][score[order][:-1] == score[order][1:]] = 0
    threshold = float(score[order][int(f1.argmax())])
    return threshold, counted(truth, score >= threshold)


def score_table(kept: Kept, rows: Sequence[str]) -> Iterator[str]:
    """A table of one detector's scores: a line for the cuts and one for the others of each row."""
    yield SCORES
    for row in rows:
        found = kept.rows.get(row)
        if found is None or found["score"] is None:
            continue
        truth, called = (np.array(found[key], dtype=bool) for key in ("truth", "called"))
        for cut in (True, False):
            if (truth == cut).any():
                yield distribution(row, cut, called[truth == cut], np.array(found["score"])[truth == cut])


def distribution(name: str, truth: bool, called: Bools, score: NDArray[np.float64]) -> str:
    """A line of the tables of scores: how many are called cuts, and quantiles."""
    spread = " | ".join(f"{v:.2f}" for v in np.quantile(score, (0, 0.02, 0.5, 0.98, 1)))
    return f"| {name} | {'cuts' if truth else 'not'} | {len(called)} | {int(called.sum())} | {spread} |"
