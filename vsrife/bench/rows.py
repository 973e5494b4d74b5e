"""One row of the benchmark: all measurements of one network at one size in one precision."""

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
from vsrife.bench.cases import Case, Plan
from vsrife.bench.engine import Engine, rate_in_flight, working_on
from vsrife.bench.timing import Timing, finish, several, timed
from vsrife.bench.work import Rates, Work, work_of
from vsrife.bench.worker import in_own_process
from vsrife.errors import RifeError, one_line

__all__ = ["Row", "Share", "measure"]

FRAMES = 8
"""Different frames of a clip, which plays them forwards and backwards."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """New frames per second of each run of the whole filter, and the median as a share of the engine's rate."""

    fps: tuple[float, ...]
    share: float

    @property
    def median(self) -> float:
        """New frames per second."""
        return statistics.median(self.fps)


@dataclass(kw_only=True, slots=True)
class Row:
    """The measurements; None where one failed, with the reason in ``reasons`` under the field's name.

    flow: its length in pixels: median, 99th percentile and largest. operations, traffic: the two lower bounds of the
    time as shares of it. engine_fps: rate of the engine with one encode, with the plan's number in flight. memory:
    bytes by holder.
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
    reasons: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """Record under ``name`` why the body failed, and continue."""
        try:
            yield
        except (RifeError, vs.Error, torch.OutOfMemoryError) as error:
            self.reasons[name] = one_line(error)


def measure(case: Case, plan: Plan, rates: Rates, progress: Callable[[str], None]) -> Row:
    """Measure one row. progress: called with the name of each part. Raises RifeError if the network cannot run."""
    frames = synthetic_input.moving_frames(*case.size, FRAMES)
    progress("engine")
    row = _engine_alone(case, plan, rates, frames)
    gc.collect()
    if plan.device.type == "cuda":
        torch.cuda.empty_cache()
    progress("memory")
    _memory(row, plan)
    if not plan.engine_only:
        _whole_filter(row, plan, [[plane.numpy() for plane in frame] for frame in frames], progress)
    return row


def _engine_alone(case: Case, plan: Plan, rates: Rates, frames: Sequence[tuple[Tensor, ...]]) -> Row:
    """The row with everything that is measured of the engine alone, its memory apart."""
    with working_on(plan.device) as held:
        engine = Engine(case.model.path, plan.device, case.dtype, case.size)
        planes = [tuple(plane.to(plan.device) for plane in frame) for frame in frames[:2]]
        left, right = (engine.encode(each) for each in planes)
        frame = timed(lambda: engine.new_frame(held, left, right), plan.device, plan.pace)
        encode = timed(lambda: engine.encode(planes[1]), plan.device, plan.pace)
        work = work_of(engine.architecture, engine.canvas, case.dtype.itemsize)
        row = Row(
            case=case,
            canvas=engine.canvas,
            work=work,
            flow=_lengths(engine.motion(held, left, right).flow),
            engine=frame,
            encode=encode,
            operations=work.flop / rates.flop / frame.median,
            traffic=work.bytes / rates.bytes / frame.median,
            engine_fps=0.0,
        )
    # The cost of a new frame with multi=2: the right source is new, the left one is cached.
    row.engine_fps = rate_in_flight(
        plan.device,
        lambda: engine.fresh_frame(left, planes[1]),
        plan.in_flight,
        max(plan.in_flight, plan.frames),
    )
    return row


def _lengths(flow: Tensor) -> dict[str, float]:
    lengths = flow.view(2, 2, -1).norm(dim=1).flatten()
    sample = lengths[:: -(-lengths.numel() // 1_000_000)].sort().values  # quantile() does not take long tensors
    return {
        "median": float(sample[sample.numel() // 2]),
        "p99": float(sample[int(0.99 * sample.numel())]),
        "largest": float(lengths.max()),
    }


def _memory(row: Row, plan: Plan) -> None:
    """The memory, measured in a process of its own."""
    case = row.case
    with row.attempt("memory"):
        row.memory = in_own_process(
            "memory", model=str(case.model.path), device=str(plan.device), precision=case.precision, size=case.size
        )["bytes"]


def _whole_filter(row: Row, plan: Plan, frames: Sequence[end_to_end.Planes], progress: Callable[[str], None]) -> None:
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
        progress("filter, host frames")
        row.host = share(end_to_end.looped(frames, length), resident=False)
    with row.attempt("gpu"):
        if plan.device.type != "cuda":
            raise RifeError("frames in GPU memory need a network on a GPU")
        progress("filter, GPU frames")
        row.gpu = share(end_to_end.on_gpu(frames, length), resident=True)
    with row.attempt("reopened"):
        progress("called again")
        again = partial(end_to_end.first_frame, end_to_end.looped(frames, 2), **call)
        again()
        row.reopened = Timing(samples=several(again, plan.pace))
    with row.attempt("cold"), tempfile.TemporaryDirectory() as folder:
        progress("cold start")
        path = Path(folder) / "frames.npz"
        end_to_end.save(frames[:2], path)

        def start() -> float:
            return float(in_own_process("start", frames=str(path), **call)["seconds"])

        if plan.pace.runs > 1:
            start()  # it may compile kernels, which are kept on disk
        row.cold = Timing(samples=several(start, plan.pace))
