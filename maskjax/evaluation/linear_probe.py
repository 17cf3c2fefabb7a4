"""Accuracy of a linear classifier trained on frozen features."""

from typing import NamedTuple

import numpy as np

from maskjax.evaluation.checks import (
    AnyArray,
    TooFewLabelsError,
    checked_split,
    checked_training_split,
    checked_width,
)
from maskjax.evaluation.logistic import Solution, solve
from maskjax.typing import Float, Int

L2_CANDIDATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)


class LinearProbe(NamedTuple):
    """A linear classifier of raw (not standardised) features.

    weights float32 [D, classes], bias float32 [classes], classes int64 [classes], l2 the penalty
    it was trained with.
    """

    weights: Float[np.ndarray, "D classes"]
    bias: Float[np.ndarray, "classes"]
    classes: Int[np.ndarray, "classes"]
    l2: float

    def predict(self, features: Float[np.ndarray, "N D"]) -> Int[np.ndarray, "N"]:
        """Return the most probable label of each row."""
        return self.classes[(features @ self.weights + self.bias[None, :]).argmax(axis=1)]

    def accuracy(self, features: AnyArray, labels: AnyArray) -> float:
        """Compute the share of labels that are predicted.

        Raises:
            ValueError: Nothing to classify, or features that are not finite or of another width.
        """
        queries, labels = checked_split("evaluation", features, labels)
        checked_width(self.weights.T, queries)
        return float((self.predict(queries) == labels).mean())


class _Rotated(NamedTuple):
    """Standardised features in the axes of their principal components.

    The l2 penalty does not see the rotation, but in these axes the curvature of the loss is
    nearly diagonal, which makes a good preconditioner of `variances` alone.
    """

    features: Float[np.ndarray, "N axes"]
    variances: Float[np.ndarray, "axes"]
    rotation: Float[np.ndarray, "D axes"]
    mean: Float[np.ndarray, "D"]
    std: Float[np.ndarray, "D"]


def linear_accuracy(
    train_features: AnyArray,
    train_labels: AnyArray,
    features: AnyArray,
    labels: AnyArray,
    *,
    l2: float | None = None,
    candidates: tuple[float, ...] = L2_CANDIDATES,
    max_iter: int = 500,
    seed: int = 0,
) -> float:
    """Compute the accuracy of a linear classifier that was trained on frozen features.

    The linear probe of He et al. 2022 (MAE, section 4.1) measured as in Radford et al. 2021
    (CLIP, appendix A.3). `fit_linear_probe` says how; it never receives the split that is judged.
    A label that training never shows counts as an error.

    Args:
        train_features: Numbers, [N, D].
        train_labels: Integers, [N].
        features: Numbers, [N, D], of the examples to classify.
        labels: Integers, [N], of the examples to classify.
        l2: The penalty; None chooses one of `candidates`.
        candidates: Penalties to choose from.
        max_iter: L-BFGS iterations of each fit.
        seed: Which tenth of the training split is held out for the choice.

    Returns:
        The accuracy, in [0, 1].

    Raises:
        ValueError: A split is empty or not finite, shapes do not fit, or an option is out of range.
        TooFewLabelsError: Training shows one class only, or too few examples to hold any out.
    """
    queries, labels = checked_split("evaluation", features, labels)
    train, _, _ = checked_training_split(train_features, train_labels)
    checked_width(train, queries)
    probe = fit_linear_probe(
        train, train_labels, l2=l2, candidates=candidates, max_iter=max_iter, seed=seed
    )
    return probe.accuracy(queries, labels)


