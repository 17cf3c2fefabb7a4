"""Probes are chosen by name, judged as their functions judge, and fit into memory."""

import numpy as np
import pytest

from maskjax import evaluation
from maskjax.evaluation import probes

OPTIONS = {"knn_k": 50}  # more than there are examples
RNG = np.random.default_rng(0)
LABELS, EVAL_LABELS = RNG.integers(0, 3, 40), RNG.integers(0, 3, 30)
TRAIN = probes.Examples(RNG.normal(size=(40, 4)).astype(np.float32) + LABELS[:, None], LABELS)
OTHER = probes.Examples(
    RNG.normal(size=(30, 4)).astype(np.float32) + EVAL_LABELS[:, None], EVAL_LABELS
)


def _accuracies(names, train=TRAIN):
    return probes.accuracies(probes.learn(names, train, OPTIONS), OTHER)


def test_each_name_gives_the_accuracy_of_its_classifier():
    largest = np.bincount(LABELS).argmax()
    expected = {
        "linear_accuracy": evaluation.linear_accuracy(*TRAIN, *OTHER),
        "knn_accuracy": evaluation.knn_accuracy(*TRAIN, *OTHER, k=40),
        "largest_class_accuracy": np.mean(largest == EVAL_LABELS),
    }
    assert _accuracies(["linear", "knn", "largest_class", "raw"]) == expected
    assert _accuracies(["knn"]).keys() == {"knn_accuracy"}


def test_labels_that_are_all_alike_are_a_warning(caplog):
    assert _accuracies(["knn", "largest_class"], TRAIN._replace(labels=np.zeros(40, int))) == {}
    assert "needs two classes" in caplog.text


def test_no_names_are_no_probes():
    assert probes.chosen(()) == probes.chosen(("",)) == ()


def test_an_unknown_probe_is_told_with_the_nearest_one():
    with pytest.raises(ValueError, match=r"unknown probe 'liner' \(did you mean 'linear'\?\): use"):
        probes.chosen(["knn", "liner"])
    with pytest.raises(ValueError, match=r"'raw' repeats other probes .* use knn,raw"):
        probes.chosen(["raw", "largest_class"])
    assert probes.chosen(["knn", "raw"])  # the advice


def test_raw_inputs_that_memory_or_time_would_not_hold_are_left_out(caplog):
    assert probes.can_probe_raw(784, 60_000)
    assert not caplog.text
    assert not probes.can_probe_raw(8192, 8192)  # eigenvectors of a side above 4096
    assert not probes.can_probe_raw(150_528, 4000)  # 28 * 150528 * 4000 bytes are 17 GB
    assert caplog.text.count("No probes of raw inputs") == 2


def test_memory_of_few_wide_inputs_is_not_underestimated():
    assert 1.78e9 < probes.raw_bytes(60_000, 1200) < 2.2e9  # 1.78 GB were measured
    assert probes.raw_bytes(100, 1000) == 12 * 100_000 + 24 * 10_000
