"""Metrics as sums: they add over rows, micro-batches, devices and batches; the host divides."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.typing import Array, Float, Int


@runtime_checkable
class Metric(Protocol):
    """A NamedTuple whose leaves are sums over examples, so that those of two batches add up."""

    def numbers(self, name: str) -> dict[str, float]:
        """Divide the sums, on the host.

        Args:
            name: what the task calls the metric; the names of the numbers begin with it, or are it.

        Returns:
            Numbers for a line of the log; NaN where there was nothing to divide by.
        """
        ...


class Mean(NamedTuple):
    """A weighted mean.

    Attributes:
        total: sum of weight times value.
        weight: sum of the weights.

    >>> Mean(3.0, 4.0).numbers("mask_ratio")
    {'mask_ratio': 0.75}
    """

    total: Float[Array, ""] | Any
    weight: Float[Array, ""] | Any

    def numbers(self, name: str) -> dict[str, float]:
        """The mean; NaN where nothing weighs anything."""
        return {name: float(self.total / self.weight) if self.weight else math.nan}


class Perplexity(NamedTuple):
    """The exponential of a weighted mean of negative log probabilities.

    Attributes:
        nats: sum of weight times -log p of what was right.
        weight: sum of the weights.

    >>> Perplexity(2 * math.log(10), 2.0).numbers("perplexity")
    {'perplexity': 10.000000000000002}
    """

    nats: Float[Array, ""] | Any
    weight: Float[Array, ""] | Any

    def numbers(self, name: str) -> dict[str, float]:
        """The perplexity; NaN where nothing weighs anything, infinite where no float holds it."""
        with np.errstate(over="ignore"):
            mean = self.nats / self.weight if self.weight else math.nan
            return {name: float(np.exp(np.float64(mean)))}


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
        of_class = jax.nn.one_hot(labels.reshape(-1), num_classes) * ones.reshape(-1, 1)
        return cls(of_class.T @ jax.nn.one_hot(predictions.reshape(-1), num_classes))

    def numbers(self, name: str) -> dict[str, float]:
        """Accuracy, and precision, recall and F1 as means over classes ("macro").

        A class that is neither true nor predicted anywhere is left out of the means; one that is
        never predicted has precision 0, one that is never true recall 0, as scikit-learn has it
        with zero_division=0. All is NaN where nothing was counted.
        """
        counts = np.asarray(self.counts, np.float64)
        right, true, predicted = np.diag(counts), counts.sum(1), counts.sum(0)
        occurs = true + predicted > 0
        if not occurs.any():
            return {f"{name}_{of}": math.nan for of in ("accuracy", "precision", "recall", "f1")}

        def mean(part: np.ndarray, whole: np.ndarray) -> float:
            return float((part / np.where(whole > 0, whole, 1))[occurs].mean())

        return {
            f"{name}_accuracy": float(right.sum() / counts.sum()),
            f"{name}_precision": mean(right, predicted),
            f"{name}_recall": mean(right, true),
            f"{name}_f1": mean(2 * right, true + predicted),
        }


def numbers(metrics: Mapping[str, Metric]) -> dict[str, float]:
    """All numbers of metrics by name."""
    return {key: x for name, each in metrics.items() for key, x in each.numbers(name).items()}
