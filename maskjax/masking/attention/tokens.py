"""Attention masks that depend on what stands at a position: padding, segments, global tokens."""

import jax.numpy as jnp

from maskjax.masking.attention.mask import AttentionMask, Ids, register_attention
from maskjax.masking.checks import as_flags, as_integers
from maskjax.typing import Array, Bool, Int


@register_attention("padding")
def padding(
    *, is_valid: Bool[Array, "*B S"] | None = None, lengths: int | Int[Array, "*C"] | None = None
) -> AttentionMask:
    """Nobody may attend to padding.

    Queries that are padding themselves attend as the others do: what they give is finite and not
    to be used. In an example that is all padding nobody may attend to anything.

    Args:
        is_valid: False where a key is padding, the same for all examples or one row each.
        lengths: keys from here on are padding, one or one per example. Given both, both count.

    Returns:
        The mask.

    Raises:
        ValueError: neither is given, flags that are not boolean, or lengths that are no whole
            numbers.

    Examples:
        >>> padding(lengths=jnp.array([1, 3])).dense(1, 3).astype(int)[:, 0, 0].tolist()
        [[1, 0, 0], [1, 1, 1]]
    """
    if is_valid is None and lengths is None:
        raise ValueError("padding needs is_valid or lengths")
    arrays, num_keys = {}, None
    if is_valid is not None:
        arrays["is_valid"] = _in_rows("is_valid", as_flags("is_valid", is_valid))
        num_keys = arrays["is_valid"].shape[-1]
    if lengths is not None:
        arrays["lengths"] = as_integers("lengths", lengths)
    return AttentionMask(_padding, arrays, num_keys=num_keys)


def _padding(ids: Ids, is_valid: Array | None = None, lengths: Array | None = None) -> Array:
    flags = jnp.ones_like(ids.key, bool)
    if is_valid is not None:
        flags = flags & ids.of_keys(is_valid, fill=False)
    if lengths is not None:
        flags = flags & (ids.key < lengths.reshape(-1, 1, 1, 1))
    return flags


@register_attention("segments")
def segments(
    *, segment_ids: Int[Array, "*B Q"], key_segment_ids: Int[Array, "*C S"] | None = None
) -> AttentionMask:
    """A query may attend to the keys of its own segment: blocks along the diagonal when sorted.

    Several texts packed into one row do not see each other (Krell et al. 2021, Efficient Sequence
    Packing without Cross-contamination).

    Args:
        segment_ids: same id = same segment, the same for all examples or one row each. A negative
            id belongs to no segment (padding): it attends to nothing, and nothing to it.
        key_segment_ids: those of the keys where they are not the queries.

    Returns:
        The mask.

    Raises:
        ValueError: ids that are no whole numbers.

    Examples:
        >>> segments(segment_ids=jnp.array([0, 0, 1])).dense(3, 3).astype(int)[0, 0].tolist()
        [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    """
    segment_ids = _in_rows("segment_ids", as_integers("segment_ids", segment_ids))
    keys = segment_ids
    if key_segment_ids is not None:
        keys = _in_rows("key_segment_ids", as_integers("key_segment_ids", key_segment_ids))
    arrays = {"segment_ids": segment_ids, "key_segment_ids": keys}
    sizes = {"num_queries": segment_ids.shape[-1], "num_keys": keys.shape[-1]}
    return AttentionMask(_segments, arrays, **sizes)


def _segments(ids: Ids, segment_ids: Array, key_segment_ids: Array) -> Array:
    queries = ids.of_queries(segment_ids, fill=-1)
    return (queries == ids.of_keys(key_segment_ids, fill=-1)) & (queries >= 0)


@register_attention("global_tokens")
def global_tokens(*, is_global: Bool[Array, "*B L"]) -> AttentionMask:
    """Global tokens may attend to everybody, and everybody to them; nothing else.

    Beltagy et al. 2020 (Longformer, section 3.1) and Zaheer et al. 2020 (BigBird, section 2), to be
    added to local attention: `sliding_window(left=w, right=w) | global_tokens(is_global=...)`.

    Args:
        is_global: the same for all examples or one row each; queries and keys are the same tokens.

    Returns:
        The mask.

    Raises:
        ValueError: flags that are not boolean.

    Examples:
        >>> is_global = jnp.array([True, False, False])
        >>> global_tokens(is_global=is_global).dense(3, 3).astype(int)[0, 0].tolist()
        [[1, 1, 1], [1, 0, 0], [1, 0, 0]]
    """
    is_global = _in_rows("is_global", as_flags("is_global", is_global))
    length = is_global.shape[-1]
    return AttentionMask(_global, {"is_global": is_global}, (), length, length)


def _global(ids: Ids, is_global: Array) -> Array:
    return ids.of_queries(is_global, fill=False) | ids.of_keys(is_global, fill=False)


def _in_rows(name: str, values: Array) -> Array:
    """Refuses one number where a row of them is wanted."""
    if values.ndim < 1:
        raise ValueError(f"{name} is a single value: give one row, or one row for each example")
    return values
