"""Every exception that vsrife raises on purpose.

    RifeError                   the base class; the message is one line
    ├── ArgumentError           an argument, the clip or a key of a configuration is wrong; also a ValueError
    ├── ModelError              a model is unknown, missing or unreadable
    │   └── DownloadError       a model cannot be downloaded
    ├── InstallationError       a package is missing or conflicts, or core.rife is not the plugin of this package
    ├── OutOfMemoryError        a network or a frame needs more memory than is free
    └── DeviceLostError         the GPU has failed; the program has to be restarted

What ``vsrife.RIFE`` and ``vsrife.rife`` raise is of one of these classes and a ``vapoursynth.Error`` at the same time.
``core.rife.RIFE`` and requests for frames raise ``vapoursynth.Error``, as every plugin does. In both cases the message
begins with ``RIFE: ``, which the messages inside this package leave out.
"""

__all__ = [
    "ArgumentError",
    "DeviceLostError",
    "DownloadError",
    "InstallationError",
    "ModelError",
    "OutOfMemoryError",
    "RifeError",
    "one_line",
    "with_vapoursynth",
]


class RifeError(Exception):
    """The base class of this package's exceptions. The message is one line: what is wrong, its value and a remedy."""


class ArgumentError(RifeError, ValueError):
    """An argument, the clip or a configuration key is wrong. The message names it, its value and what is accepted."""


class ModelError(RifeError):
    """A model is unknown, missing or unreadable. The message names it and a remedy."""


class DownloadError(ModelError):
    """A model cannot be downloaded."""


class InstallationError(RifeError):
    """A package is missing or conflicts with this one, or ``core.rife`` is not the plugin of this package."""


class OutOfMemoryError(RifeError):
    """A network or a frame needs more memory than is free."""


class DeviceLostError(RifeError):
    """The GPU has failed, and every later call of this process will fail. The program has to be restarted."""


def one_line(error: object) -> str:
    """The text of an exception, or of anything else, on one line."""
    return " ".join(str(error).split())


def with_vapoursynth(kind: type[RifeError]) -> type[RifeError]:
    """A subclass of ``kind`` that is a ``vapoursynth.Error`` as well, under the name of ``kind``.

    It is made here and not declared above, because importing this package must not import VapourSynth. Pickled, an
    exception of it becomes one of ``kind``.
    """
    from vapoursynth import Error

    members = {
        "__doc__": kind.__doc__,
        "__module__": kind.__module__,
        "__reduce__": lambda error: (kind, error.args),
    }
    return type(kind.__name__, (Error, kind), members)
