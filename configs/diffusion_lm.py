"""Masked diffusion of texts (Nie et al. 2025, LLaDA; Sahoo et al. 2024, MDLM): it writes, too.

    python launch/train.py --config=configs/diffusion_lm.py[:VARIANT]
    python launch/predict.py --workdir=runs/diffusion_lm-default --what=generate \
        --input="The following example shows how"

The model, its data and its variants are those of configs/mlm.py. Each row of a batch has a share t
from 0 to 1, every token of it is hidden with chance t, and the loss is the cross-entropy over t:
a bound on the nats that a token takes. Evaluations judge that bound by hidden versions of each row
that are the same at every step, beside what unigrams and bigrams take that counted the same texts
("unigram_loss", "bigram_loss"). At the end it writes on from the beginnings of held-out texts
(figures/generate.png, and on the screen).

Variants:

    default     Python's own documentation, a vocabulary of 1024 pieces; 3600 steps, 473 seconds of
                CPU time: on held-out documents (validation) at most 4.28 nats a token, perplexity
                72.1; unigrams 5.80 and 331, bigrams 4.24 and 69.1
    smoke       the same for a few steps: does everything work?
    VARIANT     of configs/mlm.py: bert_base, roberta_base, modernbert_base
"""

from ml_collections import ConfigDict

from maskjax.config import load


def get_config(variant: str = "") -> ConfigDict:
    """Builds the config of a variant: configs/mlm.py's with shares from 0 to 1."""
    config = load("mlm.py", variant, beside=__file__)
    with config.unlocked():
        config.task = "diffusion_lm"
        if variant in ("", "default"):
            config.total_steps = 3600  # not 2400: a bound falls more slowly
        config.mask = ConfigDict()
        config.mask.spread = "even"  # shares over a batch; or "independent" from row to row
        config.mask.eps = 1e-3  # the least share
        config.mask.eval_draws = 4  # hidden versions of each row in an evaluation
    return config
