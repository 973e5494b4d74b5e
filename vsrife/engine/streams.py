"""Which CUDA stream does what, so that the uploads, the arithmetic and the downloads of different frames overlap.

A frame passes three places. It is uploaded and encoded on one stream, where sources arrive in turn; its motion and its
planes are computed in one of few lanes, each with a stream and (see `graphs`) memory of its own; its planes go back on
a third stream. Marks order the work of one stream after that of another, on the device. The host waits for the planes
that it copies into its own memory, and for the last mark, holding neither the GIL nor a lane. On other devices than
CUDA there is one lane, and all marks are empty.

Tensors made on one stream are read on another. torch's allocator learns of it by `record_stream` for what the cache may
drop; and the thread that computes a frame holds what it reads until the host has seen, or the device has been notified,
that the frame is done.
"""

import queue
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from vsrife import cuda
from vsrife.choices import chosen

__all__ = ["Lane", "Mark", "capture_lock", "downloading", "lane", "mark", "uploading"]


capture_lock = threading.Lock()
"""Held while a graph is captured. To wait for a stream that is being captured, or for the whole device, is an error and
breaks the capture; so a thread that must wait like that, after a failure, holds this."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Lane:
    """A place to compute in. index: 0 .. `Choices.lanes` - 1. stream: its own, None on other devices than CUDA."""

    index: int
    stream: torch.cuda.Stream | None = None


class Mark:
    """A point in the work of a stream."""

    __slots__ = ("_event",)

    def __init__(self, event: torch.cuda.Event | None) -> None:
        self._event = event

    def follow(self) -> None:
        """Let what is queued on the current stream from now on begin after this point."""
        if self._event is not None:
            self.followed_by(torch.cuda.current_stream())

    def followed_by(self, stream: torch.cuda.Stream) -> None:
        """The same of any stream."""
        if self._event is not None:
            stream.wait_event(self._event)

    def wait(self) -> None:
        """Return when the device has passed this point. Sleeps without the GIL."""
        if self._event is not None:
            self._event.synchronize()


def mark(device: torch.device) -> Mark:
    """The point that the current stream of ``device`` has come to."""
    if device.type != "cuda":
        return Mark(None)
    event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return Mark(event)


class _Streams:
    """All streams of one CUDA device, and which of so many lanes are free."""

    def __init__(self, device: torch.device, lanes: int) -> None:
        self.up, self.down = cuda.own_stream(device), cuda.own_stream(device)
        self.free: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        for index in range(lanes):
            self.free.put(Lane(index=index, stream=cuda.own_stream(device)))


_streams: dict[tuple[torch.device, int], _Streams] = {}
_streams_lock = threading.Lock()
_NO_LANE = Lane(index=0)


def _of(device: torch.device) -> _Streams:
    key = device, chosen().lanes
    with _streams_lock:
        if key not in _streams:
            _streams[key] = _Streams(*key)
        return _streams[key]


# Contexts of a frame are no generators, which would take a microsecond more each.


def uploading(device: torch.device) -> AbstractContextManager[object]:
    """Queue on the stream on which sources arrive."""
    return nullcontext() if device.type != "cuda" else torch.cuda.stream(_of(device).up)


class lane:  # noqa: N801 - a context, as one function is
    """Hold a lane, its stream current. Waits for a free one, without the GIL; its work may still run when it is given
    on, and what the next holder queues comes after it.
    """

    __slots__ = ("_current", "_held", "_streams")

    def __init__(self, device: torch.device) -> None:
        self._streams = _of(device) if device.type == "cuda" else None

    def __enter__(self) -> Lane:
        if self._streams is None:
            return _NO_LANE
        self._held = self._streams.free.get()
        try:
            self._current = torch.cuda.stream(self._held.stream)
            self._current.__enter__()  # type: ignore[no-untyped-call]
        except BaseException:
            self._streams.free.put(self._held)
            raise
        return self._held

    def __exit__(self, *error: object) -> None:
        if self._streams is not None:
            try:
                self._current.__exit__(*error)
            finally:
                self._streams.free.put(self._held)


def downloading(device: torch.device, after: Mark) -> AbstractContextManager[object]:
    """Queue on the stream on which planes go back, behind ``after``."""
    if device.type != "cuda":
        return nullcontext()
    down = _of(device).down
    after.followed_by(down)
    return torch.cuda.stream(down)
