"""A run's outcomes on disk after each stage, and as the table that is printed last."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpu_stages.runner import Outcome

__all__ = ["RESULTS", "SUMMARY", "Record", "as_text", "bench_figures"]

RESULTS = "results.json"
SUMMARY = "summary.txt"


class Record:
    """results.json and summary.txt in ``folder``, written anew by `write`; either is whole at any moment."""

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self.outcomes: list[Outcome] = []
        self._folder = folder
        self._facts = dict(facts)
        self._began = time.monotonic()

    def write(self) -> None:
        """Put what is known now on disk."""
        seconds = time.monotonic() - self._began
        known = self._facts | {"seconds": seconds, "stages": [asdict(each) for each in self.outcomes]}
        self._replace(RESULTS, json.dumps(known, indent=1) + "\n")
        self._replace(SUMMARY, as_text(self.outcomes))

    def _replace(self, name: str, text: str) -> None:
        beside = self._folder / f"{name}.new"
        beside.write_text(text, encoding="utf-8")
        beside.replace(self._folder / name)


def as_text(outcomes: Sequence[Outcome]) -> str:
    """Figures, what failed, and last a line for each stage."""
    parts = [_figures(each) for each in outcomes if each.figures]
    parts += [_failure(each) for each in outcomes if each.failures or each.last]
    width = max((len(each.name) for each in outcomes), default=0)
    table = [
        f"{each.name:<{width}}  {each.state:<11} {each.seconds:6.1f} s  {_result(each)}".rstrip() for each in outcomes
    ]
    return "\n\n".join([*parts, "\n".join(table)]) + "\n"


def _figures(outcome: Outcome) -> str:
    width = max(len(figure.name) for figure in outcome.figures)
    lines = (f"  {figure.name:<{width}}  {figure.value} {figure.unit}".rstrip() for figure in outcome.figures)
    return "\n".join([f"{outcome.name}:", *lines])


def _failure(outcome: Outcome) -> str:
    shown = [f"  {line[:160]}" for line in outcome.failures[:12]]
    if len(outcome.failures) > len(shown):
        shown.append(f"  and {len(outcome.failures) - len(shown)} more, see log.txt")
    if not shown:
        shown = [f"  | {line[:160]}" for line in outcome.last.splitlines()[-8:]]
    return "\n".join([f"{outcome.name}, {outcome.state}:", *shown])


def _result(outcome: Outcome) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in outcome.tests.items())
    failed = f"{len(outcome.failures)} failed" if outcome.failures and not counts else ""
    figures = f"{len(outcome.figures)} figures" if outcome.figures else ""
    status = f"exit status {outcome.status}" if outcome.status and not (counts or failed) else ""
    return ", ".join(filter(None, [outcome.reason, counts, failed, status, figures]))


def bench_figures(file: Path) -> list[tuple[str, str, str]]:
    """The medians of a JSON that `vsrife bench` has written; none where it has not."""
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    except (OSError, ValueError):
        return []
    found = []
    for row in rows:
        case = f"{row['model']} {row['width']}x{row['height']} {row['precision']}"
        found.append((f"{case}, one frame", f"{row['engine_ms']['median']:.4g}", "ms"))
        found.append((f"{case}, one source", f"{row['encode_ms']['median']:.4g}", "ms"))
        found.append((f"{case}, engine+encode", f"{row['engine_and_encode_fps']:.4g}", "fps"))
        for name, label in (("filter_host_frames", "filter, host frames"), ("filter_gpu_frames", "filter, GPU frames")):
            if row[name]:
                found.append((f"{case}, {label}", f"{row[name]['new_fps']:.4g}", "fps"))
    return found
