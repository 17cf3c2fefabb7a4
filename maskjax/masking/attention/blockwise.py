"""Attention one tile of keys at a time, so that nothing of size [Q, S] ever exists."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from maskjax.masking.attention.mask import AttentionMask
from maskjax.masking.checks import wide_dtype
from maskjax.typing import Array, Float


def blockwise(
    query: Float[Array, "B Q H D"],
    key: Float[Array, "B S G D"],
    value: Float[Array, "B S G D"],
    attention_mask: AttentionMask | None,
    bias: Float[Array, "_ _ _ _"] | None,
    scale: float,
    block_size: int,
) -> Float[Array, "B Q H D"]:
    """`attend` with an online softmax over key tiles; what it keeps is O((Q + S) D) and one tile.

    Milakov & Gimelshein 2018 (Online normalizer calculation for softmax, section 3); its gradient
    evaluates the tiles again from the saved logarithm of the softmax's sum (Dao et al. 2022,
    FlashAttention, section 3.1 and appendix B). Forward-mode differentiation is not defined.
    """
    num_keys, num_repeats = key.shape[1], query.shape[2] // key.shape[2]
    if num_keys == 0:
        return jnp.zeros_like(query)  # every query is blind
    block = min(block_size, num_keys)
    num_missing = -num_keys % block

    def split(x: Array, axis: int) -> Array:
        """Key tiles in front, with zeros for the keys that the last one lacks."""
        pad = [(0, num_missing if i == axis else 0) for i in range(x.ndim)]
        shape = (*x.shape[:axis], -(-num_keys // block), block, *x.shape[axis + 1 :])
        return jnp.moveaxis(jnp.pad(x, pad).reshape(shape), axis, 0)

    key, value = (jnp.repeat(x, num_repeats, axis=2).swapaxes(1, 2) for x in (key, value))
    if bias is not None:
        bias = split(jnp.broadcast_to(bias, (*bias.shape[:3], num_keys)), 3)
    tiles = (split(key, 2), split(value, 2), bias)
    out: Any = _attend(query.swapaxes(1, 2), tiles, attention_mask, scale, num_keys)
    return out.swapaxes(1, 2)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _attend(query, tiles, attention_mask, scale, num_keys):
    """Query [B H Q D]; tiles of keys, values [tiles B H S D] and biases [tiles B|1 H|1 Q|1 S]."""
    return _attend_forward(query, tiles, attention_mask, scale, num_keys)[0]


def _attend_forward(query, tiles, attention_mask, scale, num_keys):
    logits_of = functools.partial(_logits, query, attention_mask, scale, num_keys)
    dtype = wide_dtype(query.dtype)

    def add_tile(carry, tile):
        total, normalizer, highest = carry  # [B H Q D], [B H Q 1], [B H Q 1]
        logits = logits_of(tile)
        above = jnp.maximum(highest, logits.max(axis=-1, keepdims=True))
        above_or_0 = jnp.where(above == -jnp.inf, 0, above)  # for -inf - -inf is NaN
        weights = jnp.exp(logits - above_or_0)
        shrink = jnp.exp(highest - above_or_0)
        total = total * shrink + _product("bhqs,bhsd->bhqd", weights, tile[1][1])
        return (total, normalizer * shrink + weights.sum(axis=-1, keepdims=True), above), None

    column = jnp.zeros((*query.shape[:3], 1), dtype)
    start = (jnp.zeros(query.shape, dtype), column, column - jnp.inf)
    (total, normalizer, highest), _ = jax.lax.scan(add_tile, start, _numbered(tiles))
    is_blind = normalizer == 0
    out = jnp.where(is_blind, 0, total / jnp.where(is_blind, 1, normalizer)).astype(query.dtype)
    log_sum = jnp.where(is_blind, 0, highest + jnp.log(jnp.where(is_blind, 1, normalizer)))
    return out, (query, tiles, attention_mask, out, log_sum)


def _attend_backward(scale, num_keys, residuals, out_gradient):
    query, tiles, attention_mask, out, log_sum = residuals
    logits_of = functools.partial(_logits, query, attention_mask, scale, num_keys)
    dtype = log_sum.dtype
    mean = jnp.sum(out_gradient.astype(dtype) * out.astype(dtype), axis=-1, keepdims=True)

    def add_tile(query_gradient, tile):
        key, value, bias = tile[1]
        weights = jnp.exp(logits_of(tile) - log_sum)
        value_gradient = _product("bhqs,bhqd->bhsd", weights, out_gradient)
        logits_gradient = weights * (_product("bhqd,bhsd->bhqs", out_gradient, value) - mean)
        key_gradient = scale * _product("bhqs,bhqd->bhsd", logits_gradient, query)
        query_gradient += scale * _product("bhqs,bhsd->bhqd", logits_gradient, key)
        bias_gradient = None if bias is None else _sum_to(logits_gradient, bias)
        of_tile = (key_gradient.astype(key.dtype), value_gradient.astype(value.dtype))
        return query_gradient, (*of_tile, bias_gradient)

    start = jnp.zeros(query.shape, dtype)
    query_gradient, of_tiles = jax.lax.scan(add_tile, start, _numbered(tiles))
    return query_gradient.astype(query.dtype), of_tiles, None


_attend.defvjp(_attend_forward, _attend_backward)


def _numbered(tiles):
    return jnp.arange(len(tiles[0])), tiles


def _logits(query, attention_mask, scale, num_keys, tile):
    """[B H Q S] of one tile, -inf where a query may not attend."""
    number, (key, _, bias) = tile
    logits = scale * _product("bhqd,bhsd->bhqs", query, key)
    if bias is not None:
        logits += bias.astype(logits.dtype)
    key_ids = number * key.shape[2] + jnp.arange(key.shape[2])
    may_attend = (key_ids < num_keys)[None, None, None, :]
    if attention_mask is not None:
        may_attend &= attention_mask.tile(jnp.arange(query.shape[2]), key_ids)
    return jnp.where(may_attend, logits, -jnp.inf)


def _product(equation, a, b):
    """A product of numbers in the dtype of `b`, summed in float32 at least."""
    wide = wide_dtype(b.dtype)
    return jnp.einsum(equation, a.astype(b.dtype), b, preferred_element_type=wide)


def _sum_to(gradient, bias):
    """The gradient of a bias that was broadcast."""
    axes = tuple(i for i in range(4) if bias.shape[i] == 1 != gradient.shape[i])
    return gradient.sum(axis=axes, keepdims=True).astype(bias.dtype)