def fit_linear_probe(
    train_features: AnyArray,
    train_labels: AnyArray,
    *,
    l2: float | None = None,
    candidates: tuple[float, ...] = L2_CANDIDATES,
    max_iter: int = 500,
    seed: int = 0,
) -> LinearProbe:
    """Fit multinomial logistic regression to standardised features.

    Minimises mean cross-entropy + l2 / 2 * |weights|^2 over weights of the features standardised
    with their training mean and standard deviation; the bias is free. This is scikit-learn's
    `LogisticRegression(C=1 / (l2 * N))`; here the curvature of the loss at zero weights
    preconditions L-BFGS, which otherwise takes hundreds of iterations on badly conditioned
    features such as pixels. With `l2=None` each candidate is fitted without a tenth of every
    class and scored on that tenth; the best (the stronger of equals) is fitted again to all
    examples. A fit that `max_iter` cuts short warns with scikit-learn's ConvergenceWarning.

    A fit stops about 1e-4 above the least loss, and up to 3e-3 where `l2` is 1e-3 or less: there
    the loss is flat, and scores still differ from the optimum's.

    Args:
        train_features: Numbers, [N, D].
        train_labels: Integers, [N], of at least two classes.
        l2: The penalty, above 0; None chooses one of `candidates`.
        candidates: Penalties to choose from, all above 0.
        max_iter: L-BFGS iterations of each fit.
        seed: Which tenth is held out.

    Returns:
        The fitted classifier.

    Raises:
        ValueError: The split is empty or not finite, shapes do not fit, or an option is out of
            range.
        TooFewLabelsError: There is one class only, or nothing can be held out.
    """
    if max_iter < 1:
        raise ValueError(f"max_iter must be at least 1, got {max_iter}")
    strengths = candidates if l2 is None else (l2,)
    if not strengths or not all(strength > 0 for strength in strengths):
        raise ValueError(f"l2 strengths must be above 0, got {strengths}")
    train, classes, indices = checked_training_split(train_features, train_labels)
    rotated = _rotate(train)
    width = rotated.features.shape[1]
    solution = Solution(np.zeros((width, len(classes))), np.zeros(len(classes)))
    if l2 is None:
        l2, solution = _choose(rotated, indices, solution, candidates, max_iter, seed)
    solution = solve(rotated.features, rotated.variances, indices, solution, l2, max_iter)
    weights = rotated.rotation @ solution.weights / rotated.std[:, None]
    bias = solution.bias - rotated.mean @ weights
    return LinearProbe(weights.astype(np.float32), bias.astype(np.float32), classes, l2)


def _rotate(features: Float[np.ndarray, "N D"]) -> _Rotated:
    """Standardise the features and turn them into their principal axes."""
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features - mean.astype(np.float32)
    squares = np.einsum("nd,nd->d", centred, centred, dtype=np.float64)
    std = np.sqrt(squares / len(centred))
    # A constant feature shows only the rounding of its numbers, which must not be blown up.
    std[std <= 1e-6 * np.abs(mean)] = 1.0
    centred /= std.astype(np.float32)
    variances, rotation = _principal_axes(centred)
    rotated = centred @ rotation.astype(np.float32)
    return _Rotated(rotated, variances, rotation, mean, std)


def _principal_axes(
    centred: Float[np.ndarray, "N D"],
) -> tuple[Float[np.ndarray, "axes"], Float[np.ndarray, "D axes"]]:
    """Variances along the principal axes, and the axes: no more than the smaller of N and D.

    Outside the span of the rows the best weights are zero, so that with fewer rows than numbers
    the rows' own products are enough, and cost N^3 rather than D^3.
    """
    if len(centred) >= centred.shape[1]:
        covariance = (centred.T @ centred).astype(np.float64) / len(centred)
        variances, axes = np.linalg.eigh(covariance)
        return np.maximum(variances, 0), axes
    # Float32's rounding would hide small differences between numbers that mostly move together.
    rows = centred.astype(np.float64)
    variances, weights = np.linalg.eigh(rows @ rows.T / len(rows))
    is_real = variances > 1e-12 * max(variances.max(), 1e-12)  # the rest is rounding
    variances, weights = variances[is_real], weights[:, is_real]
    axes = rows.T @ weights / np.sqrt(len(rows) * variances)[None, :]
    return variances, axes


def _choose(
    rotated: _Rotated,
    indices: Int[np.ndarray, "N"],
    solution: Solution,
    candidates: tuple[float, ...],
    max_iter: int,
    seed: int,
) -> tuple[float, Solution]:
    """Return the candidate with the best accuracy on a held-out tenth, and its weights."""
    is_held_out = _held_out(indices, seed)
    features, held_out = rotated.features[~is_held_out], rotated.features[is_held_out]
    fitted = indices[~is_held_out]
    best_accuracy, best = -1.0, (candidates[0], solution)
    for l2 in sorted(candidates, reverse=True):  # from strong to weak, each a start for the next
        solution = solve(features, rotated.variances, fitted, solution, l2, max_iter)
        scores = held_out @ solution.weights.astype(np.float32) + solution.bias[None, :]
        accuracy = (scores.argmax(axis=1) == indices[is_held_out]).mean()
        if accuracy > best_accuracy:
            best_accuracy, best = accuracy, (l2, solution)
    return best


def _held_out(indices: Int[np.ndarray, "N"], seed: int) -> np.ndarray:
    """Mark about a tenth of every class, drawn by seed, and never the only row of a class."""
    order = np.random.default_rng(seed).permutation(len(indices))
    order = order[np.argsort(indices[order], kind="stable")]
    is_held_out = np.zeros(len(indices), bool)
    is_held_out[order[9::10]] = True
    is_held_out[order[np.unique(indices[order], return_index=True)[1]]] = False  # each first
    if not is_held_out.any():
        raise TooFewLabelsError(
            f"{len(indices)} training examples are too few to choose the penalty on a tenth of "
            "them; label more (in code, linear_accuracy also takes l2=1e-3)"
        )
    return is_held_out
