"""The results as text tables and as JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vsrife.evaluation.metrics import MEASURES, Measure
from vsrife.evaluation.run import Result, Row

__all__ = ["MOST_ROWS", "Line", "Table", "as_json", "as_text", "tables"]

MOST_ROWS: Final = 40
"""Rows of a table, at most; if there are more, only means are shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One measure of all methods. means: lines of several rows. heads: titles of the columns after the first."""

    measure: Measure
    heads: tuple[str, ...]
    rows: tuple["Line", ...]
    means: tuple["Line", ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line of a table. frames: their number. values: one of each method."""

    name: str
    frames: int
    values: tuple[float | None, ...]


def tables(result: Result) -> list[Table]:
    """A table for each measure."""
    return [
        Table(
            measure=MEASURES[name],
            heads=result.methods,
            rows=tuple(_line(result, row, name) for row in result.rows),
            means=tuple(_means(result, name)),
        )
        for name in result.measures
    ]


def _line(result: Result, row: Row, measure: str) -> Line:
    return Line(
        name=f"{row.group} {row.name}".strip(),
        frames=len(row.scores),
        values=tuple(row.mean(method, measure) for method in result.methods),
    )


def _means(result: Result, measure: str) -> Iterator[Line]:
    for group in result.groups:
        rows = [row for row in result.rows if row.group == group]
        values = tuple(result.mean(method, measure, group=group) for method in result.methods)
        yield Line(name=f"mean, {group}", frames=sum(len(row.scores) for row in rows), values=values)
    for time in result.times if MEASURES[measure].of is not None else []:
        values = tuple(result.mean(method, measure, time=time) for method in result.methods)
        frames = sum(score.time == time for row in result.rows for score in row.scores)
        yield Line(name=f"mean, t = {float(time):g}", frames=frames, values=values)
    values = tuple(result.mean(method, measure) for method in result.methods)
    yield Line(name="mean", frames=sum(len(row.scores) for row in result.rows), values=values)


def as_text(result: Result) -> str:
    """Aligned tables. A missing value is a dash, with the reason below."""
    parts = [result.title]
    shown = len(result.rows) <= MOST_ROWS
    if not shown:
        parts.append(f"{len(result.rows)} rows: each is in the JSON")
    for table in tables(result):
        lines = [("", "frames", *table.heads)]
        lines += [
            (line.name, str(line.frames), *(table.measure.text(value) for value in line.values))
            for line in (*(table.rows if shown else ()), *table.means)
        ]
        parts += ["", table.measure.title, *_aligned(lines)]
    if result.notes:
        parts += ["", *(f"{about}: {reason}" for about, reason in result.notes.items())]
    return "\n".join(parts)


def _aligned(lines: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        first, *others = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        yield "  ".join((first, *others)).rstrip()


def as_json(result: Result, facts: Mapping[str, Any]) -> dict[str, Any]:
    """All results, with every frame. facts: about the measurement."""
    measures = result.measures

    def mean(**of: Any) -> dict[str, Any]:
        return {method: {name: result.mean(method, name, **of) for name in measures} for method in result.methods}

    return {
        **facts,
        "measures": {name: MEASURES[name].title for name in measures},
        "mean": mean(),
        "mean_of_groups": {group: mean(group=group) for group in result.groups},
        "mean_of_times": {str(time): mean(time=time) for time in result.times},
        "rows": [
            {
                "name": row.name,
                "group": row.group,
                "mean": {method: {name: row.mean(method, name) for name in measures} for method in result.methods},
                "frames": [
                    {"name": score.name, "time": str(score.time), "values": score.values} for score in row.scores
                ],
            }
            for row in result.rows
        ],
        "notes": result.notes,
    }
