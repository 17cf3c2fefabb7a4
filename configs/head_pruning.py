"""Which heads of a masked language model matter, and what it is without some (Michel et al. 2019).

    python launch/train.py --config=configs/head_pruning.py --config.init_from.path=RUN \
        --config.model.prune_heads=4

RUN is a run of configs/mlm.py; model, data and mask are those of the variant of the same name, and
for a run with other ones the flags that it had are given. The importance of each head, |dLoss/dxi|,
is measured on the training rows; as many heads as `prune_heads` says go, those whose importance by
that of their block is least; and evaluations measure it again, beside accuracy and perplexity. No
step is trained: a run of configs/mlm.py that starts from this one trains what is left.

Variants:

    default     a model of configs/mlm.py, seconds
    smoke       small rows of an untrained one
    VARIANT     of configs/mlm.py

configs/studies/heads.py compares numbers of heads, and random ones.
"""

from ml_collections import ConfigDict

from maskjax.config import load


def get_config(variant: str = "") -> ConfigDict:
    """Builds the config of a variant: configs/mlm.py's without training."""
    config = load("mlm.py", variant, beside=__file__)
    with config.unlocked():
        config.task = "head_pruning"
        config.total_steps = 0
        config.optimizer.warmup_steps = 0
        config.figures.num_examples = 0
        config.model.prune_heads = 0  # so many go
        config.model.prune_order = "importance"  # those of the least, or "random" ones
    return config
