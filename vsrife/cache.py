"""A bounded cache in which each value is computed once, however many threads request it.

Keys are hashable, and a function gives the weight of a value.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

__all__ = ["Cache"]


class _Pending:
    """A value that one thread is computing while others wait: a lock that it holds, much cheaper than an event."""

    __slots__ = ("_running",)

    def __init__(self) -> None:
        self._running = threading.Lock()
        self._running.acquire()

    def wait(self) -> None:
        """Return when the thread that made this has called `finish`."""
        with self._running:
            pass

    def finish(self) -> None:
        """Let all go on that wait."""
        self._running.release()


class Cache[K: Hashable, V]:
    """Values by key, least recently used out first, within ``budget``.

    ``weigh`` gives a value's weight in the unit of ``budget`` (bytes, or 1 for a count). The ``at_least()`` values used
    last stay even where they are heavier than the budget, so those in use do not drive each other out. Safe for any
    number of threads, and `drop` also from a finalizer: Python may collect garbage wherever an object is made, here
    too with the lock held, and what it finds may be the owner of values.
    """

    def __init__(
        self, budget: int, weigh: Callable[[V], int] = lambda _value: 1, *, at_least: Callable[[], int] = lambda: 1
    ) -> None:
        self._budget = budget
        self._at_least = at_least
        self._weigh = weigh
        self._lock = threading.Lock()
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._pending: dict[K, _Pending] = {}
        self._weight = 0
        self._unwanted: deque[Callable[[K], bool]] = deque()

    def get(self, key: K, compute: Callable[[], V]) -> V:
        """The value under ``key``; where there is none, ``compute()``, called by one thread while others wait.

        An exception of ``compute`` reaches the thread that called it and nothing is kept; a thread that waited
        then computes for itself, so one failure never becomes another thread's.
        """
        while True:
            pending = None
            with self._lock:
                found = self._values.get(key)
                if found is not None:
                    self._values.move_to_end(key)
                else:
                    pending = self._pending.get(key)
                    if pending is None:
                        mine = self._pending[key] = _Pending()
            self._sweep()
            if found is not None:
                return found[0]
            if pending is None:
                break
            pending.wait()
        try:
            value = compute()
            self._put(key, value)
            return value
        finally:
            with self._lock:
                del self._pending[key]
            mine.finish()
            self._sweep()

    def drop(self, unwanted: Callable[[K], bool]) -> None:
        """Forget every value whose key is unwanted: at once, or where the lock is held as soon as it is given back."""
        self._unwanted.append(unwanted)
        self._sweep()

    def _sweep(self) -> None:
        """Carry out pending calls of `drop`; where the lock is held, also by this thread, the holder does it later."""
        while self._unwanted and self._lock.acquire(blocking=False):
            try:
                while self._unwanted:
                    unwanted = self._unwanted.popleft()
                    for key in [key for key in self._values if unwanted(key)]:
                        self._weight -= self._values.pop(key)[1]
            finally:
                self._lock.release()

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
            while self._weight > self._budget and len(self._values) > self._at_least():
                self._weight -= self._values.popitem(last=False)[1][1]
