"""Attention that any model can use, under any mask; a query that sees nothing gives zeros."""

import functools

import jax
import jax.numpy as jnp
from jax.core import Tracer

from maskjax.masking.attention.blockwise import blockwise
from maskjax.masking.attention.dense import cudnn, xla
from maskjax.masking.attention.edges import ADDITIVE, given
from maskjax.masking.attention.local import local
from maskjax.masking.attention.mask import FROM_FLAGS, AttentionMask
from maskjax.masking.attention.positions import sliding_window
from maskjax.masking.checks import as_array, as_flags, check_whole
from maskjax.masking.registry import bind
from maskjax.typing import Array, Bool, Float


def attend(
    query: Float[Array, "*b Q H D"],
    key: Float[Array, "*b S G D"],
    value: Float[Array, "*b S G D"],
    attention_mask: AttentionMask | Bool[Array, "_ _ _ _"] | None = None,
    *,
    implementation: str = "xla",
    bias: Float[Array, "_ _ _ _"] | None = None,
    scale: int | float | None = None,
    block_size: int = 128,
    side: int | None = None,
) -> Float[Array, "*b Q H D"]:
    """Softmax attention; a query that may attend to nothing gives zeros and gets zero gradients.

    Vaswani et al. 2017 (section 3.2.1), softmax in float32 whatever the inputs are. It differs from
    `jax.nn.dot_product_attention` for queries that may attend to nothing: there they give the
    average of all values.

    Args:
        query: one example or a batch of them, float32, bfloat16 or float16.
        key: in the dtype of the queries; G heads, of which each serves H / G heads of the queries.
        value: as the keys. Both are finite where they are hidden too: 0 times NaN is NaN.
        attention_mask: True = may attend; flags broadcast to [B H Q S]. None = everything.
        implementation: one of IMPLEMENTATIONS. "xla" makes all [B H Q S] logits. "blockwise" makes
            those of `block_size` keys at a time, forward and backward; it needs a mask that is not
            made of flags to save memory. "cudnn" is cuDNN's flash attention (NVIDIA, the limits of
            `check_cudnn`, flags of the mask in memory); JAX never chooses it by itself.
        bias: added to the logits, broadcasts to [B H Q S]; -inf = may not attend.
        scale: of the logits; 1 / sqrt(D) where None.
        block_size: keys in a tile of "blockwise", at least 1; not used by the others.
        side: a query may attend to at most so many keys before and behind its own place, and no
            others are looked at, whatever the implementation: at least 1, for as many queries as
            keys and no bias. None = without limit.

    Returns:
        The mean of the values under the attention weights, in their dtype.

    Raises:
        ValueError: an unknown implementation, shapes that do not match, flags that are not
            boolean or a bias that is, a side with a bias or with other numbers of keys than of
            queries, or what `check_cudnn` refuses where the implementation is "cudnn".

    Examples:
        >>> from maskjax.masking.attention import padding
        >>> x = jnp.array([[1.0], [3.0]])[None, :, None]  # [1, 2, 1, 1]
        >>> attend(x, x, x, padding(lengths=1))[0, :, 0, 0].tolist()
        [1.0, 1.0]
        >>> attend(x, x, x, padding(lengths=0))[0, :, 0, 0].tolist()
        [0.0, 0.0]
    """
    query, key, value = map(as_array, ("query", "key", "value"), (query, key, value))
    _check_inputs(query, key, value)
    if query.ndim == 3:
        options = {"implementation": implementation, "scale": scale, "block_size": block_size}
        options |= {"side": side}
        batch = (query[None], key[None], value[None])
        return attend(*batch, attention_mask, bias=bias, **options)[0]
    implement = bind("attention implementation", _ATTEND, implementation, {})
    if isinstance(attention_mask, str) or callable(attention_mask):
        name = getattr(attention_mask, "__name__", attention_mask)
        raise ValueError(
            f"attention_mask is the name of one, {name}: give make_attention_mask({name!r}, ...)"
        )
    if attention_mask is not None and not isinstance(attention_mask, AttentionMask):
        attention_mask = as_flags("attention_mask", attention_mask, floats=ADDITIVE)
    bias = None if bias is None else as_array("bias", bias)
    _check_masks(query, key, attention_mask, bias)
    check_whole("block_size", block_size)
    if isinstance(scale, Tracer):
        raise ValueError("scale is traced: give a number, or multiply the queries by it")
    scaled: float = query.shape[-1] ** -0.5 if scale is None else float(scale)
    if side is not None:
        _check_side(side, query, key, bias)
        attention_mask = _lazy(attention_mask, query, key)
        if key.shape[1] > 3 * side:  # tiles of fewer keys than there are
            return local(query, key, value, attention_mask, scaled, side)
        near = sliding_window(left=side, right=side)
        attention_mask = near if attention_mask is None else attention_mask & near
    if implementation == "blockwise":
        implement = functools.partial(implement, block_size=block_size)
    return implement(query, key, value, attention_mask, bias, scaled)


