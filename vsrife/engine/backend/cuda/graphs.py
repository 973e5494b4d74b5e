"""CUDA graphs: a network's hundred launches for one canvas size, captured once and then replayed by one call.

A graph belongs to a lane: it has its own memory, and is replayed on that lane's stream alone. Graphs are kept for the
process, not for a filter, since a player evaluates its script again at every seek; the least recently used are dropped.
"""

import functools
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from torch import Tensor

from vsrife.choices import chosen
from vsrife.cuda import Retries, captured
from vsrife.engine.backend.cuda.kernels import Kernels
from vsrife.engine.backend.cuda.sampler import FusedSampler
from vsrife.engine.block_estimator import BlockEstimator
from vsrife.engine.field import Field
from vsrife.engine.memory import is_out_of_memory
from vsrife.engine.streams import Lane, capture_lock
from vsrife.errors import one_line

__all__ = ["drop_all", "field_in", "most_graphs", "replays"]

_log: Final = logging.getLogger("vsrife")


def most_graphs() -> int:
    """How many are kept: of a clip, the one before it, and one more, in each lane; and as many again of the small
    pictures by which cuts are decided.
    """
    return 6 * chosen().lanes


class _Replay:
    """One estimator in one lane, from its first frame on. Used by the thread that holds the lane."""

    def __init__(self, estimator: BlockEstimator, lane: Lane, kernels: Kernels) -> None:
        self._estimator = estimator
        self._lane = lane
        self._kernels = kernels
        self._graph: tuple[Callable[[], None], Field] | None = None
        self._retries = Retries()

    def field(self, left: Tensor, right: Tensor, time: float) -> Field:
        """The first call runs eagerly, then captures a CUDA graph; this and all later calls replay it."""
        if self._graph is None and self._estimator.capturable and self._retries.due():
            self._capture(left, right)
        if self._graph is None:
            return self._estimator.field(left, right, time, self._sampler)
        replay, field = self._graph
        self._sampler.set_pair(left, right, time)
        if self._estimator.ensemble:
            self._sampler.set_pair(right, left, 1.0 - time, swapped=True)
        replay()
        # The graph always writes to the same memory, so what was derived from it for another frame must not be seen.
        return field.fresh()

    @functools.cached_property
    def _sampler(self) -> FusedSampler:
        return FusedSampler(self._estimator.network, self._estimator.canvas, self._kernels)

    def _capture(self, left: Tensor, right: Tensor) -> None:
        # On this thread, outside of the capture: compiles the kernels, and lets the libraries make what they keep.
        self._estimator.field(left, right, 0.5, self._sampler)
        try:
            self._graph = _captured(lambda: self._estimator.field(left, right, 0.5, self._sampler.bound()), self._lane)
        except Exception as error:  # a driver or another thread that does not allow it: not needed
            if is_out_of_memory(error):
                raise  # what happens to be free decides nothing but whether it is tried again
            reason = one_line(error)
            later = ", and it is tried again later" if self._retries.failed() else ""
            _log.warning("a CUDA graph could not be captured (%s); frames are launched step by step%s", reason, later)


def _captured(work: Callable[[], Field], lane: Lane) -> tuple[Callable[[], None], Field]:
    """What replays ``work``, which is queued on the lane's stream, and where its results will lie each time."""
    assert lane.stream is not None
    with capture_lock:  # one capture at a time
        return captured(work, lane.stream)


replays: OrderedDict[tuple[object, ...], _Replay] = OrderedDict()
"""By the estimator's key and the lane."""
_replays_lock = threading.Lock()


def field_in(
    lane: Lane, estimator: BlockEstimator, kernels: Kernels, left: Tensor, right: Tensor, time: float
) -> Field:
    """`BlockEstimator.field`, by the kernels and, where it can be, a graph; valid until the lane is given back."""
    key = (*estimator.key, lane)
    with _replays_lock:
        replay = replays.get(key)
        if replay is None:
            replay = replays[key] = _Replay(estimator, lane, kernels)
        replays.move_to_end(key)
        while len(replays) > most_graphs():
            replays.popitem(last=False)
    return replay.field(left, right, time)


def drop_all() -> None:
    """Forget every graph and its memory; frames that are being made keep theirs to their end.

    CUDA destroys a graph when its last run is done, and frees memory when nothing uses it any more.
    """
    with _replays_lock:
        replays.clear()
