"""How near numbers come to what they should be, as sums: what scikit-learn says of all rows."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from maskjax.evaluation.metrics import Metric, prefixed
from maskjax.typing import Array, Float

# Of the targets' squares; less is the rounding of float32 sums, and the targets are all equal.
_LEAST_SPREAD = 1e-6


class Regression(NamedTuple):
    """Errors of K numbers an example, each against the mean of the targets.

    Attributes:
        weight: sum of the weights.
        squares: [K], of weight times squared error.
        distances: [K], of weight times absolute error.
        targets: [K], of weight times target.
        target_squares: [K], of weight times squared target.
    """

    weight: Float[Array, ""] | Any
    squares: Float[Array, "K"] | Any
    distances: Float[Array, "K"] | Any
    targets: Float[Array, "K"] | Any
    target_squares: Float[Array, "K"] | Any

    def numbers(self, name: str) -> dict[str, float]:
        """Divide to "mse", its root "rmse", "mae" and "r2": each the mean over the K numbers.

        R2 is 1 less squared error over squared distance from the targets' mean. Where the targets
        are all equal it is 1 without error, else 0, as in scikit-learn.
        """
        weight = float(self.weight)
        if weight == 0:
            return {prefixed(name, of): math.nan for of in ("mse", "rmse", "mae", "r2")}
        squares, distances, targets, target_squares = (np.asarray(x, np.float64) for x in self[1:])
        spread = target_squares - targets**2 / weight
        is_equal = spread <= _LEAST_SPREAD * target_squares
        r2 = 1 - squares / np.where(is_equal, 1, spread)
        r2 = np.where(is_equal, np.where(squares == 0, 1.0, 0.0 * squares), r2)  # NaN stays NaN
        mse = squares / weight
        found = {"mse": mse, "rmse": np.sqrt(mse), "mae": distances / weight, "r2": r2}
        return {prefixed(name, of): float(value.mean()) for of, value in found.items()}


def regression(
    predictions: Float[Array, "B *K"],
    targets: Float[Array, "B *K"],
    weights: Float[Array, "B"],
    *,
    around: float | Float[Array, "#K"] = 0.0,
) -> dict[str, Metric]:
    """Judge numbers.

    Args:
        predictions: one number or K an example.
        targets: what they should be.
        weights: of each example; 0 for what only fills a batch, whatever stands there.
        around: a number near the targets' mean, such as that of the training examples. It changes
            rounding alone: targets that lie far from it, for their spread, lose R2's digits.

    Returns:
        `Regression` without a name of its own.
    """
    size = len(weights)
    is_counted = (weights != 0)[:, None]
    keep = lambda x: jnp.where(is_counted, x.astype(jnp.float32).reshape(size, -1), 0.0)  # noqa: E731
    targets, predictions = keep(targets), keep(predictions)
    errors = predictions - targets
    centred = jnp.where(is_counted, targets - jnp.asarray(around, jnp.float32).reshape(1, -1), 0.0)
    add = lambda x: (weights[:, None] * x).sum(0)  # noqa: E731
    parts = (errors**2, jnp.abs(errors), centred, centred**2)
    return {"": Regression(weights.sum(), *(add(part) for part in parts))}
