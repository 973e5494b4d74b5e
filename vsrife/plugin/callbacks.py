"""The three functions VapourSynth calls: create, getFrame, free. The edge where no exception may pass.

Filters live in a table keyed by a serial number, which is what VapourSynth keeps as instance data; so a stale
pointer can never reach a Python object.
"""

import itertools
import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vsrife.plugin import installation, vsapi

if TYPE_CHECKING:
    from vsrife.plugin.filter import Filter

__all__ = ["register"]

_instances: dict[int, "Filter"] = {}
_serials = itertools.count(1)
_lock = threading.Lock()


def register(module: ModuleType) -> None:
    """Give ``module`` (the native library as a Python module) its Python functions. Idempotent."""
    if vsapi.connected():
        return
    vsapi.connect(module)
    module.ffi.def_extern(name="rife_create")(_create)
    module.ffi.def_extern(name="rife_get_frame", onerror=_unexpected)(_get_frame)
    module.ffi.def_extern(name="rife_free")(_free)


def one_line(error: BaseException) -> str:
    """The text of ``error`` on one line, with its type where the text alone would not say what went wrong."""
    text = " ".join(str(error).split())
    if isinstance(error, installation.ReadableError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _create(arguments: Any, result: Any, core: Any, api: Any) -> None:
    edge = vsapi.Core(api, core)
    try:
        installation.check()
        from vsrife.plugin.filter import Filter  # brings torch, which a host that never calls RIFE must not pay for

        serial = next(_serials)
        instance = Filter(edge, vsapi.Map(edge, arguments), serial)
        with _lock:
            _instances[serial] = instance
        instance.publish(result)
    except Exception as error:  # noqa: BLE001 - VapourSynth's edge: every failure becomes the script's error
        edge.set_error(result, f"RIFE: {one_line(error)}")


def _get_frame(n: int, reason: int, instance: Any, _frame_data: Any, context: Any, core: Any, api: Any) -> Any:
    edge = vsapi.Core(api, core)
    try:
        found = _instances[vsapi.serial_of(instance)]
        if reason == vsapi.lib().arInitial:
            found.request(n, context)
        elif reason == vsapi.lib().arAllFramesReady:
            return found.answer(n, context)
    except Exception as error:  # noqa: BLE001 - as above; only this frame fails
        edge.set_frame_error(context, f"RIFE: frame {n}: {one_line(error)}{installation.after_failure(error)}")
    return vsapi.ffi().NULL


def _unexpected(exception: Any, error: BaseException, _traceback: Any) -> Any:
    # KeyboardInterrupt or SystemExit inside a callback: VapourSynth must still get an answer, and has none.
    del exception, error
    return vsapi.ffi().NULL


def _free(instance: Any, _core: Any, _api: Any) -> None:
    with _lock:
        found = _instances.pop(vsapi.serial_of(instance), None)
    if found is not None:
        found.close()
