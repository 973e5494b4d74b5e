"""All numbers that are learnt, in one row of memory.

The master weights are float32. Convolutions run in bfloat16 on a copy of the whole row that each step makes in one
operation; its gradient comes back as one row, too. So clipping, the sum over processes, AdamW and the average are each
an operation or two, however many layers there are.

Why not autocast: it decides by operation what runs in which precision, and that differs between devices and releases.
The networks themselves say where their precision changes: what goes into a block is cast to the weights' dtype and
what comes out is float32 (`IFNet.dtype`). With bfloat16 weights the network in training is thus, cast for cast, the one
that later runs.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

__all__ = ["Weights"]

ALIGNMENT: Final = 64
"""Numbers that the place of a convolution's weight in the row is a multiple of: 128 bytes of bfloat16, as tensor cores
like it. Biases and the like stand behind all of them as they come: each gap in the row costs a step an operation.
"""


class Weights:
    """The parameters of a module that take gradients, as one row.

    row: float32, one dimension, a leaf with gradients. The module's parameters are views of it from now on, so the
        module always holds the current weights.
    """

    def __init__(self, module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        """dtype: that the convolutions run in. The module is moved to `device`."""
        self.module = module.to(device)
        self.dtype = dtype
        parameters = {name: each for name, each in module.named_parameters() if each.requires_grad}
        norms = {
            f"{name}." for name, part in module.named_modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)
        }
        # Normalisation multiplies by numbers that bfloat16 would round by a part in 256.
        self._exact = {name for name in parameters if any(name.startswith(norm) for norm in norms)}
        parameters = dict(sorted(parameters.items(), key=lambda item: not _is_kernel(item[1])))
        self._shapes = {name: each.shape for name, each in parameters.items()}
        self._splits: list[int] = []
        self._parts: list[int] = []
        for each in parameters.values():
            self._parts.append(len(self._splits))
            gap = -each.numel() % ALIGNMENT if _is_kernel(each) else 0
            self._splits += [each.numel(), gap] if gap else [each.numel()]
        self.row = torch.zeros(sum(self._splits), device=device)
        for name, view in self.views(self.row).items():
            view.copy_(parameters[name].detach())
            parameters[name].data = view
        self.row.requires_grad_(True)

    def views(self, row: Tensor) -> dict[str, Tensor]:
        """The parts of a row like the weights', by the parameters' names, in their shapes, in the same memory.

        Weights of convolutions lie in it with their channels last, which is how the GPU's convolutions read them.
        """
        parts = torch.split(row, self._splits)
        return {
            name: _shaped(parts[at], self._shapes[name]) for name, at in zip(self._shapes, self._parts, strict=True)
        }

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the module, its convolutions in `dtype`."""
        return self.cast()(*arguments, **options)

    def cast(self) -> Callable[..., Any]:
        """The module as it is called, with what `row` holds now, cast to `dtype` once for all of its calls.

        A backward pass of the sum of what they answer brings the gradients of all of them to the row as one.
        """
        used = self.views(self.row.to(self.dtype))
        if self._exact and self.dtype != torch.float32:
            whole = self.views(self.row)
            used |= {name: whole[name] for name in self._exact}
        return lambda *arguments, **options: torch.func.functional_call(self.module, used, arguments, options)

    def call_with(self, row: Tensor, *arguments: Any, **options: Any) -> Any:
        """As calling, with other weights in the place of `row`."""
        views = self.views(row.to(self.dtype))
        whole = self.views(row)
        return torch.func.functional_call(
            self.module,
            {name: whole[name] if name in self._exact else view for name, view in views.items()},
            arguments,
            options,
        )

    def named(self, row: Tensor) -> dict[str, Tensor]:
        """Copies of the parts of a row, each a tensor of its own, contiguous."""
        return {
            name: view.detach().clone(memory_format=torch.contiguous_format) for name, view in self.views(row).items()
        }

    @torch.no_grad()
    def take(self, row: Tensor, named: Mapping[str, Tensor]) -> None:
        """Write tensors into a row: those of `named`, all of its parts, in their shapes."""
        for name, view in self.views(row).items():
            view.copy_(named[name])


def _is_kernel(parameter: Tensor) -> bool:
    return parameter.dim() == 4 and parameter.shape[2:].numel() > 1


def _shaped(part: Tensor, shape: torch.Size) -> Tensor:
    if len(shape) != 4:
        return part.view(shape)
    first, second, height, width = shape
    return part.view(first, height, width, second).permute(0, 3, 1, 2)
