"""Targets and losses of masked prediction on patches, as sums and weights."""

import jax.numpy as jnp

from maskjax.typing import Array, Bool, Float

NORM_PIX_EPSILON = 1e-6
TARGETS = ("norm_pix", "pixels")
LOSS_KINDS = ("l2", "l1")


def patch_statistics(
    patches: Float[Array, "B L P"], is_known: Bool[Array, "B L P"] | None = None
) -> tuple[Float[Array, "B L 1"], Float[Array, "B L 1"]]:
    """Mean and scale of each patch, for norm_pix targets (He et al. 2022, section 3).

    Args:
        patches: Patches, P at least 2.
        is_known: False where there is no number; None = all are there.

    Returns:
        The mean, and sqrt(variance + 1e-6) with the unbiased variance (ddof 1), as the reference;
        both over the known numbers alone. The mean of none is 0, and so is the variance of fewer
        than two.

    Raises:
        ValueError: P is 1: a single number has no variance.
    """
    if patches.shape[-1] < 2:
        raise ValueError(
            "norm_pix needs at least 2 numbers in a patch, this data and patch size give "
            f"{patches.shape[-1]}: use a larger patch or loss.target = 'pixels'"
        )
    if is_known is not None:
        count = is_known.sum(-1, keepdims=True, dtype=jnp.float32)
        mean = _zero_unknown(patches, is_known).sum(-1, keepdims=True) / jnp.maximum(count, 1)
        squares = jnp.square(_zero_unknown(patches - mean, is_known)).sum(-1, keepdims=True)
        return mean, jnp.sqrt(squares / jnp.maximum(count - 1, 1) + NORM_PIX_EPSILON)
    mean = patches.mean(-1, keepdims=True)
    return mean, jnp.sqrt(patches.var(-1, keepdims=True, ddof=1) + NORM_PIX_EPSILON)


def patch_errors(
    prediction: Float[Array, "B L P"],
    target: Float[Array, "B L P"],
    loss_weights: Float[Array, "B L"],
    *,
    kind: str = "l2",
    is_known: Bool[Array, "B L P"] | None = None,
) -> tuple[Float[Array, "B L"], Float[Array, "B L"]]:
    """The mean error within each patch, and what it weighs.

    He et al. 2022 (section 3, "l2") and Xie et al. 2022 (SimMIM, section 3.4, "l1") divide the
    weighted sum by that of the weights; the trainer does so, after summing over devices.

    Args:
        prediction: Predicted patches.
        target: True patches.
        loss_weights: 1 on patches that count (the hidden ones), else 0.
        kind: "l2" (mean square) or "l1" (mean absolute).
        is_known: False where there is no number to predict. The mean within a patch is then over
            its known numbers, however few, and a patch without any weighs nothing. None = all are.

    Returns:
        The errors and the weights, float32.

    Raises:
        ValueError: an unknown kind.

    >>> one = jnp.ones((1, 2, 3))
    >>> [x.tolist() for x in patch_errors(3 * one, one, jnp.array([[1.0, 0.0]]))]
    [[[4.0, 4.0]], [[1.0, 0.0]]]
    """
    if kind not in LOSS_KINDS:
        raise ValueError(f"unknown loss.kind {kind!r}: use one of {LOSS_KINDS}")
    difference = prediction.astype(jnp.float32) - target.astype(jnp.float32)
    error = jnp.square(difference) if kind == "l2" else jnp.abs(difference)
    if is_known is None:
        return error.mean(-1), loss_weights
    count = is_known.sum(-1, dtype=jnp.float32)
    means = _zero_unknown(error, is_known).sum(-1) / jnp.maximum(count, 1)
    return means, loss_weights * (count > 0).astype(jnp.float32)


def _zero_unknown(x: Float[Array, "B L P"], is_known: Bool[Array, "B L P"]) -> Array:
    return jnp.where(is_known, x, jnp.zeros((), x.dtype))


def loss_weights(
    is_masked: Bool[Array, "B L"], is_valid: Bool[Array, "B"] | None, on: str
) -> Float[Array, "B L"]:
    """Which patches count: the hidden ones or all, never those of padding examples.

    Args:
        is_masked: True = hidden from the model.
        is_valid: False for examples that only fill a batch; None = all are real.
        on: "masked" or "all".

    Returns:
        1 or 0 a patch.

    Raises:
        ValueError: an unknown `on`.
    """
    if on not in ("masked", "all"):
        raise ValueError(f"unknown loss.on {on!r}: use 'masked' or 'all'")
    weights = jnp.ones(is_masked.shape) if on == "all" else is_masked.astype(jnp.float32)
    return weights if is_valid is None else jnp.where(is_valid[:, None], weights, 0.0)


def label(kind: str, on: str, target: str) -> str:
    """Name a loss and its unit.

    >>> label("l2", "masked", "pixels")
    'mean square error, hidden patches, normalised input'
    """
    error = {"l2": "mean square error", "l1": "mean absolute error"}[kind]
    where = {"masked": "hidden patches", "all": "all patches"}[on]
    unit = {"norm_pix": "normalised patch", "pixels": "normalised input"}[target]
    return f"{error}, {where}, {unit}"
