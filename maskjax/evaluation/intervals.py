"""How far numbers of so many examples can be trusted: intervals of one classifier on one split."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import sparse, stats

from maskjax.evaluation.averages import averages
from maskjax.typing import Float

CONFIDENCE = 0.95
_SAMPLES, _SEED = 1000, 0
_MOST_NUMBERS = 2**22  # of samples at a time


def wilson(share: float, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Compute the score interval of a share (Wilson 1927).

    Args:
        share: of the examples that are right, in [0, 1].
        count: of the examples, at least 1.
        confidence: share of such intervals that hold the true one, in (0, 1).

    Example:
        >>> [round(end, 4) for end in wilson(0.9, 100)]
        [0.8256, 0.9448]
    """
    z = float(stats.norm.ppf((1 + confidence) / 2))
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    spread = math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    half = z * spread / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def intervals(
    counts: Float[np.ndarray, "C C"],
    kinds: Sequence[str],
    *,
    samples: int = _SAMPLES,
    confidence: float = CONFIDENCE,
) -> dict[str, tuple[float, float]]:
    """Intervals of accuracy and of precision, recall and F1, from a confusion matrix alone.

    That of the accuracy is Wilson's. The others are percentiles of a bootstrap (Efron 1979): as
    many examples as there are, drawn with replacement, are a multinomial draw of the matrix. It is
    of the split: nothing is said of another training run. The draws are the same for the same
    matrix.

    Args:
        counts: how often each class, a row, was taken for each; one example or more.
        kinds: of means over classes, as of `averages`.
        samples: how many draws.
        confidence: share of such intervals that hold the true number, in (0, 1).

    Returns:
        (low, high) by name: "accuracy", "precision_macro" ...
    """
    total, (row, column) = round(float(counts.sum())), np.nonzero(counts)
    cells = counts[row, column]
    ones, at = np.ones(len(cells)), np.arange(len(cells))
    rows, columns, diagonal = (
        sparse.csr_array((values, (at, of)), shape=(len(cells), len(counts)))
        for values, of in ((ones, row), (ones, column), ((row == column).astype(float), row))
    )
    rng, parts = np.random.default_rng(_SEED), []
    at_once = max(1, _MOST_NUMBERS // len(cells))
    for first in range(0, samples, at_once):
        size = min(at_once, samples - first)
        drawn = rng.multinomial(total, cells / cells.sum(), size=size).astype(float)
        hit, true, predicted = drawn @ diagonal, drawn @ rows, drawn @ columns
        parts.append(averages(hit, true, predicted, kinds, true + predicted > 0))
    tail = (1 - confidence) / 2
    found = {"accuracy": wilson(float(np.trace(counts) / cells.sum()), total, confidence)}
    for name in parts[0]:
        ends = np.quantile(np.concatenate([part[name] for part in parts]), [tail, 1 - tail])
        found[name] = (float(ends[0]), float(ends[1]))
    return found
