"""The cache: bounded, least recently used out first, each value computed once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from vsrife.cache import Cache


def test_value_is_computed_once_and_kept():
    calls = []
    cache: Cache[str, int] = Cache(10)
    assert [cache.get("a", lambda: calls.append(1) or 7) for _ in range(3)] == [7, 7, 7]
    assert len(calls) == 1


def test_least_recently_used_goes_first():
    cache: Cache[int, int] = Cache(2)
    cache.get(1, lambda: 1)
    cache.get(2, lambda: 2)
    cache.get(1, lambda: -1)  # a use, not a computation
    cache.get(3, lambda: 3)
    assert cache.get(1, lambda: -1) == 1
    assert cache.get(2, lambda: 20) == 20  # it was dropped, so it is computed again


def test_budget_is_in_weight_and_the_newest_stays_even_if_heavier():
    cache: Cache[int, bytes] = Cache(100, len)
    for key in range(10):
        cache.get(key, lambda: bytes(30))
    assert cache.weight == 90
    assert len(cache) == 3
    cache.get(99, lambda: bytes(500))
    assert (len(cache), cache.weight) == (1, 500)
    cache.get(100, lambda: bytes(1))
    assert (len(cache), cache.weight) == (1, 1)


def test_those_in_use_do_not_drive_each_other_out():
    calls = []
    cache: Cache[int, bytes] = Cache(10, len, at_least=lambda: 2)
    for key in (0, 1, 0, 1, 0, 1, 2, 1, 2):
        cache.get(key, lambda key=key: calls.append(key) or bytes(500))
    assert calls == [0, 1, 2]
    assert len(cache) == 2


def test_drop_forgets_by_key_and_gives_the_weight_back():
    cache: Cache[tuple[int, int], bytes] = Cache(1000, len)
    for owner in (1, 2):
        for frame in range(3):
            cache.get((owner, frame), lambda: bytes(10))
    cache.drop(lambda key: key[0] == 1)
    assert (len(cache), cache.weight) == (3, 30)


def test_many_threads_compute_one_value_once():
    cache: Cache[int, int] = Cache(10)
    calls: list[int] = []
    together = threading.Barrier(8)
    finish = threading.Event()

    def compute():
        calls.append(1)
        assert finish.wait(10)
        return 5

    def ask(_):
        together.wait(10)
        return cache.get(0, compute)

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, i) for i in range(8)]
        threading.Timer(0.1, finish.set).start()
        assert [answer.result(10) for answer in answers] == [5] * 8
    assert len(calls) == 1


def test_a_failure_reaches_its_own_caller_and_is_not_kept():
    cache: Cache[int, int] = Cache(10)
    entered, fail = threading.Event(), threading.Event()

    def failing():
        entered.set()
        assert fail.wait(10)
        raise ValueError("no")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, 0, failing)
        assert entered.wait(10)
        second = pool.submit(cache.get, 0, lambda: 3)  # waits for the first, then computes for itself
        fail.set()
        with pytest.raises(ValueError, match="no"):
            first.result(10)
        assert second.result(10) == 3


def test_an_owner_that_is_collected_while_the_lock_is_held_drops_its_values_without_a_deadlock():
    """As a clip's last reference may go in any thread of ours: in the middle of `get`, by the garbage collector."""
    cache = Cache(100)
    cache.get(("old", 1), lambda: "a")
    cache.get(("new", 1), lambda: "b")
    done = threading.Event()

    def collected_within():
        with cache._lock:
            cache.drop(lambda key: key[0] == "old")
        assert len(cache) == 2  # not yet: the lock was held
        cache.get(("new", 1), lambda: "c")
        done.set()

    threading.Thread(target=collected_within, daemon=True).start()
    assert done.wait(10)
    assert len(cache) == 1
    assert cache.weight == 1
    assert cache.get(("new", 1), lambda: "c") == "b"
