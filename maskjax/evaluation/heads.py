"""Several classifiers of the same examples, judged side by side."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from maskjax.evaluation.metrics import Metric, Table, numbers, prefixed, tables

ACCURACY = "accuracy"
TABLE = "heads"


def most_accurate(names: Iterable[str], found: Mapping[str, Any]) -> str:
    """Find the name NAME whose number "accuracy_NAME" is highest.

    Args:
        names: to choose from.
        found: numbers by name; one that is missing, None or not finite is the lowest.

    Returns:
        The name, of equal ones the first in the order of the alphabet; "" where none has a number.

    Example:
        >>> most_accurate(("x1", "x10", "x3"), {"accuracy_x1": 0.5, "accuracy_x10": 0.75})
        'x10'
    """
    values = {name: found.get(f"{ACCURACY}_{name}") for name in sorted(names)}
    known = {name: x for name, x in values.items() if x is not None and math.isfinite(x)}
    return max(known, key=lambda name: known[name], default="")


class Heads(NamedTuple):
    """Metrics of each of several classifiers; the most accurate one speaks for all.

    To choose is to learn: numbers of it are to be had of examples that chose, validation, and of
    others where it alone is judged.

    Attributes:
        each: metrics by name, of each classifier by its name; among them `Confusion` without one.
    """

    each: Mapping[str, Mapping[str, Metric]] | Any

    def numbers(self, name: str) -> dict[str, float]:
        """All numbers of the most accurate one, and "accuracy_NAME" of each."""
        found = self._numbers()
        best = found[self._best(found)]
        others = {f"{ACCURACY}_{of}": each[ACCURACY] for of, each in found.items()}
        return {prefixed(name, of): value for of, value in (best | others).items()}

    def tables(self, name: str, classes: Sequence[str]) -> dict[str, Table]:
        """All tables of the most accurate one, and "heads": the numbers of each, it first."""
        found = self._numbers()
        best = self._best(found)
        rows = (best, *(of for of in found if of != best))
        columns = (*found[best],)
        values = np.array([[found[row][column] for column in columns] for row in rows])
        own = tables(self.each[best], classes) | {TABLE: Table(rows, columns, values)}
        return {prefixed(name, of): table for of, table in own.items()}

    def _numbers(self) -> dict[str, dict[str, float]]:
        return {of: numbers(metrics) for of, metrics in self.each.items()}

    def _best(self, found: Mapping[str, Mapping[str, float]]) -> str:
        """The first where none is any good."""
        accuracies = {f"{ACCURACY}_{of}": each[ACCURACY] for of, each in found.items()}
        return most_accurate(found, accuracies) or min(found)
