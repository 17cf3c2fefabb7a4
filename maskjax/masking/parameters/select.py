"""The K lowest of many scores, without sorting: exact, ties to the lowest index."""

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.masking.core import cut_counts
from maskjax.typing import Array, Bool, Float, Int, Shaped


def lowest_flags(scores: Float[Array, "L"], count: int | Int[Array, ""]) -> Bool[Array, "L"]:
    """True for the `count` lowest scores; of equals the lowest index first, NaN last of all.

    A threshold is found bit by bit: some 50 passes over the scores, which for a million of them on
    a CPU is ten times faster than a sort, and the same for any count.

    Args:
        scores: float32.
        count: from 0 to L; may be traced.

    Returns:
        The flags, `count` of them True.

    Examples:
        >>> lowest_flags(jnp.array([2.0, 1.0, jnp.nan, 1.0, 1.0]), 2).astype(int).tolist()
        [0, 1, 0, 1, 0]
    """
    order = as_order(scores)
    index = jnp.arange(order.size, dtype=jnp.uint32)
    count = jnp.asarray(count, jnp.int32)
    threshold = _kth(order, count, 32)
    below = order < threshold
    is_tied = order == threshold
    left = count - below.sum(dtype=jnp.int32)
    bits = max(1, (order.size - 1).bit_length())
    last = _kth(jnp.where(is_tied, index, np.uint32(2**32 - 1)), left, bits)
    return (below | (is_tied & (index <= last))) & (count > 0)


def hide_highest(scores: Float[Array, "L"], num_masked: int | Int[Array, ""]) -> Bool[Array, "L"]:
    """True for the highest scores, as `cut_counts` of one row has it: -inf is never hidden.

    Args:
        scores: floats.
        num_masked: more than can be hidden means all that can; may be traced.
    """
    if scores.dtype.itemsize > 4 or not jnp.issubdtype(scores.dtype, jnp.floating):
        return cut_counts(scores, num_masked)
    wide = scores.astype(jnp.float32)
    num_kept = jnp.clip(scores.size - jnp.asarray(num_masked, jnp.int32), 0, scores.size)
    return ~lowest_flags(wide, num_kept) & (wide != -jnp.inf)


def place_in_row(scores: Float[Array, "G M"]) -> Int[Array, "G M"]:
    """The place of each score among those of its row, from the lowest; ties by index, NaN last.

    Args:
        scores: floats; M passes over them, where a sort of many short rows takes far longer.
    """
    order, index = as_order(scores.astype(jnp.float32)), np.arange(scores.shape[1])[None]
    place = jnp.zeros(scores.shape, jnp.int32)
    for j in range(scores.shape[1]):
        other = order[:, j : j + 1]
        place += ((other < order) | ((other == order) & (j < index))).astype(jnp.int32)
    return place


def as_order(scores: Float[Array, "*n"]) -> Shaped[Array, "*n"]:
    """Whole numbers in the order of floats: -0 equals 0, and NaN is the highest.

    Args:
        scores: float32.
    """
    scores = jnp.where(scores == 0, jnp.zeros_like(scores), scores)
    bits = jax.lax.bitcast_convert_type(scores, jnp.uint32)
    ordered = jnp.where(bits >> 31 == 1, ~bits, bits | np.uint32(2**31))
    return jnp.where(jnp.isnan(scores), np.uint32(2**32 - 1), ordered)


def _kth(values: Shaped[Array, "L"], count: Int[Array, ""], bits: int) -> Shaped[Array, ""]:
    """The least number that `count` of the values do not exceed."""

    def settle(i: Array, low: Array) -> Array:
        bit = jnp.uint32(1) << (bits - 1 - i).astype(jnp.uint32)
        enough = (values <= (low | (bit - 1))).sum(dtype=jnp.int32) >= count
        return jnp.where(enough, low, low | bit)

    return jax.lax.fori_loop(0, bits, settle, jnp.uint32(0))
