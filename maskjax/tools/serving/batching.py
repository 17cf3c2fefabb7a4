"""Rows of many requests, computed together: what arrives while a batch is computed is the next."""

import asyncio
import collections
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, NamedTuple

import jax
import numpy as np

from maskjax.tools.serving.refused import Refused

# One row an array [...], without an axis of the batch.
Row = Mapping[str, Any]


class _Waiting(NamedTuple):
    row: Row
    answer: asyncio.Future


def padded_sizes(most: int) -> list[int]:
    """Sizes of batches that are compiled: powers of 4, and the largest.

    Example:
        >>> padded_sizes(16), padded_sizes(40)
        ([1, 4, 16], [1, 4, 16, 40])
    """
    sizes = [4**power for power in range(20) if 4**power < most]
    return [*sizes, most]


class Batcher:
    """One output's queue.

    `run` must be running in the event loop that calls it.
    """

    def __init__(
        self,
        compute: Callable[[dict[str, np.ndarray]], Any],
        executor: Executor,
        *,
        max_batch: int,
        max_queue: int,
        wait: float,
        observe: Callable[[int], None] = lambda size: None,
    ):
        """Prepare a queue.

        Args:
            compute: a batch [B, ...] -> arrays [B, ...], one or a dict; it runs in the executor.
            executor: of one thread, which all queues of a device share.
            max_batch: rows in a batch at most.
            max_queue: rows that may wait.
            wait: seconds that the first row waits for others.
            observe: told how many rows a batch had.
        """
        self._compute, self._executor, self._observe = compute, executor, observe
        self._max_batch, self._max_queue, self._wait = max_batch, max_queue, wait
        self._waiting: collections.deque[_Waiting] = collections.deque()
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        """Rows that wait."""
        return len(self._waiting)

    async def __call__(self, rows: list[Row]) -> list[Any]:
        """Compute rows, each in whatever batch it comes into.

        Raises:
            Refused: too many wait.
        """
        if len(self._waiting) + len(rows) > self._max_queue:
            raise Refused(503, f"{len(self._waiting)} rows are waiting already: try again later")
        loop = asyncio.get_running_loop()
        entries = [_Waiting(row, loop.create_future()) for row in rows]
        self._waiting.extend(entries)
        self._arrived.set()
        try:
            return await asyncio.gather(*(entry.answer for entry in entries))
        finally:  # a request that timed out, or whose client is gone, is computed no more
            for entry in entries:
                entry.answer.cancel()

    async def run(self) -> None:
        """Compute batches until cancelled."""
        while True:
            await self._arrived.wait()
            if len(self._waiting) < self._max_batch and self._wait:
                await asyncio.sleep(self._wait)
            batch = self._next()
            if batch:
                await self._answer(batch)

    def _next(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < self._max_batch:
            entry = self._waiting.popleft()
            if not entry.answer.done():
                batch.append(entry)
        if not self._waiting:
            self._arrived.clear()
        return batch

    async def _answer(self, batch: list[_Waiting]) -> None:
        self._observe(len(batch))
        loop = asyncio.get_running_loop()
        try:
            rows = [entry.row for entry in batch]
            found = await loop.run_in_executor(self._executor, self._together, rows)
        except Exception as error:
            for entry in batch:
                if not entry.answer.done():
                    entry.answer.set_exception(error)
            return
        for entry, row in zip(batch, found, strict=True):
            if not entry.answer.done():
                entry.answer.set_result(row)

    def _together(self, rows: list[Row]) -> list[Any]:
        """Stack rows, fill the batch up with the last one, and take the result apart."""
        size = next(size for size in padded_sizes(self._max_batch) if size >= len(rows))
        filled = [*rows, *[rows[-1]] * (size - len(rows))]
        batch = {name: np.stack([row[name] for row in filled]) for name in rows[0]}
        found = self._compute(batch)
        return [jax.tree.map(lambda x, place=place: x[place], found) for place in range(len(rows))]
