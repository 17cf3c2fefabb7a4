"""Plans of rows: nothing is lost, nothing crosses, and pieces go where the definition says."""

import numpy as np
import pytest

from maskjax.data.text.packing import first_fit, join, pack, pieces_of

RNG = np.random.default_rng(0)


def slow_first_fit(sizes, length, open_rows, least):
    """The definition, one row after the other: of the rows still open, the oldest that has room."""
    used, found, is_open = [], [], []
    for size in sizes:
        for row, total in enumerate(used):
            if is_open[row] and total + size <= length:
                break
        else:
            row = len(used)
            used.append(0)
            is_open.append(True)
            if sum(is_open) > open_rows:
                is_open[is_open.index(True)] = False
        used[row] += size
        is_open[row] &= length - used[row] >= least
        found.append(row)
    return found


@pytest.mark.parametrize("open_rows", [1, 3, 64])
def test_pieces_go_into_the_first_row_with_room(monkeypatch, open_rows):
    monkeypatch.setattr("maskjax.data.text.packing.OPEN_ROWS", open_rows)
    sizes = RNG.integers(3, 33, 400).tolist()
    assert first_fit(sizes, 32, 3).tolist() == slow_first_fit(sizes, 32, open_rows, 3)


def test_a_table_of_first_fit():
    assert first_fit([6, 5, 4, 5, 3, 10, 2], 10).tolist() == [0, 1, 0, 1, 2, 3, 2]


def test_pieces_are_cut_between_words_where_one_ends_near():
    is_start = np.zeros(60, bool)
    is_start[[0, 4, 9, 11, 20]] = True
    begins, sizes = pieces_of(np.array([0, 20, 20]), np.array([20, 20, 60]), is_start, 10)
    # 0-9 ends before the word at 9; 9-11 and so on; the word from 20 has 40 tokens.
    assert list(zip(begins.tolist(), sizes.tolist())) == [
        (0, 9), (9, 2), (11, 9), (20, 10), (30, 10), (40, 10), (50, 10),
    ]  # fmt: skip


def test_nothing_is_lost_and_rows_hold_what_they_can():
    offsets = np.concatenate([[0], np.cumsum(RNG.integers(0, 90, 100))])
    is_start = RNG.random(offsets[-1]) < 0.5
    pieces = pieces_of(offsets[:-1], offsets[1:], is_start, 30)
    plan = pack(*pieces, 32, 2)
    at = np.concatenate([np.arange(b, b + n) for b, n in zip(plan.begins, plan.sizes)])
    assert sorted(at.tolist()) == list(range(offsets[-1]))
    for begin, size in zip(plan.begins, plan.sizes):  # no piece has parts of two documents
        assert np.searchsorted(offsets, begin, "right") == np.searchsorted(offsets, begin + size)
    used = [plan.sizes[a:b].sum() + 2 * (b - a) for a, b in zip(plan.rows, plan.rows[1:])]
    assert max(used) <= 32
    assert sum(used) >= 0.9 * 32 * len(used)
    assert plan.rows[-1] == len(plan.sizes)


def test_joined_rows_are_full():
    plan = join(np.array([0, 5, 5, 7]), np.array([5, 5, 7, 20]), 8, 1)
    # 0-4, one between, 5-6; then 8 tokens of the last document, and the rest of it.
    assert plan.begins.tolist() == [0, 5, 7, 15]
    assert plan.sizes.tolist() == [5, 2, 8, 5]
    assert plan.rows.tolist() == [0, 2, 3, 4]
