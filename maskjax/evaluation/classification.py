"""How well classes are told apart, as sums: what scikit-learn says of all rows at once.

Where there is nothing to divide by a number is 0, scikit-learn's `zero_division=0`. Scikit-learn
refuses scores that are no numbers; here one such row makes the numbers NaN.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.evaluation.averages import SCORES, averages, scores
from maskjax.evaluation.intervals import intervals
from maskjax.evaluation.metrics import Mean, Metric, Table, class_names, prefixed
from maskjax.typing import Array, Bool, Float, Int, Num

NUM_BINS = 15
_TOP = 5
_MEANS = ("macro", "weighted")


class Confusion(NamedTuple):
    """How often each class was taken for each.

    Attributes:
        counts: [C, C], weight of what is of the class of the row and was taken for that of the
            column.

    >>> Confusion.of(jnp.array([0, 0, 1]), jnp.array([0, 1, 1]), 2).counts.tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """

    counts: Float[Array, "C C"] | Any

    @classmethod
    def of(
        cls,
        labels: Int[Array, "*S"],
        predictions: Int[Array, "*S"],
        num_classes: int,
        weights: Float[Array, "*S"] | None = None,
    ) -> "Confusion":
        """Count examples, or positions.

        Args:
            labels: true classes; what lies outside [0, num_classes) weighs nothing.
            predictions: classes that were answered, in [0, num_classes).
            num_classes: C, static.
            weights: of each; None = 1.
        """
        ones = jnp.ones(labels.shape, jnp.float32) if weights is None else weights
        rows = jnp.where(labels < 0, num_classes, labels).reshape(-1)  # beyond the end: dropped
        counts = jnp.zeros((num_classes, num_classes))
        at = counts.at[rows, predictions.reshape(-1)]
        return cls(at.add(ones.reshape(-1), mode="drop"))

    def numbers(self, name: str) -> dict[str, float]:
        """Accuracy, and precision, recall and F1 over classes, as "f1_macro" and "f1_weighted".

        The mean "macro" leaves out classes that are neither true nor predicted anywhere, as
        scikit-learn does unless it is told of them; in "weighted" a class weighs as often as it is
        true. The mean "micro" is the accuracy where an example has one class.
        """
        hit, true, predicted = self._sums()
        found = {"accuracy": float(hit.sum() / true.sum()) if true.sum() != 0 else math.nan}
        occurs = ~(true + predicted <= 0)
        found |= averages(hit, true, predicted, _MEANS, occurs)
        return {prefixed(name, of): float(value) for of, value in found.items()}

    def tables(self, name: str, classes: Sequence[str]) -> dict[str, Table]:
        """Precision, recall, F1 and how often each class is true, "per_class"; and "confusion".

        And "intervals", of 95 %, where anything was counted.
        """
        rows = class_names(classes, len(self.counts))
        counts = np.asarray(self.counts, np.float64)
        tables = _per_class(name, rows, *self._sums())
        tables[prefixed(name, "confusion")] = Table(rows, rows, counts)
        if counts.sum() >= 1:
            found = intervals(counts, _MEANS)
            values = np.array([[self.numbers("")[of], *ends] for of, ends in found.items()])
            columns = ("value", "low", "high")
            tables[prefixed(name, "intervals")] = Table((*found,), columns, values)
        return tables

    def _sums(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What of each class was found, is true, and was predicted."""
        counts = np.asarray(self.counts, np.float64)
        return np.diag(counts), counts.sum(1), counts.sum(0)


class Calibration(NamedTuple):
    """How far confidence and accuracy lie apart, in bins of equal width.

    The expected calibration error of Guo et al. 2017 ("On Calibration of Modern Neural Networks",
    section 2, equation 3): the mean over bins, each by its weight, of the distance of both. The
    confidence is the highest probability; bin m of M is ((m - 1) / M, m / M].

    Attributes:
        weight: [M], sum of the weights.
        confidence: [M], sum of weight times confidence.
        right: [M], sum of the weights where the likeliest class was right.
    """

    weight: Float[Array, "M"] | Any
    confidence: Float[Array, "M"] | Any
    right: Float[Array, "M"] | Any

    @classmethod
    def of(
        cls,
        confidence: Float[Array, "B"],
        is_right: Bool[Array, "B"],
        weights: Float[Array, "B"],
        num_bins: int = NUM_BINS,
    ) -> "Calibration":
        """Sum over answers.

        Args:
            confidence: probability of what was answered, in [0, 1].
            is_right: whether that was right.
            weights: of each.
            num_bins: M, by default 15 as in the paper's tables.
        """
        bins = jnp.clip(jnp.ceil(confidence * num_bins).astype(jnp.int32) - 1, 0, num_bins - 1)
        add = lambda x: jnp.zeros(num_bins).at[bins].add(x)  # noqa: E731
        seen = jnp.where(weights == 0, 0.0, weights * confidence)
        return cls(add(weights), add(seen), add(weights * is_right))

    def numbers(self, name: str) -> dict[str, float]:
        """The error, in [0, 1]; NaN where nothing weighs anything."""
        total = float(np.sum(self.weight))
        apart = float(np.abs(np.asarray(self.right) - np.asarray(self.confidence)).sum())
        return {name: apart / total if total else math.nan}


