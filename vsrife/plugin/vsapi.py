"""VapourSynth's C API as the plugin uses it: maps, frames and messages with Python types.

Pointers stay inside these classes. A `Frame` owns one reference, which its user releases (`Frame.free`) or passes on to
VapourSynth (`Frame.release`). What is done with each frame takes one call of native/frames.c where that is possible.
"""

import functools
import threading
from collections.abc import Callable, Iterable
from types import ModuleType, TracebackType
from typing import Any, Self

from vsrife.errors import RifeError
from vsrife.plugin.output_props import OutputProps, RifeKind
from vsrife.plugin.source_props import CACHE_KEY_BYTES, SourceProps, source_props_of

__all__ = ["Core", "Frame", "Frames", "Map", "connect", "connected", "ffi", "lib", "serial_of", "source_prop_names"]

_ERROR_BYTES = 1024

_module: ModuleType | None = None
_logged: set[str] = set()
_logging = threading.Lock()


def connect(module: ModuleType) -> None:
    """Set ``module``, the native library, for every later call."""
    global _module
    _module = module


def connected() -> bool:
    """Whether the first RIFE() call has loaded the native library."""
    return _module is not None


def ffi() -> Any:
    """The ``ffi`` object that cffi made for the native library."""
    if _module is None:
        raise RuntimeError("the native library is not loaded; the first call of core.rife.RIFE loads it")
    return _module.ffi


def lib() -> Any:
    """The constants of VapourSynth's headers."""
    if _module is None:
        raise RuntimeError("the native library is not loaded; the first call of core.rife.RIFE loads it")
    return _module.lib


def serial_of(instance: Any) -> int:
    """The serial number of a filter, which VapourSynth stores as its instance data."""
    return int(ffi().cast("uintptr_t", instance))


class Core:
    """One VapourSynth core and the API table that belongs to it."""

    __slots__ = ("api", "pointer")

    def __init__(self, api: Any, pointer: Any) -> None:
        self.api = api
        self.pointer = pointer

    @property
    def version(self) -> int:
        """The core's version of the API, in the format of VS_MAKE_VERSION."""
        return int(self.api.getAPIVersion())

    def on_gpu(self, node: Any) -> bool:
        """Whether the frames of ``node`` are in GPU memory."""
        return bool(self.api.getNodeResidency(node) == lib().nrGPU)

    def downloaded(self, node: Any) -> Any:
        """A new clip of the frames of ``node`` in host memory. The caller owns it, and ``node`` as before."""
        return self._invoke(b"com.vapoursynth.std", b"GPUDownload", node)

    def written_on(self, node: Any, text: str) -> Any:
        """A new clip of the frames of ``node`` with ``text`` on them. The caller owns it, and ``node`` as before."""
        return self._invoke(b"com.vapoursynth.text", b"Text", node, text=text)

    def _invoke(self, plugin: bytes, function: bytes, node: Any, **texts: str) -> Any:
        passed = self.api.createMap()
        try:
            self.api.mapSetNode(passed, b"clip", node, lib().maReplace)
            for key, text in texts.items():
                self.api.mapSetData(passed, key.encode(), text.encode(), -1, lib().dtUtf8, lib().maReplace)
            answer = self.api.invoke(self.api.getPluginByID(plugin, self.pointer), function, passed)
        finally:
            self.api.freeMap(passed)
        try:
            failed = self.api.mapGetError(answer)
            if failed != ffi().NULL:
                raise RifeError(ffi().string(failed).decode(errors="replace"))
            return self.api.mapGetNode(answer, b"clip", 0, ffi().NULL)
        finally:
            self.api.freeMap(answer)

    def set_error(self, result: Any, text: str) -> None:
        """Make ``text`` the error of the function call that fills the map ``result``."""
        self.api.mapSetError(result, text.encode(errors="backslashreplace"))

    def set_frame_error(self, context: Any, text: str) -> None:
        """Make ``text`` the error of the requested frame."""
        self.api.setFilterError(text.encode(errors="backslashreplace"), context)

    def inform_once(self, text: str, *, key: str | None = None) -> None:
        """Log ``text`` as information, once in this process: a player evaluates its script at every seek.

        key: lines with the same key count as one. Default: the text.
        """
        self._log_once(text, key or text, warning=False)

    def warn_once(self, text: str) -> None:
        """Log ``text`` as a warning, once in this process: the result differs from what the script requested."""
        self._log_once(text, text, warning=True)

    def _log_once(self, text: str, key: str, *, warning: bool) -> None:
        with _logging:
            new = key not in _logged
            _logged.add(key)
        if new:
            self.log(text, warning=warning)

    def log(self, text: str, *, warning: bool) -> None:
        """Log ``text`` as a warning or as information."""
        level = lib().mtWarning if warning else lib().mtInformation
        self.api.logMessage(level, text.encode(errors="backslashreplace"), self.pointer)

    def frame(self, node: Any, index: int) -> "Frame":
        """A frame of ``node``, as a context. Waits for it, so it may only be called while a filter is created.

        Raises RifeError with the reason if the frame cannot be made.
        """
        reason = ffi().new("char[]", _ERROR_BYTES)
        pointer = self.api.getFrame(index, node, reason, _ERROR_BYTES)
        if not pointer:
            raise RifeError(f"source frame {index}: {ffi().string(reason).decode(errors='replace')}")
        return Frame(self, pointer)

    def frames(self, node: Any, indices: Iterable[int], context: Any) -> "Frames[Frame]":
        """The requested frames of ``node``, as a context."""
        return Frames(indices, lambda index: Frame(self, self.api.getFrameFilter(index, node, context)))


