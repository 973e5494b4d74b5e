"""A C module that makes the inputs of blocks on a CPU, and their gradients: a fast `vsrife.network.points.Frames`.

torch samples frames and features apart from each other, keeps all that lies between, fills memory with zeros for each
gradient and puts the input in another order for the convolution. Here an input is written once, where and as the
convolution reads it, and the gradients of a step's features are all added up in one place.

The answers differ by rounding from the definition's; they are the same whatever the number of threads.
"""

import functools
import importlib
import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final, override

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vsrife.network.architecture import HIDDEN_CHANNELS
from vsrife.network.points import Frames, Level, flow_at_points, mask_of

__all__ = ["Packed", "resolve"]

MOST: Final = 64
"""Numbers of feature channels that the C code supports."""

_LANES: Final = 4
"""Floats that the C code reads at once."""

_LEAST: Final = 4096
"""Least number of cells per thread."""

_FLOATS: Final[dict[str, Any]] = {"dtype": torch.float32, "device": torch.device("cpu")}
"""Options of all tensors for the C code, independent of torch's defaults."""


@functools.cache
def _compiled() -> tuple[ModuleType | None, str]:
    try:
        module = importlib.import_module("_vsrife_gather")
    except ImportError as error:
        return None, f"this build has none ({error})"
    return (module, "") if module.lib.gather_usable() else (None, "the processor has no AVX2 with FMA")


def resolve(device: torch.device, features: int) -> tuple[type[Frames], str]:
    """What holds the frames of a network in training on ``device``; and why that is not `Packed`, where it is not."""
    if device.type != "cpu":
        return Frames, f"it is for a CPU, not for {device.type}"
    if features > MOST:
        return Frames, f"it is for {MOST} channels of features at most, not for {features}"
    module, reason = _compiled()
    return (Frames if module is None else Packed), reason


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Packed(Frames):
    """Frames on the CPU whose pixels have all their channels side by side. Each block must be called once, in order.

    Raises RuntimeError where `resolve` answers another class.
    """

    memory: "_Memory" = field(init=False)
    link: list[Tensor | None] = field(init=False)
    """The features as the last block handed them on: in the backward pass each block adds its gradient to that of all
    after it. Apart from the memory, which the graph holds: it would hold itself, and be there until it is collected.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "memory", _Memory(self.rgb, self.features))
        object.__setattr__(self, "link", [self.features])

    @override
    def input(
        self, levels: Sequence[Level], scale: int, dtype: torch.dtype, *, adds_masks: bool, detached: bool
    ) -> Tensor:
        """As in `Frames`, channels-last, in float32 or bfloat16."""
        if not levels:
            return self._made(scale, dtype)
        last = levels[-1]
        flow = flow_at_points(levels, scale)
        mask = mask_of(levels, scale, adds_masks=True) if adds_masks and len(levels) > 1 else last.mask
        return self._made(scale, dtype, flow.detach() if detached else flow, mask, last.hidden)

    def _made(self, scale: int, dtype: torch.dtype, *parts: Tensor | None) -> Tensor:
        flow, mask, hidden = parts or (None, None, None)
        memory = self.memory
        geometry = memory.geometry(scale, dtype, flow, mask, hidden)
        made, features = _Gathered.apply(memory, geometry, self.time, self.link[0], flow, mask, hidden)
        if torch.is_grad_enabled():  # otherwise gradients of later blocks would be lost
            self.link[0] = features
        x: Tensor = made
        return x


class _Memory:
    """Both frames and features of N pairs in the layout of the C code.

    packed: [2 N, H, W, P], without gradients.
    """

    def __init__(self, rgb: Tensor, features: Tensor | None) -> None:
        module, reason = _compiled()
        if module is None:
            raise RuntimeError(reason)
        self._lib, self._ffi = module.lib, module.ffi
        self._count = 0 if features is None else features.shape[1]
        images, _, height, width = rgb.shape
        self._known = {"samples": images // 2, "height": height, "width": width, "features": self._count}
        self._known["pixel"] = _padded(self._count + 3)
        self.packed = torch.empty((images, height, width, self._known["pixel"]), **_FLOATS)
        rgb, given = rgb.detach().contiguous(), None if features is None else features.detach()
        strides = self._ffi.new("long[]", [0] * 4 if given is None else list(given.stride()))
        geometry = self._ffi.new("Gather *", self._known)
        pointers = (*self._pointers(rgb, given), strides, *self._pointers(self.packed))
        _share(images, height * width, lambda first, last: self._lib.gather_pack(geometry, first, last, *pointers))

    def geometry(
        self, scale: int, dtype: torch.dtype, flow: Tensor | None, mask: Tensor | None, hidden: Tensor | None
    ) -> Any:
        """The arguments of the C code that describe the input of a block."""
        rows = self._known["height"] // scale
        known = {
            "rows": rows,
            "columns": self._known["width"] // scale,
            "scale": scale,
            "points": 1 if scale == 1 else 2,
        }
        known |= {"mask": 0 if mask is None else rows // mask.shape[2]}
        known |= {"hidden": 0 if hidden is None else rows // hidden.shape[2]}
        known |= {"moved": flow is not None, "half": dtype is torch.bfloat16}
        return self._ffi.new("Gather *", self._known | known)

    def gather(
        self, geometry: Any, time: Tensor, flow: Tensor | None, mask: Tensor | None, hidden: Tensor | None
    ) -> Tensor:
        """A block's input, channels-last. All tensors are contiguous, hidden channels the last of their dimensions."""
        channels = 2 * (3 + self._count) + 1 + (0 if flow is None else 5) + (0 if hidden is None else HIDDEN_CHANNELS)
        x = torch.empty(
            (geometry.samples, channels, geometry.rows, geometry.columns),
            dtype=torch.bfloat16 if geometry.half else torch.float32,
            device=_FLOATS["device"],
            memory_format=torch.channels_last,
        )
        pointers = (*self._pointers(self.packed, flow, time, mask, hidden), self._ffi.cast("void *", x.data_ptr()))
        self._share(geometry, lambda first, last: self._lib.gather_forward(geometry, first, last, *pointers))
        return x

    def spread(self, geometry: Any, flow: Tensor | None, x: Tensor, *gradients: Tensor | None) -> None:
        """Add to the ``gradients`` of features, mask and hidden channels, and write that of the flow, from that of x.

        gradients: of features, flow, mask, hidden, as the tensors are; None where it is not wanted.
        """
        given = self._ffi.cast("void *", x.data_ptr())
        pointers = (*self._pointers(self.packed, flow), given, *self._pointers(*gradients))
        self._share(geometry, lambda first, last: self._lib.gather_backward(geometry, first, last, *pointers))

    def no_gradient(self) -> Tensor:
        """Zeros for the gradient of features, [2 N, E, H, W], in the layout that the C code adds to."""
        zeros = torch.zeros((*self.packed.shape[:3], _padded(self._count)), **_FLOATS)
        return zeros[..., : self._count].permute(0, 3, 1, 2)

    def _pointers(self, *tensors: Tensor | None) -> list[Any]:
        null = self._ffi.NULL
        return [null if each is None else self._ffi.cast("float *", each.data_ptr()) for each in tensors]

    def _share(self, geometry: Any, work: Callable[[int, int], object]) -> None:
        _share(geometry.samples, geometry.rows * geometry.columns, work)


