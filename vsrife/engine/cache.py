"""A bounded cache in which each value is computed once, however many threads ask for it.

It knows nothing about frames: keys are hashable, values are weighed by a function.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

__all__ = ["Cache"]


class _Pending:
    """A value that one thread is computing while others wait."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = threading.Event()


class Cache[K: Hashable, V]:
    """Values by key, least recently used out first, within ``budget``.

    ``weigh`` gives a value's weight in the unit of ``budget`` (bytes, or 1 for a count). The ``at_least`` values used
    last stay even where they are heavier than the budget, so those in use do not drive each other out. Safe for any
    number of threads.
    """

    def __init__(self, budget: int, weigh: Callable[[V], int] = lambda _value: 1, *, at_least: int = 1) -> None:
        self._budget = budget
        self._at_least = at_least
        self._weigh = weigh
        self._lock = threading.Lock()
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._pending: dict[K, _Pending] = {}
        self._weight = 0

    def get(self, key: K, compute: Callable[[], V]) -> V:
        """The value under ``key``; where there is none, ``compute()``, called by one thread while others wait.

        An exception of ``compute`` reaches the thread that called it and nothing is kept; a thread that waited
        then computes for itself, so one failure never becomes another thread's.
        """
        while True:
            with self._lock:
                found = self._values.get(key)
                if found is not None:
                    self._values.move_to_end(key)
                    return found[0]
                pending = self._pending.get(key)
                if pending is None:
                    mine = self._pending[key] = _Pending()
                    break
            pending.done.wait()
        try:
            value = compute()
            self._put(key, value)
            return value
        finally:
            with self._lock:
                del self._pending[key]
            mine.done.set()

    def drop(self, unwanted: Callable[[K], bool]) -> None:
        """Forget every value whose key is unwanted."""
        with self._lock:
            for key in [key for key in self._values if unwanted(key)]:
                self._weight -= self._values.pop(key)[1]

    @property
    def weight(self) -> int:
        """What all values weigh together."""
        return self._weight

    def __len__(self) -> int:
        return len(self._values)

    def _put(self, key: K, value: V) -> None:
        weight = self._weigh(value)
        with self._lock:
            self._values[key] = value, weight
            self._weight += weight
            while self._weight > self._budget and len(self._values) > self._at_least:
                self._weight -= self._values.popitem(last=False)[1][1]
