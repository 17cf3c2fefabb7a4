"""Attention masks that differ between heads."""

from collections.abc import Sequence

import jax.numpy as jnp

from maskjax.masking.attention.mask import AttentionMask, Ids, combine, register_attention
from maskjax.masking.checks import as_flags
from maskjax.typing import Array, Bool


@register_attention("per_head")
def per_head(*, masks: Sequence[AttentionMask]) -> AttentionMask:
    """Head h follows the h-th mask.

    As where some heads look near and others far (Beltagy et al. 2020, Longformer, section 3.1).

    Args:
        masks: one per head, none of which differs between heads itself.

    Returns:
        The mask.

    Raises:
        ValueError: no mask, something that is none, masks of different lengths, or (when its flags
            are asked for) one that has heads itself.

    Examples:
        >>> from maskjax.masking.attention import causal
        >>> attention_mask = per_head(masks=[causal(), ~causal()])
        >>> attention_mask.dense(2, 2).astype(int)[0].tolist()
        [[[1, 0], [1, 1]], [[0, 1], [0, 0]]]
    """
    if isinstance(masks, AttentionMask) or not len(masks):
        count = 0 if not isinstance(masks, AttentionMask) else "one that is in no list"
        raise ValueError(f"per_head needs at least 1 mask, one per head, but got {count}")
    return combine(_per_head, *masks)


def _per_head(ids: Ids, attention_masks: Sequence[AttentionMask]) -> Array:
    flags = [one.allows(ids) for one in attention_masks]
    for head, one in enumerate(flags):
        if one.shape[1] != 1:
            raise ValueError(f"the mask of head {head} has {one.shape[1]} heads itself")
    shape = jnp.broadcast_shapes(*(one.shape for one in flags))
    return jnp.concatenate([jnp.broadcast_to(one, shape) for one in flags], axis=1)


@register_attention("kept_heads")
def kept_heads(*, head_masks: Bool[Array, "*B H"]) -> AttentionMask:
    """A head that is not kept may attend to nothing, and so gives zeros.

    Args:
        head_masks: True = kept (`masking.heads.cut_heads`), the same for all examples or one row
            each.

    Returns:
        The mask.

    Raises:
        ValueError: numbers in place of flags; those are weights of `masking.heads.scale_heads`.

    Examples:
        >>> kept_heads(head_masks=jnp.array([True, False])).dense(1, 2).astype(int)[0].tolist()
        [[[1, 1]], [[0, 0]]]
    """
    floats = "weights of heads are for masking.heads.scale_heads"
    head_masks = as_flags("head_masks", head_masks, floats=floats)
    return AttentionMask(_kept_heads, {"head_masks": head_masks})


def _kept_heads(ids: Ids, head_masks: Array) -> Array:
    return head_masks.reshape(-1, head_masks.shape[-1])[:, :, None, None]
