"""VapourSynth's frames as `scene.detector` and `scene.held_drawings` measure them.

Frames in host memory are measured by the compiled library, without the GIL; others by the backend of their device.
"""

from collections.abc import Callable, Iterator

from vsrife.engine.backend.resolve import resolve_backend
from vsrife.engine.backend.torch_backend import TORCH
from vsrife.engine.transfer.host import HostPlanes, device_of
from vsrife.formats.pixel_format import Family, PixelFormat
from vsrife.plugin.frames import PlaneViews, Reader
from vsrife.plugin.native_measures import HostMeasures
from vsrife.plugin.vsapi import Frame
from vsrife.scene import duplicates
from vsrife.scene.signature import Signature, signature

__all__ = ["FrameMeasures"]


class FrameMeasures:
    """See `scene.detector.PairMeasures`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def can_blend(self, number: int, left: Frame, right: Frame) -> bool:
        """See `PairMeasures`."""
        return self._reader.can_blend(number, left, right)

    def ends_scene(self, frame: Frame) -> bool | None:
        """See `PairMeasures`."""
        return frame.source_props.ends_scene

    def starts_scene(self, frame: Frame) -> bool | None:
        """See `PairMeasures`."""
        return frame.source_props.starts_scene

    def signature(self, frame: Frame) -> Signature:
        """See `PairMeasures`."""
        with self._reader.map_planes(frame) as (planes,):
            return _signature(planes, self._reader.format)

    def in_place(self, left: Signature, right: Signature) -> float:
        """See `PairMeasures`."""
        return HostMeasures().in_place(left, right)

    def is_duplicate(self, left: Frame, right: Frame, threshold: float) -> bool:
        """See `PairMeasures`."""

        def duplicate(a: PlaneViews, b: PlaneViews, fmt: PixelFormat) -> bool:
            return _is_duplicate(a, b, fmt, threshold)

        return all(self._of_layers(left, right, duplicate))

    def difference(self, left: Frame, right: Frame) -> float:
        """See `duplicates.worst_block`: of the images or of their alphas, whichever differ more."""
        return max(self._of_layers(left, right, _worst_block))

    def _of_layers[Result](
        self, left: Frame, right: Frame, measure: Callable[[PlaneViews, PlaneViews, PixelFormat], Result]
    ) -> Iterator[Result]:
        """What is measured of the images and, where both frames have one, of the alphas, which are opened only if
        their result is needed.
        """
        with self._reader.map_planes(left, right) as (a, b):
            found = measure(a, b, self._reader.format)
        yield found
        with self._reader.map_alpha_planes(left, right) as alphas:
            if alphas is None:
                return
            (a, b), fmt = alphas
            found = measure(a, b, fmt)
        yield found


def _signature(planes: PlaneViews, fmt: PixelFormat) -> Signature:
    backend, _ = resolve_backend(device_of(planes))
    if backend is TORCH and isinstance(planes, HostPlanes):
        return HostMeasures().signature(planes)
    return signature(planes if fmt.family is Family.RGB else planes[:1], fmt.bits, backend)


def _is_duplicate(left: PlaneViews, right: PlaneViews, fmt: PixelFormat, threshold: float) -> bool:
    backend, _ = resolve_backend(device_of(left))
    if backend is TORCH and isinstance(left, HostPlanes) and isinstance(right, HostPlanes):
        return HostMeasures().is_still(left, right, threshold)
    return duplicates.is_still(left, right, fmt.bits, threshold, backend)


def _worst_block(left: PlaneViews, right: PlaneViews, fmt: PixelFormat) -> float:
    """Of all planes of RGB, of luma else."""
    if isinstance(left, HostPlanes) and isinstance(right, HostPlanes):
        return HostMeasures().worst_block(left, right)
    count = 3 if fmt.family is Family.RGB else 1
    return duplicates.worst_block(left[:count], right[:count], fmt.bits)
