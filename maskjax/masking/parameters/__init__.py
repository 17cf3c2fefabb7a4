"""Parameter masks: which weights of a network are kept, as pure functions of trees of arrays.

    is_eligible = eligible(params, exclude=USUALLY_DENSE)
    sparsities = erk(params, is_eligible, sparsity=0.9)
    scores = score_leaves(make_rule("magnitude"), key, params, sparsities)
    param_masks = cut_leaves(scores, sparsities)
    loss(apply(params, param_masks))

Everywhere None stands for a leaf that is never pruned. Nothing here trains.
"""

from maskjax.masking.parameters.engine import Engine, MaskState, Moved, make_engine
from maskjax.masking.parameters.grow import regrow
from maskjax.masking.parameters.methods import METHODS, Method, options_of
from maskjax.masking.parameters.options import Options
from maskjax.masking.parameters.paths import (
    USUALLY_DENSE,
    chosen_paths,
    eligible,
    leaf_paths,
    matching,
)
from maskjax.masking.parameters.prune import (
    accumulate_movement,
    apply,
    cut_globally,
    cut_leaves,
    cut_n_of_m,
    score_leaves,
    sparsity,
)
from maskjax.masking.parameters.rules import (
    fisher,
    magnitude,
    movement,
    saliency,
    steepest,
    weight_blocks,
)
from maskjax.masking.parameters.sparsities import cubic, erk, num_masked_from_sparsity, uniform

__all__ = [
    "METHODS", "USUALLY_DENSE", "Engine", "MaskState", "Method", "Moved", "Options",
    "accumulate_movement", "apply", "chosen_paths", "cubic", "cut_globally", "cut_leaves",
    "cut_n_of_m", "eligible", "erk", "fisher", "leaf_paths", "magnitude", "make_engine", "matching",
    "movement", "num_masked_from_sparsity", "options_of", "regrow", "saliency", "score_leaves",
    "sparsity", "steepest", "uniform", "weight_blocks",
]  # fmt: skip
