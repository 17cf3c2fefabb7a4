"""Metrics are sums that the host divides, and equal their definitions."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as reference

from maskjax.evaluation.metrics import Confusion, Mean, Perplexity

MACRO = {"average": "macro", "zero_division": 0}


def _expected(labels, predictions):
    """What scikit-learn says of a classifier."""
    return {
        "class_accuracy": reference.accuracy_score(labels, predictions),
        "class_precision": reference.precision_score(labels, predictions, **MACRO),
        "class_recall": reference.recall_score(labels, predictions, **MACRO),
        "class_f1": reference.f1_score(labels, predictions, **MACRO),
    }


@pytest.mark.parametrize(
    ("labels", "predictions"),
    [
        ([0, 1, 2, 2, 1, 0, 4, 4], [0, 2, 2, 2, 1, 1, 4, 0]),  # class 3 occurs nowhere
        ([0, 0, 1], [0, 0, 0]),  # class 1 is never predicted
        ([0, 0, 0], [0, 1, 4]),  # classes 1 and 4 are never true
        ([3], [3]),
    ],
)
def test_a_classifier_is_judged_as_scikit_learn_judges_it(labels, predictions):
    found = Confusion.of(jnp.array(labels), jnp.array(predictions), 5).numbers("class")
    assert found == pytest.approx(_expected(labels, predictions))


def test_counts_of_two_batches_add_up_and_weights_leave_out():
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 4, (2, 30))
    weights = (np.arange(30) < 25).astype(np.float32)
    halves = [
        Confusion.of(
            jnp.array(labels[half]), jnp.array(predictions[half]), 4, jnp.array(weights[half])
        )
        for half in (slice(0, 13), slice(13, 30))
    ]
    total = jax.tree.map(jnp.add, *halves)
    counts = np.zeros((4, 4))
    for true, predicted in zip(labels[:25], predictions[:25], strict=True):
        counts[true, predicted] += 1
    np.testing.assert_array_equal(total.counts, counts)
    assert total.numbers("class") == pytest.approx(_expected(labels[:25], predictions[:25]))


def test_positions_without_a_class_weigh_nothing():
    found = Confusion.of(jnp.array([[0, -1], [1, 2]]), jnp.array([[0, 1], [0, 1]]), 2)
    np.testing.assert_array_equal(found.counts, [[1, 0], [1, 0]])


@pytest.mark.parametrize(
    "metric", [Mean(0.0, 0.0), Perplexity(0.0, 0.0), Confusion(np.zeros((3, 3)))]
)
def test_of_nothing_all_is_nan(metric):
    found = metric.numbers("it")
    assert found
    assert all(math.isnan(value) for value in found.values())


def test_perplexity_of_a_uniform_guess_is_the_number_of_words():
    assert Perplexity(5 * math.log(7), 5.0).numbers("p") == {"p": pytest.approx(7)}
    assert Perplexity(np.float32(1e6), np.float32(1)).numbers("p") == {"p": math.inf}
