"""The prefetching thread: order, bound, errors, waiting and stopping."""

import gc
import itertools
import threading
import time

import pytest

from maskjax.data import prefetch
from maskjax.data.prefetch import InterruptedWait, Prefetcher


def _wait_until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_batches_are_placed_in_order_in_the_thread():
    threads = set()

    def place(batch):
        threads.add(threading.current_thread())
        return batch * 10

    assert list(Prefetcher(iter(range(5)), place)) == [0, 10, 20, 30, 40]
    assert threading.main_thread() not in threads


def test_no_more_batches_are_made_than_fit():
    made = []
    with Prefetcher(itertools.count(), made.append, depth=3) as batches:
        assert _wait_until(lambda: len(made) >= 4)
        time.sleep(0.05)
        assert len(made) == 4  # three wait, one is held by the thread
        next(batches)
        assert _wait_until(lambda: len(made) == 5)


@pytest.mark.parametrize("where", ["iterator", "place"])
def test_errors_come_after_the_batches_before_them(where):
    def make():
        yield 1
        yield 2
        if where == "iterator":
            raise RuntimeError("broken")
        yield 0

    batches = Prefetcher(make(), lambda x: x if x else 1 / x)
    assert [next(batches), next(batches)] == [1, 2]
    with pytest.raises((RuntimeError, ZeroDivisionError)):
        next(batches)
    with pytest.raises(StopIteration):
        next(batches)


def test_closing_stops_the_thread_and_closes_the_iterator():
    closed = []

    class Endless:
        def __iter__(self):
            return self

        def __next__(self):
            return 0

        def close(self):
            closed.append(True)

    batches = Prefetcher(Endless(), lambda x: x)
    next(batches)
    thread = batches._thread
    assert thread.is_alive()
    batches.close()
    batches.close()
    assert not thread.is_alive()
    assert closed
    with pytest.raises(StopIteration):
        next(batches)


def test_dropping_it_stops_the_thread():
    batches = Prefetcher(itertools.count(), lambda x: x)
    next(batches)
    thread = batches._thread
    assert thread.is_alive()
    del batches
    gc.collect()
    assert _wait_until(lambda: not thread.is_alive())


def test_depth_below_one_is_refused():
    with pytest.raises(ValueError, match="depth=0"):
        Prefetcher(iter(()), lambda x: x, depth=0)


@pytest.fixture
def stalled(monkeypatch):
    """An iterator whose second batch never comes, until the test is over."""
    monkeypatch.setattr(prefetch, "_CLOSE_SECONDS", 0.1)
    over = threading.Event()

    def make():
        yield 0
        over.wait()

    yield make()
    over.set()


def test_a_wait_for_a_batch_that_never_comes_can_be_interrupted(stalled, caplog):
    is_told = threading.Event()
    with Prefetcher(stalled, lambda x: x, is_interrupted=is_told.is_set) as batches:
        assert next(batches) == 0
        threading.Timer(0.2, is_told.set).start()
        with pytest.raises(InterruptedWait):
            next(batches)
    assert "A batch is being made for too long" in caplog.text


def test_batches_that_are_ready_come_before_an_interruption():
    with Prefetcher(iter(range(2)), lambda x: x, is_interrupted=lambda: True) as batches:
        assert _wait_until(batches._ready.full)
        assert next(batches) == 0


def test_closing_ends_the_wait_of_another_thread(stalled):
    batches = Prefetcher(stalled, lambda x: x)
    assert next(batches) == 0
    threading.Timer(0.2, batches.close).start()
    with pytest.raises(StopIteration):
        next(batches)


def test_a_dead_thread_is_an_error(monkeypatch):
    monkeypatch.setattr(prefetch, "_fill", lambda *_: None)
    with pytest.raises(RuntimeError, match="has died"):
        next(Prefetcher(iter(range(2)), lambda x: x))
