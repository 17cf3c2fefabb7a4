"""Attention to near keys alone: time and memory grow with the queries times the window."""

import jax
import jax.numpy as jnp

from maskjax.masking.attention.dense import xla
from maskjax.masking.attention.mask import AttentionMask
from maskjax.typing import Array, Bool, Float


def local(
    query: Float[Array, "B L H D"],
    key: Float[Array, "B L G D"],
    value: Float[Array, "B L G D"],
    attention_mask: AttentionMask | None,
    scale: float,
    side: int,
) -> Float[Array, "B L H D"]:
    """`attend` to at most `side` keys on either side, in tiles of so many queries.

    The sliding window of Beltagy et al. 2020 (Longformer, section 3.1 and appendix A): a tile of
    queries sees its own keys and those of the tiles beside it, 3 * side of them.
    """
    batch, length = query.shape[:2]
    num_tiles = -(-length // side)
    missing = num_tiles * side - length

    def tiles(x: Array) -> Array:  # [B, tiles, side, heads, D]
        x = jnp.pad(x, ((0, 0), (0, missing), (0, 0), (0, 0)))
        return x.reshape(batch, num_tiles, side, *x.shape[2:])

    def near(x: Array) -> Array:  # [B, tiles, 3 side, heads, D]
        x = jnp.pad(tiles(x), ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
        return jnp.concatenate([x[:, :-2], x[:, 1:-1], x[:, 2:]], axis=2)

    def flags_of(start: Array) -> Bool[Array, "_ _ side keys"]:
        queries, keys = start + jnp.arange(side), start - side + jnp.arange(3 * side)
        is_near = abs(queries[:, None] - keys[None]) <= side
        flags = (is_near & ((keys >= 0) & (keys < length))[None])[None, None]
        return flags if attention_mask is None else flags & attention_mask.tile(queries, keys)

    def rows(x: Array) -> Array:
        return x.reshape(-1, *x.shape[2:])

    flags = jax.vmap(flags_of, out_axes=1)(side * jnp.arange(num_tiles))
    flags = jnp.broadcast_to(flags, (batch, *flags.shape[1:]))
    given = (rows(tiles(query)), rows(near(key)), rows(near(value)), rows(flags))
    out = xla(*given, None, scale)
    return out.reshape(batch, num_tiles * side, *out.shape[2:])[:, :length]
