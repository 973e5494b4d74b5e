"""Python's garbage collector, kept from walking over torch at every seek of a player.

A host of scripts collects all garbage when it frees one (VapourSynth's VSScript does), and a player frees its script at
every seek. Once torch is imported, each of these collections walks over some hundred thousand objects that live as long
as the process. So they are frozen, which leaves them out of every collection from then on.

When is the point. `gc.freeze` takes all that lives at that moment, and a cycle of the script among it would never be
freed. So it is done at the end of the host's own collection, after the script's environment has been destroyed, and if
no filter of ours is left: what lives then are modules. It is done once a process. Where Python itself is the host, its
one environment ends with the process and nothing is frozen: a program that trains beside its clips keeps its collector.
"""

import gc
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["freeze_after_script"]

_settled = False
"""Whether an environment has been told to freeze at its end, or that has been done."""


def freeze_after_script(idle: Callable[[], bool]) -> None:
    """Freeze what lives once the current script has been freed, if ``idle()`` says then that no filter of ours does.

    For every filter, with the GIL held. Does nothing where that is under way or done, where Python itself is the host,
    and outside of every environment.
    """
    global _settled
    vapoursynth = sys.modules.get("vapoursynth")  # a host of scripts has imported it
    if _settled or vapoursynth is None or vapoursynth.Environment.is_single():
        return

    def freeze(phase: str, facts: dict[str, Any]) -> None:
        global _settled
        if phase == "stop" and facts["generation"] == 2:
            gc.callbacks.remove(freeze)
            _settled = idle()  # otherwise the next script's filter tries again
            if _settled:
                gc.freeze()

    try:
        vapoursynth.register_on_destroy(lambda: gc.callbacks.append(freeze))
    except (RuntimeError, ValueError):  # no environment, or one that is being destroyed
        return
    _settled = True
