"""Stopping cleanly on Ctrl-C and SIGTERM."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["signals"]


@contextlib.contextmanager
def signals(request_stop: Callable[[], bool]) -> Iterator[None]:
    """Ctrl-C and SIGTERM call `request_stop`; if it returns True, the previous handler runs.

    Signals are delivered to the main thread only; in another thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if request_stop():
            handler = before[number]
            if callable(handler):
                handler(number, frame)

    before = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
