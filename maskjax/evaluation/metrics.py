"""Metrics as sums: they add over rows, micro-batches, devices and batches; the host divides."""

import math
from typing import Any, NamedTuple, Protocol

from maskjax.typing import Array, Float


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
