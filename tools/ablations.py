"""What each part of the method is worth: runs that differ in one respect, with the same samples in the same order."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from vsrife.errors import ArgumentError, RifeError
from vsrife.training.config import Config
from vsrife.training.config_file import config_of, merged, read_table
from vsrife.training.loop import End

__all__ = ["ABLATIONS", "BASE", "Outcome", "configs", "report", "run_all"]

BASE: Final = "base"

ABLATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "no-distillation": "worse, and unstable",
        "strong-distillation": "may diverge",
        "weak-distillation": "worse",
        "no-privilege": "worse",
        "one-block": "worse",
        "two-blocks": "worse",
        "batch-norm": "worse",
        "l1": "slightly worse",
    }
)
"""Each a file of `configs/ablations`, and what the paper says of it (of `no-privilege` it implies it)."""

ASKED: Final = "not finished (asked)"
"""The failure of a run that Ctrl-C or SIGTERM has ended."""

NOISE: Final = 0.05
"""Decibels within which two short runs count as equal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One run. curve: validation in dB by step, maybe empty. failure: why it ended before all was done, or ""."""

    name: str
    curve: tuple[tuple[int, float], ...]
    failure: str
    seconds: float

    @property
    def last(self) -> float | None:
        """Of the finished run; None where it failed."""
        return self.curve[-1][1] if self.curve and not self.failure else None


def configs(names: Sequence[str], out: Path, changes: Sequence[str] = (), *, width: float = 1.0) -> dict[str, Config]:
    """The base and what is to be compared with it, by name, each with a folder of its own in `out`.

    changes: as of `read_config`, for all of them. width: how many of their channels the networks keep, above 0 to 1.
    Raises ArgumentError for a name that is none, and without validation.
    """
    if not 0 < width <= 1:
        raise ArgumentError(f"width ({width:g}) must be above 0 and at most 1; it is a share of the channels")
    found: dict[str, Config] = {}
    base = read_table(f"ablations/{BASE}")
    for name in (BASE, *(name for name in names if name != BASE)):
        if name not in (BASE, *ABLATIONS):
            raise ArgumentError(f"ablation ({name}) must be one of {', '.join(ABLATIONS)}")
        table = base if name == BASE else merged(base, read_table(f"ablations/{name}"))
        config = config_of(_narrowed(table, width), changes)
        if config.validation.clips is None:
            raise ArgumentError("validation.clips (missing) must be a folder; the runs are compared by it")
        found[name] = replace(config, run=replace(config.run, folder=out / name))
    return found


def _narrowed(table: Mapping[str, Any], width: float) -> dict[str, Any]:
    """The table of a configuration with that share of the network's channels, in even numbers."""
    network = dict(table["network"])
    network["widths"] = [max(2, 2 * round(each * width / 2)) for each in network["widths"]]
    network["context"] = max(1, round(network["context"] * width))
    return {**table, "network": network}


def run_all(runs: Mapping[str, Config], train: Callable[[Config], End]) -> list[Outcome]:
    """Train each, one after the other, up to one that is asked to end; one that diverges does not end the others.

    A run that was made in part is carried on. Raises RifeError for a run that could not begin.
    """
    outcomes: list[Outcome] = []
    for name, config in runs.items():
        outcomes.append(_outcome(name, config, train))
        if outcomes[-1].failure == ASKED:
            break
    return outcomes


def _outcome(name: str, config: Config, train: Callable[[Config], End]) -> Outcome:
    failure = ""
    try:
        end = train(config)
        if end != "done":
            failure = ASKED if end == "interrupted" else f"not finished ({end})"
    except RifeError as error:
        if not (config.run.folder / "log.jsonl").is_file():
            raise
        failure = str(error)
    lines = [json.loads(line) for line in (config.run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    curve = {line["step"]: line["mean"] for line in lines if line["kind"] == "validation"}
    times = [line["seconds per step"] for line in lines if line["kind"] == "training"]
    return Outcome(
        name=name,
        curve=tuple(sorted(curve.items())),
        failure=failure,
        seconds=sum(times) / len(times) if times else 0.0,
    )


def report(outcomes: Sequence[Outcome], runs: Mapping[str, Config], out: Path, average: float) -> str:
    """Write ablations.md and ablations.json into `out`; return the table. average: PSNR of the plain average in dB."""
    base = next(each for each in outcomes if each.name == BASE)
    some = runs[BASE]
    about = (
        f"{some.run.steps} steps of {some.run.batch} samples, the same in every run; skip-frame PSNR in dB; "
        f"the plain average has {average:.2f}. Differences below {NOISE} dB say nothing, and one seed says little."
    )
    lines = [
        about,
        "",
        "| run | PSNR | to base | s a step | the paper says | here |",
        "|---|---|---|---|---|---|",
    ]
    for each in outcomes:
        difference = None if each.last is None or base.last is None else each.last - base.last
        lines.append(
            f"| {each.name} | {'-' if each.last is None else f'{each.last:.2f}'} "
            f"| {'' if each is base or difference is None else f'{difference:+.2f}'} | {each.seconds:.3f} "
            f"| {ABLATIONS.get(each.name, '')} | {_verdict(each, base, difference)} |"
        )
    table = "\n".join(lines) + "\n"
    (out / "ablations.md").write_text(table, encoding="utf-8")
    plain: dict[str, Any] = {
        each.name: {"curve": each.curve, "failure": each.failure, "seconds per step": each.seconds} for each in outcomes
    }
    (out / "ablations.json").write_text(json.dumps({"average": average, "runs": plain}, indent=1) + "\n", "utf-8")
    return table


def _verdict(each: Outcome, base: Outcome, difference: float | None) -> str:
    if each.failure:
        return each.failure.split(";")[0].replace("|", "/")
    if each is base or difference is None:
        return ""
    if abs(difference) < NOISE:
        return "equal"
    return "worse" if difference < 0 else "better: not reproduced"
