"""Attention masks, True = may attend, and attention under them.

    attention_mask = causal() & segments(segment_ids=segment_ids)
    out = attend(query, key, value, attention_mask)

A mask is a function of (query, key) indices until its flags are asked for: `dense` gives all of
them, `tile` those of a few queries and keys. `register_attention` adds one of one's own.
"""

from maskjax.masking.attention.by_head import kept_heads, per_head
from maskjax.masking.attention.dense import check_cudnn
from maskjax.masking.attention.edges import dynamic_edges, given, random_edges
from maskjax.masking.attention.mask import (
    ATTENTION,
    AttentionMask,
    Ids,
    make_attention_mask,
    register_attention,
)
from maskjax.masking.attention.positions import causal, dilated, prefix, sliding_window
from maskjax.masking.attention.tokens import global_tokens, padding, segments
from maskjax.masking.attention.wrapper import IMPLEMENTATIONS, attend

__all__ = [
    "ATTENTION", "IMPLEMENTATIONS", "AttentionMask", "Ids", "attend", "causal", "check_cudnn",
    "dilated", "dynamic_edges", "given", "global_tokens", "kept_heads", "make_attention_mask",
    "padding", "per_head", "prefix", "random_edges", "register_attention", "segments",
    "sliding_window",
]  # fmt: skip