class Multilabel(NamedTuple):
    """How well each of several classes was found that an example may have.

    Attributes:
        hit: [C], weight of examples that have the class and were said to.
        true: [C], of those that have it.
        predicted: [C], of those that were said to.
        exact: weight of the examples of which all classes were right.
        weight: sum of the weights.
    """

    hit: Float[Array, "C"] | Any
    true: Float[Array, "C"] | Any
    predicted: Float[Array, "C"] | Any
    exact: Float[Array, ""] | Any
    weight: Float[Array, ""] | Any

    def numbers(self, name: str) -> dict[str, float]:
        """Precision, recall and F1, micro, macro and weighted, the accuracy and the Hamming loss.

        As in scikit-learn, "accuracy" asks for all classes of an example at once, the Hamming loss
        is the share of single answers that are wrong, and every class is in the mean "macro".
        """
        hit, true, predicted = (np.asarray(x, np.float64) for x in self[:3])
        weight = float(self.weight)
        wrong = (true + predicted - 2 * hit).sum() / len(hit)
        found = {"accuracy": float(self.exact), "hamming_loss": float(wrong)}
        found = {of: x / weight if weight else math.nan for of, x in found.items()}
        kinds = ("micro", "macro", "weighted")
        found |= averages(hit, true, predicted, kinds, np.full(len(hit), weight != 0))
        return {prefixed(name, of): float(value) for of, value in found.items()}

    def tables(self, name: str, classes: Sequence[str]) -> dict[str, Table]:
        """Precision, recall, F1 and how often each class is true."""
        counts = (np.asarray(x, np.float64) for x in self[:3])
        return _per_class(name, class_names(classes, len(self.hit)), *counts)


def classification(
    logits: Float[Array, "*S C"], labels: Int[Array, "*S"], weights: Float[Array, "*S"]
) -> dict[str, Metric]:
    """Judge scores of classes, of which one is right.

    In training these are more sums than a step should carry: a `Mean` does there.

    Args:
        logits: of each class.
        labels: the right ones; what lies outside [0, C) weighs nothing.
        weights: of each example or position; 0 for what only fills a batch.

    Returns:
        `Confusion` without a name of its own: "accuracy", "precision_macro" ... and its tables; and
        "log_loss" in nats, "calibration_error", and for more than 5 classes "top5_accuracy".
    """
    num_classes = logits.shape[-1]
    logits = logits.astype(jnp.float32).reshape(-1, num_classes)
    labels, weights = labels.reshape(-1), weights.reshape(-1)
    chances = jax.nn.log_softmax(logits)
    is_counted = (weights != 0) & (labels >= 0) & (labels < num_classes)
    weights = _weights_of(chances, weights, is_counted)
    label = jnp.clip(labels, 0, num_classes - 1)
    losses = -jnp.take_along_axis(chances, label[:, None], axis=1)[:, 0]
    answers = chances.argmax(1)
    total = weights.sum()
    found: dict[str, Metric] = {
        "": Confusion.of(label, answers, num_classes, weights),
        "log_loss": Mean(jnp.where(is_counted, weights * losses, 0.0).sum(), total),
        "calibration_error": Calibration.of(jnp.exp(chances.max(1)), answers == label, weights),
    }
    if num_classes > _TOP:
        is_near = (jax.lax.top_k(chances, _TOP)[1] == label[:, None]).any(1)
        found["top5_accuracy"] = Mean((weights * is_near).sum(), total)
    return found


def multilabel(
    logits: Float[Array, "B C"], labels: Num[Array, "B C"], weights: Float[Array, "B"]
) -> dict[str, Metric]:
    """Judge scores of classes, of which any number is right.

    Args:
        logits: of each class; above 0 it is said to be there.
        labels: 1 for the classes that an example has, 0 for others.
        weights: of each example; 0 for what only fills a batch.

    Returns:
        `Multilabel` without a name of its own, and "log_loss", the mean over all single answers, in
        nats.
    """
    is_counted = weights != 0
    logits = logits.astype(jnp.float32)
    weights = _weights_of(logits, weights, is_counted)
    is_true, is_said = labels > 0, logits > 0
    losses = jnp.logaddexp(0.0, jnp.where(is_true, -logits, logits)).mean(1)
    count = lambda x: (weights[:, None] * x).sum(0)  # noqa: E731
    exact = (weights * (is_true == is_said).all(1)).sum()
    counts = (count(is_true & is_said), count(is_true), count(is_said))
    return {
        "": Multilabel(*counts, exact, weights.sum()),
        "log_loss": Mean(jnp.where(is_counted, weights * losses, 0.0).sum(), weights.sum()),
    }


def _weights_of(
    scores: Float[Array, "N C"], weights: Float[Array, "N"], is_counted: Bool[Array, "N"]
) -> Float[Array, "N"]:
    """Weights that are 0 where nothing counts, and NaN where a score that counts is no number."""
    is_number = ~jnp.isnan(scores).any(1)
    return jnp.where(is_counted, jnp.where(is_number, weights, jnp.nan), 0.0)


def _per_class(
    name: str, rows: Sequence[str], hit: np.ndarray, true: np.ndarray, predicted: np.ndarray
) -> dict[str, Table]:
    values = np.column_stack([*scores(hit, true, predicted), true])
    return {prefixed(name, "per_class"): Table(rows, (*SCORES, "support"), values)}
