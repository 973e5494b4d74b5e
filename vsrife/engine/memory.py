"""How much memory a frame takes, what is done where it is too much, and the error where there is none left.

The working set is chosen once, from the frame's size and the memory the device has in all, never from what happens to
be free: frame n must not depend on what else runs.
"""

import contextlib
import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch

from vsrife.choices import chosen
from vsrife.engine.device import host_memory, total_memory
from vsrife.engine.networks import BlockNetwork, PreparedLegacyNetwork
from vsrife.engine.streams import capture_lock
from vsrife.errors import OutOfMemoryError, one_line
from vsrife.network.legacy.paper import PaperNet

__all__ = ["WorkingSet", "choose_working_set", "is_out_of_memory", "retry_on_oom", "synchronize"]

_log: Final = logging.getLogger("vsrife")
_MIB: Final = 1 << 20

_CPU_BAND: Final = 1 << 23
"""Bytes of a block's input at a time: they and what is made of them stay in a core's caches (docs/engine.md).
For a GPU see `Choices`."""

_SHARE: Final = 16
"""One part in this many of the device's memory is what one frame's convolutions may take; else they work in strips."""

_PLAIN_BYTES: Final = 650
_REFINED_BYTES: Final = 950
_LARGE_BYTES: Final = 2300
"""Per pixel, networks before 4.0: without a refine network, with it, and RIFE-Large. Measured in float32 on a CPU."""

_NO_MEMORY: Final = (
    "can't allocate memory",
    "out of memory",
    "OUT_OF_MEMORY",
    "STATUS_ALLOC_FAILED",
    "unable to find an engine to execute this computation",  # cuDNN, where no plan's workspace could be had
)


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkingSet:
    """How much of a frame is worked on at a time, see `BlockEstimator`; ``needed`` is about how many bytes the frame
    takes then, its two sources with it.
    """

    band: int
    strips: int
    needed: int


def choose_working_set(
    network: BlockNetwork | PreparedLegacyNetwork, canvas: tuple[int, int], *, scale: float, total: int | None = None
) -> WorkingSet:
    """The working set for canvases (height, width) at the user's ``scale``; ``total``: bytes the device has, by itself
    what it says.
    """
    if isinstance(network, PreparedLegacyNetwork):
        return _whole(network, canvas, scale)
    architecture, layout = network.module.architecture, network.layout
    pixels, item = canvas[0] * canvas[1], network.dtype.itemsize
    inputs = chosen().gpu_band if network.device.type == "cuda" else _CPU_BAND
    convolutions = outputs = 0.0
    for width, reduction, output in zip(architecture.widths, architecture.scales, layout.outputs, strict=True):
        inside = pixels / (reduction / scale) ** 2
        # The first layer's output at a half of the resolution, and three of the trunk's at a quarter.
        convolutions = max(convolutions, item * width * inside * (1 / 8 + 3 / 16))
        outputs += item * output * inside * (1 if architecture.shuffled else 1 / 4)
    strips = max(1, -(-int(convolutions) // ((total or total_memory(network.device)) // _SHARE)))
    sources = 2 * pixels * layout.source * network.source_dtype.itemsize
    motion = 0 if network.device.type == "cuda" else 2 * 5 * 4 * pixels
    return WorkingSet(
        band=inputs // (max(layout.inputs) * item),
        strips=strips,
        needed=int(convolutions / strips + outputs + sources + motion + inputs),
    )


def _whole(network: PreparedLegacyNetwork, canvas: tuple[int, int], scale: float) -> WorkingSet:
    """Of a network that is run as it is defined: all of a frame at once."""
    module = network.module
    large = isinstance(module, PaperNet) and module.architecture.large
    refined = isinstance(module, PaperNet) and module.architecture.context > 0
    needed = _LARGE_BYTES if large else _REFINED_BYTES if refined else _PLAIN_BYTES
    # Above 1 the finest block sees more pixels than there are; below, what is at full resolution stays the most.
    return WorkingSet(band=0, strips=1, needed=int(needed * canvas[0] * canvas[1] * max(1.0, scale) ** 2))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` is torch's, cupy's or Python's word for memory that could not be had."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # Others come as plain errors: of torch on a CPU, of cuDNN, of a driver that cupy calls.
    return isinstance(error, Exception) and any(text in str(error) for text in _NO_MEMORY)


def retry_on_oom[Result](
    attempt: Callable[[], Result], device: torch.device, needed: int, release: Callable[[], None]
) -> Result:
    """What ``attempt`` returns; where memory runs out, ``release`` what can be had again and call it once more.

    The retry is logged. Raises OutOfMemoryError with what was ``needed`` and what is free where the second call fails
    so too; everything else that is raised passes.
    """
    try:
        return attempt()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        reason = one_line(error)[:160]
    # Outside of the handler: the exception holds the failed attempt's tensors.
    _log.warning("out of memory on %s (%s); cached frames are dropped and the frame is tried again", device, reason)
    with capture_lock:
        synchronize(device)  # a lane may still write into the frame that is made again
        release()
        gc.collect()
        empty(device)
    try:
        return attempt()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"out of memory on {device}: the frame needs {needed // _MIB} MiB, {_free(device) // _MIB} MiB are free; "
            "try scale=0.5, a smaller clip, or fewer programs beside this one"
        ) from None


def synchronize(device: torch.device) -> None:
    """Wait for all work on ``device``; where it has failed for good, the error that is being raised already describes
    it. With `streams.capture_lock` held.
    """
    if device.type == "cuda":
        with contextlib.suppress(RuntimeError):
            torch.cuda.synchronize(device)


def empty(device: torch.device) -> None:
    """Give back to the system what torch and cupy keep for later."""
    if device.type != "cuda":
        return
    torch.cuda.empty_cache()
    try:
        import cupy
    except ImportError:
        return
    with cupy.cuda.Device(device.index):
        cupy.get_default_memory_pool().free_all_blocks()


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return host_memory("SC_AVPHYS_PAGES")
