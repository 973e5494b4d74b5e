"""Counts, on any device, the operations that a GPU would launch and the bytes that they would read and write.

Each operation counts its operands and results once, without caches; views and allocations cost nothing. On a GPU the
time of elementwise operations is given by their bytes, that of small operations by the launch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, override

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["Traffic", "counted"]

_TAKES_MEMORY: Final = frozenset(
    ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "set_", "resize_")
)
_VIEWS: Final = frozenset(("detach", "alias", "_unsafe_view", "_reshape_alias", "lift_fresh"))


class Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch's own initialisers have no types
    """Counts the operations while it is entered, those of backward passes too.

    launches: the number of operations. bytes: the size of their operands and results.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.launches = 0
        self.bytes = 0

    @override
    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operation and count it."""
        operation: Callable[..., Any] = func
        result = operation(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not func.is_view and name not in _VIEWS and name not in _TAKES_MEMORY:
            # Tensors that are written in place or given as out= are among the operands already.
            tensors = {id(each): each for each in tree_leaves((args, kwargs, result)) if isinstance(each, Tensor)}
            self.launches += 1
            self.bytes += sum(_size(each) for each in tensors.values())
        return result


def _size(tensor: Tensor) -> int:
    """Bytes of a tensor; an expanded dimension counts as one element, which stays in a cache."""
    number = 1
    for length, step in zip(tensor.shape, tensor.stride(), strict=True):
        number *= length if step or length == 0 else 1
    return number * tensor.element_size()


def counted(action: Callable[[], object]) -> Traffic:
    """Count the operations of an action."""
    traffic = Traffic()
    with traffic:
        action()
    return traffic
