"""Excludes torch's objects from Python's garbage collection, which a player runs at every seek.

VapourSynth's VSScript collects garbage when it frees a script, and a player frees its script at every seek. Once torch
is imported, each collection visits some hundred thousand objects that live as long as the process. Therefore these
objects are frozen, which excludes them from all later collections.

The moment matters: `gc.freeze` freezes all objects that are alive, and a reference cycle of the script among them would
never be freed. So it is called at the end of VSScript's own collection, after the script's environment has been
destroyed, and only if no filter of this plugin is left: then the objects that are alive belong to modules. It is called
once in a process. In a Python program the only environment ends with the process and nothing is frozen.
"""

import gc
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["freeze_after_script"]

_scheduled = False
"""Whether freezing has been scheduled for the end of an environment, or has been done."""


def freeze_after_script(idle: Callable[[], bool]) -> None:
    """Freeze all live objects once the current script has been freed, if ``idle()`` is true then.

    idle: whether no filter of this plugin is left. To be called for every filter, with the GIL held. Does nothing if
    freezing has been scheduled or done, in a Python program, and outside of an environment.
    """
    global _scheduled
    vapoursynth = sys.modules.get("vapoursynth")  # a program that runs scripts has imported it
    if _scheduled or vapoursynth is None or vapoursynth.Environment.is_single():
        return

    def freeze(phase: str, facts: dict[str, Any]) -> None:
        global _scheduled
        if phase == "stop" and facts["generation"] == 2:
            gc.callbacks.remove(freeze)
            _scheduled = idle()  # if not, the next script's filter tries again
            if _scheduled:
                gc.freeze()

    try:
        vapoursynth.register_on_destroy(lambda: gc.callbacks.append(freeze))
    except (RuntimeError, ValueError):  # no environment, or one that is being destroyed
        return
    _scheduled = True
