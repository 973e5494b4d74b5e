"""The bench's result as tables for people and as JSON for programs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vsrife.bench.against import Comparison
from vsrife.bench.cases import Plan
from vsrife.bench.rows import Row, Share
from vsrife.bench.timing import QUICK, Timing
from vsrife.bench.work import Rates

__all__ = ["as_json", "as_text"]

Column = tuple[str, Callable[[Row], str]]


def as_json(machine: Mapping[str, Any], plan: Plan, rates: Mapping[str, Rates], rows: Sequence[Row]) -> dict[str, Any]:
    """Everything, with every sample. Times in milliseconds, memory in bytes."""
    return {
        "machine": dict(machine),
        "options": {
            "frames": plan.frames,
            "in_flight": plan.in_flight,
            "engine_only": plan.engine_only,
            "quick": plan.pace is QUICK,
            "against": str(plan.peer.folder) if plan.peer else None,
        },
        "rates": {precision: asdict(each) for precision, each in rates.items()},
        "rows": [_row(row) for row in rows],
    }


def _row(row: Row) -> dict[str, Any]:
    case, against = row.case, row.against
    return {
        "model": case.model.name,
        "width": case.size[0],
        "height": case.size[1],
        "precision": case.precision,
        "canvas": {"width": row.canvas[1], "height": row.canvas[0]},
        "work": asdict(row.work),
        "flow_px": row.flow,
        "engine_ms": _timing(row.engine),
        "encode_ms": _timing(row.encode),
        "floors": {"operations": row.operations, "bytes": row.traffic},
        "engine_and_encode_fps": row.engine_fps,
        "memory": row.memory,
        "filter_host_frames": _share(row.host),
        "filter_gpu_frames": _share(row.gpu),
        "called_again_ms": _timing(row.reopened),
        "cold_start_ms": _timing(row.cold),
        "against": None if against is None else _against(against),
        "reasons": row.reasons,
    }


def _timing(timing: Timing | None) -> dict[str, Any] | None:
    if timing is None:
        return None
    samples = [1e3 * sample for sample in timing.samples]
    return {"median": 1e3 * timing.median, "spread": 1e3 * timing.spread, "samples": samples}


def _share(share: Share | None) -> dict[str, Any] | None:
    return None if share is None else {"new_fps": share.median, "share": share.share, "runs": list(share.fps)}


def _against(against: Comparison) -> dict[str, Any]:
    return {
        "release": against.release,
        "version": against.version,
        "network_ms": _timing(against.network),
        "ratio": against.ratio,
        "graph_ms": _timing(against.graph),
        "graph_ratio": against.graph_ratio,
        "memory": against.memory,
        "memory_ratio": against.memory_ratio,
        "largest_difference": against.difference,
    }


def as_text(machine: Mapping[str, Any], plan: Plan, rates: Mapping[str, Rates], rows: Sequence[Row]) -> str:
    """Aligned tables; a dash where there is no figure, and why below."""
    parts = [
        f"{machine['name']} ({machine['device']}), torch {machine['torch']}, vsrife {machine['vsrife']}",
        f"YUV420P8, t = 0.5, smooth moving texture; threads a frame on a CPU: {machine['torch_threads']}",
        *(
            f"{precision}: {each.flop / 1e12:.3g} TFLOP/s, {each.bytes / 1e9:.3g} GB/s measured"
            for precision, each in rates.items()
        ),
        "",
        _table("engine alone", ENGINE, rows),
    ]
    if not plan.engine_only:
        parts += ["", _table(f"whole filter, multi=2, {plan.in_flight} in flight", FILTER, rows)]
    if plan.peer is not None:
        parts += ["", _table(f"against vs-rife {plan.peer.release}", AGAINST, rows)]
    notes = {f"{name}: {reason}": None for row in rows for name, reason in row.reasons.items()}
    return "\n".join([*parts, *([""] if notes else []), *notes])


def _table(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> str:
    columns = [*CASE, *columns]
    lines = [[head for head, _ in columns], *([cell(row) for _, cell in columns] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]
    texts = [
        "  ".join(
            cell.ljust(width) if column < len(CASE) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([title, *texts])


def _ms(timing: Timing | None) -> str:
    if timing is None:
        return "-"
    spread = f" ±{_short(1e3 * timing.spread)}" if len(timing.samples) > 1 else ""
    return f"{_short(1e3 * timing.median)}{spread}"


def _short(number: float) -> str:
    """Three digits where there are decimals."""
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def _mb(memory: Mapping[str, int] | None) -> str:
    return "-" if memory is None else _short(sum(memory.values()) / 1e6)


def _fps(share: Share | None) -> str:
    return "-" if share is None else _short(share.median)


def _share_of(share: Share | None) -> str:
    return "-" if share is None else _percent(share.share)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}x"


def _of_peer(cell: Callable[[Comparison], str]) -> Callable[[Row], str]:
    return lambda row: "-" if row.against is None else cell(row.against)


CASE: Sequence[Column] = (
    ("model", lambda row: row.case.model.name),
    ("size", lambda row: "x".join(map(str, row.case.size))),
    ("precision", lambda row: row.case.precision),
)
ENGINE: Sequence[Column] = (
    ("ms", lambda row: _ms(row.engine)),
    ("fps", lambda row: _short(1 / row.engine.median)),
    ("encode ms", lambda row: _ms(row.encode)),
    ("memory MB", lambda row: _mb(row.memory)),
    ("of operations", lambda row: _percent(row.operations)),
    ("of bytes", lambda row: _percent(row.traffic)),
    ("flow px", lambda row: f"{row.flow['median']:.1f}..{row.flow['p99']:.1f}"),
)
FILTER: Sequence[Column] = (
    ("engine+encode fps", lambda row: _short(row.engine_fps)),
    ("host fps", lambda row: _fps(row.host)),
    ("of it", lambda row: _share_of(row.host)),
    ("GPU fps", lambda row: _fps(row.gpu)),
    ("of it", lambda row: _share_of(row.gpu)),
    ("again ms", lambda row: _ms(row.reopened)),
    ("cold s", lambda row: "-" if row.cold is None else _short(row.cold.median)),
)
AGAINST: Sequence[Column] = (
    ("ours ms", lambda row: _ms(row.engine)),
    ("theirs ms", _of_peer(lambda peer: _ms(peer.network))),
    ("ratio", _of_peer(lambda peer: _times(peer.ratio))),
    ("graph ms", _of_peer(lambda peer: _ms(peer.graph))),
    ("ratio", _of_peer(lambda peer: _times(peer.graph_ratio))),
    ("ours MB", lambda row: _mb(row.memory)),
    ("theirs MB", _of_peer(lambda peer: _mb(peer.memory))),
    ("ratio", _of_peer(lambda peer: _times(peer.memory_ratio))),
    ("difference", _of_peer(lambda peer: f"{peer.difference:.1e}")),
)
