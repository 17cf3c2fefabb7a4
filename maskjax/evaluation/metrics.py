"""Metrics as sums: they add over rows, micro-batches, devices and batches; the host divides."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from maskjax.typing import Array, Float


@runtime_checkable
class Metric(Protocol):
    """A NamedTuple whose leaves are sums over examples, so that those of two batches add up."""

    def numbers(self, name: str) -> dict[str, float]:
        """Divide the sums, on the host.

        Args:
            name: what the task calls the metric; the names of the numbers begin with it, or are
                it; after "" they are bare.

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


class Table(NamedTuple):
    """Numbers by row and column, of a whole split.

    Attributes:
        rows: a name each, such as those of classes.
        columns: a name each; where they are those of the rows, it is a matrix to be drawn.
        values: [R, C] float64.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    values: Float[np.ndarray, "R C"]

    @property
    def is_matrix(self) -> bool:
        """Whether rows and columns are the same things."""
        return list(self.rows) == list(self.columns)

    def as_dict(self) -> dict[str, dict[str, float]]:
        """Nest it: {row: {column: number}}."""
        rows = zip(self.rows, self.values.tolist(), strict=True)
        return {name: dict(zip(self.columns, row, strict=True)) for name, row in rows}


@runtime_checkable
class Tabular(Protocol):
    """A metric that has more to say of a whole split than fits on a line."""

    def tables(self, name: str, classes: Sequence[str]) -> dict[str, Table]:
        """Make tables, on the host.

        Args:
            name: as of `Metric.numbers`.
            classes: names of the classes in label order; () where they have none.
        """
        ...


def numbers(metrics: Mapping[str, Metric]) -> dict[str, float]:
    """All numbers of metrics by name."""
    return {key: x for name, each in metrics.items() for key, x in each.numbers(name).items()}


def tables(metrics: Mapping[str, Metric], classes: Sequence[str] = ()) -> dict[str, Table]:
    """All tables of metrics by name; most have none."""
    tabular = {name: each for name, each in metrics.items() if isinstance(each, Tabular)}
    return {
        key: x for name, each in tabular.items() for key, x in each.tables(name, classes).items()
    }


def prefixed(name: str, of: str) -> str:
    """Name a number of a metric; that of a metric without a name is bare.

    >>> prefixed("", "accuracy"), prefixed("tags", "accuracy")
    ('accuracy', 'tags_accuracy')
    """
    return f"{name}_{of}" if name else of


def class_names(classes: Sequence[str], count: int) -> Sequence[str]:
    """Return the names of classes, their numbers where they have none.

    >>> class_names((), 3), class_names(("cat", "dog"), 2)
    (['0', '1', '2'], ('cat', 'dog'))
    """
    return classes if len(classes) == count else [str(number) for number in range(count)]
