"""What a GPU would have to do, counted on any device: operations launched, and the bytes that they read and write.

Each operation counts its operands and its results once, as if nothing stayed in a cache; views, and memory that is only
taken, cost nothing. On a GPU elementwise work takes as long as its bytes, and small operations as long as a launch.
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
    """Counts what is done while it is entered; backward too.

    launches: operations. bytes: of their operands and results.
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
        """Do what is asked, and count it."""
        operation: Callable[..., Any] = func
        answer = operation(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not func.is_view and name not in _VIEWS and name not in _TAKES_MEMORY:
            # What is written in place, or into a given tensor, is among the operands already.
            tensors = {id(each): each for each in tree_leaves((args, kwargs, answer)) if isinstance(each, Tensor)}
            self.launches += 1
            self.bytes += sum(_size(each) for each in tensors.values())
        return answer


def _size(tensor: Tensor) -> int:
    """Bytes of what a tensor shows of its memory; what is expanded is one number, read again from a cache."""
    number = 1
    for length, step in zip(tensor.shape, tensor.stride(), strict=True):
        number *= length if step or length == 0 else 1
    return number * tensor.element_size()


def counted(action: Callable[[], object]) -> Traffic:
    """What an action does."""
    traffic = Traffic()
    with traffic:
        action()
    return traffic
