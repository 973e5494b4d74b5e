"""3x3 convolutions of stride 1 on a CPU by Winograd's minimal filtering: 2.0 to 2.8 times as fast as the direct way.

torch's own convolution is already at what the processor can multiply, so only fewer multiplications are faster:
F(4x4, 3x3) takes 36 where the direct way takes 144 ("Fast Algorithms for Convolutional Neural Networks", Lavin and
Gray, CVPR 2016). In float32 the result differs by some 1e-5 of its size. The definition is
`torch.nn.functional.conv2d` with a leaky ReLU behind it.
"""

import functools
import importlib
from types import ModuleType
from typing import Any, Final

import torch
from torch import Tensor

__all__ = ["Winograd", "resolve"]

_KERNEL_TRANSFORM: Final = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)
"""G of F(4x4, 3x3): three weights to six points."""

_POINTS: Final = 36

_FLOATS: Final[dict[str, Any]] = {"dtype": torch.float32, "device": torch.device("cpu")}
"""Of all memory that the compiled code is given, whatever torch's defaults are in this process."""


@functools.cache
def _compiled() -> tuple[ModuleType | None, str]:
    try:
        module = importlib.import_module("_vsrife_winograd")
    except ImportError as error:
        return None, f"this build has no module for them ({error})"
    lanes = module.lib.winograd_lanes()
    return (module, f"{lanes} floats a register") if lanes else (None, "the processor has no AVX2 with FMA")


def resolve(device: torch.device, dtype: torch.dtype) -> tuple[int, str]:
    """How many floats of a register `Winograd` works on for convolutions on ``device`` in ``dtype``, or 0, and why."""
    if device.type != "cpu" or dtype is not torch.float32:
        return 0, f"they are for float32 on a CPU, not for {dtype} on {device.type}"
    module, reason = _compiled()
    return (module.lib.winograd_lanes() if module else 0), reason


class Winograd:
    """One convolution with its activation, prepared once. Any number of threads may call it at once, each on one core.

    While it computes the GIL is free.
    """

    def __init__(self, weight: Tensor, bias: Tensor, slopes: Tensor | float, *, lanes: int | None = None) -> None:
        """weight: [outputs, inputs, 3, 3], bias: of as many, both float32 on the CPU. slopes: of the leaky ReLU, for
        each output or for all. lanes: of a register, where fewer are wanted than `resolve` returns; 16 or 8.

        Raises RuntimeError where `resolve` returns 0.
        """
        module, reason = _compiled()
        if module is None:
            raise RuntimeError(reason)
        self._module = module
        self._lanes = lanes or module.lib.winograd_lanes()
        self._outputs, self._inputs = weight.shape[:2]
        padded = -(-self._outputs // self._lanes) * self._lanes
        transform = torch.tensor(_KERNEL_TRANSFORM, dtype=torch.float64, device="cpu")
        points = torch.einsum("ai,oxij,bj->abxo", transform, weight.double(), transform)
        self._weights = torch.zeros((_POINTS, self._inputs, padded), **_FLOATS)
        self._weights[..., : self._outputs] = points.flatten(0, 1)
        self._bias, self._slopes = torch.zeros((2, padded), **_FLOATS)
        self._bias[: self._outputs] = bias.flatten()
        self._slopes[: self._outputs] = slopes
        self._scratch = module.lib.winograd_scratch(self._lanes, self._inputs, self._outputs)

    def __call__(self, x: Tensor) -> Tensor:
        """[1, inputs, h, w] to [1, outputs, h, w], float32 on the CPU, channels-last; zeros are read around ``x``.

        Raises ValueError for any other tensor.
        """
        good = x.dim() == 4 and x.shape[:2] == (1, self._inputs) and x.dtype is torch.float32 and x.device.type == "cpu"
        if not good or not x.is_contiguous(memory_format=torch.channels_last):
            raise ValueError(
                f"x must be a channels-last float32 tensor [1, {self._inputs}, h, w] on the CPU, not {x.dtype} "
                f"{tuple(x.shape)} with strides {x.stride()} on {x.device}"
            )
        height, width = x.shape[2:]
        y = torch.empty((1, self._outputs, height, width), memory_format=torch.channels_last, **_FLOATS)
        scratch = torch.empty(self._scratch, **_FLOATS)
        address = self._address
        self._module.lib.winograd_convolve(
            self._lanes, address(x), address(self._weights), address(self._bias), address(self._slopes), address(y),
            height, width, self._inputs, self._outputs, address(scratch),
        )  # fmt: skip
        return y

    def _address(self, tensor: Tensor) -> object:
        return self._module.ffi.cast("float *", tensor.data_ptr())
