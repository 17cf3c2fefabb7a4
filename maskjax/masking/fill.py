"""What hidden positions become: dropped and put back, a token, noise or zero, or a soft gate."""

import jax
import jax.numpy as jnp

from maskjax.masking.checks import (
    as_array,
    as_flags,
    as_integers,
    broadcast,
    check_keys,
    check_rows,
    known,
    wide_dtype,
)
from maskjax.typing import Array, Bool, Float, Int, Key, Shaped

# Folded into keys, so that a rule given the same keys draws its noise from other bits.
_FOLD = 0xF111


def keep(x: Shaped[Array, "B L *d"], ids_keep: Int[Array, "B K"]) -> Shaped[Array, "B K *d"]:
    """Drops what is hidden: the kept positions of each row, in the order of `ids_keep`.

    Args:
        x: one value, vector or patch per position.
        ids_keep: positions from 0 to L - 1 (`Masking.ids_keep`). What is traced is not checked:
            a position outside would give some other one.

    Returns:
        x at those positions.

    Raises:
        ValueError: rows that do not match, or a position that is known and not one of the L.

    Examples:
        >>> keep(jnp.array([[10, 11, 12, 13]]), jnp.array([[2, 0]])).tolist()
        [[12, 10]]
    """
    x, ids_keep = as_array("x", x), as_integers("ids_keep", ids_keep)
    _check_rows("x", x, "ids_keep", ids_keep)
    _check_places("ids_keep", ids_keep, x.shape[1])
    return _take(x, ids_keep)


def restore(
    x_visible: Shaped[Array, "B K *d"],
    fill: int | float | Shaped[Array, "..."],
    ids_restore: Int[Array, "B L"],
) -> Shaped[Array, "B L *d"]:
    """Puts kept positions back in their places, and `fill` where positions were dropped.

    The un-shuffle of He et al. 2022 (MAE, section 3, decoder input).

    Args:
        x_visible: values at the kept positions, in the order of `Masking.ids_keep`.
        fill: values at the dropped positions in the order of `Masking.ids_masked`, or anything
            that broadcasts to [B M *d], such as one mask token [D]; cast to x_visible's dtype.
        ids_restore: `Masking.ids_restore`, L = K + M.

    Returns:
        One value per position.

    Raises:
        ValueError: rows that do not match, more kept positions than positions, a fill that does not
            broadcast, or a place that is known and not one of the L.

    Examples:
        >>> from maskjax.masking import cut
        >>> masking = cut(jnp.array([[0.3, 0.9, 0.1, 0.7]]), 2)
        >>> x = jnp.array([[10, 11, 12, 13]])
        >>> restore(keep(x, masking.ids_keep), jnp.array(0), masking.ids_restore).tolist()
        [[10, 0, 12, 0]]
    """
    x_visible, ids_restore = (
        as_array("x_visible", x_visible),
        as_integers("ids_restore", ids_restore),
    )
    _check_rows("x_visible", x_visible, "ids_restore", ids_restore)
    batch, num_kept, *rest = x_visible.shape
    num_masked = ids_restore.shape[1] - num_kept
    if num_masked < 0:
        raise ValueError(
            f"{num_kept} kept positions exceed the {ids_restore.shape[1]} of ids_restore"
        )
    _check_places("ids_restore", ids_restore, ids_restore.shape[1])
    fill = broadcast("fill", fill, (batch, num_masked, *rest), x_visible.dtype)
    return _permute(jnp.concatenate([x_visible, fill], axis=1), ids_restore)


def _check_rows(of: str, x: Array, name: str, ids: Array) -> None:
    """Refuses values and positions that are not of the same examples."""
    if x.ndim < 2 or ids.ndim != 2 or x.shape[0] != ids.shape[0]:
        raise ValueError(
            f"{name} of shape {ids.shape} for {of} of shape {x.shape}: give both for a batch, "
            "[B, ...]; of one example, with [None]"
        )


def _check_places(name: str, ids: Array, length: int) -> None:
    """Refuses places that are known and out of range, which a gather would clamp."""
    places = known(ids)
    if places is None or not places.size:
        return
    low, high = int(places.min()), int(places.max())
    if low < 0 or high >= length:
        wrong = low if low < 0 else high
        raise ValueError(f"{name} holds {wrong}: there are the positions 0 to {length - 1}")


def _take(x: Array, ids: Array) -> Array:
    """Rows x[b, ids[b]]; the ids come from a cut, so they are distinct and in range."""
    return jax.vmap(
        lambda row, row_ids: row.at[row_ids].get(mode="promise_in_bounds", unique_indices=True)
    )(x, ids)


