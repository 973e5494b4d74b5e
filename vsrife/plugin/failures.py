"""Any exception as one of the package's own, and which one ended the last call of ``core.rife.RIFE`` on a thread.

VapourSynth keeps only the text of an error. `vsrife.RIFE` looks up here which class the text belongs to.
"""

import threading

from vsrife.errors import ArgumentError, DeviceLostError, InstallationError, OutOfMemoryError, RifeError, one_line

__all__ = ["as_rife_error", "class_of", "remember"]

_LOST = (
    "illegal memory access",
    "illegal instruction",
    "unspecified launch failure",
    "launch timed out",
    "device-side assert",
    "misaligned address",
    "uncorrectable ECC error",
)
"""Parts of the text of CUDA errors after which every later call of the process fails."""

_REMEDY = "; the GPU context is lost: restart the program"

_NOT_IMPORTED = "RIFE: cannot import its Python package"
"""Begins the error of the compiled library, native/bridge.c, where Python's side could not be imported."""

_last = threading.local()


def as_rife_error(error: BaseException) -> RifeError:
    """``error`` as one of this package's exceptions, its text on one line.

    The text begins with the type's name for exceptions of others, whose text alone may not say what went wrong.
    """
    text = one_line(error)
    named = text if isinstance(error, RifeError) else f"{type(error).__name__}: {text}".removesuffix(": ")
    if any(part in text for part in _LOST):
        # An error of another clip of this plugin has the remedy already.
        return DeviceLostError(named if _REMEDY in named else f"{named}{_REMEDY}")
    if isinstance(error, RifeError):
        return type(error)(named)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # also torch's and cupy's
        return OutOfMemoryError(named)
    return RifeError(named)


def remember(error: RifeError) -> None:
    """Note that ``error`` ends the call that this thread is in."""
    _last.text, _last.kind = str(error), type(error)


def class_of(text: str) -> type[RifeError]:
    """The class of the error with this text that ended a call on this thread.

    Any other text is from the compiled library, or from VapourSynth, which checks names and types of arguments before
    it calls the plugin.
    """
    if _NOT_IMPORTED in text:
        return InstallationError
    return _last.kind if getattr(_last, "text", None) == text else ArgumentError
