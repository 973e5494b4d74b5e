"""All trainable parameters of a module in one flat tensor.

The master weights are float32. Each step casts the whole tensor once to the precision of the convolutions (bfloat16),
and the gradient comes back as one tensor too. So gradient clipping, the all-reduce over processes, AdamW and the moving
average are one or two operations each, however many layers the network has.

autocast is not used: it chooses the precision for each operation, and its choice differs between devices and releases.
The networks themselves define where the precision changes: inputs of a block are cast to the dtype of the weights and
outputs are float32 (`IFNet.dtype`). So with bfloat16 weights the network is trained with the casts that it later runs
with.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

__all__ = ["FlatParams"]

ALIGNMENT: Final = 64
"""Offsets of convolution weights in the flat tensor are multiples of this many elements, 128 bytes of bfloat16, the
alignment that tensor cores prefer. Biases and other small parameters follow all of them without gaps, because each gap
costs one operation per step.
"""


class FlatParams:
    """The parameters of a module that require gradients, as one tensor.

    flat: float32, one dimension, a leaf that requires gradients. The parameters of the module become views of it, so
        the module always has the current weights.
    """

    def __init__(self, module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        """dtype: precision of the convolutions. The module is moved to `device`."""
        self.module = module.to(device)
        self.dtype = dtype
        parameters = {name: each for name, each in module.named_parameters() if each.requires_grad}
        norms = {
            f"{name}." for name, part in module.named_modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)
        }
        # The factors of a normalisation stay in float32: bfloat16 would round them by up to 1/256.
        self._exact = {name for name in parameters if any(name.startswith(norm) for norm in norms)}
        parameters = dict(sorted(parameters.items(), key=lambda item: not _is_kernel(item[1])))
        self._shapes = {name: each.shape for name, each in parameters.items()}
        self._splits: list[int] = []
        self._parts: list[int] = []
        for each in parameters.values():
            self._parts.append(len(self._splits))
            gap = -each.numel() % ALIGNMENT if _is_kernel(each) else 0
            self._splits += [each.numel(), gap] if gap else [each.numel()]
        self.flat = torch.zeros(sum(self._splits), device=device)
        for name, view in self.views(self.flat).items():
            view.copy_(parameters[name].detach())
            parameters[name].data = view
        self.flat.requires_grad_(True)

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Views of a tensor with the layout of `flat`, by parameter name and in the parameters' shapes.

        Weights of convolutions are stored with channels last, the layout that convolutions on GPUs read.
        """
        parts = torch.split(flat, self._splits)
        return {
            name: _shaped(parts[at], self._shapes[name]) for name, at in zip(self._shapes, self._parts, strict=True)
        }

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the module with its convolutions in `dtype`."""
        return self.cast()(*arguments, **options)

    def cast(self) -> Callable[..., Any]:
        """A function that calls the module with the current weights, cast to `dtype` once for all calls.

        One backward pass from the sum of their losses accumulates the gradients of all calls in `flat.grad`.
        """
        used = self.views(self.flat.to(self.dtype))
        if self._exact and self.dtype != torch.float32:
            whole = self.views(self.flat)
            used |= {name: whole[name] for name in self._exact}
        return lambda *arguments, **options: torch.func.functional_call(self.module, used, arguments, options)

    def call_with(self, flat: Tensor, *arguments: Any, **options: Any) -> Any:
        """As calling the module, with other weights of the same layout, such as their moving average."""
        views = self.views(flat.to(self.dtype))
        whole = self.views(flat)
        return torch.func.functional_call(
            self.module,
            {name: whole[name] if name in self._exact else view for name, view in views.items()},
            arguments,
            options,
        )

    def state_dict(self, flat: Tensor) -> dict[str, Tensor]:
        """Contiguous copies of the parameters in `flat`, by name."""
        return {
            name: view.detach().clone(memory_format=torch.contiguous_format) for name, view in self.views(flat).items()
        }

    @torch.no_grad()
    def load_state_dict(self, flat: Tensor, state_dict: Mapping[str, Tensor]) -> None:
        """Copy named tensors into `flat`; all parameters must be there, in their shapes."""
        for name, view in self.views(flat).items():
            view.copy_(state_dict[name])


def _is_kernel(parameter: Tensor) -> bool:
    return parameter.dim() == 4 and parameter.shape[2:].numel() > 1


def _shaped(part: Tensor, shape: torch.Size) -> Tensor:
    if len(shape) != 4:
        return part.view(shape)
    first, second, height, width = shape
    return part.view(first, height, width, second).permute(0, 3, 1, 2)
