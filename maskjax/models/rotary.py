"""Rotary positions: queries and keys are turned by angles that grow with the position."""

from typing import NamedTuple

import jax.numpy as jnp

from maskjax.typing import Array, Float, Int


class Rotation(NamedTuple):
    """The angles of each position.

    Attributes:
        cos: float32 [B or 1, L, width of a head / 2].
        sin: as cos.
    """

    cos: Float[Array, "_ L half"]
    sin: Float[Array, "_ L half"]


def rotation(positions: Int[Array, "_ L"], head_width: int, theta: float) -> Rotation:
    """Angles position * theta^(-2i / d) for i = 0 ... d/2 - 1 (Su et al. 2021, section 3.2.2).

    Args:
        positions: from 0; a batch axis of one serves all examples.
        head_width: d, the width of a head.
        theta: the base; the larger, the farther positions are told apart.

    Raises:
        ValueError: an odd head width.

    >>> turned = rotation(jnp.array([[0, 3]]), 4, 100.0)
    >>> [round(angle, 3) for angle in jnp.arctan2(turned.sin, turned.cos)[0, 1].tolist()]
    [3.0, 0.3]
    """
    if head_width % 2:
        raise ValueError(
            f"rotary positions turn pairs of numbers, and heads are {head_width} wide: choose a "
            "width and num_heads that make it even"
        )
    half = head_width // 2
    rates = theta ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angles = positions[..., None].astype(jnp.float32) * rates[None, None]
    return Rotation(jnp.cos(angles), jnp.sin(angles))


def rotate(x: Float[Array, "B L H d"], by: Rotation) -> Float[Array, "B L H d"]:
    """Turn pair i of each head, the numbers i and i + d/2, by the i-th angle of its position.

    The products of a query and a key then depend on how far they are apart, not on where they
    stand. Su et al. 2021 turn the numbers 2i and 2i + 1; halves are what published weights of
    GPT-NeoX and of what came after it are for. Computed in float32.
    """
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    cos, sin = by.cos[:, :, None], by.sin[:, :, None]
    turned = (first * cos - second * sin, second * cos + first * sin)
    return jnp.concatenate(turned, axis=-1).astype(x.dtype)
