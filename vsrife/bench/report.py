"""The result of the benchmark as text tables and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vsrife.bench.cases import Plan
from vsrife.bench.rows import Row, Share
from vsrife.bench.tables import Column, megabytes, milliseconds, short, table, timing_as_json
from vsrife.bench.timing import QUICK
from vsrife.bench.work import Rates

__all__ = ["as_json", "as_text"]


def as_json(machine: Mapping[str, Any], plan: Plan, rates: Mapping[str, Rates], rows: Sequence[Row]) -> dict[str, Any]:
    """All figures with all samples. Times in milliseconds, memory in bytes."""
    return {
        "machine": dict(machine),
        "options": {
            "frames": plan.frames,
            "in_flight": plan.in_flight,
            "engine_only": plan.engine_only,
            "quick": plan.pace is QUICK,
        },
        "rates": {precision: asdict(each) for precision, each in rates.items()},
        "rows": [_row(row) for row in rows],
    }


def _row(row: Row) -> dict[str, Any]:
    case = row.case
    return {
        "model": case.model.name,
        "width": case.size[0],
        "height": case.size[1],
        "precision": case.precision,
        "canvas": {"width": row.canvas[1], "height": row.canvas[0]},
        "work": asdict(row.work),
        "flow_px": row.flow,
        "engine_ms": timing_as_json(row.engine),
        "encode_ms": timing_as_json(row.encode),
        "floors": {"operations": row.operations, "bytes": row.traffic},
        "engine_and_encode_fps": row.engine_fps,
        "memory": row.memory,
        "filter_host_frames": _share(row.host),
        "filter_gpu_frames": _share(row.gpu),
        "called_again_ms": timing_as_json(row.reopened),
        "cold_start_ms": timing_as_json(row.cold),
        "reasons": row.reasons,
    }


def _share(share: Share | None) -> dict[str, Any] | None:
    return None if share is None else {"new_fps": share.median, "share": share.share, "runs": list(share.fps)}


def as_text(machine: Mapping[str, Any], plan: Plan, rates: Mapping[str, Rates], rows: Sequence[Row]) -> str:
    """Aligned tables; a dash where there is no figure, and the reasons below."""
    parts = [
        f"{machine['name']} ({machine['device']}), torch {machine['torch']}, vsrife {machine['vsrife']}",
        f"YUV420P8, t = 0.5, smooth moving texture; threads a frame on a CPU: {machine['torch_threads']}",
        *(
            f"{precision}: {each.flop / 1e12:.3g} TFLOP/s, {each.bytes / 1e9:.3g} GB/s measured"
            for precision, each in rates.items()
        ),
        "",
        table("engine alone", CASE, ENGINE, rows),
    ]
    if not plan.engine_only:
        parts += ["", table(f"whole filter, multi=2, {plan.in_flight} in flight", CASE, FILTER, rows)]
    notes = {f"{name}: {reason}": None for row in rows for name, reason in row.reasons.items()}
    return "\n".join([*parts, *([""] if notes else []), *notes])


def _fps(share: Share | None) -> str:
    return "-" if share is None else short(share.median)


def _share_of(share: Share | None) -> str:
    return "-" if share is None else _percent(share.share)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


CASE: Sequence[Column[Row]] = (
    ("model", lambda row: row.case.model.name),
    ("size", lambda row: "x".join(map(str, row.case.size))),
    ("precision", lambda row: row.case.precision),
)
ENGINE: Sequence[Column[Row]] = (
    ("ms", lambda row: milliseconds(row.engine)),
    ("fps", lambda row: short(1 / row.engine.median)),
    ("encode ms", lambda row: milliseconds(row.encode)),
    ("memory MB", lambda row: megabytes(row.memory)),
    ("of operations", lambda row: _percent(row.operations)),
    ("of bytes", lambda row: _percent(row.traffic)),
    ("flow px", lambda row: f"{row.flow['median']:.1f}..{row.flow['p99']:.1f}"),
)
FILTER: Sequence[Column[Row]] = (
    ("engine+encode fps", lambda row: short(row.engine_fps)),
    ("host fps", lambda row: _fps(row.host)),
    ("of it", lambda row: _share_of(row.host)),
    ("GPU fps", lambda row: _fps(row.gpu)),
    ("of it", lambda row: _share_of(row.gpu)),
    ("again ms", lambda row: milliseconds(row.reopened)),
    ("cold s", lambda row: "-" if row.cold is None else short(row.cold.median)),
)
