"""Averages and paired differences, beside SciPy's own tests, closed forms and simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from maskjax.evaluation.comparison import average, paired_difference


def test_average_is_the_textbook_one():
    # Mean 5, squares of the deviations 9 1 1 1 0 0 4 16: 32 in all, over 7.
    found = average([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    assert found == pytest.approx((5.0, math.sqrt(32 / 7), 8))


def test_what_cannot_be_known_of_few_runs_is_nan():
    assert average([3.0])[:1] == (3.0,)
    assert math.isnan(average([3.0]).std)
    assert math.isnan(average([]).mean)
    single = paired_difference({0: 3.0}, {0: 1.0})
    assert single.mean == 2.0
    assert math.isnan(single.low)
    assert not single.is_clear
    assert math.isnan(paired_difference({0: 3.0}, {1: 1.0}).mean)


@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_paired_difference_is_scipys_paired_t_test(confidence):
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.25, size=(2, 7))
    found = paired_difference(dict(enumerate(a)), dict(enumerate(b)), confidence=confidence)
    expected = stats.ttest_rel(a, b).confidence_interval(confidence)
    np.testing.assert_allclose(found[:3], (np.mean(a - b), *expected), rtol=1e-12)


def test_three_seeds_take_students_factor_from_the_printed_table():
    # t(0.975, 2 degrees of freedom) = 4.303; differences 1, 2, 3 have deviation 1.
    found = paired_difference({0: 1.0, 1: 2.0, 2: 3.0}, dict.fromkeys(range(3), 0.0))
    assert found.high - found.mean == pytest.approx(4.303 / math.sqrt(3), rel=1e-3)
    assert not found.is_clear  # 2 - 2.48 is below 0


def test_only_seeds_that_both_have_are_paired_whatever_their_order():
    found = paired_difference({2: 10.0, 0: 1.0, 5: 7.0}, {0: 0.0, 1: 99.0, 2: 8.0})
    assert found.mean == 1.5
    assert found.count == 2


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(2000, 1, 4))  # what a seed does to both settings
    a, b = np.moveaxis(shared + rng.normal(size=(2000, 2, 4)), 1, 0)
    a = a + 0.3
    found = [paired_difference(dict(enumerate(x)), dict(enumerate(y))) for x, y in zip(a, b)]
    share = np.mean([it.low <= 0.3 <= it.high for it in found])
    assert abs(share - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000)


def test_a_confidence_that_is_no_share_is_refused():
    with pytest.raises(ValueError, match=r"confidence 95.0 must lie between 0 and 1"):
        paired_difference({}, {}, confidence=95.0)
