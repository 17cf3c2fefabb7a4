"""Metrics are sums that the host divides, and equal their definitions."""

import math

import numpy as np
import pytest

from maskjax.evaluation.classification import Calibration, Confusion, Multilabel
from maskjax.evaluation.metrics import Mean, Perplexity
from maskjax.evaluation.regression import Regression


@pytest.mark.parametrize(
    "metric",
    [
        Mean(0.0, 0.0),
        Perplexity(0.0, 0.0),
        Confusion(np.zeros((3, 3))),
        Calibration(*np.zeros((3, 5))),
        Multilabel(*np.zeros((3, 4)), 0.0, 0.0),
        Regression(0.0, *np.zeros((4, 2))),
    ],
)
def test_of_nothing_all_is_nan(metric):
    found = metric.numbers("it")
    assert found
    assert all(math.isnan(value) for value in found.values())


def test_perplexity_of_a_uniform_guess_is_the_number_of_words():
    assert Perplexity(5 * math.log(7), 5.0).numbers("p") == {"p": pytest.approx(7)}
    assert Perplexity(np.float32(1e6), np.float32(1)).numbers("p") == {"p": math.inf}
