"""Settings compared over seeds: mean, deviation, and paired differences with their intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Average(NamedTuple):
    """What the runs of one setting come to.

    Attributes:
        mean: of their numbers, NaN of none.
        std: sample standard deviation (the sum of squares over count - 1), NaN below two runs.
        count: how many there are.
    """

    mean: float
    std: float
    count: int


class Difference(NamedTuple):
    """How a setting differs from another over the seeds that both have.

    Attributes:
        mean: of the differences, NaN of none.
        low: lower end of the interval, NaN below two seeds.
        high: upper end.
        count: seeds that both have.
    """

    mean: float
    low: float
    high: float
    count: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def average(values: Sequence[float]) -> Average:
    """Describe the numbers of one setting's runs.

    Example:
        >>> average([1.0, 2.0, 3.0])
        Average(mean=2.0, std=1.0, count=3)
    """
    count = len(values)
    mean = float(np.mean(values)) if count else math.nan
    std = float(np.std(values, ddof=1)) if count > 1 else math.nan
    return Average(mean, std, count)


def paired_difference(
    values: Mapping[int, float], baseline: Mapping[int, float], *, confidence: float = 0.95
) -> Difference:
    """Compare two settings seed by seed (Student 1908): mean +- t s / sqrt(n) of the differences.

    What a seed does to both, such as the order of the data, cancels in each pair. The interval
    takes differences to be normal; it says nothing of several comparisons at once.

    Args:
        values: number of each seed.
        baseline: the same of the other setting; seeds that one of them lacks are left out.
        confidence: share of such intervals that hold the true difference, in (0, 1).

    Returns:
        values minus baseline.

    Raises:
        ValueError: a confidence that is no share.

    Example:
        >>> paired_difference({0: 2.0, 1: 4.0}, {0: 1.0, 1: 3.0, 2: 9.0})
        Difference(mean=1.0, low=1.0, high=1.0, count=2)
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} must lie between 0 and 1, such as 0.95")
    seeds = sorted(values.keys() & baseline.keys())
    mean, std, count = average([values[seed] - baseline[seed] for seed in seeds])
    half = math.nan
    if count > 1:
        half = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * std / math.sqrt(count)
    return Difference(mean, mean - half, mean + half, count)
