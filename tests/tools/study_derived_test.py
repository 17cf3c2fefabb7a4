"""What a run has to keep beside the weights that it began with, by hand."""

import numpy as np
import pytest

from maskjax.tools.study_derived import stored_bytes

BEFORE = np.arange(1, 21, dtype=np.float32)  # 80 bytes; a bit a number is 3


def _with(changes):
    after = BEFORE.copy()
    for place, value in changes.items():
        after[place] = value
    return after


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (BEFORE, 0),
        (_with({3: 0, 7: 0}), 3),  # hidden or not
        (_with({3: 5.5}), 3 + 4),  # which changed, and what it is now
        (_with({3: 5.5, 7: 0}), 3 + 8),
        (BEFORE + 1, 80),
        ((BEFORE + 1) * (BEFORE > 18), 3 + 8),  # two that are not zero
        (np.zeros(20, np.float32), 3),
        (np.ones(4, np.float32), 16),  # of another shape
        (np.zeros(40, np.float32), 5),
    ],
)
def test_a_leaf_is_kept_in_the_shortest_of_four_ways(after, expected):
    assert stored_bytes({"leaf": BEFORE}, {"leaf": after}) == expected


def test_leaves_add_and_what_was_not_there_is_kept_whole():
    after = {"leaf": _with({0: 9}), "head/kernel": np.ones((2, 3), np.float32)}
    assert stored_bytes({"leaf": BEFORE, "decoder": BEFORE}, after) == 7 + 24
