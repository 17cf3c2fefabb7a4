"""Attention that holds all [B H Q S] flags: plain XLA, and cuDNN's flash attention."""

import jax
import jax.numpy as jnp

from maskjax.masking.attention.mask import AttentionMask
from maskjax.masking.checks import wide_dtype
from maskjax.typing import Array, Bool, DType, Float


def xla(
    query: Float[Array, "B Q H D"],
    key: Float[Array, "B S G D"],
    value: Float[Array, "B S G D"],
    attention_mask: AttentionMask | Bool[Array, "_ _ _ _"] | None,
    bias: Float[Array, "_ _ _ _"] | None,
    scale: float,
) -> Float[Array, "B Q H D"]:
    """`attend` by two einsums and a softmax in float32."""
    flags, bias = _opened(attention_mask, bias, query.shape[1], key.shape[1])
    batch, num_queries, num_heads, width = query.shape
    # Heads before positions: XLA:CPU runs these small products about twice as fast this way.
    q, k, v = (x.swapaxes(1, 2) for x in (query * scale, key, value))
    num_keys, num_key_heads = key.shape[1:3]
    # The queries that share keys one after another.
    q = q.reshape(batch, num_key_heads, num_heads // num_key_heads * num_queries, width)
    wide = wide_dtype(query.dtype)
    logits = jnp.einsum("bgqd,bgsd->bgqs", q, k, preferred_element_type=wide)
    logits = logits.reshape(batch, num_heads, num_queries, num_keys)
    if bias is not None:
        logits += bias.astype(wide)
    if flags is not None:
        logits = jnp.where(flags, logits, jnp.finfo(wide).min)
    weights = jax.nn.softmax(logits, axis=-1).astype(v.dtype)
    out = jnp.einsum("bgqs,bgsd->bgqd", weights.reshape(*q.shape[:3], num_keys), v)
    out = out.reshape(batch, num_heads, num_queries, width).swapaxes(1, 2)
    return _zero_blind(out, flags)


def cudnn(
    query: Float[Array, "B Q H D"],
    key: Float[Array, "B S G D"],
    value: Float[Array, "B S G D"],
    attention_mask: AttentionMask | Bool[Array, "_ _ _ _"] | None,
    bias: Float[Array, "_ _ _ _"] | None,
    scale: float,
) -> Float[Array, "B Q H D"]:
    """`attend` by cuDNN, whose limits are those of jax.nn.dot_product_attention in jax 0.10.

    Under a mask or a bias cuDNN has gradients only for even numbers of queries and of keys, and
    takes the mask with all its queries. So there one query, and one key that nobody may attend
    to, are added where the number is odd, and the output is cut.
    """
    check_cudnn(query.dtype, query.shape[3])
    num_queries, num_keys = query.shape[1], key.shape[1]
    flags, bias = _opened(attention_mask, bias, num_queries, num_keys)
    padded_flags = flags
    if flags is not None:
        query, key, value = (_even(x, (1,)) for x in (query, key, value))
        full = (*flags.shape[:2], num_queries, num_keys)
        padded_flags = _even(jnp.broadcast_to(flags, full), (2, 3))
    if bias is not None:
        full = (*bias.shape[:2], num_queries, num_keys)
        bias = _even(jnp.broadcast_to(bias, full).astype(query.dtype), (2, 3))
    out = jax.nn.dot_product_attention(
        query, key, value, bias, padded_flags, scale=scale, implementation="cudnn"
    )
    return _zero_blind(out[:, :num_queries], flags)


def check_cudnn(dtype: DType, head_width: int) -> None:
    """Refuses what cuDNN's attention cannot compute, before a program is built for it.

    Args:
        dtype: compute dtype of queries, keys and values.
        head_width: D, the width of one head.

    Raises:
        ValueError: a dtype but bfloat16 and float16, or a head width that is no multiple of 8 or
            above 256. Above 128 a GPU older than Hopper is refused by JAX itself.

    Examples:
        >>> check_cudnn(jnp.bfloat16, 64)
    """
    if jnp.dtype(dtype) not in (jnp.bfloat16, jnp.float16):
        raise ValueError(
            f"cudnn attention takes bfloat16 or float16, not {jnp.dtype(dtype)}: compute in one of "
            "them, or use implementation 'xla'"
        )
    if head_width % 8 or head_width > 256:
        raise ValueError(
            "cudnn attention takes a head width that is a multiple of 8, at most 256 (128 before "
            f"Hopper), not {head_width}: change width or num_heads, or use implementation 'xla'"
        )


def _opened(attention_mask, bias, num_queries, num_keys):
    """Flags of a mask, and a finite bias: what a bias of -inf forbids is forbidden by the flags."""
    flags = attention_mask
    if isinstance(flags, AttentionMask):
        flags = flags.dense(num_queries, num_keys)
    if bias is not None:
        # A row of -inf alone would be NaN in the softmax.
        is_open = bias != -jnp.inf
        flags = is_open if flags is None else flags & is_open
        bias = jnp.where(is_open, bias, 0)
    return flags, bias


def _even(x: Array, axes: tuple[int, ...]) -> Array:
    """Zeros, or False, behind the end of axes of odd length."""
    return jnp.pad(x, [(0, x.shape[axis] % 2 if axis in axes else 0) for axis in range(x.ndim)])


def _zero_blind(out: Array, flags: Array | None) -> Array:
    """Zeros for queries that may attend to nothing, for which a softmax gives an average."""
    if flags is None:
        return out
    sees_some = flags.any(axis=-1).swapaxes(1, 2)[..., None]  # [B or 1, Q or 1, H or 1, 1]
    return jnp.where(sees_some, out, 0)