class Frames[F: "Frame"](dict[int, F]):
    """Frames by index. The context takes their references at its start and releases them at its end."""

    def __init__(self, indices: Iterable[int], take: Callable[[int], F]) -> None:
        super().__init__()
        self._indices = indices
        self._take = take

    def __enter__(self) -> Self:
        try:
            for index in self._indices:
                self[index] = self._take(index)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for frame in self.values():
            frame.free()


class Map:
    """A VSMap: the arguments of a call, or the properties of a frame."""

    __slots__ = ("_api", "_core", "pointer")

    def __init__(self, core: Core, pointer: Any) -> None:
        self._core = core
        self._api = core.api
        self.pointer = pointer

    def __contains__(self, key: str) -> bool:
        return bool(self._api.mapNumElements(self.pointer, key.encode()) > 0)

    def integer(self, key: str) -> int | None:
        """The first value under ``key``; None if there is none or it is not an integer."""
        error = ffi().new("int *")
        value = int(self._api.mapGetInt(self.pointer, key.encode(), 0, error))
        return None if error[0] else value

    def number(self, key: str) -> float | None:
        """The first value under ``key``, a float or an integer, as a float; None if there is no such value."""
        error = ffi().new("int *")
        value = float(self._api.mapGetFloat(self.pointer, key.encode(), 0, error))
        if not error[0]:
            return value
        whole = self.integer(key)
        return None if whole is None else float(whole)

    def text(self, key: str) -> str | None:
        """The first value under ``key`` as text (bytes that are not UTF-8 are escaped); None if there is none."""
        error = ffi().new("int *")
        data = self._api.mapGetData(self.pointer, key.encode(), 0, error)
        if error[0]:
            return None
        size = self._api.mapGetDataSize(self.pointer, key.encode(), 0, error)
        return bytes(ffi().buffer(data, size)).decode(errors="backslashreplace")

    def value(self, key: str) -> str | float | None:
        """The first value under ``key``: text, or a number as a float; None if there is no such value."""
        kind = self._api.mapGetType(self.pointer, key.encode()) if key in self else None
        if kind == lib().ptData:
            return self.text(key)
        return self.number(key) if kind in (lib().ptFloat, lib().ptInt) else None

    def values(self, keys: Iterable[str]) -> dict[str, str | float]:
        """The first value under each of ``keys`` that is present."""
        return {key: value for key in keys if (value := self.value(key)) is not None}

    def node(self, key: str) -> Any:
        """A new reference to the clip under ``key``, which the caller frees."""
        return self._api.mapGetNode(self.pointer, key.encode(), 0, ffi().NULL)

    def give_node(self, key: str, node: Any) -> None:
        """Set ``key`` to the clip ``node``, whose reference the caller keeps."""
        self._api.mapSetNode(self.pointer, key.encode(), node, lib().maReplace)

    def frame(self, key: str) -> "Frame | None":
        """A new reference to the video frame under ``key``; None if there is none."""
        error = ffi().new("int *")
        found = self._api.mapGetFrame(self.pointer, key.encode(), 0, error)
        return None if error[0] or found == ffi().NULL else Frame(self._core, found)

    def give_frame(self, key: str, frame: "Frame") -> None:
        """Set ``key`` to ``frame``, whose reference passes to the map."""
        self._api.mapConsumeFrame(self.pointer, key.encode(), frame.release(), lib().maReplace)


