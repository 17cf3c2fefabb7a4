"""How well the hidden entries of a Gaussian vector can be predicted at all."""

import itertools

import numpy as np

from maskjax.typing import Bool, Float


def conditional_variance(
    covariance: Float[np.ndarray, "L L"], is_hidden: Bool[np.ndarray, "L"]
) -> Float[np.ndarray, "L"]:
    """Variance of each entry once the visible ones are known (Bishop 2006, section 2.3.1).

    It is the mean square error of the conditional mean, which no other prediction undercuts.

    Args:
        covariance: of the vector, positive definite.
        is_hidden: which entries are not known.

    Returns:
        diag(S_hh - S_hv S_vv^-1 S_vh) at hidden entries, 0 at visible ones.

    Example:
        >>> import numpy as np
        >>> conditional_variance(np.array([[1, 0.6], [0.6, 1]]), np.array([True, False])).round(2)
        array([0.64, 0.  ])
    """
    visible, hidden = np.flatnonzero(~is_hidden), np.flatnonzero(is_hidden)
    cross = covariance[np.ix_(visible, hidden)]
    explained = cross * np.linalg.solve(covariance[np.ix_(visible, visible)], cross)
    variance = np.zeros(len(covariance))
    variance[hidden] = np.diag(covariance)[hidden] - explained.sum(0)
    return variance


def least_error(
    covariance: Float[np.ndarray, "L L"],
    num_hidden: int,
    *,
    num_targets: int | None = None,
    on: str = "masked",
) -> float:
    """Expected mean square error of the best predictor, over all ways to hide so many entries.

    The best one knows the covariance and which entries are hidden. A network that sees noise in
    their places has to guess which they are, and can only come near.

    Args:
        covariance: of the vector, positive definite.
        num_hidden: entries hidden at random, all subsets equally likely.
        num_targets: only the first so many entries are predicted; None is all.
        on: "masked" averages over hidden targets, "all" over all of them.

    Returns:
        The error, computed over all subsets.

    Raises:
        ValueError: more hidden entries, or targets, than there are.

    Example:
        >>> least_error(np.eye(10), 5), least_error(np.eye(10), 5, on="all")
        (1.0, 0.5)
    """
    length = len(covariance)
    targets = length if num_targets is None else num_targets
    if not (0 <= num_hidden <= length and 0 < targets <= length):
        raise ValueError(f"{num_hidden} hidden and {targets} predicted entries of {length}")
    error = weight = 0.0
    for chosen in itertools.combinations(range(length), num_hidden):
        is_hidden = np.isin(np.arange(length), chosen)
        error += conditional_variance(covariance, is_hidden)[:targets].sum()
        weight += targets if on == "all" else is_hidden[:targets].sum()
    return float(error / weight) if weight else 0.0
