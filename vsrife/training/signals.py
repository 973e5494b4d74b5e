"""A clean end when the user or the machine asks for it."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["signals"]


@contextlib.contextmanager
def signals(ask_to_stop: Callable[[], bool]) -> Iterator[None]:
    """Ctrl-C and SIGTERM call `ask_to_stop`; where that says it was called before, they do what they did before.

    Only the main thread is told of signals: in another one nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if ask_to_stop():
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