class _Gathered(torch.autograd.Function):
    """A block's input, and the features as they were, for the next block."""

    @staticmethod
    def forward(
        ctx: Any,
        memory: _Memory,
        geometry: Any,
        time: Tensor,
        features: Tensor | None,
        flow: Tensor | None,
        mask: Tensor | None,
        hidden: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        ctx.set_materialize_grads(False)
        flow = None if flow is None else flow.contiguous()
        ctx.memory, ctx.geometry = memory, geometry
        ctx.shapes = [None if each is None else each.shape for each in (mask, hidden)]
        ctx.save_for_backward(flow)
        mask = None if mask is None else mask.contiguous()
        hidden = None if hidden is None else hidden.contiguous(memory_format=torch.channels_last)
        x = memory.gather(geometry, time.contiguous(), flow, mask, hidden)
        return x, None if features is None else features.view_as(features)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, x: Tensor | None, after: Tensor | None) -> tuple[Tensor | None, ...]:
        memory, geometry = ctx.memory, ctx.geometry
        (flow,) = ctx.saved_tensors
        of_features, of_flow, of_mask, of_hidden = ctx.needs_input_grad[3:]
        if x is None:
            return None, None, None, after, None, None, None
        # The incoming gradient is the sum over all later blocks and used only here, so it is added to in place.
        features = (memory.no_gradient() if after is None else after) if of_features else None
        gradients = (
            features,
            torch.empty_like(flow) if of_flow else None,
            torch.zeros(ctx.shapes[0], **_FLOATS) if of_mask else None,
            torch.zeros(ctx.shapes[1], **_FLOATS).to(memory_format=torch.channels_last) if of_hidden else None,
        )
        memory.spread(geometry, flow, x.contiguous(memory_format=torch.channels_last), *gradients)
        return None, None, None, *gradients


def _padded(channels: int) -> int:
    return -(-channels // _LANES) * _LANES


def _share(count: int, cells: int, work: Callable[[int, int], object]) -> None:
    """Call `work` with ranges (first, last + 1) of 0 .. count, on as many threads as torch uses."""
    threads = max(1, min(torch.get_num_threads(), count, count * cells // _LEAST))
    ends = [count * part // threads for part in range(threads + 1)]
    if threads == 1:
        work(0, count)
        return
    others = [_pool(os.getpid()).submit(work, *part) for part in itertools.pairwise(ends[1:])]
    work(0, ends[1])
    for each in others:
        each.result()


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """The thread pool of the process with this id; threads do not survive a fork."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix=f"vsrife-gather-{process}")
