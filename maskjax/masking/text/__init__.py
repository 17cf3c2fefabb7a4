"""Text: selection of tokens, words and spans; corruption; T5's targets; masked diffusion.

counts = num_masked_from_lengths(lengths, 0.15, max_length=512)
keys = dynamic_keys(root_key, document_ids, epoch)
is_masked = draw_counts(make_rule("whole_word"), keys, (512,), counts, word_ids=word_ids)
inputs = corrupt_tokens(tokens, is_masked, keys, mask_token_id=103, vocab_size=30522)
"""

from maskjax.masking.text.corruption import corrupt_tokens, dynamic_keys, static_keys
from maskjax.masking.text.counts import spanbert_num_masked, t5_num_masked
from maskjax.masking.text.diffusion import (
    DiffusionWeights,
    diffusion_ratio,
    diffusion_weights,
    token_probabilities,
)
from maskjax.masking.text.gates import word_gate
from maskjax.masking.text.span_corruption import (
    RestoredSpans,
    SpanCorruption,
    restore_spans,
    span_corruption,
    span_corruption_lengths,
)
from maskjax.masking.text.spans import spans, t5_spans
from maskjax.masking.text.words import run_ids, whole_word

__all__ = [
    "DiffusionWeights", "RestoredSpans", "SpanCorruption", "corrupt_tokens", "diffusion_ratio",
    "diffusion_weights", "dynamic_keys", "restore_spans", "run_ids", "span_corruption",
    "span_corruption_lengths", "spanbert_num_masked", "spans", "static_keys", "t5_num_masked",
    "t5_spans", "token_probabilities", "whole_word", "word_gate",
]  # fmt: skip
