"""Batches of examples that go together, such as texts of like lengths: a plan without memory.

Batch t is of one group, and each group has its share of the batches: the j-th batch of a group of n
among N examples is due at (2 j + 1) N / 2 n, and batches follow each other as they are due. Within
a group they are taken from a stream in which every epoch is a fresh permutation. Both are functions
of (seed, t) alone.
"""

import functools
from fractions import Fraction
from typing import Any

import grain
import numpy as np

from maskjax.typing import Int

_MAX_POSITIONS = 2**50


class Grouped:
    """From a position in the endless stream to an example; picklable.

    Args:
        groups: the group of each example.
        seed: at least 0.
        batch_size: of all processes together; no group has fewer examples.
    """

    def __init__(self, groups: Int[np.ndarray, "N"], seed: int, batch_size: int):
        self._groups, self._seed, self._batch_size = groups, seed, batch_size

    def index(self, position: int) -> int:
        """The example at a position."""
        group, place = self._place(position)
        members = self._members[group]
        return int(members[self._streams[group][place]])

    def epoch(self, position: int) -> int:
        """How often the group of that example was gone through before."""
        group, place = self._place(position)
        return place // len(self._members[group])

    def _place(self, position: int) -> tuple[int, int]:
        """The group at a position, and the position in its own stream."""
        batch, slot = divmod(position, self._batch_size)
        group, before = self._of_batch(batch)
        return group, before * self._batch_size + slot

    @functools.cached_property
    def _members(self) -> list[Int[np.ndarray, "_"]]:
        return [np.flatnonzero(self._groups == group) for group in np.unique(self._groups)]

    @functools.cached_property
    def _streams(self) -> list[Any]:
        sizes = map(len, self._members)
        return [
            grain.MapDataset.range(size)
            .seed((self._seed + group) % 2**32)
            .shuffle()
            .repeat(_MAX_POSITIONS // size)
            for group, size in enumerate(sizes)
        ]

    @functools.cached_property
    def _of_batch(self) -> Any:
        sizes = tuple(map(len, self._members))
        return functools.lru_cache(maxsize=4)(functools.partial(group_of_batch, sizes))

    def __getstate__(self) -> dict[str, Any]:
        names = ("_groups", "_seed", "_batch_size")
        return {name: self.__dict__[name] for name in names}


def group_of_batch(sizes: tuple[int, ...], batch: int) -> tuple[int, int]:
    """Find the group of a batch, and how many batches of that group come before it.

    Args:
        sizes: examples of each group.
        batch: t.

    >>> [group_of_batch((10, 20), t) for t in range(4)]
    [(1, 0), (0, 0), (1, 1), (1, 2)]
    """
    total = sum(sizes)
    # So many batches of each group are due up to a time at which fewer than t are due in all.
    time = max(0, batch - len(sizes))
    done = [(2 * size * time + total) // (2 * total) for size in sizes]
    while True:
        times = [Fraction(2 * j + 1, size) for j, size in zip(done, sizes)]
        group = times.index(min(times))
        if sum(done) == batch:
            return group, done[group]
        done[group] += 1