@functools.cache
def source_prop_names() -> tuple[str, ...]:
    """The properties that are read from source frames, in the order of RifeSourceProps."""
    return tuple(ffi().string(name).decode() for name in lib().rife_source_prop_names)


class Frame:
    """One reference to a VSFrame."""

    __slots__ = ("_absolute_time", "_core", "_planes", "_source_props", "pointer")

    def __init__(self, core: Core, pointer: Any) -> None:
        if not pointer:
            raise RuntimeError("VapourSynth returned no frame")
        self._core = core
        self._planes: tuple[int, ...] | None = None
        self._source_props: SourceProps | None = None
        self._absolute_time: float | None = None
        self.pointer = pointer

    def free(self) -> None:
        """Release the reference. Idempotent."""
        if self.pointer is not None:
            self._core.api.freeFrame(self.pointer)
            self.pointer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.free()

    def release(self) -> Any:
        """The pointer. Its reference passes to the caller."""
        pointer, self.pointer = self.pointer, None
        return pointer

    @property
    def source_props(self) -> SourceProps:
        """The properties of a source frame. They are read when this or `absolute_time` is used for the first time."""
        return self._source_props or self._read()

    @property
    def absolute_time(self) -> float | None:
        """`_AbsoluteTime` in seconds, a float or an integer; None if it is missing."""
        if self._source_props is None:
            self._read()
        return self._absolute_time

    def _read(self) -> SourceProps:
        found = ffi().new("RifeSourceProps *")
        lib().rife_read_source_props(self.pointer, found, self._core.api)
        self._absolute_time = found.time if found.has_time else None
        self._source_props = source_props_of(source_prop_names(), ffi().buffer(found, CACHE_KEY_BYTES)[:])
        return self._source_props

    def write_output_props(self, output: OutputProps) -> None:
        """Replace the properties of a source frame by those of an output frame. The frame must not be shared."""
        duration = (0, 1) if output.duration is None else output.duration.as_integer_ratio()
        starts, ends = (-1 if value is None else value for value in (output.starts_scene, output.ends_scene))
        time, score = output.absolute_time, output.scene_score
        lib().rife_write_output_props(
            self.pointer, output.kind.encode(), output.kind == RifeKind.SOURCE, *duration, starts, ends,
            time is not None, time or 0.0, score is not None, score or 0.0, self._core.api,
        )  # fmt: skip

    @property
    def props(self) -> Map:
        """The frame's properties, to read."""
        return Map(self._core, self._core.api.getFramePropertiesRO(self.pointer))

    @property
    def writable_props(self) -> Map:
        """The frame's properties, to write. The frame must not be shared."""
        return Map(self._core, self._core.api.getFramePropertiesRW(self.pointer))

    @property
    def format(self) -> Any:
        """The frame's VSVideoFormat."""
        return self._core.api.getVideoFrameFormat(self.pointer)

    def size(self, plane: int = 0) -> tuple[int, int]:
        """Width and height of ``plane`` in samples."""
        api = self._core.api
        return int(api.getFrameWidth(self.pointer, plane)), int(api.getFrameHeight(self.pointer, plane))

    def planes(self) -> tuple[int, ...]:
        """Address and stride in bytes of each plane in host memory, one plane after the other."""
        return self._planes or self._find_planes(write=False)

    def writable_planes(self) -> tuple[int, ...]:
        """The same, to write. The frame must not be shared; a plane that it shares with another frame is copied."""
        return self._find_planes(write=True)

    def _find_planes(self, *, write: bool) -> tuple[int, ...]:
        found = ffi().new("uintptr_t[6]")
        count = lib().rife_planes(self.pointer, write, found, self._core.api)
        self._planes = tuple(ffi().unpack(found, 2 * count))
        return self._planes

    def copy(self) -> "Frame":
        """A new frame with the same planes, shared, and a copy of the properties."""
        return Frame(self._core, self._core.api.copyFrame(self.pointer, self._core.pointer))

    def hold(self) -> "Frame":
        """A new reference to the same frame."""
        return Frame(self._core, self._core.api.addFrameRef(self.pointer))

    def stride(self, plane: int) -> int:
        """Bytes from one row of ``plane`` to the next, in host or GPU memory."""
        return int(self._core.api.getStride(self.pointer, plane))

    def blank_like(self) -> "Frame":
        """A new frame with this frame's format, size and properties. Its planes are not written."""
        return Frame(self._core, lib().rife_blank_like(self.pointer, self._core.pointer, self._core.api))
