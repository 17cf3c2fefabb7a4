"""Prefetch to device: a thread that keeps a few placed batches ready."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from absl import logging

T = TypeVar("T")

_END = object()
_POLL_SECONDS = 0.1
_CLOSE_SECONDS = 5.0


class InterruptedWait(Exception):
    """Raised in place of a batch that is not there where nobody wants to wait for it."""


class Prefetcher(Generic[T]):
    """Iterates over `place(batch)` for each batch, made ahead of time by a background thread.

    What the iterator or `place` raises is raised by `next` once the batches before it are used up.
    Use it as a context manager, or call `close`.

    Args:
        batches: an iterator over batches; its own `close`, if it has one, is called at the end.
        place: puts a batch where it is used, e.g. a device; called in the thread.
        depth: how many placed batches may wait, at least 1.
        is_interrupted: asked again and again while a batch is waited for; where it says yes, the
            wait ends in `InterruptedWait`.

    Raises:
        ValueError: for a depth below 1.
    """

    def __init__(
        self,
        batches: Iterator[Any],
        place: Callable[[Any], T],
        *,
        depth: int = 2,
        is_interrupted: Callable[[], bool] = lambda: False,
    ):
        self._stop = threading.Event()
        if depth < 1:
            raise ValueError(f"depth={depth} must be at least 1")
        self._batches = batches
        self._ready: queue.Queue = queue.Queue(depth)
        self._is_over = False
        self._is_interrupted = is_interrupted
        # The thread does not refer to `self`, so a prefetcher that is dropped can be collected.
        self._thread = threading.Thread(
            target=_fill, args=(batches, place, self._ready, self._stop), daemon=True
        )
        self._thread.start()

    def __iter__(self) -> "Prefetcher[T]":
        return self

    def __next__(self) -> T:
        batch, error = self._wait()
        if error is not None:
            self.close()
            raise error
        if batch is _END:
            self.close()
            raise StopIteration
        return batch

    def _wait(self) -> tuple[Any, BaseException | None]:
        """Wait for what the thread puts into the queue, for as long as that makes sense."""
        while not self._is_over:
            is_alive = self._thread.is_alive()  # asked first: its last words may be in the queue
            try:
                return self._ready.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if self._is_interrupted():
                    raise InterruptedWait from None
                if not is_alive and not self._is_over:
                    raise RuntimeError("the thread that prepares batches has died") from None
        raise StopIteration

    def close(self):
        """Stop the thread, wait for it, and close the iterator; may be called again.

        A thread that is stuck in making a batch is left behind after some seconds.
        """
        self._is_over = True
        self._stop.set()
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            logging.warning("A batch is being made for too long: it is not waited for.")
            return
        close = getattr(self._batches, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> "Prefetcher[T]":
        return self

    def __exit__(self, *exception):
        self.close()

    def __del__(self):
        self._stop.set()


def _fill(batches: Iterator[Any], place: Callable, ready: queue.Queue, stop: threading.Event):
    """Put (placed batch, None) into the queue, at the end (_END, None) or (None, exception)."""
    try:
        for batch in batches:
            if stop.is_set() or not _put((place(batch), None), ready, stop):
                return
        item = (_END, None)
    except BaseException as error:  # to be raised where the batches are used
        item = (None, error)
    _put(item, ready, stop)


def _put(item: Any, ready: queue.Queue, stop: threading.Event) -> bool:
    """Wait for room; return False where the prefetcher was stopped meanwhile."""
    while not stop.is_set():
        try:
            ready.put(item, timeout=_POLL_SECONDS)
            return True
        except queue.Full:
            continue
    return False
