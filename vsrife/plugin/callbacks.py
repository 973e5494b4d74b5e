"""The three functions that VapourSynth calls: create, getFrame and free. No exception may leave them.

Filters are kept in a table by a serial number, which VapourSynth stores as instance data, so a stale pointer can never
reach a Python object.
"""

import atexit
import functools
import itertools
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vsrife.errors import RifeError
from vsrife.plugin import engine_log, gc_freeze, installation, vsapi
from vsrife.plugin.failures import as_rife_error, remember
from vsrife.plugin.signature import ARGUMENTS

if TYPE_CHECKING:
    from vsrife.plugin.filter import Filter

__all__ = ["instances", "register"]

instances: dict[int, "Filter"] = {}
_serials = itertools.count(1)
_home = os.getpid()
"""The process that loaded this module. A process that is forked from it has none of its threads."""


def register(module: ModuleType) -> None:
    """Define the Python functions of ``module``, the native library as a Python module. Idempotent."""
    if vsapi.connected():
        return
    vsapi.connect(module)
    module.ffi.def_extern(name="rife_create")(_create)
    module.ffi.def_extern(name="rife_get_frame")(_get_frame)
    module.ffi.def_extern(name="rife_free")(_free)
    engine_log.install()


def _refuse_fork() -> None:
    if os.getpid() != _home:
        raise RifeError(
            "this process was forked from one that had called RIFE, and the threads of VapourSynth and torch are not "
            'forked; start a new process instead: multiprocessing.get_context("spawn")'
        )


@functools.cache
def _stop_at_exit() -> None:
    # Python's exit waits for every requested frame, which may take minutes. These frames fail instead.
    from vsrife.engine.slots import stop

    atexit.register(stop)


def _create(arguments: Any, result: Any, core: Any, api: Any) -> None:
    edge = vsapi.Core(api, core)
    try:
        with engine_log.sent_to(edge):
            _call(edge, vsapi.Map(edge, arguments), result)
    except BaseException as error:  # noqa: BLE001 - no exception may leave: each becomes the error of the script's call
        failure = as_rife_error(error)
        remember(failure)
        edge.set_error(result, f"RIFE: {failure}")


def _call(core: vsapi.Core, passed: vsapi.Map, result: Any) -> None:
    """One call of core.rife.RIFE: put a clip into the map ``result``."""
    _refuse_fork()
    installation.check()
    # These import torch. A script that never calls RIFE must not wait for that.
    from vsrife.plugin import gpu_list
    from vsrife.plugin.arguments import parse
    from vsrife.plugin.filter import Filter

    _stop_at_exit()
    gc_freeze.freeze_after_script(lambda: not instances)
    settings = parse(passed.values(ARGUMENTS))
    if settings.ncnn.list_gpu:
        gpu_list.publish(core, passed, vsapi.Map(core, result))
        return
    serial = next(_serials)
    instance = Filter(core, passed, settings, serial)
    instances[serial] = instance
    try:
        instance.publish(result)
    except BaseException:
        _close(serial)
        raise


def _get_frame(n: int, reason: int, instance: Any, _frame_data: Any, context: Any, core: Any, api: Any) -> Any:
    edge = vsapi.Core(api, core)
    try:
        found = instances[vsapi.serial_of(instance)]
        if reason == vsapi.lib().arInitial:
            found.request(n, context)
        elif reason == vsapi.lib().arAllFramesReady:
            with engine_log.sent_to(edge):
                return found.produce(n, context)
        else:
            found.cancel(context)
    except BaseException as error:  # noqa: BLE001 - as above: this frame fails, and the others are made
        edge.set_frame_error(context, f"RIFE: frame {n}: {as_rife_error(error)}")
    return vsapi.ffi().NULL


def _free(instance: Any, core: Any, api: Any) -> None:
    edge = vsapi.Core(api, core)
    try:
        with engine_log.sent_to(edge):
            _close(vsapi.serial_of(instance))
    except Exception as error:  # noqa: BLE001 - as above: after a failure of the GPU its memory cannot be released
        edge.inform_once(f"RIFE: not all memory could be released: {as_rife_error(error)}")


def _close(serial: int) -> None:
    # Without a lock, because garbage collection in any callback may free a clip of this plugin, which ends here.
    found = instances.pop(serial, None)
    if found is not None:
        found.close()