@jax.custom_vjp
def _permute(x: Array, ids: Array) -> Array:
    """Rows x[b, ids[b]] where each row of ids is a permutation of all positions.

    The gradient is the inverse permutation, a gather again, in place of the scatter that JAX
    would derive.
    """
    return _take(x, ids)


def _permute_forward(x: Array, ids: Array) -> tuple[Array, Array]:
    return _take(x, ids), ids


def _permute_backward(ids: Array, gradient: Array) -> tuple[Array, None]:
    return _take(gradient, jnp.argsort(ids, axis=-1)), None


_permute.defvjp(_permute_forward, _permute_backward)


def fill_token(
    x: Shaped[Array, "B L *d"],
    is_masked: Bool[Array, "B L"],
    token: int | float | Shaped[Array, "..."],
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
    x = as_array("x", x)
    return jnp.where(_like(is_masked, x), broadcast("token", token, x.shape, x.dtype), x)


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
        ValueError: values that are no floats, flags that are not one per position, or keys that are
            not one per example.

    Examples:
        >>> x = jnp.ones((1, 3, 2))
        >>> keys = jax.random.split(jax.random.key(0), 1)
        >>> filled = fill_noise(x, jnp.array([[True, False, True]]), keys)
        >>> (filled == x).all(axis=2).tolist()
        [[False, True, False]]
    """
    x = as_array("x", x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"x holds {x.dtype}: noise needs floats, x.astype(jax.numpy.float32)")
    is_hidden = _like(is_masked, x)
    check_keys(keys, x.shape[0])
    keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, _FOLD)
    # Drawn in float32 at least: in bfloat16 there is no number beyond 2.9 deviations.
    dtype = wide_dtype(x.dtype)
    noise = jax.vmap(lambda key: jax.random.normal(key, x.shape[1:], dtype))(keys)
    return jnp.where(is_hidden, (scale * noise).astype(x.dtype), x)


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
    x = as_array("x", x)
    return jnp.where(_like(is_masked, x), jnp.zeros((), x.dtype), x)


def fill_gate(
    x: Float[Array, "B L *d"], gate: Float[Array, "B L *g"]
) -> Float[Array, "B L *d"]:  # fmt: skip
    """Lets a share of each position, or of each value, through: x * m, where 1 = seen.

    The soft mask of label-driven masking: m from `adaptive.labels`, or from outside, such as
    `text.word_gate` or the weights of pixels. With a gate of 0 and 1 it is `fill_zero`, of what is
    masked = 1 - m.

    Args:
        x: one value, vector or patch per position.
        gate: m, from 0 (hidden) to 1 (seen), one number a position, or one a value, in the shape
            of x. What is traced is not checked.

    Returns:
        x times the gate, in x's dtype.

    Raises:
        ValueError: values that are no floats, a gate that is neither one number per position nor
            one per value, or one that is known and not from 0 to 1.

    Examples:
        >>> fill_gate(jnp.array([[4.0, 4.0, 4.0]]), jnp.array([[0.0, 0.25, 1.0]])).tolist()
        [[0.0, 1.0, 4.0]]
    """
    x, gate = as_array("x", x), as_array("gate", gate)
    for name, values in (("x", x), ("gate", gate)):
        if not jnp.issubdtype(values.dtype, jnp.floating):
            raise ValueError(
                f"{name} holds {values.dtype}: a gate scales floats, "
                f"{name}.astype(jax.numpy.float32)"
            )
    check_rows("x", x)
    if gate.shape not in (x.shape[:2], x.shape):
        each = "" if x.ndim == 2 else f", or per value, {x.shape}"
        raise ValueError(
            f"gate of shape {gate.shape} for values of shape {x.shape}: give one number per "
            f"position, {x.shape[:2]}{each}"
        )
    values = known(gate)
    if values is not None and values.size and not 0 <= values.min() <= values.max() <= 1:
        wrong = values.min() if not values.min() >= 0 else values.max()
        raise ValueError(f"gate holds {wrong}: give numbers from 0 (hidden) to 1 (seen)")
    return x * gate.reshape(gate.shape + (1,) * (x.ndim - gate.ndim)).astype(x.dtype)


def _like(is_masked: Array, x: Array) -> Array:
    """The flags with as many axes as x; flags of other rows or positions would broadcast."""
    is_masked = as_flags("is_masked", is_masked)
    check_rows("x", x)
    if is_masked.shape != x.shape[:2]:
        raise ValueError(
            f"is_masked of shape {is_masked.shape} for values of shape {x.shape}: give one flag "
            f"per position, {x.shape[:2]}"
        )
    return is_masked.reshape(is_masked.shape + (1,) * (x.ndim - is_masked.ndim))
