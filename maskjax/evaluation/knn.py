"""Accuracy of a k-nearest-neighbour classifier on frozen features."""

import numpy as np

from maskjax.evaluation.checks import (
    AnyArray,
    checked_split,
    checked_training_split,
    checked_width,
)
from maskjax.typing import Float, Int

# Similarities held at once (64 MiB of float32, and twice that for the indices of the partition).
_SCORES_PER_CHUNK = 2**24
_WEIGHTINGS = {"cosine": ("exponential", "uniform"), "euclidean": ("uniform",)}


def knn_accuracy(
    train_features: AnyArray,
    train_labels: AnyArray,
    features: AnyArray,
    labels: AnyArray,
    *,
    k: int = 20,
    metric: str = "cosine",
    weighting: str | None = None,
    temperature: float = 0.07,
) -> float:
    """Compute the accuracy of a vote of the k nearest training examples.

    The default is the protocol of Wu et al. 2018 ("Unsupervised Feature Learning via
    Non-Parametric Instance Discrimination", section 3.4) with the settings of DINO (Caron et al.
    2021, section 3.2 and its code): features of length one, cosine similarity, and neighbours
    that vote with weight exp(similarity / temperature). Neither centres or standardises the
    features, so neither does this function. `metric="euclidean"` counts a plain majority of the
    nearest rows as they are, the form in which k-NN tables of raw pixels are published.

    A tie between classes goes to the smaller label. Fewer than k training examples all vote.
    A label that training never shows counts as an error.

    Args:
        train_features: Numbers, [N, D].
        train_labels: Integers, [N].
        features: Numbers, [N, D], of the examples to classify.
        labels: Integers, [N], of the examples to classify.
        k: How many neighbours vote.
        metric: "cosine" or "euclidean".
        weighting: "exponential" (cosine only) or "uniform" (one vote each); None takes
            "exponential" for cosine and "uniform" for euclidean.
        temperature: Of the exponential weights; smaller gives the nearest more say.

    Returns:
        The accuracy, in [0, 1].

    Raises:
        ValueError: A split is empty or not finite, shapes do not fit, training shows one class, or
            an option is unknown or out of range.

    >>> train = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> knn_accuracy(train, np.array([3, 3, 5]), train[1:], np.array([3, 5]), k=1)
    1.0
    """
    weighting = _checked_options(k, metric, weighting, temperature)
    train, classes, train_indices = checked_training_split(train_features, train_labels)
    queries, labels = checked_split("evaluation", features, labels)
    checked_width(train, queries)
    train, queries, offsets = _prepared(train, queries, metric)
    num_correct, rows = 0, max(1, _SCORES_PER_CHUNK // len(train))
    for start in range(0, len(queries), rows):
        scores = queries[start : start + rows] @ train.T  # [rows, N]
        scores -= offsets[None, :]
        neighbours, scores = _largest(scores, min(k, len(train)))
        weights = _vote_weights(scores, weighting, temperature)
        votes = _count_votes(train_indices[neighbours], weights, len(classes))
        predicted = classes[votes.argmax(axis=1)]
        num_correct += int((predicted == labels[start : start + rows]).sum())
    return num_correct / len(queries)


def _prepared(
    train: Float[np.ndarray, "N D"], queries: Float[np.ndarray, "Q D"], metric: str
) -> tuple[Float[np.ndarray, "N D"], Float[np.ndarray, "Q D"], Float[np.ndarray, "N"]]:
    """Rows whose products less the offsets are larger the nearer the training row is."""
    if metric == "cosine":
        return _unit_length(train), _unit_length(queries), np.zeros(len(train), np.float32)
    # Distances do not change, but lose fewer float32 digits around the origin.
    mean = train.mean(axis=0, dtype=np.float64).astype(np.float32)
    train, queries = train - mean, queries - mean
    # |q - t|^2 = |q|^2 - 2 (q.t - |t|^2 / 2): the largest bracket is the nearest row.
    return train, queries, 0.5 * np.einsum("nd,nd->n", train, train)


def _checked_options(k: int, metric: str, weighting: str | None, temperature: float) -> str:
    """Return the weighting to use once every option is known to be in range."""
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if metric not in _WEIGHTINGS:
        raise ValueError(f"unknown metric {metric!r}; known: {', '.join(_WEIGHTINGS)}")
    weighting = weighting or str(_WEIGHTINGS[metric][0])
    if weighting not in _WEIGHTINGS[metric]:
        known = ", ".join(_WEIGHTINGS[metric])
        raise ValueError(f"unknown weighting {weighting!r} for metric {metric!r}; known: {known}")
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    return weighting


def _unit_length(x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
    """Scale rows to length one; a row of zeros stays zero."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _largest(
    scores: Float[np.ndarray, "Q N"], k: int
) -> tuple[Int[np.ndarray, "Q k"], Float[np.ndarray, "Q k"]]:
    """Find the k largest scores of each row, in no particular order."""
    indices = np.argpartition(scores, -k, axis=1)[:, -k:]
    return indices, np.take_along_axis(scores, indices, axis=1)


def _vote_weights(
    scores: Float[np.ndarray, "Q k"], weighting: str, temperature: float
) -> Float[np.ndarray, "Q k"]:
    """Return the weight of each neighbour's vote."""
    if weighting == "uniform":
        return np.ones_like(scores)
    # Dividing a row's weights by their largest changes no vote and cannot overflow.
    return np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature)


def _count_votes(
    neighbours: Int[np.ndarray, "Q k"], weights: Float[np.ndarray, "Q k"], num_classes: int
) -> Float[np.ndarray, "Q num_classes"]:
    """Sum the weights of each class."""
    cells = np.arange(len(neighbours))[:, None] * num_classes + neighbours
    size = len(neighbours) * num_classes
    votes = np.bincount(cells.ravel(), weights=weights.ravel(), minlength=size)
    return votes.reshape(len(neighbours), num_classes)
