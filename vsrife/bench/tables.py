"""Figures as aligned text for people and as JSON for programs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vsrife.bench.timing import Timing

__all__ = ["Column", "megabytes", "milliseconds", "short", "table", "timing_as_json"]

type Column[R] = tuple[str, Callable[[R], str]]
"""A heading, and the cell of a row."""


def table[R](title: str, cases: Sequence[Column[R]], figures: Sequence[Column[R]], rows: Sequence[R]) -> str:
    """A title, the headings and the rows: ``cases`` aligned at the left, ``figures`` at the right."""
    columns = [*cases, *figures]
    lines = [[head for head, _ in columns], *([cell(row) for _, cell in columns] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]
    texts = [
        "  ".join(
            cell.ljust(width) if column < len(cases) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([title, *texts])


def milliseconds(timing: Timing | None) -> str:
    """Median and spread; a dash for None."""
    if timing is None:
        return "-"
    spread = f" ±{short(1e3 * timing.spread)}" if len(timing.samples) > 1 else ""
    return f"{short(1e3 * timing.median)}{spread}"


def megabytes(memory: Mapping[str, int] | None) -> str:
    """All holders together; a dash for None."""
    return "-" if memory is None else short(sum(memory.values()) / 1e6)


def short(number: float) -> str:
    """Three digits where there are decimals."""
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def timing_as_json(timing: Timing | None) -> dict[str, Any] | None:
    """Milliseconds: median, spread and every sample."""
    if timing is None:
        return None
    samples = [1e3 * sample for sample in timing.samples]
    return {"median": 1e3 * timing.median, "spread": 1e3 * timing.spread, "samples": samples}
