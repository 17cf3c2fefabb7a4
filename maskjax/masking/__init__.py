"""Masking rules as pure functions: a rule scores positions, one cut hides the highest scores.

    rule = make_rule("block", min_area=4)
    keys = example_keys(jax.random.key(0), step, jnp.arange(batch_size))
    masking = draw(rule, keys, grid=(14, 14), num_masked=147)

README.md in this folder lists every rule and function. What belongs to one kind of input is in a
module of its own: `text`, `audio`, `sequences`, `frequency`, `attention`, `heads`, `regions`,
`parameters`; `adaptive` holds masks that follow the training, `unmasking` iterative generation.
`register` adds a rule of one's own. Needs jax and numpy alone.
"""

# First, so that the module of a rule may write `from maskjax import masking`, as anybody's does.
from maskjax.masking.registry import (
    MODALITIES,
    RULES,
    RegisteredRule,
    Rule,
    accepted_options,
    chooses,
    make_rule,
    missing_options,
    needs_step,
    register,
    rules_on,
)

# isort: split
from maskjax.masking import (
    adaptive,
    attention,
    audio,
    frequency,
    heads,
    parameters,
    regions,
    sequences,
    text,
    unmasking,
)
from maskjax.masking.adaptive import error_window, hard_patches
from maskjax.masking.audio import runs, spec_augment, time_frequency, wav2vec_spans
from maskjax.masking.block_rules import block, inverse_block, sliding_block
from maskjax.masking.core import (
    Masking,
    Slots,
    cut,
    cut_chosen,
    cut_counts,
    cut_slots,
    example_keys,
    grid_length,
)
from maskjax.masking.counts import (
    num_masked_from_lengths,
    num_masked_from_ratio,
    num_masked_from_traced_ratio,
)
from maskjax.masking.drawing import draw, draw_chosen, draw_counts, draw_slots, score
from maskjax.masking.fill import fill_gate, fill_noise, fill_token, fill_zero, keep, restore
from maskjax.masking.frequency import frequency_band
from maskjax.masking.grid_rules import grid, random, sliding, tube, weighted
from maskjax.masking.images import (
    ContextTargets,
    attention_guided,
    context_and_targets,
    hierarchical,
    multi_block,
)
from maskjax.masking.parameters import (
    fisher,
    magnitude,
    movement,
    saliency,
    steepest,
    weight_blocks,
)
from maskjax.masking.regions import region
from maskjax.masking.schedules import (
    SCHEDULES,
    Schedule,
    constant,
    cosine,
    linear,
    make_schedule,
    uniform,
)
from maskjax.masking.sequences import cloze, mask_last
from maskjax.masking.text import spans, t5_spans, token_probabilities, whole_word

__all__ = [
    "MODALITIES", "RULES", "SCHEDULES", "ContextTargets", "Masking", "RegisteredRule", "Rule",
    "Schedule", "Slots", "accepted_options", "adaptive", "attention", "attention_guided",
    "audio", "block", "chooses", "cloze", "constant", "context_and_targets", "cosine", "cut",
    "cut_chosen", "cut_counts", "cut_slots", "draw", "draw_chosen", "draw_counts", "draw_slots",
    "error_window", "example_keys", "fill_gate", "fill_noise", "fill_token", "fill_zero",
    "fisher", "frequency", "frequency_band", "grid", "grid_length", "hard_patches", "heads",
    "hierarchical", "inverse_block", "keep", "linear", "magnitude", "make_rule",
    "make_schedule", "mask_last", "missing_options", "movement", "multi_block", "needs_step",
    "num_masked_from_lengths", "num_masked_from_ratio", "num_masked_from_traced_ratio",
    "parameters", "random", "region", "regions", "register", "restore", "rules_on", "runs",
    "saliency", "score", "sequences", "sliding", "sliding_block", "spans", "spec_augment",
    "steepest", "t5_spans", "text", "time_frequency", "token_probabilities", "tube", "uniform",
    "unmasking", "wav2vec_spans", "weight_blocks", "weighted", "whole_word",
]  # fmt: skip
