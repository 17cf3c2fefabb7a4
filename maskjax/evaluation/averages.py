"""Precision, recall and F1 of classes, and their means, from what was found, is true, was said."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from maskjax.typing import Bool, Float

SCORES = ("precision", "recall", "f1")


def scores(
    hit: Float[np.ndarray, "*S C"],
    true: Float[np.ndarray, "*S C"],
    predicted: Float[np.ndarray, "*S C"],
) -> Float[np.ndarray, "3 *S C"]:
    """Precision, recall and F1 of each class; 0 where there is nothing to divide by.

    Args:
        hit: how often a class was rightly said.
        true: how often it was right to say.
        predicted: how often it was said.
    """
    pairs = ((hit, predicted), (hit, true), (2 * hit, true + predicted))
    return np.stack([part / np.where(whole == 0, 1, whole) for part, whole in pairs])


def averages(
    hit: Float[np.ndarray, "*S C"],
    true: Float[np.ndarray, "*S C"],
    predicted: Float[np.ndarray, "*S C"],
    kinds: Sequence[str],
    is_counted: Bool[np.ndarray, "*S C"],
) -> dict[str, Any]:
    """Means of the scores over classes, as scikit-learn's.

    Args:
        hit: as of `scores`.
        true: the same.
        predicted: the same.
        kinds: of "micro", of all answers alike; "macro", each class alike; "weighted", each as
            often as it is true.
        is_counted: classes that are in "macro".

    Returns:
        "precision_macro" and so on, a number or an array of shape S; NaN where no class is counted.
    """
    each, counted = scores(hit, true, predicted), is_counted.sum(-1)
    whole, found = true.sum(-1), {}
    for kind in kinds:
        if kind == "micro":
            sums = (x.sum(-1, keepdims=True) for x in (hit, true, predicted))
            mean = scores(*sums)[..., 0]
        elif kind == "macro":
            mean = np.where(is_counted, each, 0.0).sum(-1) / np.maximum(counted, 1)
        else:
            mean = (each * true).sum(-1) / np.where(whole == 0, 1, whole)
        values = np.where(counted == 0, np.nan, mean)
        found |= {f"{of}_{kind}": value for of, value in zip(SCORES, values, strict=True)}
    return found
