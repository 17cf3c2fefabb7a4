"""Least errors of Gaussian vectors, beside closed forms and regressions on drawn ones."""

import numpy as np
import pytest

from maskjax.data.image.vectors import covariance
from maskjax.evaluation.gaussian import conditional_variance, least_error

RHO = 0.8


def test_a_step_of_an_autoregression_is_known_from_its_neighbours():
    both, one = (1 - RHO**2) / (1 + RHO**2), 1 - RHO**2
    for hidden, expected in [(2, both), (0, one), (4, one)]:
        found = conditional_variance(covariance(5, RHO), np.arange(5) == hidden)
        np.testing.assert_allclose(found[hidden], expected)
        assert np.count_nonzero(found) == 1


@pytest.mark.parametrize("num_hidden", [1, 3, 5])
def test_least_error_of_equal_correlations_has_a_closed_form(num_hidden):
    equal = np.full((6, 6), RHO) + (1 - RHO) * np.eye(6)
    seen = 6 - num_hidden
    expected = 1 - seen * RHO**2 / (1 + (seen - 1) * RHO)
    assert least_error(equal, num_hidden) == pytest.approx(expected)


def test_subsets_and_targets_are_averaged_as_the_loss_does():
    both, one = (1 - RHO**2) / (1 + RHO**2), 1 - RHO**2
    of_three = covariance(3, RHO)
    assert least_error(of_three, 1) == pytest.approx((2 * one + both) / 3)
    assert least_error(of_three, 1, num_targets=2) == pytest.approx((one + both) / 2)
    assert least_error(of_three, 1, on="all") == pytest.approx((2 * one + both) / 9)
    assert least_error(of_three, 0, on="all") == 0
    assert least_error(np.eye(10), 5) == pytest.approx(1.0)  # the variance: nothing can be known
    assert least_error(2 * np.eye(4), 4) == pytest.approx(2.0)


def test_no_regression_on_drawn_vectors_does_better():
    of_five = covariance(5, RHO)
    is_hidden = np.array([False, True, True, False, True])
    rng = np.random.default_rng(0)
    x = rng.multivariate_normal(np.zeros(5), of_five, size=200_000)
    weights = np.linalg.lstsq(x[:, ~is_hidden], x[:, is_hidden], rcond=None)[0]
    errors = ((x[:, is_hidden] - x[:, ~is_hidden] @ weights) ** 2).mean(0)
    found = conditional_variance(of_five, is_hidden)[is_hidden]
    np.testing.assert_allclose(errors, found, rtol=0.02)


def test_more_than_there_is_is_refused():
    with pytest.raises(ValueError, match="4 hidden and 3 predicted entries of 3"):
        least_error(np.eye(3), 4)
