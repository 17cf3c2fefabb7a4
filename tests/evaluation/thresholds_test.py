"""AUROC and average precision equal their definitions, and scikit-learn's averages over classes."""

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from maskjax.evaluation import probes
from maskjax.evaluation.thresholds import auroc, average_precision

RNG = np.random.default_rng(0)
LOGITS = np.round(RNG.normal(size=(30, 4)), 1).astype(np.float32)  # with ties
LABELS = RNG.integers(0, 4, 30)


def _pairs(is_true, scores):
    """The share of pairs that are in the right order, a tie being half of it."""
    right = [
        (a > b) + (a == b) / 2 for a in scores[is_true] for b in scores[~is_true]
    ]  # fmt: skip
    return np.mean(right)


def _precision_over_recall(is_true, scores):
    """Sum over thresholds of the precision there, times how much recall rises."""
    total, recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        is_said = scores >= threshold
        now = (is_true & is_said).sum() / is_true.sum()
        total += (now - recall) * (is_true & is_said).sum() / is_said.sum()
        recall = now
    return total


def test_two_classes_are_judged_by_the_second():
    logits, is_true = LOGITS[:, :2], LABELS % 2 == 1
    margins = np.round((logits[:, 1] - logits[:, 0]).astype(np.float64), 3)
    # Scores that are equal but for rounding stay ties.
    exact = np.stack([np.zeros(30), margins], 1).astype(np.float32)
    assert auroc(exact, LABELS % 2) == pytest.approx(_pairs(is_true, margins))
    expected = _precision_over_recall(is_true, margins)
    assert average_precision(exact, LABELS % 2) == pytest.approx(expected)


def test_several_classes_are_judged_one_against_the_rest():
    chances = np.exp(LOGITS.astype(np.float64))
    chances /= chances.sum(1, keepdims=True)
    expected = reference.roc_auc_score(LABELS, chances, multi_class="ovr")
    assert auroc(LOGITS, LABELS) == pytest.approx(expected)
    expected = reference.average_precision_score(LABELS, chances)
    assert average_precision(LOGITS, LABELS) == pytest.approx(expected)


def test_several_classes_an_example_are_judged_one_by_one():
    labels = (RNG.random((30, 4)) < 0.3).astype(np.float32)
    assert auroc(LOGITS, labels) == pytest.approx(reference.roc_auc_score(labels, LOGITS))
    expected = reference.average_precision_score(labels, LOGITS)
    assert average_precision(LOGITS, labels) == pytest.approx(expected)


def test_classes_that_none_or_all_have_are_left_out():
    few = np.where(LABELS == 3, 0, LABELS)  # 3 occurs nowhere
    labels = (few[:, None] == np.arange(4)).astype(np.float32)
    assert auroc(LOGITS, labels) == pytest.approx(auroc(LOGITS[:, :3], labels[:, :3]))
    assert math.isnan(auroc(LOGITS, np.full(30, 2)))
    assert math.isnan(average_precision(LOGITS, np.full(30, 2)))


def test_scores_that_are_no_numbers_claim_nothing():
    bad = LOGITS.copy()
    bad[3, 1] = np.nan
    assert math.isnan(auroc(bad, LABELS))


def test_rankings_are_chosen_by_name_beside_probes():
    names = probes.chosen(["auroc", "knn"])
    examples = probes.Examples(LOGITS, LABELS)
    assert probes.ranked(names, examples) == {"auroc": auroc(LOGITS, LABELS)}
    assert set(probes.learn(names, examples, {"knn_k": 3})) == {"knn"}
    with pytest.raises(ValueError, match="'raw' repeats other probes"):
        probes.chosen(["raw", "auroc"])
