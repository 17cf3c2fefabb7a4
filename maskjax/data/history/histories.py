"""Histories of items, and which of them train, choose and test a recommender."""

import dataclasses
from typing import NamedTuple

import numpy as np

from maskjax.typing import Int, Shaped

PADDING = 0  # ids of items begin at 1


@dataclasses.dataclass(frozen=True)
class Histories:
    """What each user had, oldest first.

    Attributes:
        items: ids from 1, those of one user together.
        starts: where each user's begin, and at the end how many there are in all.
        names: of the items: id i is names[i - 1], as the file spells it.
    """

    items: Int[np.ndarray, "N"]
    starts: Int[np.ndarray, "U_and_1"]
    names: Shaped[np.ndarray, "V"]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, user: int) -> Int[np.ndarray, "_"]:
        return self.items[self.starts[user] : self.starts[user + 1]]

    @property
    def lengths(self) -> Int[np.ndarray, "_"]:
        """How many items each user had."""
        return np.diff(self.starts)


def histories_of(
    users: Shaped[np.ndarray, "N"],
    items: Shaped[np.ndarray, "N"],
    times: Shaped[np.ndarray, "N"] | None = None,
) -> Histories:
    """Sort interactions to histories.

    Users and items are numbered in the order of their names, so that a file whose lines are in
    another order gives the same histories, but where a user has several items at one time: those
    keep the order of the file. An item that a user had twice is there twice.

    Args:
        users: a name or number an interaction.
        items: likewise.
        times: what sorts a user's items; None where they are sorted already.

    Returns:
        The histories.

    Raises:
        ValueError: there are none.
    """
    if not len(users):
        raise ValueError("there are no interactions: a history needs at least one")
    _, numbers = np.unique(users, return_inverse=True)
    names, ids = np.unique(items, return_inverse=True)
    order = np.lexsort((numbers,) if times is None else (times, numbers))  # a stable sort
    starts = np.concatenate([[0], np.cumsum(np.bincount(numbers))])
    return Histories((ids[order] + 1).astype(np.int32), starts, names)


class Split(NamedTuple):
    """One history for each example, and what comes next.

    Attributes:
        users: whose it is.
        ends: how many of the user's items it has.
        has_target: whether the item behind them is to be found; False in training.
    """

    users: Int[np.ndarray, "N"]
    ends: Int[np.ndarray, "N"]
    has_target: bool


def leave_last_out(lengths: Int[np.ndarray, "U"]) -> dict[str, Split]:
    """Split histories by time: the last item tests, the one before it chooses, the others train.

    Sun et al. 2019 (BERT4Rec, section 4.2) and Kang & McAuley 2018 (SASRec, section IV-A). What is
    known when a model is tested includes the item that it was chosen by. A user of one or two items
    has nothing to spare: all of them are in training, and the user is in no other split.

    Args:
        lengths: how many items each user had.

    Returns:
        "train", "validation" and "test".

    >>> splits = leave_last_out(np.array([1, 4, 2]))
    >>> {name: (split.users.tolist(), split.ends.tolist()) for name, split in splits.items()}
    {'train': ([0, 1, 2], [1, 2, 2]), 'validation': ([1], [2]), 'test': ([1], [3])}
    """
    users = np.arange(len(lengths))
    is_judged = lengths >= 3
    judged, known = users[is_judged], lengths[is_judged]
    return {
        "train": Split(users, np.where(is_judged, lengths - 2, lengths), False),
        "validation": Split(judged, known - 2, True),
        "test": Split(judged, known - 1, True),
    }


def padded(items: Int[np.ndarray, "n"], length: int) -> Int[np.ndarray, "length"]:
    """Keep the newest items, and fill up in front, so that the newest one is always the last.

    >>> padded(np.array([7, 8, 9]), 5).tolist(), padded(np.array([7, 8, 9]), 2).tolist()
    ([0, 0, 7, 8, 9], [8, 9])
    """
    kept = items[max(0, len(items) - length) :]
    row = np.full(length, PADDING, np.int32)
    row[length - len(kept) :] = kept
    return row
