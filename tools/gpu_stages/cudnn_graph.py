"""A convolution with bias, residual and leaky ReLU as one graph of cuDNN, by nvidia-cudnn-frontend.

Not a dependency: the package is used where it can be imported, for one measurement.
"""

import importlib
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from vsrife.network.blocks import SLOPE

__all__ = ["FusedLayer"]


class FusedLayer:
    """leaky_relu(convolution of ``x`` + bias + ``x``), 3x3, stride 1, sums in float32. Calling it writes `out`.

    residual: whether ``x`` is added. The library works on the stream that is current at the call. Raises ImportError
    without the package, and what the library raises where it has no kernel for the graph.
    """

    def __init__(self, weight: Tensor, bias: Tensor, x: Tensor, *, residual: bool) -> None:
        self._cudnn: Any = importlib.import_module("cudnn")
        cudnn = self._cudnn
        types = {torch.float16: cudnn.data_type.HALF, torch.bfloat16: cudnn.data_type.BFLOAT16}
        self._x, self._weight, self._residual = x, weight, residual
        self._bias = bias.to(x.dtype).view(1, -1, 1, 1).contiguous(memory_format=torch.channels_last)
        self.out = torch.empty_like(x)
        self._handle = cudnn.create_handle()
        graph = cudnn.pygraph(
            io_data_type=types.get(x.dtype, cudnn.data_type.FLOAT),
            intermediate_data_type=cudnn.data_type.FLOAT,
            compute_data_type=cudnn.data_type.FLOAT,
            handle=self._handle,
        )
        # What is added is an input of its own, though its memory is the source's: cuDNN fuses graphs of that form.
        tensors = [x, weight, self._bias, *([x] if residual else [])]
        given = [graph.tensor_like(each) for each in tensors]
        source, kernel, shift = given[:3]
        summed = graph.conv_fprop(image=source, weight=kernel, padding=[1, 1], stride=[1, 1], dilation=[1, 1])
        summed = graph.bias(name="bias", input=summed, bias=shift)
        if residual:
            summed = graph.add(name="residual", a=summed, b=given[3])
        made = graph.leaky_relu(name="activation", input=summed, negative_slope=SLOPE)
        made.set_output(True)
        graph.validate()
        graph.build_operation_graph()
        graph.create_execution_plans([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
        graph.check_support()
        graph.build_plans()
        self._graph = graph
        self._pointers = dict(zip([*given, made], [*tensors, self.out], strict=True))
        self._workspace = torch.empty(max(1, graph.get_workspace_size()), device=x.device, dtype=torch.uint8)

    def __call__(self) -> None:
        """Queue the layer."""
        stream = torch.cuda.current_stream(self._x.device).cuda_stream
        self._cudnn.set_stream(handle=self._handle, stream=stream)
        self._graph.execute(self._pointers, self._workspace, handle=self._handle)

    def difference(self) -> float:
        """The largest from PyTorch's in float32, as a share of the largest value."""
        self()
        bias = self._bias.float().flatten()
        summed = functional.conv2d(self._x.float(), self._weight.float(), bias, 1, 1)
        expected = functional.leaky_relu(summed + self._x.float() if self._residual else summed, SLOPE)
        return float((self.out.float() - expected).abs().max() / expected.abs().max())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        torch.cuda.synchronize(self._x.device)
        self._cudnn.destroy_handle(self._handle)
