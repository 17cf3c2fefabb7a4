"""Intervals of a confusion matrix are those of its examples, drawn again and again."""

import numpy as np
import pytest

from maskjax.evaluation.classification import Confusion
from maskjax.evaluation.intervals import intervals, wilson

COUNTS = np.array([[60.0, 5.0, 0.0], [10.0, 20.0, 2.0], [0.0, 1.0, 4.0]])


def _macro_f1(pairs):
    """Of (true, said) of each example, class by class."""
    found = []
    for label in np.unique(pairs):
        is_true, is_said = (pairs == label).T
        both = (is_true & is_said).sum()
        found.append(2 * both / (is_true.sum() + is_said.sum()))
    return np.mean(found)


@pytest.mark.parametrize(
    ("share", "count", "ends"),
    # R's prop.test(correct=FALSE): 0 of 10, 81 of 263 (Newcombe 1998, table I), 10 of 10.
    [(0.0, 10, (0.0, 0.2775)), (81 / 263, 263, (0.2553, 0.3662)), (1.0, 10, (0.7225, 1.0))],
)
def test_those_of_shares_are_wilsons(share, count, ends):
    np.testing.assert_allclose(wilson(share, count), ends, atol=5e-5)


def test_those_of_macro_numbers_are_percentiles_of_resampled_examples():
    pairs = np.repeat(np.argwhere(COUNTS > 0), COUNTS[COUNTS > 0].astype(int), axis=0)
    rng = np.random.default_rng(7)
    drawn = [_macro_f1(pairs[rng.integers(0, len(pairs), len(pairs))]) for _ in range(2000)]
    low, high = intervals(COUNTS, ("macro",))["f1_macro"]
    assert (low, high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02)
    assert high - low > 0.1
    assert intervals(COUNTS, ("macro",)) == intervals(COUNTS, ("macro",))


def test_a_confusion_has_them_beside_its_numbers():
    found = Confusion(COUNTS).tables("", ("a", "b", "c"))["intervals"].as_dict()
    assert [*found["accuracy"].values()] == pytest.approx([84 / 102, *wilson(84 / 102, 102)])
    assert (
        found["f1_weighted"]["low"] < found["f1_weighted"]["value"] < found["f1_weighted"]["high"]
    )
    sure = intervals(np.diag([3.0, 4.0]), ("macro",))
    assert sure["recall_macro"] == (1.0, 1.0)
    assert sure["accuracy"][0] < 1
    assert "intervals" not in Confusion(np.zeros((2, 2))).tables("", ())
