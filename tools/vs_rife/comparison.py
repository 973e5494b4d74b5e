"""A network of vs-rife and ours on the same two frames with the same weights, timed in turns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from vs_rife.network import DTYPES, VsRifeNetwork, plugin_settings
from vs_rife.package import VsRifePackage
from vsrife import cuda
from vsrife.bench.cases import Case
from vsrife.bench.engine import Engine, Source, working_on
from vsrife.bench.synthetic_input import moving_frames
from vsrife.bench.timing import Pace, Subject, Timing, alternate
from vsrife.errors import ArgumentError

__all__ = ["Comparison", "VsRifeBaseline", "compare"]

WARM_UP = 3
"""Frames before a capture, in which cuDNN chooses its algorithms and torch's pool grows."""


@dataclass(kw_only=True, slots=True)
class Comparison:
    """One case. None where something was not measured, with the reason in ``reasons``.

    theirs, graph: their network, and the same replayed from a CUDA graph. memory, our_memory: bytes by holder.
    difference: the largest between the two new frames, as RGB in 0..1 on the canvas.
    """

    case: Case
    canvas: tuple[int, int]
    ours: Timing
    theirs: Timing | None = None
    graph: Timing | None = None
    difference: float | None = None
    memory: dict[str, int] | None = None
    our_memory: dict[str, int] | None = None
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Their time over ours: 2 means that ours is twice as fast."""
        return None if self.theirs is None else self.theirs.median / self.ours.median

    @property
    def graph_ratio(self) -> float | None:
        """The time of their CUDA graph over ours."""
        return None if self.graph is None else self.graph.median / self.ours.median

    @property
    def memory_ratio(self) -> float | None:
        """Their memory over ours."""
        if self.memory is None or self.our_memory is None:
            return None
        return sum(self.memory.values()) / max(sum(self.our_memory.values()), 1)


class VsRifeBaseline:
    """A network of vs-rife with two prepared sources. To be used inside `working_on`.

    subjects: its calls to be timed, "theirs" and, on CUDA, "graph".
    no_graph: why there is no "graph".
    """

    def __init__(self, package: VsRifePackage, case: Case, engine: Engine, left: Source, right: Source) -> None:
        """Raises ArgumentError where vs-rife cannot run this case."""
        version = _version(package, case)
        self._device = engine.device
        with plugin_settings():
            self._network = VsRifeNetwork(package, version, case.model.path, engine.device, case.dtype, engine.canvas)
            self._sources = [self._network.prepare(engine.rgb(source.planes)) for source in (left, right)]
            self.subjects = {"theirs": Subject(call=self._new_frame, around=plugin_settings)}
            replay, self.no_graph = self._captured()
        if replay is not None:
            self.subjects["graph"] = Subject(call=replay)

    def _new_frame(self) -> torch.Tensor:
        return self._network.new_frame(*self._sources)

    def _captured(self) -> tuple[Callable[[], None] | None, str]:
        if self._device.type != "cuda":
            return None, "CUDA graphs need CUDA"
        for _ in range(WARM_UP):
            self._new_frame()
        try:
            replay, _ = cuda.captured(self._new_frame, cuda.own_stream(self._device))
            return replay, ""
        except RuntimeError as error:
            return None, f"its network cannot be captured: {' '.join(str(error).split())[:160]}"

    def difference(self, ours: torch.Tensor) -> float:
        """The largest difference between its new frame and ``ours``, that of `Engine.merged`."""
        with plugin_settings():
            made = self._new_frame().float()
        return float((made - ours).abs().max())


def _version(package: VsRifePackage, case: Case) -> str:
    version = case.model.version
    if version is None:
        raise ArgumentError(f"models ({case.model.name}) must have the name of an official file, such as flownet_v4.26")
    if version not in package.versions:
        raise ArgumentError(f"models ({case.model.name}): vs-rife has no network {version}")
    if case.dtype not in DTYPES:
        raise ArgumentError(f"precisions ({case.precision}) must be float32 or float16 for vs-rife")
    return version


def compare(package: VsRifePackage, case: Case, device: torch.device, pace: Pace) -> Comparison:
    """Time one case, without its memory."""
    frames = moving_frames(*case.size, 2)
    with working_on(device) as held:
        engine = Engine(case.model.path, device, case.dtype, case.size)
        left, right = (engine.encode(tuple(plane.to(device) for plane in frame)) for frame in frames)
        subjects: Mapping[str, Subject] = {"ours": Subject(call=lambda: engine.new_frame(held, left, right))}
        baseline, reasons = None, {}
        try:
            baseline = VsRifeBaseline(package, case, engine, left, right)
            subjects = {**subjects, **baseline.subjects}
            if baseline.no_graph:
                reasons["graph"] = baseline.no_graph
        except ArgumentError as error:
            reasons["theirs"] = str(error)
        times = alternate(subjects, device, pace)
        return Comparison(
            case=case,
            canvas=engine.canvas,
            ours=times["ours"],
            theirs=times.get("theirs"),
            graph=times.get("graph"),
            difference=None if baseline is None else baseline.difference(engine.merged(held, left, right)),
            reasons=reasons,
        )
