"""The comparison with the peer: its network and ours on the same two frames, taking turns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from vsrife import cuda
from vsrife.bench.cases import Case
from vsrife.bench.engine import Engine, Source
from vsrife.bench.peer import DTYPES, Peer, PeerNetwork, its_settings
from vsrife.bench.timing import Subject, Timing
from vsrife.errors import ArgumentError

__all__ = ["Comparison", "VsRifeBaseline"]

WARM_UP = 3
"""Frames before a capture, in which cuDNN chooses its algorithms and torch's pool grows."""


@dataclass(kw_only=True, slots=True)
class Comparison:
    """What the peer took. Ratios are its over ours: 2 means that ours is twice as fast, or takes half the memory.

    difference: the largest between the two new frames, as RGB in 0..1 on the canvas.
    """

    release: str
    version: str
    network: Timing
    ratio: float
    difference: float
    graph: Timing | None = None
    graph_ratio: float | None = None
    memory: dict[str, int] | None = None
    memory_ratio: float | None = None


class VsRifeBaseline:
    """The peer's network beside an engine, with two sources prepared. To be used inside `working_on`.

    subjects: its calls to be timed, "theirs" and, on CUDA, "graph".
    no_graph: why there is no "graph".
    """

    def __init__(self, peer: Peer, case: Case, engine: Engine, left: Source, right: Source) -> None:
        """Raises ArgumentError where the peer cannot run this case."""
        model = case.model
        if model.version is None:
            raise ArgumentError(f"which of the peer's networks takes {model.name} cannot be told from that name")
        if model.version not in peer.versions:
            raise ArgumentError(f"the peer has no network {model.version}")
        if case.dtype not in DTYPES:
            raise ArgumentError(f"the peer runs float32 and float16, not {case.precision}")
        self._release, self._version, self._device = peer.release, model.version, engine.device
        with its_settings():
            self._network = PeerNetwork(peer, model.version, model.path, engine.device, case.dtype, engine.canvas)
            self._theirs = [self._network.prepare(engine.rgb(source.planes)) for source in (left, right)]
            self.subjects = {"theirs": Subject(call=self._new_frame, around=its_settings)}
            replay, self.no_graph = self._captured()
        if replay is not None:
            self.subjects["graph"] = Subject(call=replay)

    def _new_frame(self) -> torch.Tensor:
        return self._network.new_frame(*self._theirs)

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

    def compared(self, times: Mapping[str, Timing], ours: torch.Tensor) -> Comparison:
        """The result, from what `alternate` measured of "engine" and of `subjects`, and from `Engine.merged`."""
        with its_settings():
            made = self._new_frame().float()
        mine, graph = times["engine"].median, times.get("graph")
        return Comparison(
            release=self._release,
            version=self._version,
            network=times["theirs"],
            ratio=times["theirs"].median / mine,
            difference=float((made - ours).abs().max()),
            graph=graph,
            graph_ratio=None if graph is None else graph.median / mine,
        )
