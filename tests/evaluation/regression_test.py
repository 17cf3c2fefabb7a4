"""Sums over padded batches say of numbers what scikit-learn says of all rows at once."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as reference

from maskjax.evaluation.metrics import numbers
from maskjax.evaluation.regression import regression


def _found(predictions, targets, **options):
    """Of two batches, the second of which is padded."""
    total = None
    for rows, weights in ((slice(0, 6), [1] * 6), (slice(6, 12), [1] * 4 + [0] * 2)):
        padding = [(0, 2 if rows.start else 0)] + [(0, 0)] * (targets.ndim - 1)
        parts = [np.pad(x[rows], padding, constant_values=np.nan) for x in (predictions, targets)]
        arrays = [jnp.asarray(x, jnp.float32) for x in (*parts, weights)]
        sums = jax.tree.map(np.float64, jax.device_get(regression(*arrays, **options)))
        total = sums if total is None else jax.tree.map(np.add, total, sums)
    return numbers(total)


def _expected(predictions, targets):
    return {
        "mse": reference.mean_squared_error(targets, predictions),
        "rmse": reference.root_mean_squared_error(targets, predictions),
        "mae": reference.mean_absolute_error(targets, predictions),
        "r2": reference.r2_score(targets, predictions),
    }


@pytest.mark.parametrize("shape", [(10,), (10, 3)])
def test_numbers_are_judged_as_scikit_learn_judges_them(shape):
    rng = np.random.default_rng(0)
    targets = rng.normal(size=shape)
    predictions = targets + rng.normal(size=shape)
    assert _found(predictions, targets) == pytest.approx(_expected(predictions, targets), rel=1e-5)


def test_targets_that_are_all_equal_have_the_r2_of_scikit_learn():
    same = np.full(10, 3.75)  # a mean without rounding
    assert _found(same + 1, same)["r2"] == reference.r2_score(same, same + 1) == 0
    assert _found(same, same)["r2"] == reference.r2_score(same, same) == 1


def test_targets_far_from_zero_keep_their_digits_around_a_number_near_their_mean():
    years = 2000 + np.arange(10.0)
    guesses = years + np.array([1, -1] * 5)
    expected = _expected(guesses, years)
    assert _found(guesses, years, around=2000.0) == pytest.approx(expected, rel=1e-5)


def test_predictions_that_are_no_numbers_claim_nothing():
    targets = np.arange(10.0)
    found = _found(np.where(targets == 3, np.nan, targets), targets)
    assert all(math.isnan(x) for x in found.values())
