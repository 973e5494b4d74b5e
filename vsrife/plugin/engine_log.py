"""Sends what the package logs with Python's `logging` inside a callback to VapourSynth's log.

A record of the logger `vsrife` then goes to the core that made the call, and to no Python handler. VapourSynth passes
its log on to the program it runs in, and in a Python program to Python's logger `vapoursynth`, so each line appears
once. Python handlers would also be the wrong place: the one that VapourSynth installs for scripts belongs to the thread
that evaluates the script, and frames are made on other threads.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import override

from vsrife.plugin.vsapi import Core

__all__ = ["install", "sent_to"]


class _CurrentCore(threading.local):
    core: Core | None = None


class _ToVapourSynth(logging.Filter):
    """Consumes the records that are logged on a thread inside `sent_to`."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        core = _current.core
        if core is None:
            return True
        core.log(f"RIFE: {record.getMessage()}", warning=record.levelno >= logging.WARNING)
        return False


_current = _CurrentCore()
_filter = _ToVapourSynth()


def install() -> None:
    """Let `sent_to` have an effect. Idempotent."""
    logging.getLogger("vsrife").addFilter(_filter)


@contextmanager
def sent_to(core: Core) -> Iterator[None]:
    """Send what this thread logs inside the context to the log of ``core``. May be nested."""
    before, _current.core = _current.core, core
    try:
        yield
    finally:
        _current.core = before
