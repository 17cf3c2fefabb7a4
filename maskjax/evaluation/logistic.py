"""Multinomial logistic regression with an l2 penalty, by L-BFGS."""

import warnings
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from maskjax.typing import Float, Int

# Of the gradient in whitened coordinates. A third of it doubles the iterations on Fashion-MNIST's
# pixels and moves the accuracy, at penalties worth choosing, by less than 0.001.
_GRADIENT_TOLERANCE = 3e-4
# Relative change of the loss below which float32 products show only their rounding.
_LOSS_TOLERANCE = 1e-8


class Solution(NamedTuple):
    """Weights in rotated axes and a bias."""

    weights: Float[np.ndarray, "D classes"]
    bias: Float[np.ndarray, "classes"]


def solve(
    features: Float[np.ndarray, "N D"],
    variances: Float[np.ndarray, "D"],
    indices: Int[np.ndarray, "N"],
    start: Solution,
    l2: float,
    max_iter: int,
) -> Solution:
    """Minimise the penalised cross-entropy by L-BFGS in whitened coordinates.

    Args:
        features: in axes in which their covariance is nearly diagonal.
        variances: along these axes.
        indices: the class of each row.
        start: where to begin.
        l2: the penalty.
        max_iter: iterations at most; a warning says where they were not enough.

    Returns:
        The weights and the bias.
    """
    from scipy.optimize import minimize  # slow to import, as scikit-learn is
    from sklearn.exceptions import ConvergenceWarning

    width, num_classes = start.weights.shape
    # At zero weights the curvature along axis d is (variances[d] / classes + l2), up to the
    # projection that removes the mean over classes.
    scales = 1 / np.sqrt(variances / num_classes + l2)[:, None]
    # One thread: the thin products wait for memory, and BLAS threads that wait for each other
    # beside a busy machine's other work take ten times as long. The sums keep one order, too.
    with threadpool_limits(limits=1, user_api="blas"):
        result = minimize(
            _loss_and_gradient,
            np.concatenate([start.weights / scales, start.bias[None, :]]).ravel(),
            args=(features, indices, scales, l2),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": max_iter, "gtol": _GRADIENT_TOLERANCE, "ftol": _LOSS_TOLERANCE},
        )
    if not result.success:
        warnings.warn(
            f"the linear probe with l2={l2:g} did not converge after {result.nit} iterations "
            f"({result.message}); raise max_iter, or trust its accuracy less",
            ConvergenceWarning,
            stacklevel=2,
        )
    solution = result.x.reshape(width + 1, num_classes)
    return Solution(solution[:-1] * scales, solution[-1])


def _loss_and_gradient(
    flat: Float[np.ndarray, "parameters"],
    features: Float[np.ndarray, "N D"],
    indices: Int[np.ndarray, "N"],
    scales: Float[np.ndarray, "D 1"],
    l2: float,
) -> tuple[float, Float[np.ndarray, "parameters"]]:
    """Compute the penalised cross-entropy and its gradient; the bias lies below the weights."""
    whitened = flat.reshape(len(scales) + 1, -1)
    weights = whitened[:-1] * scales
    # The thin factor of either product lies in memory with its long side last: OpenBLAS takes
    # several times as long over the other layout.
    weights_t = np.ascontiguousarray(weights.T, dtype=np.float32)
    scores = features @ weights_t.T + whitened[-1:].astype(np.float32)  # [N, classes]
    scores -= scores.max(axis=1, keepdims=True)
    rows = np.arange(len(features))
    of_label = scores[rows, indices]
    np.exp(scores, out=scores)
    totals = scores.sum(axis=1)
    loss = np.mean(np.log(totals) - of_label, dtype=np.float64)
    loss += 0.5 * l2 * np.square(weights).sum()
    scores /= totals[:, None]
    scores[rows, indices] -= 1  # the gradient of each example's cross-entropy
    scores /= len(features)
    gradient = np.empty_like(whitened)
    gradient[:-1] = ((scores.T @ features).T + l2 * weights) * scales
    gradient[-1] = scores.sum(axis=0)
    return float(loss), gradient.ravel()