def _check_inputs(query: Array, key: Array, value: Array) -> None:
    """One batch, one width, and as many values as keys; heads that divide."""
    for name, x in (("query", query), ("key", key), ("value", value)):
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f"{name} holds {x.dtype}: give floats")
    if query.ndim not in (3, 4):
        raise ValueError(f"queries of shape {query.shape}: give [B Q H D], or [Q H D]")
    # Keys may be of another number and have fewer heads; nothing else is broadcast.
    fits = key.ndim == query.ndim and key.shape[:-3] == query.shape[:-3]
    if not fits or key.shape[-1] != query.shape[-1]:
        wanted = (*query.shape[:-3], "S", "G", query.shape[-1])
        wanted = f"({', '.join(map(str, wanted))})"
        raise ValueError(
            f"keys of shape {key.shape} for queries of shape {query.shape}: give {wanted}"
        )
    if value.shape != key.shape:
        raise ValueError(f"values of shape {value.shape} for keys of shape {key.shape}")
    num_heads, num_key_heads = query.shape[-2], key.shape[-2]
    if num_key_heads < 1 or num_heads % num_key_heads:
        raise ValueError(
            f"{num_heads} heads of queries are not a multiple of {num_key_heads} heads of keys"
        )


def _check_masks(query, key, attention_mask, bias):
    """A mask and a bias that broadcast to the logits."""
    full = (query.shape[0], query.shape[2], query.shape[1], key.shape[1])
    shapes = {} if bias is None else {"bias": bias.shape}
    if bias is not None and bias.dtype == bool:
        raise ValueError("bias holds bool: it is added to the logits; flags are attention_mask")
    if isinstance(attention_mask, AttentionMask):
        attention_mask.check(*full[2:])
        one = jax.ShapeDtypeStruct((1,), jnp.int32)
        tile = jax.eval_shape(attention_mask.tile, one, one)
        shapes["attention_mask"] = (*tile.shape[:2], *full[2:])
    elif attention_mask is not None:
        shapes["attention_mask"] = attention_mask.shape
    for name, shape in shapes.items():
        if len(shape) == 4 and all(side in (1, whole) for side, whole in zip(shape, full)):
            continue
        advice = f": give {FROM_FLAGS}" if name == "attention_mask" and len(shape) != 4 else ""
        raise ValueError(
            f"{name} of shape {shape} does not broadcast to [B H Q S] = {full}{advice}"
        )


def _check_side(side, query, key, bias):
    check_whole("side", side)
    if bias is not None or query.shape[1] != key.shape[1]:
        raise ValueError(
            f"side {side} is for as many queries as keys and no bias, and here are "
            f"{query.shape[1]} queries, {key.shape[1]} keys{' and a bias' * (bias is not None)}: "
            "give sliding_window(left=..., right=...) as attention_mask"
        )


def _lazy(attention_mask, query, key):
    """A mask that is made of flags, where it is flags."""
    if attention_mask is None or isinstance(attention_mask, AttentionMask):
        return attention_mask
    full = (attention_mask.shape[0], attention_mask.shape[1], query.shape[1], key.shape[1])
    return given(attention_mask=jnp.broadcast_to(attention_mask, full))


def _blockwise(query, key, value, attention_mask, bias, scale, block_size):
    attention_mask = _lazy(attention_mask, query, key)
    return blockwise(query, key, value, attention_mask, bias, scale, block_size)


_ATTEND = {"xla": xla, "blockwise": _blockwise, "cudnn": cudnn}
IMPLEMENTATIONS = tuple(_ATTEND)
