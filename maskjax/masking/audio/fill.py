"""What hidden frames become, as Mockingjay has it."""

import jax
import jax.numpy as jnp

from maskjax.masking.checks import (
    as_array,
    as_flags,
    check_keys,
    check_number,
    check_rows,
    check_shapes,
)
from maskjax.typing import Array, Bool, Float, Key

# Folded into keys, so that a rule given the same keys draws its noise from other bits.
_FOLD = 0xF4A3E


def fill_frames(
    x: Float[Array, "B L *d"],
    is_masked: Bool[Array, "B L"],
    keys: Key[Array, "B"],
    *,
    zero_share: int | float = 0.8,
    random_share: int | float = 0.1,
    per_frame: bool = False,
    is_valid: Bool[Array, "B L"] | None = None,
) -> Float[Array, "B L *d"]:
    """Replaces hidden frames by zero, by other frames of the row, or leaves them as they are.

    Liu et al. 2020 (Mockingjay, section 2): zero 80%, a random frame 10%, unchanged 10% of the
    time. As in the authors' code, one draw decides for all hidden frames of a row; each frame's
    replacement is drawn by itself, where their code copies whole runs.

    Args:
        x: one vector per frame.
        is_masked: True = hidden. All of them are to be predicted, unchanged ones too.
        keys: one key per example; may be those that drew the masks.
        zero_share: probability of zero.
        random_share: probability of a frame drawn uniformly from the row's real frames.
        per_frame: whether each hidden frame is decided by itself, as BERT does with tokens.
        is_valid: False for padding, which is no one's replacement; real frames are consecutive.

    Returns:
        x with hidden frames replaced.

    Raises:
        ValueError: a share below 0, or shares whose sum exceeds 1; flags that are not boolean or
            not one per frame, or keys that are not one per example.

    Examples:
        >>> x, keys = jnp.arange(1.0, 6.0)[None, :, None], jax.random.split(jax.random.key(0), 1)
        >>> is_masked = jnp.array([[False, True, True, False, False]])
        >>> fill_frames(x, is_masked, keys, zero_share=1, random_share=0)[0, :, 0].tolist()
        [1.0, 0.0, 0.0, 4.0, 5.0]
    """
    zero_share = check_number("zero_share", zero_share)
    random_share = check_number("random_share", random_share)
    if min(zero_share, random_share) < 0 or zero_share + random_share > 1:
        raise ValueError(
            f"zero_share {zero_share} and random_share {random_share} must be at least 0 and have "
            "a sum of at most 1"
        )
    x, is_masked = as_array("x", x), as_flags("is_masked", is_masked)
    is_valid = as_flags("is_valid", jnp.ones_like(is_masked) if is_valid is None else is_valid)
    check_rows("x", x)
    check_shapes("frames", x.shape[:2], is_masked=is_masked, is_valid=is_valid)
    check_keys(keys, len(x))

    def fill_row(row, hidden, key, real):
        dice_key, source_key = jax.random.split(jax.random.fold_in(key, _FOLD))
        dice = jax.random.uniform(dice_key, hidden.shape if per_frame else ())
        num_real = jnp.maximum(real.sum(dtype=jnp.int32), 1)
        sources = jnp.argmax(real) + jax.random.randint(source_key, hidden.shape, 0, num_real)
        columns = hidden.shape + (1,) * (row.ndim - 1)
        is_zero = (hidden & (dice < zero_share)).reshape(columns)
        is_random = (hidden & (dice >= zero_share) & (dice < zero_share + random_share)).reshape(
            columns
        )
        replaced = jnp.where(is_random, row.at[sources].get(mode="promise_in_bounds"), row)
        return jnp.where(is_zero, jnp.zeros((), row.dtype), replaced)

    return jax.vmap(fill_row)(x, is_masked, keys, is_valid)
