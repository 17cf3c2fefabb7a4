"""Sums over padded batches say of a classifier what scikit-learn says of all its rows at once."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as reference

from maskjax.evaluation.classification import Calibration, Confusion, classification, multilabel
from maskjax.evaluation.metrics import numbers, tables

SIZE = 8
sums_of = jax.jit(classification)
multilabel_sums_of = jax.jit(multilabel)


def _in_batches(function, logits, labels):
    """Add the sums of batches; what fills the last one holds no numbers."""
    total = None
    for start in range(0, len(labels), SIZE):
        part, label = logits[start : start + SIZE], labels[start : start + SIZE]
        padding = SIZE - len(part)
        part = np.pad(part, ((0, padding), (0, 0)), constant_values=np.nan)
        label = np.pad(label, ((0, padding), *[(0, 0)] * (label.ndim - 1)), constant_values=1)
        weights = (np.arange(SIZE) < SIZE - padding).astype(np.float32)
        sums = function(part.astype(np.float32), label, weights)
        sums = jax.tree.map(np.float64, jax.device_get(sums))
        total = sums if total is None else jax.tree.map(np.add, total, sums)
    return total


def _softmax(logits):
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(1, keepdims=True)


def _averages(labels, predictions, kinds):
    return {
        f"{of}_{kind}": getattr(reference, f"{of}_score")(
            labels, predictions, average=kind, zero_division=0
        )
        for of in ("precision", "recall", "f1")
        for kind in kinds
    }


def _calibration_error(chances, labels, bins=15):
    """Guo et al. 2017, equation 3, bin by bin."""
    confidence, is_right = chances.max(1), chances.argmax(1) == labels
    error = 0.0
    for m in range(1, bins + 1):
        inside = (confidence > (m - 1) / bins) & (confidence <= m / bins)
        if inside.any():
            apart = abs(is_right[inside].mean() - confidence[inside].mean())
            error += inside.sum() / len(labels) * apart
    return error


def _expected(logits, labels):
    chances, predictions = _softmax(logits), logits.argmax(1)
    classes = np.arange(logits.shape[1])
    expected = {
        "accuracy": reference.accuracy_score(labels, predictions),
        "log_loss": reference.log_loss(labels, chances, labels=classes),
        "calibration_error": _calibration_error(chances, labels),
        **_averages(labels, predictions, ("macro", "weighted")),
    }
    if len(classes) > 5:
        top = reference.top_k_accuracy_score(labels, logits, k=5, labels=classes)
        expected["top5_accuracy"] = top
    return expected


def _case(name):
    rng = np.random.default_rng(3)
    logits, labels = 2 * rng.normal(size=(21, 7)), rng.integers(0, 7, 21)
    if name == "a class that is neither true nor predicted":
        labels[labels == 6] = 0
        logits[:, 6] = -9
    if name == "a class that is never predicted":
        logits[:, 2] = -9
    if name == "a class that is never true":
        labels[labels == 3] = 4
    if name == "one class only":
        labels[:] = 5
    if name == "three classes":
        logits, labels = logits[:, :3], labels % 3
    return logits.astype(np.float32), labels


CASES = (
    "all classes", "a class that is neither true nor predicted", "a class that is never predicted",
    "a class that is never true", "one class only", "three classes",
)  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_class_an_example_is_judged_as_scikit_learn_judges_it(name):
    logits, labels = _case(name)
    total = _in_batches(sums_of, logits, labels)
    assert numbers(total) == pytest.approx(_expected(logits, labels), abs=1e-6)
    classes = [f"c{number}" for number in range(logits.shape[1])]
    found = tables(total, classes)
    np.testing.assert_array_equal(
        found["confusion"].values,
        reference.confusion_matrix(labels, logits.argmax(1), labels=range(len(classes))),
    )
    assert found["confusion"].is_matrix
    report = reference.classification_report(
        labels, logits.argmax(1), labels=range(len(classes)), target_names=classes,
        zero_division=0, output_dict=True,
    )  # fmt: skip
    assert not found["per_class"].is_matrix
    for name, row in found["per_class"].as_dict().items():
        row["f1-score"] = row.pop("f1")
        assert row == pytest.approx(report[name])


@pytest.mark.parametrize("name", ["all", "one that is nowhere", "one that all have"])
def test_several_classes_an_example_are_judged_as_scikit_learn_judges_them(name):
    rng = np.random.default_rng(4)
    logits = rng.normal(size=(19, 4)).astype(np.float32)
    labels = (rng.random((19, 4)) < 0.4).astype(np.int32)
    if name == "one that is nowhere":
        labels[:, 1], logits[:, 1] = 0, -1
    if name == "one that all have":
        labels[:, 2] = 1
    total = _in_batches(multilabel_sums_of, logits, labels)
    said = logits > 0
    chances = 1 / (1 + np.exp(-logits.astype(np.float64)))
    of_each = [reference.log_loss(labels[:, c], chances[:, c], labels=[0, 1]) for c in range(4)]
    expected = {
        "accuracy": reference.accuracy_score(labels, said),
        "hamming_loss": reference.hamming_loss(labels, said),
        "log_loss": np.mean(of_each),
        **_averages(labels, said, ("micro", "macro", "weighted")),
    }
    assert numbers(total) == pytest.approx(expected, abs=1e-6)
    per_class = tables(total)["per_class"]
    assert list(per_class.rows) == ["0", "1", "2", "3"]
    np.testing.assert_allclose(per_class.values[:, 3], labels.sum(0))
    f1 = reference.f1_score(labels, said, average=None, zero_division=0)
    np.testing.assert_allclose(per_class.values[:, 2], f1)


def test_devices_add_up():
    logits, labels = _case("all classes")
    logits, labels = logits[:8], labels[:8]
    weights = np.array([1, 1, 0, 1, 1, 1, 1, 0], np.float32)
    spread = jax.pmap(lambda *x: jax.lax.psum(classification(*x), "data"), axis_name="data")
    four = spread(logits.reshape(4, 2, 7), labels.reshape(4, 2), weights.reshape(4, 2))
    kept = weights > 0
    found = numbers(jax.tree.map(lambda x: np.float64(x[0]), jax.device_get(four)))
    assert found == pytest.approx(_expected(logits[kept], labels[kept]), abs=1e-6)


def test_scores_that_are_no_numbers_claim_nothing():
    logits, labels = _case("all classes")
    logits[4, 2] = np.nan
    assert all(math.isnan(x) for x in numbers(_in_batches(sums_of, logits, labels)).values())
    targets = np.eye(7, dtype=np.int32)[labels]
    found = numbers(_in_batches(multilabel_sums_of, logits, targets))
    assert math.isnan(found["accuracy"])
    assert math.isnan(found["log_loss"])
    assert math.isnan(found["f1_micro"])


def test_what_cannot_be_right_costs_infinitely_much_and_no_more_than_its_row():
    logits = np.zeros((2, 3), np.float32)
    logits[0, 1] = -np.inf
    found = numbers(_in_batches(sums_of, logits, np.array([1, 0])))
    assert found["log_loss"] == math.inf
    assert found["accuracy"] == 0.5


def test_positions_without_a_class_weigh_nothing():
    found = Confusion.of(jnp.array([[0, -1], [1, 2]]), jnp.array([[0, 1], [0, 1]]), 2)
    np.testing.assert_array_equal(found.counts, [[1, 0], [1, 0]])
    logits = jnp.zeros((2, 2, 2)).at[..., 0].set(1)
    some = classification(logits, jnp.array([[0, -1], [1, 2]]), jnp.ones((2, 2)))
    assert numbers(jax.device_get(some))["accuracy"] == 0.5


def test_a_sure_answer_falls_into_the_last_bin_and_an_edge_into_the_lower_one():
    found = Calibration.of(
        jnp.array([1.0, 0.5, 0.0]), jnp.array([True, False, True]), jnp.ones(3), 2
    )
    np.testing.assert_array_equal(found.weight, [2, 1])
    assert found.numbers("e") == {"e": pytest.approx((0.5 + 0.0) / 3)}
