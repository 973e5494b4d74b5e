"""The three functions VapourSynth calls: create, getFrame, free. The edge where no exception may pass.

Filters live in a table keyed by a serial number, which is what VapourSynth keeps as instance data; so a stale
pointer can never reach a Python object.
"""

import atexit
import functools
import itertools
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vsrife.errors import RifeError
from vsrife.plugin import gc_freeze, installation, vsapi
from vsrife.plugin.failures import as_rife_error, remember
from vsrife.plugin.signature import ARGUMENTS

if TYPE_CHECKING:
    from vsrife.plugin.filter import Filter

__all__ = ["register"]

_instances: dict[int, "Filter"] = {}
_serials = itertools.count(1)
_home = os.getpid()
"""The process that loaded this module. A process forked from it has neither VapourSynth's threads nor torch's."""


def register(module: ModuleType) -> None:
    """Give ``module`` (the native library as a Python module) its Python functions. Idempotent."""
    if vsapi.connected():
        return
    vsapi.connect(module)
    module.ffi.def_extern(name="rife_create")(_create)
    module.ffi.def_extern(name="rife_get_frame")(_get_frame)
    module.ffi.def_extern(name="rife_free")(_free)


def _refuse_fork() -> None:
    if os.getpid() != _home:
        raise RifeError(
            "this process was forked from one that had called RIFE, and the threads of VapourSynth and torch do not "
            'come along; start it anew: multiprocessing.get_context("spawn")'
        )


@functools.cache
def _stop_at_exit() -> None:
    # Python's exit waits for every frame that was asked for, which may be minutes of work that nobody wants any more.
    from vsrife.engine.slots import stop

    atexit.register(stop)


def _create(arguments: Any, result: Any, core: Any, api: Any) -> None:
    edge = vsapi.Core(api, core)
    try:
        _refuse_fork()
        installation.check()
        # The filter and the list bring torch, which a host that never calls RIFE must not pay for.
        from vsrife.plugin import gpu_list
        from vsrife.plugin.arguments import parse
        from vsrife.plugin.filter import Filter

        _stop_at_exit()
        gc_freeze.freeze_after_script(lambda: not _instances)
        passed = vsapi.Map(edge, arguments)
        settings = parse(passed.values(ARGUMENTS))
        if settings.ncnn.list_gpu:
            gpu_list.publish(edge, passed, vsapi.Map(edge, result))
            return
        serial = next(_serials)
        instance = Filter(edge, passed, settings, serial)
        _instances[serial] = instance
        try:
            instance.publish(result)
        except BaseException:
            _close(serial)
            raise
    except BaseException as error:  # noqa: BLE001 - VapourSynth's edge: every failure becomes the script's error
        failure = as_rife_error(error)
        remember(failure)
        edge.set_error(result, f"RIFE: {failure}")


def _get_frame(n: int, reason: int, instance: Any, _frame_data: Any, context: Any, core: Any, api: Any) -> Any:
    try:
        found = _instances[vsapi.serial_of(instance)]
        if reason == vsapi.lib().arInitial:
            found.request(n, context)
        elif reason == vsapi.lib().arAllFramesReady:
            return found.answer(n, context)
        else:
            found.forget(context)
    except BaseException as error:  # noqa: BLE001 - as above; only this frame fails, and without an answer the host dies
        vsapi.Core(api, core).set_frame_error(context, f"RIFE: frame {n}: {as_rife_error(error)}")
    return vsapi.ffi().NULL


def _free(instance: Any, core: Any, api: Any) -> None:
    try:
        _close(vsapi.serial_of(instance))
    except Exception as error:  # noqa: BLE001 - as above; a GPU that has failed gives nothing back
        vsapi.Core(api, core).inform_once(f"RIFE: not everything could be given back: {as_rife_error(error)}")


def _close(serial: int) -> None:
    # No lock: garbage that is collected in any callback may be a clip of ours, and end here within it.
    found = _instances.pop(serial, None)
    if found is not None:
        found.close()
