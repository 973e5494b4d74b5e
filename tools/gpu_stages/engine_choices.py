"""The engine's choices, made otherwise for this process before its first frame.

The one place that depends on how the engine keeps them.
"""

import sys
from collections.abc import Callable
from typing import Any

from vsrife.engine import streams

__all__ = ["CHOICES", "choose", "defaults"]


def _band(size: int) -> None:
    from vsrife.engine import memory

    vars(memory).update(_GPU_BAND=size, _CPU_BAND=size)


def _lanes(count: int) -> None:
    # Others take the number from there when they are imported, so this comes before they are.
    vars(streams).update(LANES=count)


def _benchmark(on: bool) -> None:
    import torch

    from vsrife.engine import device

    promise = device._promise_exact_arithmetic

    def then_benchmark() -> None:
        promise()
        torch.backends.cudnn.benchmark = on

    vars(device).update(_promise_exact_arithmetic=then_benchmark)


CHOICES: dict[str, Callable[[Any], None]] = {"lanes": _lanes, "band": _band, "benchmark": _benchmark}
"""What can be chosen: lanes (a number), band (bytes of a block's input at a time), benchmark (whether cuDNN tries its
algorithms); in the order in which they have to be set."""


def defaults() -> dict[str, Any]:
    """What the engine has by itself, on a GPU."""
    from vsrife.engine import memory

    return {"lanes": streams.LANES, "band": memory._GPU_BAND, "benchmark": False}


def choose(**changes: Any) -> None:
    """Set these, before anything else of the engine is imported. Raises KeyError for a choice that there is not, and
    RuntimeError where it comes too late.
    """
    if unknown := changes.keys() - CHOICES.keys():
        raise KeyError(f"{', '.join(sorted(unknown))}: nothing that this engine lets choose")
    if changes and "vsrife.engine.device" in sys.modules:
        raise RuntimeError("the engine has been imported already, with its own choices")
    for name, set_it in CHOICES.items():
        if name in changes:
            set_it(changes[name])
