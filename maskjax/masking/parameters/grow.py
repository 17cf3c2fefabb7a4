"""Drop and grow: masks that keep their number of weights and change which."""

import jax.numpy as jnp

from maskjax.masking.parameters.select import lowest_flags
from maskjax.typing import Array, Bool, Float, Int


def regrow(
    kept: Bool[Array, "*n"],
    drop_scores: Float[Array, "*n"],
    grow_scores: Float[Array, "*n"],
    num_dropped: int | Int[Array, ""],
) -> Bool[Array, "*n"]:
    """Drops the kept weights of the highest scores, and grows as many of those with the highest.

    Evci et al. 2020 (RigL, section 3, algorithm 1): what was just dropped may grow again, and then
    keeps its value. Of equals the lowest index is kept, and grown.

    Args:
        kept: True for what is kept now.
        drop_scores: of a rule, the higher, the sooner dropped: -|w|.
        grow_scores: the higher, the sooner grown: |gradient|, or uniform noise (Mocanu et al. 2018,
            SET).
        num_dropped: from 0 to the number that is kept; may be traced.

    Returns:
        True for what is kept then: as many.

    Examples:
        >>> kept = jnp.array([True, True, False, False])
        >>> weights, gradients = jnp.array([3.0, 0.1, 0.0, 0.0]), jnp.array([0.0, 0.2, 0.1, 9.0])
        >>> regrow(kept, -abs(weights), abs(gradients), 1).astype(int).tolist()
        [1, 0, 0, 1]
    """
    shape, kept = kept.shape, kept.reshape(-1)
    left = kept.sum(dtype=jnp.int32) - num_dropped
    staying = lowest_flags(jnp.where(kept, drop_scores.reshape(-1), jnp.inf), left)
    grown = lowest_flags(jnp.where(staying, jnp.inf, -grow_scores.reshape(-1)), num_dropped)
    return (staying | grown).reshape(shape)
