"""One row of the bench: everything that is measured of one network, at one size, in one precision."""

import contextlib
import gc
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
import vapoursynth as vs
from torch import Tensor

from vsrife.bench import end_to_end, synthetic_input
from vsrife.bench.against import Comparison, VsRifeBaseline
from vsrife.bench.cases import Case, Plan
from vsrife.bench.engine import Engine, rate_in_flight, working_on
from vsrife.bench.timing import Subject, Timing, alternate, finish, several, timed
from vsrife.bench.work import Rates, Work, work_of
from vsrife.bench.worker import ask
from vsrife.errors import ArgumentError, RifeError

__all__ = ["Row", "Share", "measure"]

DRAWN = 8
"""Frames that are drawn; clips go through them to and fro."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """New frames a second of each run of the whole filter, and the median's share of the engine's rate."""

    fps: tuple[float, ...]
    share: float

    @property
    def median(self) -> float:
        """New frames a second."""
        return statistics.median(self.fps)


@dataclass(kw_only=True, slots=True)
class Row:
    """What was measured; None where it was not, with the reason in ``reasons`` under the field's name.

    flow: its length in pixels: median, 99 % and largest. operations, traffic: shares of the two floors, 1 being the
    floor itself. engine_fps: rate of (engine + one encode) with the plan's number in flight. memory: bytes by holder.
    """

    case: Case
    canvas: tuple[int, int]
    work: Work
    flow: dict[str, float]
    engine: Timing
    encode: Timing
    operations: float
    traffic: float
    engine_fps: float
    memory: dict[str, int] | None = None
    host: Share | None = None
    gpu: Share | None = None
    reopened: Timing | None = None
    cold: Timing | None = None
    against: Comparison | None = None
    reasons: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """Note under ``name`` why what is done inside could not be done, and go on."""
        try:
            yield
        except (RifeError, vs.Error, torch.OutOfMemoryError) as error:
            self.reasons[name] = " ".join(str(error).split())


def measure(case: Case, plan: Plan, rates: Rates, tell: Callable[[str], None]) -> Row:
    """Measure one row; ``tell`` hears what is being done. Raises RifeError where the network cannot run at all."""
    frames = synthetic_input.moving_frames(*case.size, DRAWN)
    tell("engine")
    row = _engine_alone(case, plan, rates, frames)
    gc.collect()
    if plan.device.type == "cuda":
        torch.cuda.empty_cache()
    tell("memory")
    _memory(row, plan)
    if not plan.engine_only:
        _whole_filter(row, plan, [[plane.numpy() for plane in frame] for frame in frames], tell)
    return row


def _engine_alone(case: Case, plan: Plan, rates: Rates, frames: Sequence[tuple[Tensor, ...]]) -> Row:
    """The row with all that the engine answers for by itself, and the peer's network beside it."""
    with working_on(plan.device) as held:
        engine = Engine(case.model.path, plan.device, case.dtype, case.size)
        planes = [tuple(plane.to(plan.device) for plane in frame) for frame in frames[:2]]
        left, right = (engine.encode(each) for each in planes)
        subjects = {"engine": Subject(call=lambda: engine.new_frame(held, left, right))}
        opponent, no_opponent = None, ""
        if plan.peer is not None:
            try:
                opponent = VsRifeBaseline(plan.peer, case, engine, left, right)
                subjects |= opponent.subjects
            except ArgumentError as error:
                no_opponent = str(error)
        times = alternate(subjects, plan.device, plan.pace)
        encode = timed(lambda: engine.encode(planes[1]), plan.device, plan.pace)
        work = work_of(engine.architecture, engine.canvas, case.dtype.itemsize)
        row = Row(
            case=case,
            canvas=engine.canvas,
            work=work,
            flow=_lengths(engine.motion(held, left, right).flow),
            engine=times["engine"],
            encode=encode,
            operations=work.flop / rates.flop / times["engine"].median,
            traffic=work.bytes / rates.bytes / times["engine"].median,
            engine_fps=0.0,
        )
        if opponent is not None:
            row.against = opponent.compared(times, engine.merged(held, left, right))
        reasons = {"against": no_opponent, "against.graph": opponent.no_graph if opponent else ""}
        row.reasons |= {name: reason for name, reason in reasons.items() if reason}
    # With multi=2 a new frame costs as much: the right source is new, the left one is cached.
    row.engine_fps = rate_in_flight(
        plan.device,
        lambda: engine.fresh_frame(left, planes[1]),
        plan.in_flight,
        max(plan.in_flight, plan.frames),
    )
    return row


def _lengths(flow: Tensor) -> dict[str, float]:
    lengths = flow.view(2, 2, -1).norm(dim=1).flatten()
    sample = lengths[:: -(-lengths.numel() // 1_000_000)].sort().values  # quantile() refuses long tensors
    return {
        "median": float(sample[sample.numel() // 2]),
        "p99": float(sample[int(0.99 * sample.numel())]),
        "largest": float(lengths.max()),
    }


def _memory(row: Row, plan: Plan) -> None:
    """Ours, and the peer's where it runs: each alone in a process of its own."""
    case = row.case
    asked = partial(
        ask,
        "memory",
        model=str(case.model.path),
        device=str(plan.device),
        precision=case.precision,
        size=case.size,
        canvas=row.canvas,
    )
    with row.attempt("memory"):
        row.memory = asked(peer=None)["bytes"]
    if row.against is not None and plan.peer is not None:
        with row.attempt("against.memory"):
            row.against.memory = asked(peer={"folder": str(plan.peer.folder), "version": row.against.version})["bytes"]
    if row.memory and row.against is not None and row.against.memory:
        row.against.memory_ratio = sum(row.against.memory.values()) / max(sum(row.memory.values()), 1)


def _whole_filter(row: Row, plan: Plan, frames: Sequence[end_to_end.Planes], tell: Callable[[str], None]) -> None:
    """The filter with host frames and with GPU frames, called again, and started cold."""
    call: dict[str, str] = {
        "model": str(row.case.model.path),
        "device": str(plan.device),
        "precision": row.case.precision,
    }
    length = plan.in_flight + 1 + plan.frames

    def share(clip: vs.VideoNode, *, resident: bool) -> Share:
        rate = partial(
            end_to_end.new_frames_a_second,
            clip,
            in_flight=plan.in_flight,
            finish=partial(finish, plan.device),
            resident=resident,
            **call,
        )
        fps = several(rate, plan.pace)
        return Share(fps=fps, share=statistics.median(fps) / row.engine_fps)

    with row.attempt("host"):
        tell("filter, host frames")
        row.host = share(end_to_end.looped(frames, length), resident=False)
    with row.attempt("gpu"):
        if plan.device.type != "cuda":
            raise RifeError("frames in GPU memory need a network on a GPU")
        tell("filter, GPU frames")
        row.gpu = share(end_to_end.on_gpu(frames, length), resident=True)
    with row.attempt("reopened"):
        tell("called again")
        again = partial(end_to_end.first_frame, end_to_end.looped(frames, 2), **call)
        again()
        row.reopened = Timing(samples=several(again, plan.pace))
    with row.attempt("cold"), tempfile.TemporaryDirectory() as folder:
        tell("cold start")
        path = Path(folder) / "frames.npz"
        end_to_end.save(frames[:2], path)

        def start() -> float:
            return float(ask("start", frames=str(path), **call)["seconds"])

        if plan.pace.runs > 1:
            start()  # it may compile kernels, which are kept on disk
        row.cold = Timing(samples=several(start, plan.pace))
