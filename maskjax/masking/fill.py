"""What hidden positions become: a mask token, noise or zero (`core.keep` drops them instead)."""

import jax
import jax.numpy as jnp

from maskjax.masking.checks import check_keys
from maskjax.typing import Array, Bool, Float, Key, Shaped

# Folded into keys, so that a rule given the same keys draws its noise from other bits.
_FOLD = 0xF111


def fill_token(
    x: Shaped[Array, "B L *d"], is_masked: Bool[Array, "B L"], token: Shaped[Array, "..."]
) -> Shaped[Array, "B L *d"]:
    """Replaces hidden positions by one token.

    Bao et al. 2022 (BEiT, section 2.3) and Xie et al. 2022 (SimMIM, section 3.2).

    Args:
        x: one value, vector or patch per position.
        is_masked: True = hidden.
        token: anything that broadcasts to x, such as a learned [D]; cast to x's dtype.

    Returns:
        x with hidden positions replaced.

    Raises:
        ValueError: flags that are not one per position, or a token that does not broadcast.

    Examples:
        >>> x = jnp.array([[10, 11, 12]])
        >>> fill_token(x, jnp.array([[True, False, True]]), jnp.array(-1)).tolist()
        [[-1, 11, -1]]
    """
    return jnp.where(_like(is_masked, x), jnp.broadcast_to(token.astype(x.dtype), x.shape), x)


def fill_noise(
    x: Float[Array, "B L *d"],
    is_masked: Bool[Array, "B L"],
    keys: Key[Array, "B"],
    *,
    scale: int | float = 1.0,
) -> Float[Array, "B L *d"]:
    """Replaces hidden positions by Gaussian noise.

    Args:
        x: one value, vector or patch per position.
        is_masked: True = hidden.
        keys: one key per example; may be those that drew the masks.
        scale: standard deviation, in the units of x.

    Returns:
        x with hidden positions replaced by N(0, scale^2).

    Raises:
        ValueError: flags that are not one per position, or keys that are not one per example.

    Examples:
        >>> x = jnp.ones((1, 3, 2))
        >>> keys = jax.random.split(jax.random.key(0), 1)
        >>> filled = fill_noise(x, jnp.array([[True, False, True]]), keys)
        >>> (filled == x).all(axis=2).tolist()
        [[False, True, False]]
    """
    check_keys(keys, len(x))
    keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, _FOLD)
    # Drawn in float32 at least: in bfloat16 there is no number beyond 2.9 deviations.
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    noise = jax.vmap(lambda key: jax.random.normal(key, x.shape[1:], dtype))(keys)
    return jnp.where(_like(is_masked, x), (scale * noise).astype(x.dtype), x)


def fill_zero(
    x: Shaped[Array, "B L *d"], is_masked: Bool[Array, "B L"]
) -> Shaped[Array, "B L *d"]:  # fmt: skip
    """Replaces hidden positions by zero.

    Args:
        x: one value, vector or patch per position.
        is_masked: True = hidden.

    Returns:
        x with hidden positions replaced.

    Raises:
        ValueError: flags that are not one per position.

    Examples:
        >>> fill_zero(jnp.array([[10, 11, 12]]), jnp.array([[True, False, True]])).tolist()
        [[0, 11, 0]]
    """
    return jnp.where(_like(is_masked, x), jnp.zeros((), x.dtype), x)


def _like(is_masked: Array, x: Array) -> Array:
    """The flags with as many axes as x; flags of other rows or positions would broadcast."""
    if is_masked.shape != x.shape[:2]:
        raise ValueError(
            f"is_masked of shape {is_masked.shape} for values of shape {x.shape}: give one flag "
            f"per position, {x.shape[:2]}"
        )
    return is_masked.reshape(is_masked.shape + (1,) * (x.ndim - is_masked.ndim))
