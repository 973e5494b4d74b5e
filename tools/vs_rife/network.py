"""A network of vs-rife, called as its plugin calls it.

The plugin of vs-rife 5.7 without TensorRT: contiguous NCHW tensors without a memory format; weights, frames and time
plane in the precision of the clip (half or float), coordinates and samples in float32; inference mode; features of a
source computed once; torch's defaults for cuDNN, matrix products in float32 set to "high"; one frame at a time, each
waited for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from vs_rife.package import VsRifePackage, import_network
from vsrife.bench.engine import TIME
from vsrife.errors import ArgumentError, one_line
from vsrife.models.checkpoint import read_state

__all__ = ["DTYPES", "VsRifeNetwork", "plugin_settings"]

DTYPES: Final = (torch.float16, torch.float32)
"""The precisions of its plugin."""


class VsRifeNetwork:
    """One of its networks for canvases of one size, with the weights of a checkpoint."""

    def __init__(
        self,
        package: VsRifePackage,
        version: str,
        path: Path,
        device: torch.device,
        dtype: torch.dtype,
        canvas: tuple[int, int],
    ) -> None:
        """canvas: (height, width). Raises ArgumentError where its network does not take the checkpoint's weights."""
        # Its checkpoints name every tensor `module.NAME`; its plugin removes the prefix and loads what fits. Here a key
        # that does not fit is an error.
        weights = read_state(path)
        with torch.device("meta"):
            network = import_network(package, version).IFNet(1.0, False)
        try:
            network.load_state_dict(weights, strict=True, assign=True)
        except RuntimeError as error:
            first = one_line(error)[:160]
            raise ArgumentError(
                f"package ({package.folder}): its network {version} does not take {path}: {first}"
            ) from None
        self._network = network.eval().requires_grad_(False).to(device, dtype)
        self._encoder = getattr(self._network, "encode", None)
        self._dtype = dtype
        height, width = canvas
        self._time = torch.full((1, 1, height, width), TIME, dtype=dtype, device=device)
        self._divisor = torch.tensor([(width - 1.0) / 2.0, (height - 1.0) / 2.0], device=device)
        across = torch.linspace(-1.0, 1.0, width, device=device).view(1, 1, 1, width).expand(-1, -1, height, -1)
        down = torch.linspace(-1.0, 1.0, height, device=device).view(1, 1, height, 1).expand(-1, -1, -1, width)
        self._grid = torch.cat((across, down), 1)

    def prepare(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """What it keeps of a source frame, float32 [1, 3, H, W]: the frame in its precision, and its features."""
        frame = rgb.to(self._dtype)
        return (frame,) if self._encoder is None else (frame, self._encoder(frame))

    def new_frame(self, left: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> Tensor:
        """The frame at `TIME`: RGB [1, 3, H, W] on the canvas, in its precision."""
        features = left[1:] + right[1:]
        made: Tensor = self._network(left[0], right[0], self._time, self._divisor, self._grid, *features)
        return made


@contextmanager
def plugin_settings() -> Iterator[None]:
    """Set torch's process-wide settings to those of its plugin; they are restored at the end."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.conv.fp32_precision, matmul.fp32_precision, cudnn.benchmark, cudnn.deterministic  # type: ignore[attr-defined]
    cudnn.conv.fp32_precision, matmul.fp32_precision = "tf32", "tf32"  # type: ignore[attr-defined]
    cudnn.benchmark, cudnn.deterministic = False, False
    try:
        yield
    finally:
        cudnn.conv.fp32_precision, matmul.fp32_precision, cudnn.benchmark, cudnn.deterministic = before  # type: ignore[attr-defined]
