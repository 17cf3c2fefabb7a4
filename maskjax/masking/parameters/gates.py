"""Masks that are learned: from a score of each weight to what it is multiplied by."""

import jax
import jax.numpy as jnp

from maskjax.masking.parameters.select import hide_highest
from maskjax.masking.parameters.sparsities import num_masked_from_sparsity
from maskjax.typing import Array, Float, Key

TAU = 1e-2  # of `threshold`
_BETA, _LOW, _HIGH = 2 / 3, -0.1, 1.1  # of `hard_concrete`: temperature, and what is stretched to


def threshold(scores: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """1 for scores above 1/100, else 0; backward it is the identity.

    Zhao et al. 2020 (Masking as an Efficient Alternative to Finetuning, section 3).

    Args:
        scores: any numbers.

    Returns:
        The mask, with the gradient of the scores (straight through).

    Examples:
        >>> threshold(jnp.array([0.02, 0.0])).tolist()
        [1.0, 0.0]
    """
    return _straight_through(scores > TAU, scores)


def top_k(scores: Float[Array, "*n"], sparsity: float) -> Float[Array, "*n"]:
    """1 for the highest scores, else 0; backward it is the identity.

    Ramanujan et al. 2020 (What's Hidden in a Randomly Weighted Neural Network, section 3). Of
    equals the lowest index is kept, and one at least.

    Args:
        scores: any numbers.
        sparsity: share that is 0.

    Returns:
        The mask, with the gradient of the scores (straight through).

    Examples:
        >>> top_k(jnp.array([0.3, 0.1, 0.2, 0.2]), 0.5).tolist()
        [1.0, 0.0, 1.0, 0.0]
    """
    count = min(int(num_masked_from_sparsity(scores.size, sparsity)), scores.size - 1)
    is_hidden = hide_highest(-scores.reshape(-1), count).reshape(scores.shape)
    return _straight_through(~is_hidden, scores)


def hard_concrete(
    log_alpha: Float[Array, "*n"], key: Key[Array, ""] | None = None
) -> Float[Array, "*n"]:
    """Gates in [0, 1], many of them exactly 0 or 1, through which gradients flow.

    Louizos et al. 2018 (Learning Sparse Neural Networks through L0 Regularization, section 2.2 and
    equations 10, 11 and 13), with their temperature of 2/3, stretched to (-.1, 1.1).

    Args:
        log_alpha: of each gate; the higher, the more it is open.
        key: of a draw; None is the gate without noise, for evaluation.

    Examples:
        >>> hard_concrete(jnp.array([-4.0, 0.0, 4.0])).tolist()
        [0.0, 0.5, 1.0]
    """
    if key is None:
        open_by = jax.nn.sigmoid(log_alpha)
    else:
        u = jax.random.uniform(key, log_alpha.shape, minval=1e-6, maxval=1 - 1e-6)
        open_by = jax.nn.sigmoid((jnp.log(u) - jnp.log1p(-u) + log_alpha) / _BETA)
    return jnp.clip(open_by * (_HIGH - _LOW) + _LOW, 0.0, 1.0)


def chance_of_open(log_alpha: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """The chance that a gate of `hard_concrete` is above 0 (their equation 12).

    Args:
        log_alpha: of each gate.
    """
    return jax.nn.sigmoid(log_alpha - _BETA * jnp.log(-_LOW / _HIGH))


def _straight_through(flags: Array, scores: Array) -> Array:
    return flags.astype(scores.dtype) + (scores - jax.lax.stop_gradient(scores))
