"""Which pieces of which documents stand in which row: a plan that is made once."""

from typing import NamedTuple

import numpy as np

from maskjax.typing import Bool, Int

# A piece ends where a word does, where one does so within the last so many tokens.
_LOOK_BACK = 32
# A row that is not full stays open for so many newer ones.
OPEN_ROWS = 64


class Plan(NamedTuple):
    """Rows of pieces.

    Attributes:
        begins: first token of each piece, in the order of the rows.
        sizes: tokens of each piece.
        rows: first piece of each row, and at the end how many pieces there are.
    """

    begins: Int[np.ndarray, "P"]
    sizes: Int[np.ndarray, "P"]
    rows: Int[np.ndarray, "R_and_1"]


def pieces_of(
    begins: Int[np.ndarray, "D"],
    ends: Int[np.ndarray, "D"],
    is_start: Bool[np.ndarray, "N"],
    room: int,
) -> tuple[Int[np.ndarray, "P"], Int[np.ndarray, "P"]]:
    """Cut documents into pieces of at most `room` tokens, between words where that is near.

    Args:
        begins: first token of each document.
        ends: the one behind its last.
        is_start: True where a token begins a word.
        room: tokens of a piece.

    Returns:
        First token and number of tokens of each piece; documents of nothing have none.
    """
    found: list[tuple[int, int]] = []
    for begin, end in zip(begins.tolist(), ends.tolist()):
        while end - begin > room:
            cut = _cut(is_start, begin, begin + room)
            found.append((begin, cut - begin))
            begin = cut
        if end > begin:
            found.append((begin, end - begin))
    pairs = np.array(found, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _cut(is_start: Bool[np.ndarray, "N"], begin: int, end: int) -> int:
    """The last place up to `end` where a word begins, or `end` where none is near."""
    least = max(begin + 1, end - _LOOK_BACK)
    near = np.flatnonzero(is_start[least : end + 1])
    return least + int(near[-1]) if len(near) else end


def one_a_row(begins: Int[np.ndarray, "P"], sizes: Int[np.ndarray, "P"]) -> Plan:
    """Give each piece a row of its own."""
    return Plan(begins, sizes, np.arange(len(sizes) + 1))


def pack(
    begins: Int[np.ndarray, "P"], sizes: Int[np.ndarray, "P"], length: int, framing: int
) -> Plan:
    """Put each piece into the first row that has room for it, in the order of the corpus.

    First fit (Johnson et al. 1974) over the newest `OPEN_ROWS` rows that are not full, so that the
    pieces of a row lie near each other on disk.

    Args:
        begins: first token of each piece.
        sizes: tokens of each, at most length - framing.
        length: L, tokens of a row.
        framing: tokens that stand around each piece.

    Returns:
        The plan; rows in the order in which they were opened, and the pieces in each likewise.
    """
    rows = first_fit((sizes + framing).tolist(), length, least=framing + 1)
    order = np.argsort(rows, kind="stable")
    counts = np.bincount(rows, minlength=int(rows.max(initial=-1)) + 1)
    return Plan(begins[order], sizes[order], np.concatenate([[0], np.cumsum(counts)]))


def first_fit(sizes: list[int], length: int, least: int = 1) -> Int[np.ndarray, "P"]:
    """Number the row of each of some sizes.

    Args:
        sizes: each at most `length`.
        length: of a row.
        least: the smallest size; a row with less room than that is full.

    Returns:
        The row of each, from 0.
    """
    found = np.zeros(len(sizes), np.int64)
    names, rooms = [], []  # of open rows, the oldest first
    count = 0
    for number, size in enumerate(sizes):
        at = next((i for i, room in enumerate(rooms) if room >= size), None)
        if at is None:
            names.append(count)
            rooms.append(length)
            at = len(rooms) - 1
            count += 1
            if len(rooms) > OPEN_ROWS:
                del names[0], rooms[0]
                at -= 1
        found[number] = names[at]
        rooms[at] -= size
        if rooms[at] < least:
            del names[at], rooms[at]
    return found


def join(begins: Int[np.ndarray, "D"], ends: Int[np.ndarray, "D"], room: int, between: int) -> Plan:
    """Fill rows with documents one after the other, cut where the row ends.

    Args:
        begins: first token of each document.
        ends: the one behind its last.
        room: tokens of a row, without what stands at its two ends.
        between: tokens that stand between two documents.

    Returns:
        The plan; all rows but the last are full, but for places too small for a token.
    """
    found: list[tuple[int, int]] = []
    rows, left = [0], room
    for begin, end in zip(begins.tolist(), ends.tolist()):
        while begin < end:
            is_first = rows[-1] == len(found)
            free = left - (0 if is_first else between)
            if free < 1:
                rows.append(len(found))
                left = room
                continue
            size = min(free, end - begin)
            found.append((begin, size))
            left, begin = free - size, begin + size
    pairs = np.array(found, np.int64).reshape(-1, 2)
    return Plan(pairs[:, 0], pairs[:, 1], np.array([*rows, len(found)]))


def cut_pair(first: int, second: int, room: int) -> tuple[int, int]:
    """Take tokens off the longer of two texts, off the second of equal ones, until both fit.

    >>> cut_pair(10, 3, 9), cut_pair(7, 7, 9), cut_pair(2, 3, 9)
    ((6, 3), (5, 4), (2, 3))
    """
    over = max(0, first + second - room)
    longer = min(over, abs(first - second))
    if first > second:
        first -= longer
    else:
        second -= longer
    rest = over - longer
    return first - rest // 2, second - (rest - rest // 2)


def positions_of(segment_ids: Int[np.ndarray, "B L"]) -> Int[np.ndarray, "B L"]:
    """Number positions from 0 in each segment; those of padding are 0.

    >>> positions_of(np.array([[1, 1, 1, 2, 2, 0]])).tolist()
    [[0, 1, 2, 0, 1, 0]]
    """
    places = np.arange(segment_ids.shape[1], dtype=np.int32)
    is_first = np.ones(segment_ids.shape, bool)
    is_first[:, 1:] = segment_ids[:, 1:] != segment_ids[:, :-1]
    firsts = np.maximum.accumulate(np.where(is_first, places, 0), axis=1)
    return np.where(segment_ids == 0, 0, places - firsts).astype(np.int32)
