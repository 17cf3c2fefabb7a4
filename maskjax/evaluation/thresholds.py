"""How well scores tell classes apart at every threshold at once: numbers that need all rows.

They are no sums over rows, so they are computed on the host of a whole split, as probes are.
"""

import math

import numpy as np

from maskjax.typing import Float, Num


def auroc(logits: Float[np.ndarray, "N C"], labels: Num[np.ndarray, "N *C"]) -> float:
    """Compute the area under the receiver operating characteristic.

    The chance that an example of a class scores higher than one of none, half of it where both
    score the same. Of two classes it is that of class 1; of more, and of several classes an
    example, the mean over classes, each against all others (scikit-learn's "ovr" and "macro").
    Classes that all examples have, or none, are left out.

    Args:
        logits: of each class.
        labels: the class of each example [N], or 1 for the classes that it has, else 0 [N, C].

    Returns:
        The area, in [0, 1]; NaN where no class is left, or a score is no number.

    >>> auroc(np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]], np.float32), np.array([0, 1, 1]))
    1.0
    """
    from sklearn.metrics import roc_auc_score  # slow to import

    return _mean(roc_auc_score, logits, labels)


def average_precision(logits: Float[np.ndarray, "N C"], labels: Num[np.ndarray, "N *C"]) -> float:
    """Compute the mean precision over the thresholds at which recall rises, weighted by its rise.

    Scikit-learn's definition, without interpolation; arguments, averages and what is left out are
    those of `auroc`.
    """
    from sklearn.metrics import average_precision_score

    return _mean(average_precision_score, logits, labels)


def _mean(function, logits: np.ndarray, labels: np.ndarray) -> float:
    """The mean of a function of (is of the class, score) over classes."""
    if np.isnan(logits).any():
        return math.nan
    if labels.ndim == 2:
        is_true, scores = labels > 0, logits
    else:
        is_true = labels[:, None] == np.arange(logits.shape[1])
        scores = logits.astype(np.float64)
        scores = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    if labels.ndim == 1 and logits.shape[1] == 2:
        is_true, scores = is_true[:, 1:], scores[:, 1:]
    mixed = np.flatnonzero(is_true.any(0) & ~is_true.all(0)).tolist()
    each = [float(function(is_true[:, at], scores[:, at])) for at in mixed]
    return sum(each) / len(each) if each else math.nan
