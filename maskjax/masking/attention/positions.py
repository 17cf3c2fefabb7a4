"""Attention masks that depend on positions alone."""

import jax.numpy as jnp

from maskjax.masking.attention.mask import AttentionMask, Ids, register_attention
from maskjax.masking.checks import as_integers, check_whole
from maskjax.typing import Array, Int


@register_attention("causal")
def causal(*, offset: int | Int[Array, "*B"] = 0) -> AttentionMask:
    """A query may attend to itself and to what comes before it.

    Vaswani et al. 2017 (Attention Is All You Need, section 3.2.3).

    Args:
        offset: position of the first query among the keys, one or one per example: the number of
            keys already in the cache when decoding. May be traced.

    Returns:
        The mask.

    Raises:
        ValueError: an offset that is no whole number.

    Examples:
        >>> causal().dense(3, 3).astype(int)[0, 0].tolist()
        [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
        >>> causal(offset=2).dense(1, 4).astype(int)[0, 0].tolist()
        [[1, 1, 1, 0]]
    """
    unshifted = AttentionMask(_causal)
    return unshifted if isinstance(offset, int) and offset == 0 else unshifted.shift(offset)


def _causal(ids: Ids) -> Array:
    return ids.key <= ids.query


@register_attention("sliding_window")
def sliding_window(*, left: int | None, right: int | None) -> AttentionMask:
    """A query may attend to the `left` keys before it, itself, and the `right` keys after it.

    Beltagy et al. 2020 (Longformer, section 3.1), whose window of w has w / 2 on either side.

    Args:
        left: how far back, at least 0; None = without limit.
        right: how far ahead, at least 0; None = without limit. 0 makes the window causal.

    Returns:
        The mask.

    Raises:
        ValueError: a side below 0, or one that is no known whole number.

    Examples:
        >>> sliding_window(left=1, right=0).dense(3, 3).astype(int)[0, 0].tolist()
        [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    """
    for name, side in (("left", left), ("right", right)):
        if side is not None:
            check_whole(name, side, least=0, hint=", or None for no limit")
    return AttentionMask(_window, options=(("left", left), ("right", right)))


def _window(ids: Ids, left: int | None, right: int | None) -> Array:
    ahead = ids.key - ids.query
    flags = jnp.ones_like(ahead, bool)
    if left is not None:
        flags &= ahead >= -left
    if right is not None:
        flags &= ahead <= right
    return flags


@register_attention("dilated")
def dilated(*, dilation: int) -> AttentionMask:
    """A query may attend to every `dilation`-th key, counted from itself both ways.

    `dilated(dilation=d) & causal()` is the second strided head of Child et al. 2019 (Sparse
    Transformer, section 4.3). The dilated window of Beltagy et al. 2020 (Longformer, section 3.1)
    with w keys on either side is
    `dilated(dilation=d) & sliding_window(left=w * d, right=w * d)`.

    Args:
        dilation: distance of neighbouring keys, at least 1.

    Returns:
        The mask.

    Raises:
        ValueError: a dilation below 1, or one that is no known whole number.

    Examples:
        >>> dilated(dilation=2).dense(2, 4).astype(int)[0, 0].tolist()
        [[1, 0, 1, 0], [0, 1, 0, 1]]
    """
    check_whole("dilation", dilation)
    return AttentionMask(_dilated, options=(("dilation", dilation),))


def _dilated(ids: Ids, dilation: int) -> Array:
    return (ids.key - ids.query) % dilation == 0


@register_attention("prefix")
def prefix(*, lengths: int | Int[Array, "*B"]) -> AttentionMask:
    """Causal, but everybody may attend to the whole prefix.

    The prefix language model of Raffel et al. 2020 (T5, section 3.2.1, figure 3, right).

    Args:
        lengths: length of the prefix, one or one per example.

    Returns:
        The mask.

    Raises:
        ValueError: lengths that are no whole numbers.

    Examples:
        >>> prefix(lengths=2).dense(3, 3).astype(int)[0, 0].tolist()
        [[1, 1, 0], [1, 1, 0], [1, 1, 1]]
    """
    return AttentionMask(_prefix, {"lengths": as_integers("lengths", lengths)})


def _prefix(ids: Ids, lengths: Array) -> Array:
    return _causal(ids) | (ids.key < lengths.reshape(-1, 1, 1, 1))
